"""Arrays on disk, in one temporary file that goes away by itself: what a comparison keeps, however large, takes no memory."""

from __future__ import annotations

import tempfile
from typing import Any, NamedTuple, Self

import numpy as np

Array = np.ndarray[Any, Any]


class Ref(NamedTuple):
    """Where an array is."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Spill:
    """Append-only storage of arrays.

    Example:
        >>> with Spill() as spill:
        ...     spill.get(spill.put(np.arange(3))).tolist()
        [0, 1, 2]
    """

    def __init__(self) -> None:
        # Without a buffer, which would be flushed by every seek and costs more than the writing.
        self._file = tempfile.TemporaryFile(prefix="unimodule-compare-", buffering=0)  # noqa: SIM115 (as long as this is)
        self._end = 0

    def put(self, array: Array) -> Ref:
        """Write an array."""
        ref = Ref(self._end, array.dtype, array.shape)
        if array.nbytes:
            self._file.seek(self._end)
            rest = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            while rest:  # the system may take less than it is given, 2 GiB for instance
                rest = rest[self._file.write(rest) :]
            self._end += array.nbytes
        return ref

    def get(self, ref: Ref) -> Array:
        """Read an array."""
        out = np.empty(ref.shape, ref.dtype)
        if out.nbytes:
            self._file.seek(ref.offset)
            rest = out.reshape(-1).view(np.uint8).data
            while rest:
                count = self._file.readinto(rest)
                if not count:
                    raise EOFError(f"{ref} is not in this file")
                rest = rest[count:]
        return out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the disk space back."""
        self._file.close()


__all__ = ["Ref", "Spill"]
