"""A file of tensors that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_safetensors(
    target: Path, tensors: Mapping[str, np.ndarray[Any, Any]], metadata: dict[str, str]
) -> None:
    """Write a safetensors file that replaces an older one at once when it is complete.

    It is written to a draft in the same folder, brought to the disk, and renamed; then the folder is brought to the disk.
    A process that is killed leaves the older file, or none, and a draft ``.NAME.XXXXXXXX.tmp`` at most.

    Args:
        target: where to; the folder must exist.
        tensors: name -> array.
        metadata: what stands in the header beside them.
    """
    from safetensors.numpy import save_file

    contiguous = {k: np.ascontiguousarray(a) if a.ndim else a for k, a in tensors.items()}
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(draft, "xb") as file:
            mode = os.stat(target if target.exists() else file.fileno()).st_mode
        save_file(contiguous, draft, metadata=metadata)
        os.chmod(draft, stat.S_IMODE(mode))  # which the library may have narrowed to the owner
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where folders can be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
