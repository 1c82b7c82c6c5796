"""Reductions, cumulative sums and products, and sorting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .elementwise import equal_array, isnan, logical_or, multiply_array, subtract_array
from .operators import (
    Array,
    array,
    cast,
    detach,
    differentiable,
    dtype_of,
    full,
    is_float,
    ones_and_zeros,
    ones_like,
    op,
    reshape_to,
    select,
    slice_axis,
    transpose_to,
    zeros_like,
)

Axis = int | tuple[int, ...] | None

concatenate = op("_npi_concatenate")
_divide_scalar = op("_npi_true_divide_scalar")
_isfinite = op("_npi_isfinite")
_cumsum = op("_np_cumsum")
_not_equal = op("_npi_not_equal")


def axes_of(x: Array, axis: Axis) -> tuple[int, ...]:
    """The axes that ``axis`` means, none of them negative."""
    n = x.ndim
    if axis is None:
        return tuple(range(n))
    return tuple(a % n for a in (axis if isinstance(axis, tuple) else (axis,)))


def _attributes(axis: Axis, keepdims: bool) -> dict[str, Any]:
    return {"keepdims": keepdims} if axis is None else {"axis": axis, "keepdims": keepdims}


def flat_last(x: Array, axes: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """``x`` with the axes moved to the end and made one, and the shape of the others."""
    rest = [a for a in range(x.ndim) if a not in axes]
    shape = x.shape
    outer = tuple(shape[a] for a in rest)
    order = (*rest, *axes)
    moved = x if order == tuple(range(x.ndim)) else transpose_to(x, axes=order)
    return reshape_to(moved, newshape=(*outer, math.prod(shape[a] for a in axes))), outer


def kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` with the axes made 1."""
    return tuple(1 if a in axes else n for a, n in enumerate(shape))


