"""The float64 reference of a case: what each result should be, and how far float rounding may carry it.

The reference adapter computes in float64. It runs the same neutral layers, so it judges adapters; the core itself is
judged by ``outside``. The tolerance is that of ``unimodule.comparison.tolerance``:

    tolerance = C * (max over K draws of |f(x (1 + u d)) - f(x)| + u * max|y|)

Its first term costs K more runs, and only ever widens it. So a result is held to the second alone first, and the shaken
runs are made when that is not enough. Where a case is about exact ties, what the net is given is not shaken, and equal
numbers stay equal: shaking would break the ties.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

import numpy as np

from unimodule import nn
from unimodule.comparison import measure
from unimodule.comparison.shaking import shaken
from unimodule.comparison.tolerance import FACTOR, SMALLEST, UNITS
from unimodule.errors import ArgumentError

from .measuring import INPUT_GRADIENT, PARAMETER, PARAMETER_GRADIENT, Array, Inputs, Key, Values
from .phases import PHASES

if TYPE_CHECKING:
    from ..case import Case

REFERENCE = "numpy"
"""The reference adapter."""

DRAWS = 6
"""How often the reference is run shaken."""

TOGETHER = (INPUT_GRADIENT, PARAMETER_GRADIENT, PARAMETER)
"""Kinds of results that are judged together: gradients, and what they have been added to."""


class Unsteady(Exception):
    """The reference gives other results from call to call, of a case that has no random numbers in it."""


class Reference:
    """What the reference computes for one case, worked out when it is asked for and then kept."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._values: dict[str, Values] = {}
        self._moved: dict[tuple[str, str], dict[Key, float]] = {}

    def net(self, dtype: str = "float64") -> nn.Module:
        """A fresh net on the reference backend, in float64 if not told otherwise."""
        return self._case.model.clone().to(REFERENCE, dtype=dtype)

    def inputs(self) -> Inputs:
        """The inputs in float64."""
        return tuple(_wide(array) for array in self._case.inputs)

    def values(self, phase: str) -> Values:
        """What a phase leaves, in float64."""
        if phase not in self._values:
            with np.errstate(all="ignore"):
                self._values[phase] = PHASES[phase](self._case)(self.net(), self.inputs())
        return self._values[phase]

    def moved(self, phase: str, dtype: str) -> dict[Key, float]:
        """How far rounding in ``dtype`` carries each result of a phase: the largest distance over the shaken draws."""
        if (phase, dtype) not in self._moved:
            self._check_steady(phase)
            self._moved[phase, dtype] = self._shake(phase, dtype)
        return self._moved[phase, dtype]

    def _check_steady(self, phase: str) -> None:
        """A second run must give the same: else shaking would find the tolerance as wide as the noise."""
        with np.errstate(all="ignore"):
            again = PHASES[phase](self._case)(self.net(), self.inputs())
        for key, value in self.values(phase).items():
            if not np.array_equal(value, again[key], equal_nan=value.dtype.kind == "f"):
                raise Unsteady(
                    f"{key.kind} {key.name}".strip() + " differs from call to call, though nothing draws"
                )

    def _shake(self, phase: str, dtype: str) -> dict[Key, float]:
        base = self.values(phase)
        moved = dict.fromkeys(base, 0.0)
        case = measure.Case(self.inputs(), None, None, self._case.spec.seed)
        net = self.net()
        for draw in range(DRAWS):
            found = self._shaken(phase, dtype, net, case, draw)
            for key in base.keys() & found.keys():
                if found[key].shape == base[key].shape:
                    moved[key] = max(moved[key], distance(found[key], base[key]))
        return moved

    def _shaken(self, phase: str, dtype: str, net: nn.Module, case: measure.Case, draw: int) -> Values:
        """One shaken run; where it takes a number out of a function's domain, one that makes none larger."""
        rng, exact = np.random.default_rng([self._case.spec.seed, draw]), self._case.spec.exact
        for signs in (rng, cast("np.random.Generator", _Inwards(rng))):
            with (
                suppress(ArgumentError),
                np.errstate(all="ignore"),
                shaken(net, case, UNITS[dtype], signs, tied=exact) as (noisy, given),
            ):
                return PHASES[phase](self._case)(noisy, given.inputs)
        return {}


class _Inwards:
    """Signs of which none makes a number larger: for functions that refuse what is beyond a bound (a probability)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def choice(self, signs: list[float], shape: tuple[int, ...]) -> Array:
        return np.asarray(np.minimum(self.rng.choice(signs, shape), 0.0))


def distance(found: Array, base: Array) -> float:
    """The largest difference between two arrays where both are finite."""
    with np.errstate(all="ignore"):
        return magnitude(np.asarray(found, "float64") - np.asarray(base, "float64"))


def magnitude(value: Array) -> float:
    """The largest finite element."""
    wide = np.abs(np.asarray(value, "float64"))
    return float(wide[np.isfinite(wide)].max(initial=0.0))


def rounding(value: Array, scale: float, dtype: str) -> float:
    """What rounding allows a result in any case, however well it is conditioned, and however small: what is too small for
    the dtype is 0 there.
    """
    if np.asarray(value).dtype.kind != "f":
        return 0.0
    return max(FACTOR * UNITS[dtype] * scale, SMALLEST[dtype])


def _wide(array: Array) -> Array:
    return array.astype("float64") if array.dtype.kind == "f" else array


__all__ = [
    "DRAWS",
    "REFERENCE",
    "SMALLEST",
    "TOGETHER",
    "Reference",
    "Unsteady",
    "distance",
    "magnitude",
    "rounding",
]
