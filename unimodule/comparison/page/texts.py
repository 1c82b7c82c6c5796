"""What a report says in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ..records import FORWARD, GRADIENT, RAN, WEAK, BackendRow, LayerRecord, ModeResult, Parting, TensorError

if TYPE_CHECKING:
    from ..report import Report

_SHOWN = 60
"""How many results that differ are listed for one backend in one mode."""


class Problem(NamedTuple):
    """One thing that is wrong with a backend: in short, in full, and single results."""

    what: str
    detail: str = ""
    results: tuple[tuple[str, str], ...] = ()


class Finding(NamedTuple):
    """What is to be said of one backend."""

    label: str
    ok: bool
    status: str
    summary: str
    problems: tuple[Problem, ...]


class Place(NamedTuple):
    """Where and with what one backend ran."""

    label: str
    status: str
    ok: bool
    entries: tuple[tuple[str, str], ...]


# ---------------------------------------------------------------------- numbers
def number(value: float | None) -> str:
    """An error: ``5.4e-7``."""
    if value is None or not math.isfinite(value):
        return "–" if value is None else "∞"
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.3g}"
    head, _, power = f"{value:.1e}".partition("e")
    return f"{head.removesuffix('.0')}e{int(power)}"


def times(value: float | None) -> str:
    """An error in tolerances: ``0.12``, ``5.9e4``."""
    if value is None:
        return "–"
    return "<0.001" if 0 < value < 0.001 else f"{value:.2g}" if value < 10 else number(value)


def fraction(tensor: TensorError) -> float | None:
    """The error of a result in units of its tolerance; None where no number says it."""
    return _over(tensor.absolute, tensor.tolerance)


def created(record: LayerRecord) -> float | None:
    """The error that a module's own code made, in units of its tolerance, by the measure that is nearer to it."""
    found = [_over(record.created, record.tolerance), _over(record.spread, record.spread_tolerance)]
    return None if found[0] is None else max(value for value in found if value is not None)


def passed(record: LayerRecord) -> float | None:
    """The error in all of what a module returned, in the same units."""
    return _over(record.absolute, record.tolerance)


def _over(error: float | None, tolerance: float | None) -> float | None:
    if error is None:
        return None
    if not error:
        return 0.0
    return error / tolerance if tolerance else math.inf


# ---------------------------------------------------------------------- what was found
def findings(report: Report) -> list[Finding]:
    """For each backend, whether it agrees, and else why not."""
    return [
        Finding(row.label, row.ok, row.status, _summary(row), tuple(_problems(row))) for row in report.rows
    ]


def _summary(row: BackendRow) -> str:
    tensors = [tensor for mode in row.modes for tensor in mode.tensors]
    if row.status != RAN:
        return row.message
    if not row.ok:
        return "does not agree with the reference"
    most = max((fraction(tensor) or 0.0 for tensor in tensors), default=0.0)
    weak = sum(tensor.verdict == WEAK for tensor in tensors)
    more = f"; {weak} too sensitive to rounding to prove much" if weak else ""
    return f"agrees: {len(tensors)} results, at most {times(most)} of what rounding explains{more}"


def _problems(row: BackendRow) -> list[Problem]:
    found = []
    for direction, what in ((FORWARD, "forward"), (GRADIENT, "in the gradient")):
        if (first := row.first(direction)) is not None:
            others = [p for p in row.partings if p.direction == direction][1:]
            also = f"Then in {', '.join(map(where, others[:8]))}" if others else ""
            also += f" and {len(others) - 8} more" if len(others) > 8 else ""
            found.append(
                Problem(f"First parts {what} in {where(first)}", first.detail, (("", also),) * bool(also))
            )
    for mode in row.modes:
        if mode.status != RAN:
            found.append(
                Problem(f"{mode.mode} {mode.status}", mode.message if mode.message != row.message else "")
            )
        found += _differing(mode)
    return found


def _differing(mode: ModeResult) -> list[Problem]:
    wrong = [tensor for tensor in mode.tensors if not tensor.ok]
    if not wrong:
        return []
    most = max(fraction(tensor) or 0.0 for tensor in wrong)
    how = f", by up to {times(most)} times the tolerance" if most else ""
    listed = [(f"{tensor.kind} {tensor.name}".strip(), tensor.detail) for tensor in wrong[:_SHOWN]]
    if len(wrong) > _SHOWN:
        listed.append(("", f"... and {len(wrong) - _SHOWN} more"))
    return [
        Problem(f"{mode.mode}: {len(wrong)} of {len(mode.tensors)} results differ{how}", "", tuple(listed))
    ]


def where(found: Parting | LayerRecord) -> str:
    """A call of a module: ``2.1.norm (LayerNorm)``."""
    call = f", call {found.call}" if found.call else ""
    return f"{found.path or 'the net itself'} ({found.type}{call})"


# ---------------------------------------------------------------------- how it was found
def facts(report: Report) -> list[tuple[str, str]]:
    """What was compared."""
    inputs = [
        f"{place} {'×'.join(map(str, shape)) or 'scalar'} {dtype}" for place, shape, dtype in report.inputs
    ]
    counts, seconds = report.parameters, report.seconds
    found = [
        ("inputs", ", ".join(inputs)),
        ("gradients of", report.loss),
        ("training steps", f"{report.steps}, {report.optimizer}" if report.steps else ""),
        ("parameters", f"{counts.get('parameters', 0):,} ({counts.get('trainable', 0):,} trainable)"),
        ("reference", f"{report.reference} in float64"),
        ("seed", str(report.seed)),
        ("took", f"{seconds.get('total', 0.0):.0f} s, of which the runs {seconds.get('runs', 0.0):.0f} s"),
        *((name, value) for name, value in report.machine.items()),
    ]
    return [(name, value) for name, value in found if value]


def places(report: Report) -> list[Place]:
    """Versions, device and precision of each backend."""
    found = []
    for row in report.rows:
        entries = [
            *{row.backend: row.version, **row.versions}.items(),
            ("device", row.device),
            *row.precision.items(),
            ("interpreter", row.interpreter or ""),
            *(("note", note) for note in row.notes),
            ("message", row.message),
        ]
        shown = tuple((name, value) for name, value in entries if value)
        found.append(Place(row.label, row.status, row.status == RAN, shown))
    return found


__all__ = [
    "Finding",
    "Place",
    "Problem",
    "created",
    "facts",
    "findings",
    "fraction",
    "number",
    "passed",
    "places",
]
__all__ += ["times", "where"]
