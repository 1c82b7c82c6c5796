"""The random numbers that parameters are drawn from: NumPy's Philox, the same on every backend.

Each net reserves one stream when it is bound or initialised, and each of its parameters draws from its own substream,
numbered in the order of ``named_parameters()``. A lazy parameter, drawn later, gets the numbers that it would have got
at once.
"""

from __future__ import annotations

import itertools
import os
import threading

import numpy as np

from . import registry

_lock = threading.Lock()
_root: tuple[int, ...] = (int.from_bytes(os.urandom(8), "little"),)
_streams = itertools.count()

Stream = tuple[int, ...]
"""Names one reproducible sequence of random numbers."""


def seed(seed: int) -> None:
    """Reset all random state: the initial values drawn from now on, and dropout on every backend.

    Args:
        seed: a non-negative integer.

    Example:
        >>> import unimodule as um
        >>> um.seed(0)
    """
    global _root, _streams
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        from .errors import ArgumentError

        raise ArgumentError(f"seed expected a non-negative integer, got {seed!r}")
    with _lock:
        _root = (int(seed),)
        _streams = itertools.count()
    registry.seed_all(int(seed))


def reserve() -> Stream:
    """The next unused stream."""
    with _lock:
        return (*_root, next(_streams))


def generator(stream: Stream) -> np.random.Generator:
    """A generator at the start of ``stream``."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(list(stream))))
