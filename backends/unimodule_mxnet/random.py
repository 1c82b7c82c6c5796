"""Random numbers from MXNet's own generators, of which every thread has one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .elementwise import multiply
from .loading import mx
from .operators import Array, dtype_of, op, select, zeros_like

_dropout = op("Dropout", mode="always")
_uniform = op("_npi_uniform", low=0.0, high=1.0)
_minimum = op("_npi_minimum_scalar")
_less = op("_npi_less_scalar")


class _Seed:
    """The seed in force.

    MXNet's ``seed`` reaches the calling thread only: others take theirs from here, each its own, when they next draw.
    """

    def __init__(self) -> None:
        self.value: int | None = None
        self.arrivals = itertools.count(1)


class _Thread(threading.local):
    seen: _Seed | None = None


_current = _Seed()
_thread = _Thread()


def seed(value: int) -> None:
    """Reset the generators of this thread now and of the others when they next draw."""
    global _current
    fresh = _Seed()
    fresh.value = value
    mx.random.seed(_fold(value))
    _thread.seen = fresh
    _current = fresh


def _fold(value: int, thread: int = 0) -> int:
    """A seed of any size in the 31 bits that MXNet takes; small ones stay as they are."""
    if thread == 0 and 0 <= value < 2**31:
        return value
    sequence = np.random.SeedSequence([abs(value), int(value < 0), thread])
    return int(sequence.generate_state(1)[0]) & 0x7FFFFFFF


def join() -> None:
    """Seed this thread's generators if ``seed`` was called in another since they were last used."""
    state = _current
    if _thread.seen is not state:
        _thread.seen = state
        if state.value is not None:
            mx.random.seed(_fold(state.value, next(state.arrivals)))


def random_uniform(shape: tuple[int, ...], dtype: str, device: str) -> Array:
    join()
    kind, _, index = device.partition(":")
    x = _uniform(size=shape, dtype=dtype, ctx=f"{kind}({index or 0})")
    # MXNet rounds, so that 1 itself comes up once in 30 million.
    return _minimum(x, scalar=float(1 - np.finfo(dtype).epsneg))


def dropout(x: Array, p: float) -> Array:
    join()
    if x.size == 0:
        return x
    if dtype_of(x) == "float32":
        return _dropout(x, p=p)
    # MXNet scales by a float32 number.
    kept = _less(_uniform(size=x.shape, dtype="float32", ctx=str(x.ctx)), scalar=1 - p)
    return select(kept, multiply(x, 1 / (1 - p)), zeros_like(x))


FUNCTIONS: dict[str, Callable[..., Any]] = {"random_uniform": random_uniform, "dropout": dropout}
