"""A report as text: for each thing measured and batch size, every backend and mode side by side."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from ..comparison import Timing
from ..comparison.page.plots import seconds, size
from ..comparison.records import RAN

if TYPE_CHECKING:
    from .report import BenchReport, Measurement


def render(report: BenchReport) -> Any:
    """The report for a rich console."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    counts = f"{report.parameters.get('parameters', 0):,} parameters"
    title = f"{report.net} in {report.dtype}, {counts}: medians of {report.repeats} rounds"
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.add_column("Backend", overflow="fold", min_width=12)
    table.add_column("Mode", no_wrap=True)
    for heading in ("Time", "Quartiles", "", "Compile", "Memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for (what, batch), rows in itertools.groupby(report.rows, key=lambda row: (row.what, row.batch)):
        group = list(rows)
        best = min((row.timing.median for row in group if row.timing), default=0.0)
        table.add_row(Text(f"{what}, batch {batch}" if batch else what, style="bold"))
        for row in group:
            table.add_row(row.label, row.mode, *_cells(row, best))
        table.add_section()
    lines: list[Any] = [table]
    lines += [Text(f"{place.label}: {note}") for place in report.places for note in place.notes]
    lines += [Text(text, style="red") for text in problems(report)]
    return Group(*lines)


def _cells(row: Measurement, best: float) -> list[Any]:
    from rich.text import Text

    if row.timing is None or not row.ok:
        return [Text(row.status, style="bold red"), "", "", "", ""]
    times = row.timing.median / best if best else 1.0
    compiling = row.compile_seconds
    return [
        seconds(row.timing.median),
        _quartiles(row.timing),
        Text("fastest", style="green") if times == 1.0 else f"×{times:.3g}",
        "" if compiling is None else seconds(compiling),
        "" if row.peak_bytes is None else size(row.peak_bytes),
    ]


def _quartiles(timing: Timing) -> str:
    """In the unit of the median: ``1.2..1.4``."""
    unit = seconds(timing.median).split()[-1]
    scale = {"s": 1.0, "ms": 1e3, "µs": 1e6}.get(unit, 1.0)
    return "..".join(
        f"{value * scale:.3g}" if value * scale < 1000 else f"{value * scale:.0f}" for value in timing.spread
    )


def problems(report: BenchReport) -> list[str]:
    """What did not run, and why: the same reason for the same backend once."""
    found = [
        f"{place.label} {place.status}: {place.message}" for place in report.places if place.status != RAN
    ]
    lost = {place.label for place in report.places if place.status != RAN}
    for row in report.rows:
        text = f"{row.label} {row.mode} {row.what}, batch {row.batch}, {row.status}: {row.message}"
        if not row.ok and row.label not in lost:
            found.append(text)
    return found


__all__ = ["problems", "render"]
