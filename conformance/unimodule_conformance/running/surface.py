"""Whether every public layer and function has a strategy: a new one cannot be forgotten."""

from __future__ import annotations

from .. import strategies


def unlisted() -> list[str]:
    """Public names that the table of strategies lacks."""
    missing = getattr(strategies, "missing", None)
    return sorted(missing()) if missing else []


__all__ = ["unlisted"]
