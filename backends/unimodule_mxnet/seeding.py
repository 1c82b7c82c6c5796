"""The seed of MXNet's own generators, of which every thread has one: for what a user draws with ``mx.np.random``."""

from __future__ import annotations

import itertools
import threading

import numpy as np

from .loading import mx


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
