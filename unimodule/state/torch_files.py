"""State dictionaries in the format of ``torch.save`` (.pt, .pth, .bin) as NumPy arrays, without the framework.

Two formats: since PyTorch 1.6 a zip archive with ``data.pkl`` and one record of raw bytes for each storage; before, the
pickles and the storages one after the other. Tensors are views of their storage, and are returned as such: nothing is
copied, and storages that no wanted tensor lies in are not read.

Source: PyTorch ``torch/serialization.py``.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .. import dtypes
from ..errors import StateDictError
from . import torch_pickle
from .torch_pickle import Storage, StoredTensor

Array = np.ndarray[Any, Any]
ZIP_START = b"PK\x03\x04"
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""A pickle of the magic number with which the format before 1.6 begins."""


def read_zip(path: Path, entry: str | None) -> dict[str, Any]:
    """The state_dict in a zip archive; ``entry`` as in ``pick_state``.

    Raises:
        StateDictError: it is damaged, holds no state_dict, or asks for anything to be executed.
    """
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise StateDictError(f"it is damaged or cut short ({error})") from error
    with archive:
        index = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(index) != 1:
            raise StateDictError("it is a zip archive, but not one of torch.save: it has no single data.pkl")
        prefix = index[0].removesuffix("data.pkl")
        marker = f"{prefix}byteorder"
        big = marker in archive.namelist() and _record(archive, marker) == b"big"
        root, _ = torch_pickle.load(io.BytesIO(_record(archive, index[0])))
        state = pick_state(root, entry)
        return _arrays(
            state, lambda storage: _record(archive, f"{prefix}data/{storage.key}"), ">" if big else "<"
        )


def read_legacy(path: Path, entry: str | None) -> dict[str, Any]:
    """The state_dict in a file of the format before PyTorch 1.6; ``entry`` as in ``pick_state``.

    Raises:
        StateDictError: it is damaged, holds no state_dict, or asks for anything to be executed.
    """
    content = path.read_bytes()
    file = io.BytesIO(content)
    (_, _), (version, _), (_, _), (root, storages), (keys, _) = [torch_pickle.load(file) for _ in range(5)]
    if version != 1001 or not isinstance(keys, list):
        raise StateDictError(f"it has the unknown format version {version!r}")
    state = pick_state(root, entry)
    # The storages follow, each as its number of elements and its bytes, always little-endian.
    sizes = {key: _numpy_dtype(storage.dtype).itemsize for key, storage in storages.items()}
    blocks: dict[str, memoryview] = {}
    position = file.tell()
    for key in keys:
        if key not in sizes or position + 8 > len(content):
            raise StateDictError("it is cut short, or lists an unknown storage")
        (count,) = struct.unpack_from("<q", content, position)
        end = position + 8 + count * sizes[key]
        if count < 0 or end > len(content):
            raise StateDictError(f"it is cut short: storage {key} ends at byte {end} of {len(content)}")
        blocks[key] = memoryview(content)[position + 8 : end]
        position = end
    if missing := sorted(set(storages) - set(blocks)):
        raise StateDictError(f"it is damaged: the storages {', '.join(missing)} are missing")
    return _arrays(state, lambda storage: blocks[storage.key], "<")


def pick_state(root: Any, entry: str | None) -> dict[Any, Any]:
    """The state_dict in what a file holds: the whole of it or, in a checkpoint, the one entry that is a state_dict.

    A state_dict is a dict with tensors as values. A dict with a state_dict among its values is a checkpoint (the extra
    state of a PyTorch module aside).

    Args:
        root: the object in the file.
        entry: which entry of a checkpoint to take; None takes the only one there is.

    Raises:
        StateDictError: there is no such entry or, without ``entry``, none or several.
    """
    if not isinstance(root, dict):
        raise StateDictError(f"it holds a {_kind(root)}, not a state_dict")
    nested = [k for k, v in root.items() if _is_state(v) and not str(k).endswith("_extra_state")]
    listing = ", ".join(f"{k!r} ({_kind(v)})" for k, v in list(root.items())[:20]) or "nothing"
    if entry is not None:
        if entry not in nested:
            raise StateDictError(f"its entry {entry!r} is no state_dict; it holds {listing}")
        return root[entry]  # type: ignore[no-any-return]
    if len(nested) == 1:
        return root[nested[0]]  # type: ignore[no-any-return]
    if nested:
        raise StateDictError(
            f"it is a checkpoint with several state_dicts; choose one with entry={nested[0]!r}. It holds {listing}"
        )
    if root and not _is_state(root):
        raise StateDictError(f"it holds no state_dict but {listing}")
    return root


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(v, StoredTensor) for v in value.values())


def _kind(value: Any) -> str:
    if isinstance(value, StoredTensor):
        return "tensor"
    return "state_dict" if _is_state(value) else "dict" if isinstance(value, dict) else type(value).__name__


def _record(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        about = archive.getinfo(name)
        if about.compress_type != zipfile.ZIP_STORED:
            raise StateDictError(f"its record {name} is compressed, which torch.save never does")
        return archive.read(about)  # checks the CRC
    except KeyError:
        raise StateDictError(f"it is damaged: the record {name} is missing") from None
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise StateDictError(f"it is damaged: the record {name} cannot be read ({error})") from error


def _arrays(
    state: dict[Any, Any], read: Callable[[Storage], bytes | memoryview], order: Literal["<", ">"]
) -> dict[str, Any]:
    """The state with its tensors as arrays; other values as they are."""
    blocks: dict[str, bytes | memoryview] = {}
    out: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, StoredTensor):
            storage = value.storage
            if storage.key not in blocks:
                blocks[storage.key] = read(storage)
            value = _array(name, value, blocks[storage.key], order)
        out[str(name)] = value
    return out


def _array(name: str, tensor: StoredTensor, block: bytes | memoryview, order: Literal["<", ">"]) -> Array:
    """A read-only view of the bytes of a storage."""
    _, offset, shape, strides, dtype = tensor
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or any(type(n) is not int or n < 0 for n in numbers):
        raise StateDictError(f"{name} has the impossible shape {shape}, strides {strides} or offset {offset}")
    native = _numpy_dtype(dtype)
    size = native.itemsize
    if 0 in shape:
        return np.empty(shape, native)
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if (last + 1) * size > len(block) or len(block) < tensor.storage.elements * _numpy_dtype(
        tensor.storage.dtype
    ).itemsize:
        raise StateDictError(f"{name} lies outside its storage of {len(block)} bytes, which may be cut short")
    stored = np.dtype(np.uint8) if dtype == "bool" else native
    in_bytes = tuple(step * size for step in strides)
    try:
        array: Array = np.ndarray(shape, stored.newbyteorder(order), block, offset * size, in_bytes)
    except (ValueError, TypeError, OverflowError) as error:
        raise StateDictError(f"{name} cannot be read: {error}") from error
    if order == ">" or dtype == "bool":  # a bool of NumPy's must be 0 or 1, whatever the file says
        return array.astype(native)
    return array


def _numpy_dtype(dtype: str) -> np.dtype[Any]:
    return np.dtype(dtype) if dtype.startswith("complex") else dtypes.to_numpy_dtype(dtype)
