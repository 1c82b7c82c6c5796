"""Functions that move elements about: reshape, transpose, broadcast, concat, flip, pad, astype."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .operators import (
    Array,
    broadcast,
    cast,
    detach,
    dtype_of,
    exact,
    full,
    known,
    op,
    reshape_to,
    transpose_to,
)
from .reductions import axes_of, concatenate

_flip = op("_npi_flip")
_pad = op("_npi_pad", mode="constant")


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    return reshape_to(x, newshape=shape)


def permute_dims(x: Array, axes: tuple[int, ...]) -> Array:
    return transpose_to(x, axes=axes) if axes else x


def concat(arrays: Sequence[Array], *, axis: int = 0) -> Array:
    return concatenate(*arrays, axis=axis) if len(arrays) > 1 else arrays[0]


def flip(x: Array, *, axis: int | tuple[int, ...] | None = None) -> Array:
    axes = axes_of(x, axis)
    if not axes or x.size == 0:
        return x
    if dtype_of(x) == "bool":
        return cast(_flip(cast(x, dtype="int8"), axis=axes), dtype="bool")
    return _flip(x, axis=axes)


def pad(x: Array, widths: Sequence[tuple[int, int]], *, value: float = 0.0) -> Array:
    if not any(map(any, widths)):
        return x
    if x.ndim == 1:  # MXNet reads a single pair as a short form, and trips over it
        n = x.shape[0] + sum(widths[0])
        return reshape_to(pad(reshape_to(x, newshape=(1, -1)), ((0, 0), *widths), value=value), newshape=(n,))
    if x.size and x.ndim <= 5 and exact(value, x):
        return _pad(x, pad_width=tuple(map(tuple, widths)), constant_value=float(value))
    for axis, pair in enumerate(widths):
        shape = x.shape
        ends = [full((*shape[:axis], n, *shape[axis + 1 :]), value, x) if n else None for n in pair]
        parts = [part for part in (ends[0], x, ends[1]) if part is not None]
        x = concat(parts, axis=axis)
    return x


def astype(x: Array, dtype: str) -> Array:
    if dtype_of(x) == dtype:
        return x
    # MXNet's cast hands a gradient on through integers.
    return cast(x if "float" in dtype else detach(x), dtype=known(dtype))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "reshape": reshape,
    "permute_dims": permute_dims,
    "broadcast_to": broadcast,
    "concat": concat,
    "flip": flip,
    "pad": pad,
    "astype": astype,
    "stop_gradient": detach,
}
