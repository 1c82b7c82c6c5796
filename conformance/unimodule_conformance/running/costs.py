"""What a check costs on a backend, in milliseconds: measured once and kept, so that a plan never depends on a clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from ..checks.registry import Check
from ..outcome import Target

UNKNOWN = 15.0
"""Milliseconds for a run of ``values`` on a backend that nobody has measured."""


def cost(check: Check, target: Target) -> float:
    """Milliseconds for one run of ``check`` on ``target``, as ``costs.json`` has it; from ``Check.cost`` where it has
    nothing.
    """
    measured = table().get(check.name, {})
    if target.backend in measured:
        return measured[target.backend]
    values = table().get("values", {}).get(target.backend, UNKNOWN)
    return values * check.cost


@cache
def table() -> Mapping[str, Mapping[str, float]]:
    """Milliseconds by check and backend."""
    loaded: dict[str, dict[str, float]] = json.loads(
        files(__package__).joinpath("costs.json").read_text("utf-8")
    )
    return loaded


__all__ = ["cost", "table"]
