"""The HTML page: one file, nothing to fetch."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from typing import Any

from ..outcome import Status
from ..running.results import Results
from ..specs import Spec
from .telling import tell
from .terminal import notes, worst

APART = (Status.SKIPPED, Status.KNOWN, Status.WEAK, Status.VACUOUS)
"""What counts neither as passed nor as failed."""


def page(results: Results) -> str:
    """The results as a page that needs no other file."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files(__package__).joinpath("page.html.jinja").read_text("utf-8"))
    return template.render(
        results=results,
        notes=notes(results),
        board=[_row(results, check) for check in results.checks if _row(results, check)["cells"]],
        families=[_family(results, family) for family in results.families],
        totals=_totals(results),
        reasons=_reasons(results),
        tell=lambda text: tell(Spec.from_json(text)),
    )


def _reasons(results: Results) -> list[tuple[str, list[tuple[int, str]]]]:
    """For each target why cases were set apart, the most frequent first."""
    found = []
    for target in results.targets:
        reasons: Counter[str] = Counter()
        for (_, _, who), tally in results.tallies.items():
            if who == target:
                reasons.update(tally.reasons)
        if reasons:
            found.append((target, [(count, text) for text, count in reasons.most_common(20)]))
    return found


def _totals(results: Results) -> dict[str, int]:
    counts: dict[str, int] = {status.value: 0 for status in Status}
    for tally in results.tallies.values():
        for status, count in tally.counts.items():
            counts[status] += count
    return counts


def _row(results: Results, check: str) -> dict[str, Any]:
    cells = []
    for target in results.targets:
        cell = results.cell(check, target)
        if cell.total:
            cells.append({"target": target, **_cell(cell)})
    return {"check": check, "about": results.checks[check], "cells": cells}


def _family(results: Results, family: str) -> dict[str, Any]:
    cells = []
    for target in results.targets:
        total = results.cell_of_family(family, target)
        cells.append({"target": target, **_cell(total)})
    return {"family": family, "cells": cells}


def _cell(cell: Any) -> dict[str, Any]:
    return {
        "passed": cell.of(Status.PASSED),
        "red": cell.red,
        "total": cell.total,
        "apart": {status.value: cell.of(status) for status in APART},
        "worst": worst(cell),
    }


__all__ = ["page"]
