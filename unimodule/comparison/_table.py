"""A report as text: a line for each backend, mode and kind of result, what each costs, and each problem in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .measure import INPUT_GRADIENT, KINDS, PARAMETER_GRADIENT, TRAINED
from .records import (
    AGREES,
    DIFFERS,
    FORWARD,
    GRADIENT,
    RAN,
    WEAK,
    BackendRow,
    ModeResult,
    Parting,
    TensorError,
    Timing,
    badness,
)

if TYPE_CHECKING:
    from rich.text import Text

    from .report import Report

_STYLE = {AGREES: "green", WEAK: "yellow", DIFFERS: "bold red"}
_SHORT = {INPUT_GRADIENT: "input grad", PARAMETER_GRADIENT: "param grad", TRAINED: "trained param"}
"""Kinds whose names would make the table wider than a terminal."""

_SHOWN = 20
"""How many problems are listed; all are in the report."""


def render(report: Report) -> Any:
    """The report for a rich console."""
    from rich.console import Group
    from rich.text import Text

    lines: list[Any] = [_errors(report)]
    if any(mode.timings for row in report.rows for mode in row.modes):
        lines.append(_costs(report))
    notes = [*report.notes, *(f"{row.label}: {note}" for row in report.rows for note in row.notes)]
    lines += [Text(note) for note in notes]
    problems = [text for row in report.rows for text in _problems(row)]
    lines += [Text(text, style="red") for text in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(Text(f"... and {len(problems) - _SHOWN} more"))
    lines.append(_conclusion(report))
    return Group(*lines)


def _errors(report: Report) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = f"{report.net} in {report.dtype}, {report.mode} mode, against {report.reference} in float64"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Backend", overflow="fold", min_width=_width(report))
    table.add_column("Mode", no_wrap=True)
    table.add_column("Compared", no_wrap=True)
    for heading in ("Error", "Relative", "Units"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    for row in report.rows:
        labels = iter([row.label, row.version])
        if row.status != RAN:
            failed = Text(row.status, style="bold red")
            table.add_row(next(labels), "", "", "", "", "", failed)
        for mode in row.modes:
            name = mode.mode
            for kind, tensors in _kinds(mode):
                worst = max(tensors, key=badness)
                numbers = (_number(worst.absolute), _number(worst.relative), _units(worst.conditioned))
                table.add_row(
                    next(labels, ""), name, _counted(kind, len(tensors)), *numbers, _verdict(tensors)
                )
                name = ""
            if mode.status != RAN:
                failed = Text(mode.status, style="bold red")
                table.add_row(next(labels, ""), name, "", "", "", "", failed)
        table.add_section()
    return table


def _width(report: Report) -> int:
    """Of the column with the backends, as far as a narrow terminal is to have it."""
    return min(12, max((len(text) for row in report.rows for text in (row.label, row.version)), default=7))


def _kinds(mode: ModeResult) -> list[tuple[str, list[TensorError]]]:
    groups: dict[str, list[TensorError]] = {}
    for tensor in sorted(mode.tensors, key=lambda tensor: KINDS.index(tensor.kind)):
        groups.setdefault(tensor.kind, []).append(tensor)
    return list(groups.items())


def _counted(kind: str, count: int) -> str:
    name = _SHORT.get(kind, kind)
    return f"{name} ({count})" if count > 1 else name


def _number(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.1e}"


def _units(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 1000 else f"{value:.0e}"


def _verdict(tensors: Sequence[TensorError]) -> Text:
    """The worst verdict of a group, and how many have it."""
    from rich.text import Text

    verdict = max((tensor.verdict for tensor in tensors), key=list(_STYLE).index)
    count = sum(tensor.verdict == verdict for tensor in tensors)
    few = f" ({count})" if verdict != AGREES and count < len(tensors) else ""
    return Text(verdict + few, style=_STYLE[verdict])


# ---------------------------------------------------------------------- what it costs
def _costs(report: Report) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Backend", overflow="fold", min_width=_width(report))
    table.add_column("Mode", no_wrap=True)
    for heading in ("Forward", "Backward", "Step", "Compile", "Memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.rows:
        label = row.label
        for mode in row.modes:
            if not mode.timings:
                continue
            times = [_time(mode.timings.get(what)) for what in ("forward", "backward", "step")]
            extra = "" if mode.compile_seconds is None else _seconds(mode.compile_seconds)
            memory = "" if mode.peak_bytes is None else f"{mode.peak_bytes / 2**20:.0f} MiB"
            table.add_row(label, mode.mode, *times, extra, memory)
            label = ""
    return table


def _time(timing: Timing | None) -> str:
    if timing is None:
        return ""
    low, high = timing.spread
    return f"{_seconds(timing.median)} ±{(high - low) / 2 / timing.median:.0%}"


def _seconds(value: float) -> str:
    if value >= 1:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.0f} us"


# ---------------------------------------------------------------------- problems
def _problems(row: BackendRow) -> list[str]:
    """What is wrong with a backend, the place where it parts from the reference first."""
    found = []
    if row.status != RAN:
        found.append(f"{row.label} {row.status}: {row.message}")
    for direction, what in ((FORWARD, "forward"), (GRADIENT, "in the gradient")):
        if (first := row.first(direction)) is not None:
            others = sum(p.direction == direction for p in row.partings) - 1
            more = f" (and {others} more)" if others else ""
            found.append(
                f"{row.label} parts from the reference {what} in {_where(first)}: {first.detail}{more}"
            )
    for mode in row.modes:
        if mode.status != RAN and mode.message != row.message:
            found.append(f"{row.label} {mode.mode} {mode.status}: {mode.message}")
        found += [
            " ".join(filter(None, [row.label, mode.mode, tensor.kind, tensor.name])) + f": {tensor.detail}"
            for tensor in mode.tensors
            if not tensor.ok
        ]
    return found


def _where(parting: Parting) -> str:
    call = f", call {parting.call}" if parting.call else ""
    return f"{parting.path or 'the net itself'} ({parting.type}{call})"


def _conclusion(report: Report) -> Text:
    from rich.text import Text

    wrong = [row.label for row in report.problems]
    if wrong:
        text = f"{len(wrong)} of {len(report.rows)} backends do not agree: {', '.join(wrong)}"
        return Text(text, style="bold red")
    weak = sum(tensor.verdict == WEAK for _, _, tensor in report.tensors)
    more = f" ({weak} results are too sensitive to rounding to prove much)" if weak else ""
    return Text(f"All {len(report.rows)} agree with the reference{more}", style="bold green")
