"""Strategies for shapes and arrays, with the boundaries at which functions go wrong.

Sides of 1, a batch of 1, no axes at all; zeros, ties, saturated values, magnitudes, NaN and infinities. No number is
subnormal, since some frameworks flush those to zero. An array is drawn as a recipe (``specs.Array``: a pool and a seed,
or, when it is small, its values one by one), so that failing cases shrink and can be printed; ``numpy_arrays`` makes it
real for anyone's own tests.

Example:
    >>> from hypothesis import given
    >>> from unimodule_conformance.strategies import arrays
    >>> @given(arrays.numpy_arrays(arrays.shapes(min_rank=1), fills=arrays.EDGES))
    ... def test_of_yours(x):
    ...     assert abs(x).shape == x.shape
    >>> test_of_yours()
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..building import array as realised
from ..pools import POOLS
from ..specs import Array

Shape = tuple[int, ...]

SMOOTH = ("normal", "positive", "small")
"""Ordinary numbers: nothing special happens at any of them."""

EDGES = ("normal", "ties", "zeros", "saturated", "equal", "small", "large")
"""Ordinary numbers, and those at which piecewise functions break, saturate or lose digits."""

BREAKS = ("ties",) * 6
"""More of those at which piecewise functions break, for functions that do: most of what can be wrong of them is there."""

SPECIAL = ("special", "some_nan")
"""NaN and infinities."""

SEEDS = st.integers(0, 2**16)

LITERAL = 6
"""Arrays of at most so many elements may be drawn value by value."""

_values = st.floats(-8.0, 8.0, width=32, allow_nan=False, allow_subnormal=False).filter(
    lambda x: x == 0 or abs(x) > 1e-3
)


def sides(low: int = 1, high: int = 4) -> st.SearchStrategy[int]:
    """The size of an axis; 1 is frequent."""
    return st.integers(low, high)


@st.composite
def shapes(
    draw: st.DrawFn, min_rank: int = 0, max_rank: int = 4, side: int = 4, zero: bool = False, size: int = 120
) -> Shape:
    """A shape.

    Args:
        min_rank, max_rank: how many axes it has.
        side: the largest size of an axis.
        zero: whether a size may be 0.
        size: how many elements there may be.
    """
    # No axes at all are an edge case, and one of few elements: of others there are to be twice as many.
    ranks = [*range(min_rank, max_rank + 1), *range(max(min_rank, 1), max_rank + 1)]
    rank = draw(st.sampled_from(ranks))
    found: list[int] = []
    for _ in range(rank):
        room = size // max(1, math.prod(found))
        found.append(draw(st.integers(1, max(1, min(side, room)))))
    if zero and rank and draw(st.integers(0, 9)) == 9:
        found[draw(st.integers(0, rank - 1))] = 0
    return tuple(found)


@st.composite
def broadcast_to(draw: st.DrawFn, shape: Shape) -> Shape:
    """A shape that broadcasts to ``shape``: axes in front left out, others of size 1."""
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(1 if draw(st.integers(0, 3)) == 3 else n for n in kept)


@st.composite
def specs_of(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape],
    fills: Sequence[str] = EDGES,
    dtype: str = "float32",
) -> Array:
    """An array of a shape, from one of several pools (``pools.POOLS`` says what is in each), as a recipe."""
    sizes = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    fill = draw(st.sampled_from(tuple(fills)))
    count = math.prod(sizes)
    if (
        fill == "normal"
        and dtype.startswith("float")
        and 0 < count <= LITERAL
        and draw(st.integers(0, 3)) == 3
    ):
        values = tuple(draw(_values) for _ in range(count))
        return Array(sizes, dtype, values=values)
    return Array(sizes, dtype, fill, draw(SEEDS))


def numpy_arrays(
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    fills: Sequence[str] = EDGES,
    dtype: str = "float32",
) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    """NumPy arrays; see ``specs_of``."""
    return specs_of(shapes() if shape is None else shape, fills, dtype).map(
        lambda given: realised(given, dtype if dtype.startswith("float") else "float32")
    )


__all__ = [
    "BREAKS",
    "EDGES",
    "LITERAL",
    "POOLS",
    "SEEDS",
    "SMOOTH",
    "SPECIAL",
    "broadcast_to",
    "numpy_arrays",
    "shapes",
    "sides",
    "specs_of",
]
