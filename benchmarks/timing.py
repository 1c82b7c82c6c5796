"""Timing several variants of one computation side by side, on a machine that does other things too.

The variants take turns in slices of some milliseconds, in a new order each round, so that whatever slows the machine
down slows all of them. Two numbers are to be trusted: ratios of slices of the same round (their median, with the
quartiles as the spread), and low quantiles, which leave out the slices that were interrupted.
"""

from __future__ import annotations

import dataclasses
import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds a call took, one number for each round."""

    slices: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.slices)

    @property
    def low(self) -> float:
        """The 10 % quantile: the machine to itself."""
        return quantile(self.slices, 0.1)

    def ratio(self, other: Timing) -> Ratio:
        """How many times as long this took as the other."""
        pairs = [a / b for a, b in zip(self.slices, other.slices, strict=True)]
        return Ratio(
            quantile(pairs, 0.25), statistics.median(pairs), quantile(pairs, 0.75), self.low / other.low
        )


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Median and quartiles of the ratios of slices of one round, and the ratio of the low quantiles."""

    lower: float
    median: float
    upper: float
    low: float


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def interleaved(
    variants: Mapping[str, Callable[[], Any]],
    wait: Callable[[Any], Any] = lambda result: None,
    seconds: float = 3.0,
    slice_seconds: float = 0.003,
) -> dict[str, Timing]:
    """Time the variants in turns.

    Args:
        variants: functions without arguments, by name.
        wait: called with the last result of a slice, where the framework computes in the background.
        seconds: for each variant, all in all.
        slice_seconds: how long one variant runs before the next has its turn.
    """
    calls = {name: _calls_in(fn, wait, slice_seconds) for name, fn in variants.items()}
    slices: dict[str, list[float]] = {name: [] for name in variants}
    order = list(variants)
    shuffle = random.Random(0).shuffle
    deadline = time.perf_counter() + seconds * len(variants)
    was_enabled = gc.isenabled()
    gc.disable()  # a collection would be charged to whoever happens to run
    try:
        while time.perf_counter() < deadline:
            shuffle(order)
            for name in order:
                slices[name].append(_slice(variants[name], wait, calls[name]))
            gc.collect(0)
    finally:
        if was_enabled:
            gc.enable()
    return {name: Timing(times) for name, times in slices.items()}


def _slice(fn: Callable[[], Any], wait: Callable[[Any], Any], calls: int) -> float:
    """Seconds a call takes, on average over a number of calls."""
    result = fn()  # what the variant before left in the caches is not this one's fault
    wait(result)
    start = time.perf_counter()
    for _ in range(calls):
        result = fn()
    wait(result)
    return (time.perf_counter() - start) / calls


def _calls_in(fn: Callable[[], Any], wait: Callable[[Any], Any], seconds: float) -> int:
    for _ in range(20):  # whatever happens on first calls only
        wait(fn())
    return max(1, int(seconds / min(_slice(fn, wait, 1) for _ in range(20))))
