"""Errors side by side: results by backend, backends by each other, modules by backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..measure import KINDS
from ..records import AGREES, DIFFERS, RAN, WEAK, BackendRow, ModeResult, badness
from ..tolerance import FACTOR
from .texts import created, fraction, where

if TYPE_CHECKING:
    from ..report import Report

_TITLES = {
    "parameter gradient": "parameter grads",
    "input gradient": "input grads",
    "trained parameter": "trained",
}
_ORDER = (AGREES, WEAK, DIFFERS)


class Cell(NamedTuple):
    """An error: in tolerances, absolute, its verdict, and more for who asks."""

    times: float | None
    absolute: float | None = None
    verdict: str = AGREES
    title: str = ""


class Line(NamedTuple):
    """A row of a table: whose it is, in which mode, one cell for each column; None where there is nothing."""

    label: str
    mode: str
    status: str
    cells: tuple[Cell | None, ...]
    message: str = ""
    version: str = ""


class Table(NamedTuple):
    """A table: its columns, and its rows in groups."""

    columns: tuple[str, ...]
    groups: tuple[tuple[Line, ...], ...]


def results(report: Report) -> Table:
    """Each backend and mode, with the worst result of each kind."""
    present = {tensor.kind for _, _, tensor in report.tensors}
    kinds = [kind for kind in KINDS if kind in present]
    columns = tuple(_TITLES.get(kind, kind) for kind in kinds)
    return Table(columns, tuple(_lines(row, kinds) for row in report.rows))


def _lines(row: BackendRow, kinds: list[str]) -> tuple[Line, ...]:
    lines = [
        Line(
            row.label,
            mode.mode,
            mode.status,
            tuple(_cell(mode, kind) for kind in kinds),
            mode.message,
            row.version,
        )
        for mode in row.modes
    ]
    if row.status != RAN and not any(line.status != RAN for line in lines):
        lines.append(Line(row.label, "", row.status, (None,) * len(kinds), row.message, row.version))
    return tuple(lines)


def _cell(mode: ModeResult, kind: str) -> Cell | None:
    tensors = [tensor for tensor in mode.tensors if tensor.kind == kind]
    if not tensors:
        return None
    worst = max(tensors, key=badness)
    verdict = max((tensor.verdict for tensor in tensors), key=_ORDER.index)
    name = f"{worst.name}: " if worst.name else ""
    of = f"worst of {len(tensors)}: " if len(tensors) > 1 else ""
    return Cell(fraction(worst), worst.absolute, verdict, f"{of}{name}{worst.detail or worst.verdict}")


def against(report: Report) -> list[tuple[str, Table]]:
    """For each mode, every two backends: the worst of all their results, in tolerances."""
    found = []
    for mode in dict.fromkeys(pair.mode for pair in report.pairs):
        pairs = [pair for pair in report.pairs if pair.mode == mode]
        labels = tuple(dict.fromkeys(label for pair in pairs for label in (pair.a, pair.b)))
        worst: dict[tuple[str, str], Cell] = {}
        for pair in pairs:
            times = None if pair.conditioned is None else pair.conditioned / FACTOR
            wrong = times is None or times > 1
            cell = Cell(
                times, pair.absolute, DIFFERS if wrong else AGREES, f"worst: {pair.kind} {pair.name}".strip()
            )
            old = worst.get((pair.a, pair.b))
            if old is None or _more(cell, old):
                worst[pair.a, pair.b] = worst[pair.b, pair.a] = cell
        lines = tuple(Line(a, mode, RAN, tuple(worst.get((a, b)) for b in labels)) for a in labels)
        found.append((mode, Table(labels, tuple((line,) for line in lines))))
    return found


def _more(cell: Cell, other: Cell) -> bool:
    return other.times is not None and (cell.times is None or cell.times > other.times)


def modules(report: Report, direction: str) -> Table:
    """Each call of a module, with the error that its own code made on each backend."""
    rows = [row for row in report.rows if row.layers]
    calls: dict[str, dict[str, Cell]] = {}
    for row in rows:
        for record in row.layers:
            if record.direction == direction:
                cell = Cell(created(record), record.created, record.verdict, record.detail)
                calls.setdefault(where(record), {})[row.label] = cell
    columns = tuple(row.label for row in rows)
    lines = tuple(Line(name, "", RAN, tuple(cells.get(c) for c in columns)) for name, cells in calls.items())
    return Table(columns, tuple((line,) for line in lines))


__all__ = ["Cell", "Line", "Table", "against", "modules", "results"]
