"""The random numbers that parameters are drawn from: NumPy's Philox, the same on every backend.

Each net reserves one stream when it is bound or initialised, and each of its parameters draws from its own substream,
numbered in the order of ``named_parameters()``. A lazy parameter, drawn later, gets the numbers that it would have got
at once.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import Any

import numpy as np

from . import registry
from .errors import ArgumentError

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
    checked = check_seed(seed)
    with _lock:
        _root = (checked,)
        _streams = itertools.count()
    registry.seed_all(checked)


def check_seed(seed: Any) -> int:
    """The seed as a Python integer.

    Raises:
        ArgumentError: it is not a non-negative integer.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"a seed is a non-negative integer, got {seed!r}")
    return int(seed)


def reserve() -> Stream:
    """The next unused stream."""
    with _lock:
        return (*_root, next(_streams))


def generator(stream: Stream) -> np.random.Generator:
    """A generator at the start of ``stream``."""
    # Not as one list of entropy: SeedSequence pads that with zeros, so that (3, 1) and (3, 1, 0) would be one stream.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(stream[0], spawn_key=stream[1:])))
