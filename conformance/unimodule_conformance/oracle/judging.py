"""Holds what a backend computed against the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unimodule.comparison.tolerance import FACTOR, WEAK, Bound, Finding, compare_arrays

from ..outcome import Outcome, Status
from .measuring import HEAVIEST, Array, Key, Values, only
from .reference import TOGETHER, magnitude, rounding

if TYPE_CHECKING:
    from ..case import Case

COARSE = 1e-2
"""A tolerance of more than so much of a gradient's own size proves little of it."""

NOTHING = 1e-10
"""A gradient so much smaller than the steepest is nothing but cancelled terms: as exact as they are."""


def judge(
    case: Case, phase: str, found: Values, dtype: str, *kinds: str, expected: Values | None = None
) -> Outcome:
    """How the results of a phase compare with the reference.

    Args:
        case: the case.
        phase: which way of running it: a key of ``PHASES``.
        found: what the backend computed.
        dtype: the float dtype it computed in.
        kinds: which kinds of results to judge, all if none is named; the others are left out on both sides.
        expected: what is expected instead of the reference's results, where these are what is judged.
    """
    got = only(found, *kinds) if kinds else found
    if expected is None:
        expected = case.reference.values(phase)
        expected = only(expected, *kinds) if kinds else expected
    for key in [*expected, *got]:
        if key not in got or key not in expected:
            where = "is missing" if key not in got else "is there, and the reference has none"
            return Outcome(Status.FAILED, f"{label(key)} {where}", details={"tensor": label(key)})
    steepest = max((magnitude(value) for key, value in expected.items() if key.kind in TOGETHER), default=0.0)
    worst, weak = 0.0, ""
    for key, value in expected.items():
        outcome = _judge_one(case, phase, key, value, got[key], dtype, steepest)
        if outcome.status is Status.FAILED:
            return outcome
        worst = max(worst, outcome.worst)
        weak = weak or outcome.message
    return Outcome(Status.WEAK if weak else Status.PASSED, weak, worst)


def _judge_one(
    case: Case, phase: str, key: Key, value: Array, found: Array, dtype: str, steepest: float
) -> Outcome:
    scale = magnitude(value)
    least = rounding(value, scale, dtype)
    finding = _against(value, found, least)
    tolerance = least
    if finding.wrong and finding.error is not None:
        moved = case.reference.moved(phase, dtype)
        tolerance = FACTOR * moved[key] + least
        finding = _against(value, found, tolerance)
        if finding.wrong and finding.error is not None and key.kind in TOGETHER:
            # A gradient that cancels is as exact as the terms that cancelled, and whether they do depends on a kernel's
            # algorithm, which shaking the reference cannot know: gradients are judged together, the outputs' own among
            # them. A kernel that finds a slope from its output, y (1 - y), has it to a rounding of 1, not of itself,
            # and the gradient of a weight is such a slope times an input.
            together = max(moved[other] for other in moved if other.kind in TOGETHER)
            tolerance = FACTOR * together + rounding(value, max(steepest, _heaviest(case)), dtype)
            finding = _against(value, found, tolerance)
    if finding.wrong:
        return Outcome(
            Status.FAILED, f"{label(key)}: {finding.wrong}", *_measured(finding.error, tolerance, key)
        )
    error = finding.error or 0.0
    worst = error / tolerance if tolerance else 0.0
    if _weak(key, tolerance, least, scale, rounding(value, max(scale, steepest), dtype), steepest):
        return Outcome(
            Status.WEAK, f"{label(key)}: rounding alone may carry it by {tolerance:.1e} of {scale:.1e}", worst
        )
    return Outcome(Status.PASSED, worst=worst)


def _heaviest(case: Case) -> float:
    """The largest that a gradient is where all slopes are 1."""
    return HEAVIEST * max(1.0, *(magnitude(array) for array in case.inputs if array.dtype.kind == "f"), 1.0)


def _weak(key: Key, tolerance: float, least: float, scale: float, pooled: float, steepest: float) -> bool:
    """Whether a tolerance lets real faults pass. A gradient's is compared with the steepest of all, but must also be small
    beside the gradient itself, unless that is nothing but cancelled terms.
    """
    if key.kind not in TOGETHER:
        return tolerance > WEAK * least / FACTOR
    return tolerance > WEAK * pooled / FACTOR or (scale > NOTHING * steepest and tolerance > COARSE * scale)


def _against(value: Array, found: Array, tolerance: float) -> Finding:
    return compare_arrays(found, Bound(value, unit=tolerance / FACTOR, scale=0.0, weak=False))


def _measured(error: float | None, tolerance: float, key: Key) -> tuple[float, dict[str, Any]]:
    details: dict[str, Any] = {"tensor": label(key), "error": error, "tolerance": tolerance}
    return (error / tolerance if error is not None and tolerance else 0.0), details


def label(key: Key) -> str:
    """How a message names a result."""
    return f"{key.kind} {key.name}".strip()


__all__ = ["judge", "label"]
