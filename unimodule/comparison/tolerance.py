"""How far float rounding may carry a result from the float64 reference, found out by shaking the reference.

A fixed tolerance is wrong for most nets: too tight where the net amplifies rounding, too loose elsewhere. So the
reference is run again with every float input, parameter, constant and buffer, and every operand of every operation forward
and backward, changed by one rounding unit u of the dtype under test: x (1 + u d) with d = +-1 (``shaking``). What that
does to a result tells how far a faithful backend may be off:

    tolerance = C * (max over K draws of |f(x (1 + u d)) - f(x)| + u * max|y|)

and at least the smallest normal number of the dtype, since some frameworks flush what is smaller to zero. For losses and
the gradients of parameters, which are long sums, there is room for kernels that sum one after the other (``SUMMED``).

Gradients are judged together: both terms are the largest among all gradients of the net. A gradient that cancels to
nothing is as exact as the terms that cancelled, and whether they do (the bias in front of a batch norm) depends on the
algorithm of a kernel, which shaking the reference cannot know.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..nn.module import Module
from ..ops import finfo
from .measure import (
    INPUT_GRADIENT,
    LOSS,
    PARAMETER_GRADIENT,
    STEP_LOSS,
    Array,
    Case,
    Key,
    Runner,
    is_float,
    measure,
)
from .shaking import shaken

UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
"""Half the distance from 1 to the next number, by dtype."""

SMALLEST = {"float16": 2.0**-24, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}
"""Below this a dtype has 0, or, where subnormal numbers are flushed, may have it."""

FACTOR = 16.0
DRAWS = 6
SUMMED = 0.5
"""How many units more a sum may be off by, times the square root of the number of its terms. Of kernels that sum one after
the other over batch and places in float32, 0.3 was measured; shaking the terms knows nothing of that.
"""

_BLOCK = 1 << 15
"""Elements that are compared at a time: what the cache of a processor holds."""

WEAK = 1e3
"""A tolerance of more than so many u * max|y| lets real faults pass; a verdict under it is called weak."""

_GRADIENTS = (INPUT_GRADIENT, PARAMETER_GRADIENT)


class Bound(NamedTuple):
    """What one result is held to.

    Attributes:
        reference: its value in float64.
        unit: what one rounding of everything does to it: the unit of conditioning.
        scale: what errors are relative to, max|y|.
        weak: whether the tolerance is so wide that meeting it proves little.
    """

    reference: Array
    unit: float
    scale: float
    weak: bool

    @property
    def tolerance(self) -> float:
        """The largest absolute error that float rounding explains."""
        return FACTOR * self.unit


def bounds(reference: Module, case: Case, dtype: str, phase: str, largest: int = 0) -> dict[Key, Bound]:
    """Run a phase of the reference, and run it shaken, and say what each result on a backend of ``dtype`` is held to.

    Args:
        reference: the net in float64; it is cloned for every run.
        case: what it is given.
        dtype: the float dtype of the nets to be judged.
        phase: one of ``measure.PHASES``.
        largest: how many elements the largest tensor has that is summed up in losses and gradients.
    """
    unit = UNITS[dtype]
    base = measure(Runner(reference.clone(), case), phase)
    moved = dict.fromkeys(base, 0.0)
    for draw in range(DRAWS):
        with shaken(reference, case, unit, np.random.default_rng([case.seed, draw])) as noisy:
            found = measure(Runner(*noisy), phase)
        for key in base.keys() & found.keys():
            if found[key].shape == base[key].shape:
                moved[key] = max(moved[key], distance(found[key], base[key]))
    together = [key for key in base if key.kind in _GRADIENTS]
    steepest = magnitude([base[key] for key in together])
    moved.update(dict.fromkeys(together, max((moved[key] for key in together), default=0.0)))
    out = {}
    for key, value in base.items():
        scale = steepest if key in together else magnitude([value])
        rounding = unit * scale if is_float(value) else 0.0
        total = moved[key] + rounding
        weak = is_float(value) and FACTOR * total > WEAK * rounding
        if is_float(value):
            total = max(total * of_terms(_terms(key, value, largest)), least_unit(dtype))
        out[key] = Bound(value, total, scale, weak)
    return out


def _terms(key: Key, value: Array, largest: int) -> float:
    """How many numbers each element is the sum of, at a guess."""
    if key.kind in (LOSS, STEP_LOSS):
        return largest
    return terms_of_parameter(value, largest) if key.kind == PARAMETER_GRADIENT else 0.0


def terms_of_parameter(gradient: Array, largest: int) -> float:
    """How many numbers each element of a parameter's gradient is the sum of, at a guess, where the largest tensor has so
    many elements: they are summed over all but the gradient's first axis, that of output channels.
    """
    return largest / max(1, gradient.shape[0] if gradient.ndim else 1)


def of_terms(terms: float) -> float:
    """What the unit of conditioning of a sum of so many terms is multiplied by."""
    return 1.0 + SUMMED * math.sqrt(terms) / FACTOR


def least_unit(dtype: str) -> float:
    """The unit of conditioning of a result however small: any error below the smallest number of its dtype passes."""
    return SMALLEST[dtype] / FACTOR


# ---------------------------------------------------------------------- distances
def magnitude(values: Iterable[Array]) -> float:
    """The largest finite magnitude in some arrays."""
    largest = 0.0
    for value in values:
        wide = np.abs(np.asarray(value, "float64"))
        if wide.size and not np.isfinite(top := wide.max()):
            top = wide[np.isfinite(wide)].max(initial=0.0)
        largest = max(largest, float(top) if wide.size else 0.0)
    return largest


def distance(value: Array, base: Array) -> float:
    """The largest finite difference of two arrays of one shape."""
    return furthest(value, base)[0]


def furthest(value: Array, base: Array) -> tuple[float, bool]:
    """The largest finite difference of two arrays of one shape, and whether all differences are finite."""
    largest, finite = 0.0, True
    x, y = (np.ascontiguousarray(array).reshape(-1) for array in (value, base))
    with np.errstate(all="ignore"):
        for start in range(0, x.size, _BLOCK):
            piece = slice(start, start + _BLOCK)
            off = x[piece].astype("float64")
            off -= y[piece]
            np.abs(off, out=off)
            if not np.isfinite(top := off.max()):
                finite, top = False, off[np.isfinite(off)].max(initial=0.0)
            largest = max(largest, float(top))
    return largest, finite


class Finding(NamedTuple):
    """How a result compares with its bound: the error, None where no number says it, and what is wrong with it."""

    error: float | None
    wrong: str


def compare_arrays(found: Array, bound: Bound) -> Finding:
    """How far an array is from its reference. Infinities and NaN must be where the reference has them; numbers beyond
    the largest of the array's dtype are infinite there.
    """
    reference = bound.reference
    if found.shape != reference.shape:
        return Finding(None, f"shape {found.shape}, expected {reference.shape}")
    if _kind(found) != _kind(reference):
        return Finding(None, f"dtype {found.dtype}, expected {_kind(reference)}")
    error, finite = furthest(found, reference)
    if finite and error <= bound.tolerance and not (is_float(found) and bound.scale > _top(found.dtype)):
        return Finding(error, "")  # nearly always; the rest is slower
    wanted = np.asarray(reference, "float64")
    if is_float(found):
        with np.errstate(all="ignore"):
            narrow = wanted.astype(found.dtype).astype("float64")
        wanted = np.where(np.isinf(narrow), narrow, wanted)
    got = np.asarray(found, "float64")
    same = np.isfinite(got) == np.isfinite(wanted)
    same &= np.isfinite(got) | (np.isnan(got) & np.isnan(wanted)) | (got == wanted)
    if not same.all():
        place = tuple(int(i) for i in np.argwhere(~same)[0])
        more = f", and {int((~same).sum()) - 1} more" if (~same).sum() > 1 else ""
        return Finding(None, f"{got[place]:.4g} at {list(place)}, expected {wanted[place]:.4g}{more}")
    error = distance(got, wanted)
    if error <= bound.tolerance:
        return Finding(error, "")
    with np.errstate(all="ignore"):
        off = np.nan_to_num(np.abs(got - wanted), nan=0.0, posinf=0.0)
    place = tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape))
    return Finding(error, f"{got[place]:.6g} at {list(place)}, expected {wanted[place]:.6g}")


def _top(dtype: np.dtype[Any]) -> float:
    """The largest number of a float dtype."""
    return finfo(dtypes.canonical(dtype)).max


def _kind(array: Array) -> str:
    name = dtypes.canonical(array.dtype)
    return "float" if dtypes.is_floating(name) else "bool" if name == "bool" else "integer"


__all__ = [
    "DRAWS",
    "FACTOR",
    "SMALLEST",
    "SUMMED",
    "UNITS",
    "Bound",
    "Finding",
    "bounds",
    "compare_arrays",
    "distance",
    "furthest",
    "least_unit",
    "magnitude",
    "of_terms",
    "terms_of_parameter",
]
