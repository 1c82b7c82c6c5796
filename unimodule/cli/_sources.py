"""What the command line names: nets (``FILE.py:OBJECT``), inputs (``2,20``, ``x.npy``), losses, weights."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .. import dtypes, nn
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
    found = _read_object(source)
    name = source.rpartition(":")[2]
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


def _read_object(source: str) -> Any:
    file, _, name = source.rpartition(":")
    if not file or not name:
        raise InputError(f"{source!r} does not name a net; expected FILE.py:OBJECT")
    found: Any = _run(Path(file))
    for step in name.split("."):
        if not hasattr(found, step):
            raise InputError(f"{file} has no {name!r}{_nets_in(found)}")
        found = getattr(found, step)
    return found


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
    """Arrays: from files, or random ones as ``SHAPE[:DTYPE[:LOW..HIGH]]`` describes them, the same for the same seed.

    ``2,20`` is float32 from a normal distribution; ``4,16:int64:0..255`` has integers from 0 to 255, both included;
    ``2,3:float32:-1..1`` floats drawn evenly. Without bounds integers are 0 or 1. ``x.npy``, ``x.npz:key`` and
    ``x.safetensors:key`` are files; the key may be left out where there is only one.

    Raises:
        InputError: a text is malformed, or a file is not there, damaged, or without that key.
    """
    rng = np.random.default_rng(seed)
    return [_read_array(text) if _FILE.fullmatch(text) else _read_input(text, rng) for text in texts]


_FILE = re.compile(r"(?P<path>.+\.(npy|npz|safetensors))(:(?P<key>.+))?", re.IGNORECASE)


def _read_array(text: str) -> Array:
    match = _FILE.fullmatch(text)
    assert match is not None
    path, key = Path(match["path"]), match["key"]
    if not path.is_file():
        raise InputError(f"--input {text}: there is no file {path}")
    try:
        found = _arrays_in(path)
    except Exception as error:  # whatever a damaged file makes of the two libraries
        raise InputError(f"--input {text}: {path} cannot be read: {in_one_line(error)}") from error
    names = ", ".join(found)
    if key is None and len(found) != 1:
        raise InputError(f"--input {text}: {path} holds {names or 'nothing'}; say which, as {path}:KEY")
    if key is not None and (key not in found or path.suffix.lower() == ".npy"):
        raise InputError(f"--input {text}: {path} has no {key!r}" + (f"; it has {names}" if names else ""))
    array = found[key] if key is not None else next(iter(found.values()))
    try:
        dtypes.canonical(array.dtype)
    except DtypeError as error:
        raise InputError(f"--input {text}: {error}") from error
    return array


def _arrays_in(path: Path) -> dict[str, Array]:
    if path.suffix.lower() == ".safetensors":
        from safetensors.numpy import load_file

        dtypes.to_numpy_dtype("bfloat16")  # the library looks it up in NumPy, which must know it
        return dict(load_file(path))
    with open(path, "rb") as file:
        if file.read(6)[:2] not in (b"\x93N", b"PK"):
            raise InputError("it is neither .npy nor .npz")
        file.seek(0)
        loaded = np.load(file, allow_pickle=False)
        return (
            {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
        )


def read_loss(text: str) -> Any:
    """A loss: a class of ``nn`` or a function of ``nn.functional`` by its name, or ``FILE.py:OBJECT``.

    Raises:
        InputError: there is no such thing, or it cannot be made without arguments.
    """
    if ":" in text:
        found = _read_object(text)
        return _made(found, text) if inspect.isclass(found) else found
    kind = getattr(nn, text, None)
    if inspect.isclass(kind) and issubclass(kind, Module):
        return _made(kind, text)
    function = getattr(nn.functional, text, None)
    if not callable(function):
        raise InputError(f"--loss {text}: neither nn nor nn.functional has it; or name one as FILE.py:OBJECT")
    return function


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
