"""How much memory a computation takes at its peak, as the operating system sees it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclasses.dataclass
class Peak:
    """What ``peak`` found: bytes above what the process held before, and in all; None where the system does not tell."""

    bytes: int | None = None
    total: int | None = None


@contextlib.contextmanager
def peak() -> Iterator[Peak]:
    """Measure the most resident memory that the process takes in a ``with`` block, beyond what it had before.

    Linux keeps a high-water mark that a process may reset, so nothing is sampled and nothing is missed. Memory that an
    allocator had kept from earlier work counts as had before. Memory on accelerators is not seen.
    """
    found = Peak()
    before = None
    try:
        _RESET.write_text("5")
        before = _kilobytes("VmHWM")
    except OSError:
        pass
    yield found
    if before is not None:
        with contextlib.suppress(OSError):
            after = _kilobytes("VmHWM")
            if after is not None:
                found.bytes, found.total = max(0, after - before) * 1024, after * 1024


def _kilobytes(field: str) -> int | None:
    match = re.search(rf"^{field}:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return int(match[1]) if match else None


__all__ = ["Peak", "peak"]
