"""A report as a table: a line for each backend and kind of result, and below it each problem in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .measure import INPUT_GRADIENT, KINDS, PARAMETER_GRADIENT
from .report import AGREES, DIFFERS, FAILED, MISSING, WEAK, Report, Row

if TYPE_CHECKING:
    from rich.text import Text

_STYLE = {AGREES: "green", WEAK: "yellow", DIFFERS: "bold red", FAILED: "bold red", MISSING: "red"}
_SHORT = {INPUT_GRADIENT: "input grad", PARAMETER_GRADIENT: "param grad"}
"""Kinds whose names would make the table wider than a terminal."""

_SHOWN = 20
"""How many problems are listed; all are in ``report.rows``."""


def render(report: Report) -> Any:
    """The report for a rich console."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=_title(report), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Backend", overflow="fold")
    table.add_column("Compared", no_wrap=True)
    for heading in ("Error", "Relative", "Allowed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    for backend in dict.fromkeys(row.backend for row in report.rows):
        groups = _groups([row for row in report.rows if row.backend == backend])
        for kind, rows in groups.items():
            worst = max(rows, key=_badness)
            numbers = (_number(worst.error), _number(worst.relative), _number(worst.tolerance))
            label = _label(backend, report) if kind is next(iter(groups)) else ""
            table.add_row(label, _counted(kind, len(rows)), *numbers, _verdict(rows))
        table.add_section()
    lines: list[Any] = [table, *(Text(note) for note in report.notes)]
    lines += [_problem(row) for row in report.problems[:_SHOWN]]
    if len(report.problems) > _SHOWN:
        lines.append(Text(f"... and {len(report.problems) - _SHOWN} more"))
    lines.append(_conclusion(report))
    return Group(*lines)


def _title(report: Report) -> str:
    return f"{report.net} in {report.dtype}, {report.mode} mode, against {report.reference} in float64"


def _label(backend: str, report: Report) -> str:
    return f"{backend} {report.versions.get(backend, '')}".rstrip()


def _groups(rows: list[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: KINDS.index(row.kind) if row.kind else -1):
        groups.setdefault(row.kind, []).append(row)
    return groups


def _badness(row: Row) -> tuple[bool, float]:
    """What makes a row the one to show for its group: being wrong, then how much of the tolerance it uses."""
    if row.error is None or row.tolerance is None:
        return (not row.ok, 0.0)
    return (not row.ok, row.error / row.tolerance if row.tolerance else row.error)


def _counted(kind: str, count: int) -> str:
    name = _SHORT.get(kind, kind)
    return f"{name} ({count})" if count > 1 else name


def _number(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.1e}"


def _verdict(rows: list[Row]) -> Text:
    """The worst verdict of a group, and how many have it."""
    from rich.text import Text

    verdict = max((row.verdict for row in rows), key=list(_STYLE).index)
    count = sum(row.verdict == verdict for row in rows)
    few = f" ({count})" if verdict != AGREES and count < len(rows) else ""
    return Text(verdict + few, style=_STYLE[verdict])


def _problem(row: Row) -> Text:
    from rich.text import Text

    what = " ".join(filter(None, [row.backend, row.kind, row.name]))
    return Text(f"{what}: {row.detail}", style="red")


def _conclusion(report: Report) -> Text:
    from rich.text import Text

    backends = list(dict.fromkeys(row.backend for row in report.rows))
    wrong = list(dict.fromkeys(row.backend for row in report.problems))
    if wrong:
        text = f"{len(wrong)} of {len(backends)} backends do not agree: {', '.join(wrong)}"
        return Text(text, style="bold red")
    weak = sum(row.verdict == WEAK for row in report.rows)
    more = f" ({weak} results are too sensitive to rounding to prove much)" if weak else ""
    return Text(f"All {len(backends)} agree with the reference{more}", style="bold green")
