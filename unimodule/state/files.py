"""``save`` and ``load``: the state of a net in a file.

Files are written as safetensors: a JSON header and raw bytes, which cannot execute anything and which every framework's
users can read. Names and layouts are those of ``state_dict``, and so PyTorch's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import dtypes
from ..errors import ArgumentError, StateDictError
from ..nn._state import host_state, load_state_dict, named_state
from ..nn.module import LoadResult, Module
from . import torch_files
from .atomic import write_safetensors

FilePath = str | os.PathLike[str]


def save(net: Module, path: FilePath) -> None:
    """Write the state of a net to a safetensors file: parameters, constants and persistent buffers.

    The file has the names, shapes and layouts of ``net.state_dict()``, tied tensors under each of their names, and the
    declared dtypes (an int64 counter is int64, on whatever backend). It replaces an older file at once when it is
    complete, so that a crash never leaves half of one.

    Args:
        net: the net; its state is the same whatever its backend.
        path: where to; the folder must exist.

    Raises:
        UninitializedError: a parameter has no value yet.
        StateDictError: ``path`` is a folder.
        FileNotFoundError: there is no such folder.

    Example:
        >>> import os, tempfile, unimodule as um
        >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
        >>> um.save(um.nn.Linear(3, 2).to("numpy"), path)
        >>> um.load(um.nn.Linear(3, 2), path)
        LoadResult(missing_keys=[], unexpected_keys=[])
    """
    from .. import __version__

    _expect_module(net, "save")
    target = Path(os.path.realpath(path))  # of a link, the file that it points to is replaced
    if target.is_dir():
        raise StateDictError(f"{path} is a directory; save() expected a file's name")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"save(): there is no directory {target.parent}")
    # Readers choose by "format" whose names and layouts these are; the format knows no word for ours, which are PyTorch's.
    write_safetensors(target, host_state(net), {"format": "pt", "unimodule": __version__})


def load(net: Module, path: FilePath, strict: bool = True, *, entry: str | None = None) -> LoadResult:
    """Take over the state in a file: safetensors, or a PyTorch file (.pt, .pth, .bin) that holds a state_dict.

    What the file is shows in its first bytes, whatever its name. A PyTorch file is read without PyTorch and without
    executing anything in it; one that asks for more than tensors, numbers and containers is refused. In a checkpoint,
    the only state_dict among its entries is taken. A name that is missing because a tied tensor was stored once, under
    its other name, is not missing. The net may be on any backend, or on none yet.

    Args:
        net: the net; it changes only if everything fits.
        path: the file.
        strict: whether missing and unexpected names are errors.
        entry: which entry of a PyTorch checkpoint holds the state_dict, where there are several.

    Returns:
        The missing and the unexpected names, which are empty with ``strict``.

    Raises:
        StateDictError: the file is damaged or of another kind, or does not fit; the net is exactly as it was.
        FileNotFoundError: there is no such file.

    Source: https://huggingface.co/docs/safetensors and PyTorch ``torch.load``.

    Example:
        See ``save``.
    """
    _expect_module(net, "load")
    file = Path(path)
    try:
        state = _reader(file)(file, entry)
    except StateDictError as error:
        raise StateDictError(f"{path}: {error}. The net is as it was") from error
    return LoadResult(*load_state_dict(net, with_ties(net, state), strict, source=str(path)))


def _reader(path: Path) -> Callable[[Path, str | None], dict[str, Any]]:
    if path.is_dir():
        raise StateDictError("it is a directory; load() expected a file")
    with open(path, "rb") as file:
        start = file.read(16)
    # A safetensors file begins with the length of its header, which is JSON.
    if start[8:9] == b"{":
        return _read_safetensors
    if start.startswith(torch_files.ZIP_START):
        return torch_files.read_zip
    if start.startswith(torch_files.LEGACY_START):
        return torch_files.read_legacy
    if not start:
        raise StateDictError("it is empty")
    raise StateDictError("it is neither a safetensors file nor a PyTorch file, or its beginning is damaged")


def _read_safetensors(path: Path, entry: str | None) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    if entry is not None:
        raise StateDictError(f"a safetensors file has no entries, got entry={entry!r}")
    dtypes.to_numpy_dtype(
        "bfloat16"
    )  # the library looks it up in NumPy, which knows it once ml_dtypes is imported
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, TypeError, AttributeError, ValueError) as error:
        raise StateDictError(
            f"the safetensors file is damaged or cut short, or has an unknown dtype ({error})"
        ) from error


def with_ties(net: Module, state: dict[str, Any]) -> dict[str, Any]:
    """The state with each tied tensor under all its names: writers of safetensors often keep only one."""
    names: dict[int, list[str]] = {}
    for name, variable in named_state(net):
        names.setdefault(id(variable), []).append(name)
    for tied in names.values():
        present = next((name for name in tied if name in state), None)
        if present is not None:
            state.update((name, state[present]) for name in tied if name not in state)
    return state


def _expect_module(net: Any, function: str) -> None:
    if not isinstance(net, Module):
        raise ArgumentError(f"{function}() expected a Module, got {type(net).__name__}")
