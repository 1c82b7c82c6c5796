"""How far float rounding may carry a result from the float64 reference, found out by shaking the reference.

A fixed tolerance is wrong for most nets: too tight where the net amplifies rounding, too loose elsewhere. So the
reference is run again with every float input, parameter, constant and buffer, and every operand of every operation forward
and backward, changed by one rounding unit u of the dtype under test: x (1 + u d) with d = +-1 (``shaking``). What that
does to a result tells how far a faithful backend may be off:

    tolerance = C * (max over K draws of |f(x (1 + u d)) - f(x)| + u * max|y|)

Gradients are judged together: both terms are the largest among all gradients of the net. A gradient that cancels to
nothing is as exact as the terms that cancelled, and whether they do (the bias in front of a batch norm) depends on the
algorithm of a kernel, which shaking the reference cannot know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .. import dtypes
from ..nn.module import Module
from .measure import INPUT_GRADIENT, PARAMETER_GRADIENT, Array, Case, Key, Runner, is_float, measure
from .shaking import shaken

UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
"""Half the distance from 1 to the next number, by dtype."""

FACTOR = 16.0
DRAWS = 6
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


def bounds(reference: Module, case: Case, dtype: str, phase: str) -> dict[Key, Bound]:
    """Run a phase of the reference, and run it shaken, and say what each result on a backend of ``dtype`` is held to.

    Args:
        reference: the net in float64; it is cloned for every run.
        case: what it is given.
        dtype: the float dtype of the nets to be judged.
        phase: one of ``measure.PHASES``.
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
        out[key] = Bound(value, total, scale, is_float(value) and FACTOR * total > WEAK * rounding)
    return out


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
    """The largest finite difference of two arrays."""
    with np.errstate(all="ignore"):
        return magnitude([np.asarray(value, "float64") - np.asarray(base, "float64")])


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


def _kind(array: Array) -> str:
    name = dtypes.canonical(array.dtype)
    return "float" if dtypes.is_floating(name) else "bool" if name == "bool" else "integer"


__all__ = [
    "DRAWS",
    "FACTOR",
    "UNITS",
    "Bound",
    "Finding",
    "bounds",
    "compare_arrays",
    "distance",
    "magnitude",
]
