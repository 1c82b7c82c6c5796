"""Threefry-2x32 with 20 rounds: the bit generator whose numbers are the same on every backend.

It needs additions, rotations and exclusive ors of 32 bits, which every framework has, and no state: the numbers of draw
``d`` are the images of the counters (0, d), (1, d), ... under a key, first all first words and then all second words.
Here it is on NumPy; ``ops._portable`` runs the same rounds on native tensors.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. JAX has the same function as
``jax.extend.random.threefry_2x32``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import dtypes

Key = tuple[int, int]
Array = np.ndarray[Any, Any]

PARITY = 0x1BD11BDA
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
WORD = 0xFFFF_FFFF
_CHUNK = 1 << 13  # as many as stay in the cache through all rounds


def rounds(
    key: tuple[Any, Any, Any],
    x0: Any,
    x1: Any,
    add: Callable[[Any, Any], Any],
    xor: Callable[[Any, Any], Any],
    rotate: Callable[[Any, int], Any],
) -> tuple[Any, Any]:
    """The twenty rounds, in whatever arithmetic of 32-bit words; ``key`` ends with the parity of its first two words."""
    x0, x1 = add(x0, key[0]), add(x1, key[1])
    for group in range(5):
        for bits in ROTATIONS[group % 2]:
            x0 = add(x0, x1)
            x1 = xor(rotate(x1, bits), x0)
        x0 = add(x0, key[(group + 1) % 3])
        x1 = add(add(x1, key[(group + 2) % 3]), group + 1)
    return x0, x1


def threefry(key: Key, x0: Array, x1: Array) -> tuple[Array, Array]:
    """The image of counters, two arrays of uint32 with at least one axis.

    Example:
        >>> zero = np.zeros(1, np.uint32)
        >>> [hex(int(word[0])) for word in threefry((0, 0), zero, zero)]
        ['0x6b200159', '0x99ba4efe']
    """
    words = tuple(np.uint32(word) for word in (*key, key[0] ^ key[1] ^ PARITY))
    return rounds(
        (words[0], words[1], words[2]),
        x0,
        x1,
        lambda a, b: a + np.uint32(b),
        np.bitwise_xor,
        lambda x, bits: (x << np.uint32(bits)) | (x >> np.uint32(32 - bits)),
    )


def derive(key: Key, draw: int, index: int) -> Key:
    """The key of part ``index`` of what draw ``draw`` was set aside for (a loop's step, a slice)."""
    y0, y1 = threefry(key, np.array([index & WORD], np.uint32), np.array([draw & WORD], np.uint32))
    return int(y0[0]), int(y1[0])


def words(key: Key, draw: int, count: int) -> tuple[Array, Array]:
    """The first and the second words of so many counters of a draw."""
    first, second = np.empty(count, np.uint32), np.empty(count, np.uint32)
    for part in _chunks(count):
        x0 = np.arange(part.start, part.stop, dtype=np.uint32)
        first[part], second[part] = threefry(key, x0, np.full_like(x0, draw & WORD))
    return first, second


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, _CHUNK):
        yield slice(start, min(start + _CHUNK, count))


SIGNIFICANT = {"float16": 11, "bfloat16": 8, "float32": 24}
"""How many bits of a word make a number in [0, 1): as many as the dtype holds, so that none rounds up to 1."""


def flat_words(key: Key, draw: int, count: int) -> Array:
    """The first so many words of a draw."""
    return np.concatenate(words(key, draw, (count + 1) // 2))[:count]


def uniform(key: Key, draw: int, shape: tuple[int, ...], dtype: str) -> Array:
    """Numbers in [0, 1)."""
    count = math.prod(shape)
    if dtype == "float64":
        high, low = words(key, draw, count)
        numbers = ((high >> np.uint32(5)) * 2.0**26 + (low >> np.uint32(6))) * 2.0**-53
        return np.asarray(numbers.reshape(shape))
    bits = SIGNIFICANT[dtype]
    drawn = (flat_words(key, draw, count) >> np.uint32(32 - bits)).astype(np.float32)
    return (drawn * np.float32(2.0**-bits)).reshape(shape).astype(dtypes.to_numpy_dtype(dtype))


def threshold(p: float) -> int:
    """What 24 bits must reach for a cell to be kept that is dropped with probability ``p``."""
    return math.ceil(p * 2**24)


def keep(key: Key, draw: int, shape: tuple[int, ...], p: float, dtype: str) -> Array:
    """A mask: 0 with probability ``p``, else 1."""
    drawn = flat_words(key, draw, math.prod(shape)) >> np.uint32(8)
    return (drawn >= threshold(p)).reshape(shape).astype(dtypes.to_numpy_dtype(dtype))
