"""Is an error that one piece of code made more than float rounding explains?

Two measures, since neither sees all. The largest error finds a fault in few elements. Its root mean square finds one that
is small but everywhere (an epsilon): rounding errors are as good as independent, so that theirs is known well where there
are many elements, and the tolerance may be tighter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .measure import Array, is_float
from .own import Port
from .tolerance import (
    SMALLEST,
    SUMMED,
    UNITS,
    Bound,
    compare_arrays,
    least_unit,
    of_terms,
    terms_of_parameter,
)

SPREAD_FACTOR = 10.0
"""How many units the root mean square may be off by where there are many elements."""

FEW = 6.0
"""What is added to that for one element; it goes down with the square root of their number."""


class Noise(NamedTuple):
    """How far noise carried a result: the largest difference, and the root mean square."""

    most: float = 0.0
    spread: float = 0.0


class Check(NamedTuple):
    """One tensor of one call.

    Attributes:
        port: which.
        found: what the backend had.
        expected: what the reference makes of it.
        scale: what the largest error is relative to.
        terms: how many numbers each of its elements is the sum of, at a guess.
    """

    port: Port
    found: Array
    expected: Array
    scale: float
    terms: float = 1.0


class Verdict(NamedTuple):
    """How a tensor compares: errors (None where no number says it), tolerances, and what is wrong, if anything."""

    error: float | None
    tolerance: float
    spread: float | None
    spread_tolerance: float
    wrong: str

    @property
    def badness(self) -> tuple[bool, bool, float]:
        """What makes a tensor the one to show of several: being wrong, then having no number, then the error."""
        used = [0.0]
        if self.tolerance:
            used.append((self.error or 0.0) / self.tolerance)
        if self.spread_tolerance:
            used.append((self.spread or 0.0) / self.spread_tolerance)
        return bool(self.wrong), bool(self.wrong) and self.error is None, max(used)


def judge(check: Check, noise: Noise, dtype: str) -> Verdict:
    """Judge one tensor.

    Args:
        check: the tensor.
        noise: what one rounding of everything does to it; with none, what passes is what would pass with any.
        dtype: the float dtype of the backend's nets.
    """
    unit = UNITS[dtype]
    most = (noise.most + unit * check.scale) * of_terms(check.terms)
    bound = Bound(check.expected, max(most, least_unit(dtype)), check.scale, False)
    error, wrong = compare_arrays(check.found, bound)
    if error is None or not is_float(check.expected) or not check.expected.size:
        return Verdict(error, bound.tolerance, None, 0.0, wrong)
    factor = SPREAD_FACTOR + FEW / math.sqrt(check.expected.size) + SUMMED * math.sqrt(check.terms)
    limit = max(factor * (noise.spread + unit * spread_of(check.expected)), SMALLEST[dtype])
    with np.errstate(invalid="ignore"):  # where both are infinite
        spread = spread_of(np.asarray(check.found, "float64") - check.expected)
    if not wrong and spread > limit:
        wrong = f"off by {spread:.2g} (root mean square), of which rounding explains {limit:.2g}"
    return Verdict(error, bound.tolerance, spread, limit, wrong)


def terms_of(port: Port, array: Array, largest: int) -> float:
    """How many numbers each element of a tensor is the sum of, at a guess, in a call whose largest tensor has so many
    elements.
    """
    return terms_of_parameter(array, largest) if port.side == "own" else largest / max(1, array.size)


def spread_of(array: Array) -> float:
    """The root mean square of what is finite in an array."""
    with np.errstate(all="ignore"):
        wide = np.asarray(array, "float64")
        finite = wide[np.isfinite(wide)]
        return float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0


__all__ = ["Check", "Noise", "Verdict", "judge", "spread_of", "terms_of"]
