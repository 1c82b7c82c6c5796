"""Checkpoints on the disk: one safetensors file each, with what is no tensor as JSON in its header.

A file is written whole or not at all (``state.atomic``). Each tensor's CRC-32, and that of the JSON, stand in the header,
so that a file that a disk has damaged is told from a whole one. Reading executes nothing.
"""

from __future__ import annotations

import json
import re
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import StateDictError
from ..state.atomic import write_safetensors
from ._encoding import Arrays, decode, encode

FORMAT = "1"
"""Version of the layout. A reader refuses one that it does not know."""
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_DRAFT = re.compile(r"\.checkpoint-\d+\.safetensors\.[0-9a-f]+\.tmp")


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a tree of plain values and tensors.

    Raises:
        ArgumentError: there is something in it that a checkpoint cannot hold.
        OSError: the file cannot be written.
    """
    from .. import __version__

    arrays: Arrays = {}
    tree = {name: encode(part, name, arrays) for name, part in state.items()}
    content = json.dumps(
        {"state": tree, "checksums": {k: _checksum(a) for k, a in arrays.items()}}, allow_nan=False
    )
    header = {
        "format": "pt",
        "unimodule": __version__,
        "unimodule.checkpoint": FORMAT,
        "content": content,
        "checksum": str(zlib.crc32(content.encode())),
    }
    write_safetensors(path, arrays, header)


def read(path: Path) -> dict[str, Any]:
    """What ``write`` wrote, with arrays for tensors.

    Raises:
        StateDictError: it is no checkpoint, of a later version, damaged, or cut short.
        FileNotFoundError: there is no such file.
    """
    from safetensors import SafetensorError, safe_open

    if path.is_dir():
        raise StateDictError(f"{path} is a directory, not a checkpoint")
    with open(path, "rb"):
        pass  # Python's own errors say best why a file cannot be opened
    dtypes.to_numpy_dtype("bfloat16")  # the library finds it in NumPy once ml_dtypes is imported
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, TypeError, AttributeError, ValueError) as error:
        raise StateDictError(
            f"{path} is no checkpoint, or a damaged or truncated one ({error}); nothing has changed"
        ) from error
    try:
        return _content(header, arrays)
    except StateDictError as error:
        raise StateDictError(f"{path}: {error}; nothing has changed") from error


def _content(header: dict[str, str], arrays: Arrays) -> dict[str, Any]:
    version = header.get("unimodule.checkpoint")
    if version is None:
        raise StateDictError("it is a safetensors file, but no checkpoint of a Trainer")
    if version != FORMAT:
        raise StateDictError(f"its layout is version {version}; this unimodule reads version {FORMAT}")
    text = header.get("content", "")
    if header.get("checksum") != str(zlib.crc32(text.encode())):
        raise StateDictError("it is damaged: the checksum of its header does not match")
    content = json.loads(text)
    damaged = [k for k, a in arrays.items() if content["checksums"].get(k) != _checksum(a)]
    if damaged:
        raise StateDictError(f"it is damaged: checksums do not match for {', '.join(damaged)}")
    found: dict[str, Any] = decode(content["state"], arrays)
    return found


def _checksum(array: np.ndarray[Any, Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


# ---------------------------------------------------------------------- folders of checkpoints
def path_of(folder: Path, step: int) -> Path:
    """The name of the checkpoint after so many steps."""
    return folder / f"checkpoint-{step:08d}.safetensors"


def step_of(path: Path) -> int:
    """The number of steps in a checkpoint's name."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def listed(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=step_of)


def remove_drafts(folder: Path) -> None:
    """Remove what writers that were killed have left."""
    for path in folder.iterdir():
        if _DRAFT.fullmatch(path.name):
            path.unlink(missing_ok=True)


def newest(place: Path) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint to go on from, read: the file itself, or of a folder the newest whole one, with a warning where a
    newer one is damaged.

    Returns:
        Its path and content; None where a folder has none yet, or is not there yet.

    Raises:
        StateDictError: the file, or each in the folder, is damaged or no checkpoint.
        FileNotFoundError: a file ``*.safetensors`` is not there.
    """
    if not place.is_dir() and (place.exists() or place.suffix == ".safetensors"):
        return place, read(place)
    failed: list[str] = []
    for path in reversed(listed(place)):
        try:
            content = read(path)
        except StateDictError as error:
            failed.append(str(error))
            continue
        if failed:
            warnings.warn(f"going on from {path}: {'; '.join(failed)}", UserWarning, stacklevel=4)
        return path, content
    if failed:
        raise StateDictError(f"no checkpoint in {place} is whole: {'; '.join(failed)}")
    return None
