"""Indexing: basic keys, gathering along an axis, embedding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .operators import Array, array, broadcast, dtype_of, full, op, reshape_to

_slice = op("_npi_slice", guard=True)
_take = op("_npi_take", mode="clip", guard=True)
_embedding = op("Embedding")
_add = op("_npi_add")
_multiply = op("_npi_multiply_scalar")


def getitem(x: Array, key: tuple[Any, ...]) -> Array:
    """``x[key]`` as a strided slice and a reshape: MXNet's own goes through ten times as much Python."""
    shape = x.shape
    free = len(shape) - sum(part is not None and part is not ... for part in key)
    cuts: list[tuple[int, int, int]] = []  # (begin, end, step) for every axis of x
    out: list[int] = []
    for part in key if ... in key else (*key, ...):
        if part is None:
            out.append(1)
        elif part is ...:
            untouched = shape[len(cuts) : len(cuts) + free]
            cuts += [(0, n, 1) for n in untouched]
            out += untouched
        elif isinstance(part, slice):
            begin, end, step = part.indices(shape[len(cuts)])
            cuts.append((begin, max(begin, end), step))
            out.append(len(range(begin, end, step)))
        else:
            begin = int(part) % shape[len(cuts)]
            cuts.append((begin, begin + 1, 1))
    if cuts != [(0, n, 1) for n in shape]:
        if (
            0 in out and len(shape) < 3
        ):  # its slice makes nothing of a vector or matrix only behind another axis
            extra = 3 - len(shape)
            x = reshape_to(x, newshape=(*shape, *(1,) * extra))
            cuts += [(0, 1, 1)] * extra
        begins, ends, steps = zip(*cuts, strict=True)
        x = _slice(x, begin=begins, end=ends, step=steps)
    return x if tuple(out) == x.shape else reshape_to(x, newshape=tuple(out))


def take(x: Array, indices: Array, *, axis: int) -> Array:
    return _take(x, indices, axis=axis)


def take_along_axis(x: Array, indices: Array, *, axis: int = -1) -> Array:
    """``x[..., indices[..., j, ...], ...]``, as one gather from the flat ``x``."""
    axis %= x.ndim
    width, count = x.shape[axis], indices.shape[axis]
    pairs = zip(x.shape, indices.shape, strict=True)
    outer = [m if n == 1 else n for a, (n, m) in enumerate(pairs) if a != axis]
    x = broadcast(x, (*outer[:axis], width, *outer[axis:]))
    indices = broadcast(indices, (*outer[:axis], count, *outer[axis:]))
    if indices.size == 0:
        return full(indices.shape, 0, x)
    # Element (o, i, j) of (outer, width, inner) is at o * width * inner + i * inner + j.
    inner = math.prod(outer[axis:])
    base = np.arange(math.prod(outer[:axis]))[:, None, None] * (width * inner) + np.arange(inner)
    flat = reshape_to(indices, newshape=(-1, count, inner))
    places = _add(_multiply(_int64(flat), scalar=inner), array(base, "int64", x.ctx))
    found = _take(reshape_to(x, newshape=(-1,)), places, axis=0)
    return reshape_to(found, newshape=indices.shape)


_cast = op("_npi_cast", dtype="int64")


def _int64(indices: Array) -> Array:
    return indices if dtype_of(indices) == "int64" else _cast(indices)


def embedding(indices: Array, weight: Array) -> Array:
    rows, width = weight.shape
    if indices.size == 0 or weight.size == 0:
        return _take(weight, indices, axis=0)
    return _embedding(indices, weight, input_dim=rows, output_dim=width, dtype=dtype_of(weight))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "getitem": getitem,
    "take": take,
    "take_along_axis": take_along_axis,
    "embedding": embedding,
}
