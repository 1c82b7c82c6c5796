"""state_dict and load_state_dict: PyTorch's keys and layouts, tensors of any backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import dtypes
from ..backend import Tensor
from ..errors import StateDictError
from ..ops._dispatch import kernel
from ..registry import find_backend
from .module import Module
from .parameter import Buffer, Variable


def named_state(net: Module) -> Iterator[tuple[str, Variable]]:
    """What belongs in a state_dict, under every name it has: per module its parameters and constants, then its buffers,
    as PyTorch orders them. A module that stands in two places is listed in both.
    """
    yield from _walk(net, "")


def _walk(module: Module, prefix: str) -> Iterator[tuple[str, Variable]]:
    own = sorted(module._variables.items(), key=lambda item: isinstance(item[1], Buffer))
    for name, variable in own:
        if not isinstance(variable, Buffer) or variable.persistent:
            yield prefix + name, variable
    for name, child in module._modules.items():
        yield from _walk(child, f"{prefix}{name}.")


def state_dict(net: Module) -> dict[str, Tensor]:
    """See ``Module.state_dict``."""
    net._check_tree()
    out: dict[str, Tensor] = {}
    for name, variable in named_state(net):
        variable.name = variable.name or name
        value = variable.data
        backend = variable._backend
        out[name] = value if backend is None else kernel(backend, "stop_gradient")(value)
    return out


def host_state(net: Module) -> dict[str, np.ndarray[Any, Any]]:
    """The state as NumPy arrays of the declared dtypes (a counter that a framework carries as int32 is int64 again)."""
    net._check_tree()
    out = {}
    for name, variable in named_state(net):
        variable.name = variable.name or name
        out[name] = np.array(variable.numpy(), dtype=dtypes.to_numpy_dtype(variable.dtype), order="C")
    return out


def load_state_dict(
    net: Module, state: Mapping[str, Any], strict: bool, source: str = "load_state_dict"
) -> tuple[list[str], list[str]]:
    """See ``Module.load_state_dict``. ``source`` names where the state came from in errors."""
    net._check_tree()
    if not isinstance(state, Mapping):
        raise StateDictError(
            f"{source}: expected a mapping from names to tensors, got {type(state).__name__}"
        )
    expected = dict(named_state(net))
    missing = [k for k in expected if k not in state]
    unexpected = [k for k in state if k not in expected]
    problems = []
    if strict and missing:
        problems.append(f"missing keys: {', '.join(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected keys: {', '.join(map(str, unexpected))}")

    host: dict[str, np.ndarray[Any, Any]] = {}
    for name, variable in expected.items():
        if name not in state:
            continue
        problem, array = read_value(name, variable, state[name])
        if problem:
            problems.append(problem)
        else:
            host[name] = array
    seen: dict[int, str] = {}
    for name, array in host.items():
        first = seen.setdefault(id(expected[name]), name)
        if first != name and not np.array_equal(host[first], array, equal_nan=array.dtype.kind == "f"):
            problems.append(f"{first} and {name} are one tied tensor here but differ in the state")
    if problems:
        raise StateDictError(
            f"{source} does not fit {type(net).__name__}: {'; '.join(problems)}. The net is as it was"
        )
    take_over(net, {expected[name]: array for name, array in host.items()})
    return missing, unexpected


def read_value(name: str, variable: Variable, value: Any) -> tuple[str, np.ndarray[Any, Any]]:
    """The array of one entry, and what is wrong with it ("" if nothing is)."""
    nothing = np.empty(0)
    if isinstance(value, Variable):
        array = value.numpy()
    else:
        backend = (
            None if isinstance(value, np.ndarray) else find_backend(value)
        )  # of an array, no copy is needed
        try:
            array = np.asarray(value) if backend is None else backend.to_numpy(value)
        except Exception as error:
            return f"{name} cannot be read as a tensor: {error}", nothing
    try:
        dtype = dtypes.canonical(array.dtype)
    except TypeError:
        return f"{name} is no tensor of numbers but {type(value).__name__}", nothing
    fits = len(array.shape) == len(variable.shape) and all(
        want is None or want == got for want, got in zip(variable.shape, array.shape, strict=True)
    )
    if not fits:
        return f"{name} expected shape {variable.shape}, got {array.shape}", nothing
    if dtypes.is_floating(dtype) and not dtypes.is_floating(variable.dtype):
        return f"{name} expected dtype {variable.dtype}, got {dtype}", nothing
    return "", array


def take_over(net: Module, arrays: dict[Variable, np.ndarray[Any, Any]]) -> None:
    """Write the values; everything that can fail is done before the first one is written."""
    converted: list[tuple[Variable, Any]] = []
    for variable, array in arrays.items():
        backend = variable._backend
        if backend is None:
            converted.append((variable, array.copy()))
        else:
            device = net._device or "cpu"
            if variable.has_value:
                device = backend.device(variable.data)
            converted.append((variable, backend.from_numpy(array, variable.dtype, device)))
    for variable, value in converted:
        if not variable.shape_known:
            variable.shape = arrays[variable].shape
        if variable._backend is None:
            variable._store(value, None)
        else:
            variable.write(value)
