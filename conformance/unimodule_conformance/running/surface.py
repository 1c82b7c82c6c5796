"""Whether every public layer and function has a strategy: a new one cannot be forgotten."""

from __future__ import annotations

from .. import strategies


def unlisted() -> list[str]:
    """Public names that the table of strategies lacks, and names in it that are not public any more."""
    return sorted({*strategies.missing(), *strategies.stale()})


__all__ = ["unlisted"]
