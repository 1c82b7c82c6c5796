"""What a comparison keeps: a little in memory, and the rest, however large, in a temporary file that goes away by itself."""

from __future__ import annotations

import os
import tempfile
from typing import Any, NamedTuple, Self

import numpy as np

Array = np.ndarray[Any, Any]


class Ref(NamedTuple):
    """Where an array is: at an offset of the file, or here."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    here: Array | None = None


def _little() -> int:
    """Bytes that a comparison may keep in memory: a sixteenth of the machine's, and 256 MiB at most."""
    try:
        has = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # no such system
        has = 1 << 31
    return max(0, min(1 << 28, has // 16))


class Spill:
    """Append-only storage of arrays.

    New pages cost more than what is written on them, and those of a file come on top of those of the arrays: the first
    arrays are therefore kept as they are. They must not be written into any more.

    Args:
        memory: how many bytes of arrays to keep so; by default a little.

    Attributes:
        held: how many are.

    Example:
        >>> with Spill() as spill:
        ...     spill.get(spill.put(np.arange(3))).tolist()
        [0, 1, 2]
    """

    def __init__(self, memory: int | None = None) -> None:
        # Without a buffer, which would be flushed by every seek.
        self._file = tempfile.TemporaryFile(prefix="unimodule-compare-", buffering=0)  # noqa: SIM115 (as long as this is)
        self._end = 0
        self._memory = _little() if memory is None else memory
        self.held = 0

    def put(self, array: Array) -> Ref:
        """Keep an array."""
        if self.held + array.nbytes <= self._memory:
            self.held += array.nbytes
            here = array.view()
            here.flags.writeable = False
            return Ref(0, array.dtype, array.shape, here)
        ref = Ref(self._end, array.dtype, array.shape)
        if array.nbytes:
            self._file.seek(self._end)
            rest = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            while rest:  # the system may take less than it is given, 2 GiB for instance
                rest = rest[self._file.write(rest) :]
            self._end += array.nbytes
        return ref

    def get(self, ref: Ref) -> Array:
        """The array, which is not to be written into."""
        if ref.here is not None:
            return ref.here
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