# ---------------------------------------------------------------------- sums, products, extremes, truth
def _plain(name: str) -> Callable[..., Array]:
    reduce = op(name)

    def call(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return x if axis == () else reduce(x, **_attributes(axis, keepdims))

    return call


_BLOCK = 1024
"""So many numbers are added at once, in the order that BLAS likes, before their sums are added in turn."""

_dot = op("dot")
_native_sum = _plain("_np_sum")


def _ones(n: int, x: Array) -> Array:
    return ones_and_zeros(n, x)[0]


def _sum_rows(y: Array) -> Array:
    """Sums along the last of two axes."""
    rows, n = y.shape
    while n > 2 * _BLOCK:
        blocks, rest = divmod(n, _BLOCK)
        whole = y if rest == 0 else slice_axis(y, axis=1, begin=0, end=n - rest)
        sums = _dot(reshape_to(whole, newshape=(-1, _BLOCK)), _ones(_BLOCK, y))
        sums = reshape_to(sums, newshape=(rows, blocks))
        if rest:
            tail = _dot(slice_axis(y, axis=1, begin=n - rest, end=n), _ones(rest, y))
            sums = concatenate(sums, reshape_to(tail, newshape=(rows, 1)), axis=1)
        y, n = sums, blocks + (rest > 0)
    return _dot(y, _ones(n, y))


def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum, of floats as products with vectors of ones.

    MXNet's own makes NaN of infinity, being Kahan's, fails where nothing is summed into nothing, and takes fifty
    times as long, gradient included.
    """
    axes = axes_of(x, axis)
    if not axes:
        return x
    shape = x.shape
    if 0 in shape:
        return full(kept(shape, axes) if keepdims else _dropped(x, axes), 0, x)
    if not is_float(x) or x.ndim == 0:
        return _native_sum(x, axis=axis, keepdims=keepdims)
    outer = kept(shape, axes) if keepdims else _dropped(x, axes)
    dtype = dtype_of(x)
    if dtype == "float16":
        return cast(sum(cast(x, dtype="float32"), axis=axis, keepdims=keepdims), dtype=dtype)
    trailing = 0
    while x.ndim - 1 - trailing in axes:
        trailing += 1
    cut = x.ndim - trailing
    if trailing:
        x = _sum_rows(reshape_to(x, newshape=(-1, math.prod(shape[cut:]))))
    left = tuple(a for a in axes if a < cut)
    if left:
        leading, n = _are_first(left), math.prod(shape[a] for a in left)
        if leading and n <= 2 * _BLOCK:
            rows = reshape_to(x, newshape=(n, -1))
            x = _dot(reshape_to(_ones(n, x), newshape=(1, n)), rows)
        else:
            x = _sum_rows(_rows_of(reshape_to(x, newshape=shape[:cut]), left))
    return reshape_to(x, newshape=outer)


def _are_first(axes: tuple[int, ...]) -> bool:
    """Whether the axes are the first ones."""
    return sorted(axes) == list(range(len(axes)))


def _rows_of(x: Array, axes: tuple[int, ...]) -> Array:
    y, _ = flat_last(x, axes)
    return reshape_to(y, newshape=(-1, y.shape[-1]))


_native_prod = _plain("_np_prod")
all = _plain("_np_all")
any = _plain("_np_any")


def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over the count: NaN where there is nothing (MXNet's is 0)."""
    if dtype_of(x) == "float16":  # whose sums overflow
        return cast(mean(cast(x, dtype="float32"), axis=axis, keepdims=keepdims), dtype="float16")
    count = math.prod(x.shape[a] for a in axes_of(x, axis))
    total = sum(x, axis=axis, keepdims=keepdims)
    return _divide_scalar(total, scalar=float(count))


def prod(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The product, as a tree of pairs: MXNet's own divides by x for its gradient, and is 0 for an empty axis."""
    axes = axes_of(x, axis)
    if not axes:
        return x
    n = math.prod(x.shape[a] for a in axes)
    if x.size and not (is_float(x) and differentiable()):
        return _native_prod(x, axis=axis, keepdims=keepdims)
    if x.size == 0:
        return full(kept(x.shape, axes) if keepdims else _dropped(x, axes), 1, x)
    y, outer = flat_last(x, axes)
    while n > 1:
        half = n // 2
        pairs = multiply_array(
            slice_axis(y, axis=-1, begin=0, end=half), slice_axis(y, axis=-1, begin=half, end=2 * half)
        )
        y = concatenate(pairs, slice_axis(y, axis=-1, begin=n - 1, end=n), axis=-1) if n % 2 else pairs
        n = half + n % 2
    return reshape_to(y, newshape=kept(x.shape, axes) if keepdims else outer)


def _extremum(name: str) -> Callable[..., Array]:
    plain = _plain(name)

    def call(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        if axis == ():
            return x
        axes = axes_of(x, axis)
        if x.size == 0 and 0 not in [x.shape[a] for a in axes]:
            return full(kept(x.shape, axes) if keepdims else _dropped(x, axes), 0, x)
        if x.size == 0 or not (is_float(x) and differentiable()):
            return plain(x, axis=axis, keepdims=keepdims)
        # MXNet gives every one of equals the whole gradient, and NaN none. The terms below carry the shares; their
        # values cancel to 0 where the extremum is finite, so that it stays one of the elements to the last bit.
        top = plain(detach(x), axis=axis, keepdims=True)
        hit = logical_or(equal_array(x, top), isnan(x))
        count = sum(cast(hit, dtype=dtype_of(x)), axis=axis, keepdims=True)
        term = select(hit, x, zeros_like(x))
        finite = _isfinite(top)
        term = select(finite, subtract_array(term, detach(term)), term)
        out = sum(term / count, axis=axis, keepdims=True) + select(finite, top, zeros_like(top))
        if keepdims:
            return out
        return reshape_to(out, newshape=_dropped(x, axes))

    return call


def _dropped(x: Array, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for a, n in enumerate(x.shape) if a not in axes)


max = _extremum("_np_max")
min = _extremum("_np_min")


def _arg(name: str) -> Callable[..., Array]:
    find = op(name)

    def call(x: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
        x = detach(x)
        if dtype_of(x) == "bool":
            x = cast(x, dtype="int8")
        if x.ndim == 0:
            return array(0, "int64", x.ctx)
        return find(x, **_attributes(axis, keepdims))

    return call


# ---------------------------------------------------------------------- running sums and products
def cumulative_sum(x: Array, *, axis: int) -> Array:
    dtype = dtype_of(x)
    if x.size == 0:
        return x
    if dtype in ("float16", "float32"):  # MXNet adds one by one; in float64 nothing is lost on the way
        return cast(_cumsum(cast(x, dtype="float64"), axis=axis % x.ndim), dtype=dtype)
    return _cumsum(x, axis=axis % x.ndim)


def cumulative_prod(x: Array, *, axis: int) -> Array:
    """Products of ever longer stretches: log2(n) steps of multiplying the array with itself, shifted."""
    n, shift = x.shape[axis], 1
    while shift < n and x.size:
        head = slice_axis(x, axis=axis, begin=0, end=shift)
        behind = slice_axis(x, axis=axis, begin=0, end=n - shift)
        ahead = slice_axis(x, axis=axis, begin=shift, end=n)
        x = concatenate(head, multiply_array(ahead, behind), axis=axis)
        shift *= 2
    return x


# ---------------------------------------------------------------------- sorting
_argsort = op("argsort", dtype="int64")
_batch_take = op("_npi_take", mode="clip", axis=0)


def argsort(x: Array, *, axis: int = -1, descending: bool = False) -> Array:
    """A stable order, NaN largest, from MXNet's, which is neither.

    Sorting once gives every element the rank of its value; (rank, place) then is a key without equals.
    """
    x = detach(x)
    if x.size == 0 or x.ndim == 0 or x.shape[axis] == 1:
        return cast(zeros_like(x), dtype="int64")
    axis %= x.ndim
    y = cast(x, dtype="int8") if dtype_of(x) == "bool" else x
    order = [a for a in range(x.ndim) if a != axis] + [axis]
    rows = transpose_to(y, axes=tuple(order))
    moved, n = rows.shape, x.shape[axis]
    rows = reshape_to(rows, newshape=(-1, n))
    base = array(np.arange(rows.shape[0])[:, None] * n, "int64", x.ctx)
    place = array(np.arange(n), "int64", x.ctx)

    def look_up(table: Array, columns: Array) -> Array:
        return _batch_take(reshape_to(table, newshape=(-1,)), columns + base)

    nan = isnan(rows) if is_float(rows) else None
    if nan is not None:
        rows = select(nan, zeros_like(rows), rows)
    by_value = _argsort(rows, axis=-1)
    ascending = look_up(rows, by_value)
    step = _not_equal(
        slice_axis(ascending, axis=-1, begin=1, end=n), slice_axis(ascending, axis=-1, begin=0, end=n - 1)
    )
    first = zeros_like(slice_axis(by_value, axis=-1, begin=0, end=1))
    rank = _cumsum(concatenate(first, cast(step, dtype="int64"), axis=-1), axis=1)
    rank = look_up(rank, _argsort(by_value, axis=-1))
    if nan is not None:
        rank = select(nan, ones_like(rank) * n, rank)
    if descending:
        rank = n - rank
    result = _argsort(rank * n + place, axis=-1)
    result = reshape_to(result, newshape=moved)
    back = [0] * x.ndim
    for to, come in enumerate(order):
        back[come] = to
    return transpose_to(result, axes=tuple(back))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": sum,
    "mean": mean,
    "prod": prod,
    "max": max,
    "min": min,
    "all": all,
    "any": any,
    "argmax": _arg("_npi_argmax"),
    "argmin": _arg("_npi_argmin"),
    "cumulative_sum": cumulative_sum,
    "cumulative_prod": cumulative_prod,
    "argsort": argsort,
}
