"""How much memory a computation takes at its peak, as the operating system sees it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """What ``peak`` measures.

    Attributes:
        bytes: the most above what the process held before, once the ``with`` block is over; None where the system does
            not tell.
        total: the most in all.
    """

    def __init__(self) -> None:
        self.bytes: int | None = None
        self.total: int | None = None
        self._before: int | None = None
        self._held = 0
        with contextlib.suppress(OSError):
            _RESET.write_text("5")
            self._before = _kilobytes("VmHWM")

    def apart(self, held: int) -> None:
        """Leave so many bytes, which are held by whoever measures, out of what is measured from now on. A few are not worth
        the look.
        """
        if held - self._held >= _WORTHWHILE:
            self._look()
            self._held = held

    def _look(self) -> None:
        if self._before is None:
            return
        with contextlib.suppress(OSError):
            most = _kilobytes("VmHWM")
            if most is not None:
                own = most * 1024 - self._held
                self.bytes = max(self.bytes or 0, own - self._before * 1024)
                self.total = max(self.total or 0, own)
            _RESET.write_text("5")


_WORTHWHILE = 1 << 22


@contextlib.contextmanager
def peak() -> Iterator[Peak]:
    """Measure the most resident memory that the process takes in a ``with`` block, beyond what it had before.

    Linux keeps a high-water mark that a process may reset, so nothing is sampled and nothing is missed. Memory that an
    allocator had kept from earlier work counts as had before. Memory on accelerators is not seen.
    """
    found = Peak()
    yield found
    found._look()


def _kilobytes(field: str) -> int | None:
    match = re.search(rf"^{field}:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return int(match[1]) if match else None


__all__ = ["Peak", "peak"]
