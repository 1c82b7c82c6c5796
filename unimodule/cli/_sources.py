"""What the command line names: nets (``FILE.py:OBJECT``), inputs (``2,20``), weights."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import DtypeError
from ..nn.module import Module
from ..state import load
from ._command import InputError, in_one_line

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------------- nets
def read_net(source: str, weights: str | None = None) -> Module:
    """The net that ``FILE.py:OBJECT`` names: a Module, or a class or function that makes one without arguments.

    Args:
        source: where it is. The file is run as an imported module; it finds its neighbours as a script would.
        weights: a file with its state.

    Raises:
        InputError: there is no such file or object, it does not run, or it is no net.
        StateDictError: the weights do not fit.
    """
    file, _, name = source.rpartition(":")
    if not file or not name:
        raise InputError(f"{source!r} does not name a net; expected FILE.py:OBJECT")
    found: Any = _run(Path(file))
    for step in name.split("."):
        if not hasattr(found, step):
            raise InputError(f"{file} has no {name!r}{_nets_in(found)}")
        found = getattr(found, step)
    net = found if isinstance(found, Module) else _made(found, name)
    if not isinstance(net, Module):
        raise InputError(
            f"{source} is no net but of type {type(net).__name__}; expected a Module, or a class or function that makes one"
        )
    if weights is not None:
        if not Path(weights).exists():
            raise InputError(f"there is no file {weights}")
        load(net, weights)
    return net


def _run(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"unimodule_cli_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as dataclasses and pickle expect
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"{path} does not run: {in_one_line(error)}") from error
    return module


def _made(maker: Any, name: str) -> Any:
    """What a class or function returns that is called without arguments; anything else as it is."""
    if not callable(maker):
        return maker
    try:
        inspect.signature(maker).bind()
    except TypeError as error:
        raise InputError(
            f"{name} cannot be called without arguments ({error}); name a net, or a function without arguments"
        ) from error
    except ValueError:  # a builtin without a signature
        return maker
    return maker()


def _nets_in(module: Any) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if isinstance(value, Module)
        or (inspect.isclass(value) and issubclass(value, Module) and value.__module__ == module.__name__)
    ]
    return f"; its nets: {', '.join(own)}" if own else ""


# ---------------------------------------------------------------------- inputs
def read_inputs(texts: tuple[str, ...], seed: int) -> list[Array]:
    """Random arrays as ``SHAPE[:DTYPE[:LOW..HIGH]]`` describes them, the same for the same seed.

    ``2,20`` is float32 from a normal distribution; ``4,16:int64:0..255`` has integers from 0 to 255, both included;
    ``2,3:float32:-1..1`` floats drawn evenly. Without bounds integers are 0 or 1.

    Raises:
        InputError: a text is malformed.
    """
    rng = np.random.default_rng(seed)
    return [_read_input(text, rng) for text in texts]


def _read_input(text: str, rng: np.random.Generator) -> Array:
    sizes, dtype_name, bounds = [*text.split(":"), "", ""][:3]
    if text.count(":") > 2 or not all(size.strip().isdigit() for size in sizes.split(",")):
        raise InputError(
            f"--input {text}: expected SHAPE[:DTYPE[:LOW..HIGH]], such as 2,20 or 4,16:int64:0..255"
        )
    shape = tuple(int(size) for size in sizes.split(","))
    try:
        dtype = dtypes.canonical(dtype_name or "float32")
    except DtypeError as error:
        raise InputError(f"--input {text}: {error}") from error
    low, high = _read_bounds(text, bounds, float if dtypes.is_floating(dtype) else int)
    values: Array
    if dtypes.is_floating(dtype):
        values = rng.uniform(low, high, shape) if bounds else rng.normal(size=shape)
    else:
        values = rng.integers(low, high, shape, endpoint=True)
    return np.asarray(values).astype(dtypes.to_numpy_dtype(dtype))


def _read_bounds(text: str, bounds: str, number: type[int] | type[float]) -> tuple[Any, Any]:
    if not bounds:
        return 0, 1
    low, dots, high = bounds.partition("..")
    try:
        ends = number(low), number(high)
    except ValueError:
        dots = ""
    if not dots or ends[0] > ends[1]:
        kind = "integers" if number is int else "numbers"
        raise InputError(f"--input {text}: expected two {kind} LOW..HIGH, got {bounds!r}")
    return ends
