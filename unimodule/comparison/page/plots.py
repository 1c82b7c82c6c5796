"""Where the points, lines and bars of the page's plots go, in percent of their frames.

Frames stretch with the page, so that a plot has the same text size on a phone and on a desktop: the SVG holds shapes
alone, whose strokes do not scale, and all text is HTML beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ..records import DIFFERS, BackendRow, LayerRecord, Timing
from .texts import created, number, passed, times, where

if TYPE_CHECKING:
    from ..report import Report

_LOWEST = -4
"""Power of ten of a tolerance below which errors are drawn at the bottom."""

_COLORS = 8


def color(index: int) -> str:
    """The CSS class of the nth backend's colour."""
    return f"c{index % _COLORS}"


# ---------------------------------------------------------------------- error by layer
class Point(NamedTuple):
    """One call of a module: its place, what it is, and whether it parts from the reference."""

    x: float
    y: float
    title: str
    wrong: bool


class Flag(NamedTuple):
    """The first call that parts: where, and what is said there."""

    x: float
    text: str


class LayerPlot(NamedTuple):
    """The error by layer of one backend."""

    label: str
    points: tuple[Point, ...]
    line: tuple[tuple[float, float], ...]
    flag: Flag | None
    ends: tuple[str, str]


class LayerPlots(NamedTuple):
    """All backends in one direction, on one scale: ticks and the tolerance, from the top in percent."""

    plots: tuple[LayerPlot, ...]
    ticks: tuple[tuple[float, str], ...]
    tolerance: float


def layers(report: Report, direction: str) -> LayerPlots:
    """Error by layer, in units of what rounding explains in each: created there, and in all."""
    found = {row.label: [r for r in row.layers if r.direction == direction] for row in report.rows}
    rows = [row for row in report.rows if found[row.label]]
    scale = _Scale(value for row in rows for r in found[row.label] for value in (created(r), passed(r)))
    return LayerPlots(
        tuple(_layer_plot(row, found[row.label], direction, scale) for row in rows),
        scale.ticks(),
        scale.y(1.0),
    )


class _Scale:
    """A logarithmic scale, upwards; what has no finite value is at the top."""

    def __init__(self, values: Iterable[float | None]) -> None:
        powers = [math.log10(value) for value in values if value and math.isfinite(value)]
        self.low = min(-2, max(_LOWEST, math.floor(min(powers, default=0))))
        self.high = max(1, math.ceil(max(powers, default=0) + 0.15))

    def y(self, value: float | None) -> float:
        if value is None or not math.isfinite(value):
            return 0.0
        power = math.log10(value) if value else self.low
        return round(100 * (self.high - max(power, self.low)) / (self.high - self.low), 2)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        step = max(1, math.ceil((self.high - self.low) / 6))
        powers = [p for p in range(self.low, self.high + 1) if p % step == 0]
        return tuple((self.y(10.0**p), number(10.0**p) if p else "1") for p in powers)


def _layer_plot(row: BackendRow, records: list[LayerRecord], direction: str, scale: _Scale) -> LayerPlot:
    width = 100 / len(records)
    at = [round((i + 0.5) * width, 3) for i in range(len(records))]
    points = tuple(
        Point(x, scale.y(created(r)), _title(r), not r.ok) for x, r in zip(at, records, strict=True)
    )
    inner = [not any(_is_in(other.path, r.path) for other in records) for r in records]
    line = tuple((x, scale.y(passed(r))) for x, r, leaf in zip(at, records, inner, strict=True) if leaf)
    first = row.first(direction)
    flag = None
    if first is not None:
        wanted = (first.path, first.call)
        places = [x for x, r in zip(at, records, strict=True) if (r.path, r.call) == wanted]
        flag = Flag(places[0], where(first)) if places else None
    return LayerPlot(row.label, points, line, flag, (where(records[0]), where(records[-1])))


def _is_in(path: str, other: str) -> bool:
    """Whether a module is inside another."""
    return path != other and (not other or path.startswith(other + "."))


def _title(record: LayerRecord) -> str:
    made = f"created {number(record.created)}, {times(created(record))} of what rounding explains"
    relative = f", {number(record.relative)} relative" if record.relative is not None else ""
    detail = f"\n{record.detail}" if record.verdict == DIFFERS and record.detail else ""
    return f"{where(record)}\n{made}\nin all {number(record.absolute)}{relative}{detail}"


# ---------------------------------------------------------------------- time and memory
class Bar(NamedTuple):
    """A bar: whose, how long, where its quartiles are (None without), and the number."""

    label: str
    mode: str
    color: str
    width: float
    low: float | None
    high: float | None
    text: str
    more: str


class Bars(NamedTuple):
    """One thing that it costs, for every backend and mode."""

    title: str
    bars: tuple[Bar, ...]


_TIMINGS = (("forward", "Forward"), ("backward", "Forward and backward"), ("step", "Training step"))


def costs(report: Report) -> list[Bars]:
    """Time with its spread, compilation and memory."""
    modes = [(i, row.label, mode) for i, row in enumerate(report.rows) for mode in row.modes]
    found = []
    for name, title in _TIMINGS:
        timings = [(i, label, m.mode, m.timings[name]) for i, label, m in modes if name in m.timings]
        found.append(Bars(title, _timed(timings)))
    compiling = [
        (i, label, m.mode, m.compile_seconds) for i, label, m in modes if m.compile_seconds is not None
    ]
    found.append(Bars("Compilation", _plain([(i, label, m, v, seconds(v)) for i, label, m, v in compiling])))
    memory = [(i, label, m.mode, m.peak_bytes) for i, label, m in modes if m.peak_bytes is not None]
    found.append(Bars("Peak memory", _plain([(i, label, m, float(v), size(v)) for i, label, m, v in memory])))
    return [bars for bars in found if bars.bars]


def _timed(timings: list[tuple[int, str, str, Timing]]) -> tuple[Bar, ...]:
    longest = max((max(timing.median, timing.spread[1]) for *_, timing in timings), default=0.0) or 1.0
    bars = []
    for index, label, mode, timing in timings:
        low, high = timing.spread
        width, start, end = (round(100 * value / longest, 2) for value in (timing.median, low, high))
        more = f"{seconds(low)} to {seconds(high)}"
        bars.append(Bar(label, mode, color(index), width, start, end, seconds(timing.median), more))
    return tuple(bars)


def _plain(values: list[tuple[int, str, str, float, str]]) -> tuple[Bar, ...]:
    most = max((value for *_, value, _ in values), default=0.0) or 1.0
    return tuple(
        Bar(label, mode, color(index), round(100 * value / most, 2), None, None, text, "")
        for index, label, mode, value, text in values
    )


def seconds(value: float) -> str:
    """A time: ``1.23 ms``."""
    if value <= 0:
        return "0"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value / size < 1000 else f"{value / size:.0f} {unit}"
    return f"{value * 1e6:.3g} µs"


def size(value: float) -> str:
    """An amount of memory: ``12.3 MiB``."""
    for unit, power in (("GiB", 30), ("MiB", 20)):
        if value >= 2**power:
            return (
                f"{value / 2**power:.3g} {unit}"
                if value < 1000 * 2**power
                else f"{value / 2**power:.0f} {unit}"
            )
    return f"{value / 2**10:.3g} KiB" if value else "0"


__all__ = [
    "Bar",
    "Bars",
    "Flag",
    "LayerPlot",
    "LayerPlots",
    "Point",
    "color",
    "costs",
    "layers",
    "seconds",
    "size",
]
