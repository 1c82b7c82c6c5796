"""A report as a plot: time and memory over the batch size, or as bars where there is only one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..comparison.page.plots import seconds, size
from ..errors import ArgumentError

if TYPE_CHECKING:
    from .report import BenchReport, Measurement

SUFFIXES = (".svg", ".png", ".pdf")

_PAGE = 4096
"""Bytes in which systems count memory: less than that is not seen, and a logarithmic axis has no 0."""

_COLORS = ("#d9542b", "#e0a100", "#4a6fd4", "#1f9a8a", "#8a55c8", "#c0417f", "#5c8a2e", "#6b7785")


def check(path: Path) -> None:
    """See whether a plot can be drawn, before the work whose result is to be on it.

    Raises:
        ArgumentError: the name ends otherwise, or Matplotlib is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise ArgumentError(
            f"a report is saved as .json, a plot of it as {', '.join(SUFFIXES)}; got {path.name!r}"
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ArgumentError(
            'a plot needs Matplotlib, which is not installed: pip install "unimodule[report]"'
        ) from error


def save(report: BenchReport, path: Path) -> None:
    """Draw a report.

    Raises:
        ArgumentError: as ``check``.
    """
    check(path)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    things = list(dict.fromkeys(row.what for row in report.rows))
    drawn = [r for r in report.rows if r.timing is not None]
    memory = any(r.peak_bytes is not None for r in drawn)
    columns = 1 + memory
    sweep = len({row.batch for row in report.rows}) > 1
    curves = len({(row.label, row.mode) for row in report.rows})
    height = 3.4 if sweep else 0.9 + 0.28 * curves
    style: Any = {
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with rc_context(style):
        figure = Figure(
            figsize=(5.2 * columns + (1.6 if sweep else 0), height * len(things) + 0.5), layout="constrained"
        )
        FigureCanvasAgg(figure)
        figure.suptitle(f"{report.net}, {report.dtype}", fontsize=11, fontweight="bold")
        axes = figure.subplots(max(1, len(things)), columns, squeeze=False)
        colors = {place.label: _COLORS[i % len(_COLORS)] for i, place in enumerate(report.places)}
        draw = _curves if sweep else _bars
        for i, what in enumerate(things):
            rows = [row for row in drawn if row.what == what]
            draw(axes[i][0], rows, colors, f"{what}: time", False)
            if memory:
                draw(
                    axes[i][1], [r for r in rows if r.peak_bytes is not None], colors, f"{what}: memory", True
                )
        if sweep:
            handles, labels = axes[0][0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside right upper", frameon=False)
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _value(row: Measurement, memory: bool) -> tuple[float, float, float]:
    """What is drawn: the number, and its quartiles."""
    if memory:
        peak = float(max(row.peak_bytes or 0, _PAGE))
        return peak, peak, peak
    assert row.timing is not None
    return row.timing.median, *row.timing.spread


def _curves(axes: Any, rows: list[Measurement], colors: dict[str, str], title: str, memory: bool) -> None:
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

    series: dict[tuple[str, str], list[Measurement]] = {}
    for row in rows:
        series.setdefault((row.label, row.mode), []).append(row)
    for (label, mode), points in series.items():
        points = sorted(points, key=lambda row: row.batch)
        x = [row.batch for row in points]
        middle, low, high = zip(*(_value(row, memory) for row in points), strict=True)
        dashed = (
            {"linestyle": "--", "marker": "o", "markerfacecolor": "white"}
            if mode == "eager"
            else {"marker": "o"}
        )
        axes.plot(
            x, middle, color=colors[label], label=f"{label} {mode}", markersize=4, linewidth=1.5, **dashed
        )
        axes.fill_between(x, low, high, color=colors[label], alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    batches = sorted({row.batch for row in rows})
    axes.xaxis.set_major_locator(FixedLocator(batches))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(batch) for batch in batches])
    axes.set_xlabel("batch size")
    axes.set_yscale("log", **({"base": 2} if memory else {}))
    axes.yaxis.set_major_locator(
        LogLocator(2, numticks=8) if memory else LogLocator(10, (1, 2, 5), numticks=8)
    )
    axes.yaxis.set_minor_locator(NullLocator())
    _finish(axes.yaxis, axes, title, memory)
    axes.grid(axis="y", alpha=0.25)


def _bars(axes: Any, rows: list[Measurement], colors: dict[str, str], title: str, memory: bool) -> None:
    for place, row in enumerate(rows):
        middle, low, high = _value(row, memory)
        axes.barh(
            place, middle, color=colors[row.label], alpha=0.55 if row.mode == "eager" else 1.0, height=0.7
        )
        if not memory:
            axes.errorbar(
                middle, place, xerr=[[middle - low], [high - middle]], color="black", capsize=3, linewidth=1
            )
    axes.set_yticks(range(len(rows)), [f"{row.label} {row.mode}" for row in rows])
    axes.invert_yaxis()
    longest = max((_value(row, memory)[2] for row in rows), default=0.0) or 1.0
    axes.set_xlim(0, longest * 1.05)
    if memory:
        step = 2.0 ** math.ceil(math.log2(longest / 5))
        axes.set_xticks([i * step for i in range(1 + int(longest / step))])
    _finish(axes.xaxis, axes, title, memory)
    axes.grid(axis="x", alpha=0.25)


def _finish(axis: Any, axes: Any, title: str, memory: bool) -> None:
    unit = size if memory else seconds
    axis.set_major_formatter(lambda value, _: unit(value) if value >= 0 else "")
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    axes.set_axisbelow(True)


__all__ = ["SUFFIXES", "check", "save"]
