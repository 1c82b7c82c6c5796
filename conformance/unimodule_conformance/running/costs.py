"""What a check costs on a backend, in milliseconds: measured once and kept, so that a plan never depends on a clock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from ..checks.registry import Check
from ..outcome import Target

if TYPE_CHECKING:
    from .results import Results

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


def measured(results: Sequence[Results]) -> dict[str, dict[str, float]]:
    """The table that some runs come to: processor time over cases, to two digits, by check and backend."""
    spent: dict[tuple[str, str], list[float]] = {}
    for run in results:
        for check in run.checks:
            for target in run.config.targets:
                cell = run.cell(check, str(target))
                if cell.total and target.device == "cpu":
                    sums = spent.setdefault((check, target.backend), [0.0, 0.0])
                    sums[0] += 1000 * cell.seconds
                    sums[1] += cell.total
    found: dict[str, dict[str, float]] = {}
    for (check, backend), (milliseconds, count) in spent.items():
        found.setdefault(check, {})[backend] = float(f"{max(milliseconds / count, 0.1):.2g}")
    return found


__all__ = ["cost", "measured", "table"]
