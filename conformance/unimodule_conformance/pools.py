"""Where the numbers of an array come from: ordinary ones, and those at which functions have their edges.

A pool is a function ``(rng, shape) -> array``; what it returns is rounded to float32, so that float32 and float64 nets see
the same numbers, and none is subnormal: some frameworks flush those to zero. Each stands alone, using NumPy only, so that
a script can hold its source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Values = np.ndarray[Any, Any]
Pool = Callable[[np.random.Generator, tuple[int, ...]], Values]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """From N(0, 1)."""
    return np.asarray(rng.normal(size=shape))


def apart(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """All different, evenly spaced in (-2, 2): no rounding changes their order."""
    n = int(np.prod(shape))
    return np.asarray((rng.permutation(n) + 0.3) / max(n, 1) * 4 - 2).reshape(shape)


def ties(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Few different numbers, among them those at which piecewise functions break: 0, 0.5, 1, 3, 6."""
    return np.asarray(rng.choice([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 3.0, 6.0], size=shape))


def halves(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Integers and numbers halfway between them."""
    return np.asarray(rng.choice([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.0, -1.0], size=shape))


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Zeros among a few ones."""
    return np.asarray(rng.choice([0.0, 0.0, 0.0, 1.0], size=shape))


def equal(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """One number everywhere: no variance, and everything is a tie."""
    return np.full(shape, rng.choice([-1.0, 0.5, 2.0]))


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """From U(0.2, 3)."""
    return np.asarray(rng.uniform(0.2, 3.0, shape))


def unit(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """From U(-0.9, 0.9)."""
    return np.asarray(rng.uniform(-0.9, 0.9, shape))


def probability(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """From U(0.05, 0.95)."""
    return np.asarray(rng.uniform(0.05, 0.95, shape))


def certain(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Probabilities, exact zeros and ones among them."""
    return np.asarray(rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], size=shape))


def above_one(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """From U(1.1, 4)."""
    return np.asarray(rng.uniform(1.1, 4.0, shape))


def nonzero(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Of either sign, of magnitude 0.3 to 2, and no multiple of a half."""
    return np.asarray(
        rng.choice([-1.0, 1.0], size=shape) * (rng.integers(0, 4, shape) / 2 + rng.uniform(0.3, 0.45, shape))
    )


def holes(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """As ``nonzero``, every third number or so 0: a product of several often has just one."""
    return np.where(rng.random(shape) < 0.3, 0.0, nonzero(rng, shape))


def large(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Around 10,000: differences are small beside the numbers."""
    return np.asarray(1e4 + rng.normal(size=shape))


def small(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Around 1e-4."""
    return np.asarray(rng.normal(size=shape) * 1e-4)


def saturated(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Of magnitude 12 to 60: sigmoid and tanh are flat there, exponentials far apart."""
    return np.asarray(rng.choice([-1.0, 1.0], size=shape) * rng.uniform(12.0, 60.0, shape))


def special(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """NaN, infinities and both zeros among ordinary numbers."""
    return np.asarray(rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5], size=shape))


def infinite(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Infinities and both zeros among ordinary numbers, and no NaN, whose sign differs between machines."""
    return np.asarray(rng.choice([np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5], size=shape))


def some_nan(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """From N(0, 1), every fourth number or so NaN."""
    return np.where(rng.random(shape) < 0.25, np.nan, rng.normal(size=shape))


def mask(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """To be added to scores: -inf and 0, with a 0 in each row."""
    hidden = rng.random(shape) < 0.4
    if hidden.ndim:
        hidden[..., :1] = False
    return np.where(hidden, -np.inf, 0.0)


def ascending(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Sorted along the last axis, with ties."""
    return np.sort(rng.choice([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0], size=shape), axis=-1)


def integers(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Integers from -4 to 6."""
    return np.asarray(rng.integers(-4, 7, shape))


def counts(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Integers from 1 to 5."""
    return np.asarray(rng.integers(1, 6, shape))


def bools(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """True or False."""
    return np.asarray(rng.random(shape) < 0.5)


def hidden(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """True where something is to be ignored: never the first of a row."""
    out = np.asarray(rng.random(shape) < 0.4)
    if out.ndim:
        out[..., :1] = False
    return out


def seen(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """True where something counts: always the first of a row."""
    out = np.asarray(rng.random(shape) < 0.6)
    if out.ndim:
        out[..., :1] = True
    return out


POOLS: dict[str, Pool] = {
    pool.__name__: pool
    for pool in (
        normal,
        apart,
        ties,
        halves,
        zeros,
        equal,
        positive,
        unit,
        probability,
        certain,
        above_one,
        nonzero,
        holes,
        large,
        small,
        saturated,
        special,
        infinite,
        some_nan,
        mask,
        ascending,
        integers,
        counts,
        bools,
        hidden,
        seen,
    )
}
"""By name, as ``Array.fill`` says."""


LABELS = ("below", "labels", "ignored")
"""Integers below a bound, as in ``"below:5"``; the first 0; the first 0 and some of the others -100."""


def draw(fill: str, seed: int, shape: tuple[int, ...]) -> Values:
    """Numbers from a pool; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    name, _, bound = fill.partition(":")
    if name in LABELS:
        labels = np.asarray(rng.integers(0, int(bound), shape))
        if name == "ignored":
            labels = np.where(rng.random(shape) < 0.5, -100, labels)
        if name != "below" and labels.size:
            labels.reshape(-1)[0] = 0
        return labels
    return POOLS[name](rng, shape)


__all__ = ["LABELS", "POOLS", "Pool", "draw"]
