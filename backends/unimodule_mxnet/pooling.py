"""Pooling. MXNet's own kernels know neither PyTorch's ceil mode nor dilation, and no NaN or -infinity."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .activation import quick_relu, relu
from .elementwise import (
    add,
    divide,
    equal,
    equal_array,
    isnan,
    logical_and,
    logical_or,
    multiply,
)
from .indexing import take_along_axis
from .operators import (
    Array,
    array,
    broadcast,
    cast,
    detach,
    dtype_of,
    host_sum,
    in_training,
    op,
    recording,
    reshape_to,
    select,
)
from .reductions import FUNCTIONS as _REDUCTIONS
from .shape import pad

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

_copy = op("_np_copy")
_pooling = op("Pooling")
_adaptive = op("_contrib_AdaptiveAvgPooling2D")
_slice = op("_npi_slice")
_greater = op("_npi_greater")
_square = op("_npi_square")
_minimum = op("_npi_minimum_scalar")
_stack = op("_npi_stack", axis=-1)
_argmax, _max = _REDUCTIONS["argmax"], op("_np_max")


# ---------------------------------------------------------------------- where the windows are
def _sizes(
    size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> tuple[Ints, Pairs]:
    """PyTorch's output size, and the padding that makes room for just these windows."""
    out, margin = [], []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        count = (n + 2 * p - reach + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1  # it would start in the padding on the right
        out.append(count)
        margin.append((p, max(p, (count - 1) * s + reach - n - p)))
    return tuple(out), tuple(margin)


def _around(x: Array, margin: Pairs, padding: Ints, value: float) -> tuple[Array, Ints]:
    """``x`` padded where MXNet cannot do it by itself, and the padding that is left to it."""
    if all(pair == (p, p) for pair, p in zip(margin, padding, strict=True)):
        return x, padding
    return pad(x, ((0, 0), (0, 0), *margin), value=value), (0,) * len(padding)


# ---------------------------------------------------------------------- max
def max_pool(x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool) -> Array:
    if all(n == 1 for n in (*kernel, *stride)):  # nothing to choose from: both forms below would be x itself
        return _copy(x)
    out, margin = _sizes(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)

    def chosen(x: Array) -> Array:
        return _chosen(x, out, margin, kernel, stride, dilation)

    def pooled(x: Array, kind: str) -> Array:
        # What it never sees is better than -infinity, which it takes for the lowest finite number.
        x, left = _around(x, margin, padding, _lowest(x))
        return in_training(_pooling, x, kernel=kernel, stride=stride, pad=left, pool_type=kind)

    def native(x: Array) -> Array:
        return pooled(x, "max")

    if any(d > 1 for d in dilation) or x.size == 0:
        return chosen(x)
    # MXNet's kernel passes over NaN and -infinity. A look at the values is cheap beside the pooling itself where they
    # are in the host's memory. On a GPU it would stall.
    if x.ctx.device_type != "cpu":
        return _corrected(x, pooled) if recording.by_others else native(x)
    if recording.by_others:
        return _either(x, chosen, native)
    return native(x) if math.isfinite(host_sum(x)) else chosen(x)


def _either(x: Array, chosen: Callable[[Array], Array], native: Callable[[Array], Array]) -> Array:
    """``native(x)`` in a recorded program where ``x`` is finite."""
    trace = recording.trace
    before = trace.source_of_relu(x)
    if before is not None:  # a finite array has a finite positive part, for which oneDNN's own kernel will do
        of_x, native_of_x = chosen, native
        x, chosen, native = before, lambda v: of_x(relu(v)), lambda v: native_of_x(quick_relu(v))
    averages = trace.in_blocks(x) or dtype_of(x) == "float16"  # whose sum may well be infinite
    return trace.either(x, chosen, native, _averages if averages else _REDUCTIONS["sum"])


def _averages(x: Array) -> Array:
    """The average of each channel, which oneDNN takes in any layout; for a sum its blocks would have to be taken apart."""
    return _pooling(x, kernel=(1,) * (x.ndim - 2), global_pool=True, pool_type="avg")


def _lowest(x: Array) -> float:
    return float(np.finfo(dtype_of(x)).min)


def _corrected(x: Array, pooled: Callable[[Array, str], Array]) -> Array:
    """MXNet's maxima put right by arithmetic, which takes four times as long as they do: twice the lowest number is
    -infinity, and of an average of squares, cut at 1, nothing is left but NaN.
    """
    y = pooled(x, "max")
    unbeaten = cast(equal(detach(y), _lowest(x)), dtype=dtype_of(x))
    nan_or_0 = multiply(_minimum(pooled(_square(detach(x)), "avg"), scalar=1.0), 0.0)
    return add(y, add(multiply(unbeaten, _lowest(x)), nan_or_0))


def _chosen(x: Array, out: Ints, margin: Pairs, kernel: Ints, stride: Ints, dilation: Ints) -> Array:
    """The maxima, chosen cell by cell: NaN wins, the gradient goes to the first of equals, and to the last of NaNs.

    One axis after the other, the last one first, so that the first of equals is the first row by row. What is around
    ``x`` is -infinity, and gives way to any cell of ``x``.
    """
    if x.size == 0:
        return broadcast(array(0, dtype_of(x), x.ctx), (*x.shape[:2], *out))
    for i in reversed(range(len(out))):
        if (kernel[i], stride[i], margin[i]) == (1, 1, (0, 0)):
            continue
        n, axis = x.shape[i + 2], i + 2
        around = [(0, 0)] * x.ndim
        around[axis] = margin[i]
        x = pad(x, tuple(around), value=-math.inf)
        begin, end, step = [0] * x.ndim, list(x.shape), [1] * x.ndim
        step[axis] = stride[i]
        starts = np.arange(out[i]).reshape(-1, *(1,) * (x.ndim - 1 - axis)) * stride[i] - margin[i][0]
        best, seen = None, np.zeros(starts.shape, bool)
        for offset in range(0, kernel[i] * dilation[i], dilation[i]):
            begin[axis], end[axis] = offset, offset + (out[i] - 1) * stride[i] + 1
            cell = _slice(x, begin=tuple(begin), end=tuple(end), step=tuple(step))
            inside = (starts + offset >= 0) & (starts + offset < n)
            best = cell if best is None else select(_better(cell, best, inside & ~seen), cell, best)
            seen |= inside
        x = best
    return x


def _better(cell: Array, best: Array, first: Any) -> Array:
    """Where ``cell`` is to take the place of ``best``; ``first`` says where it is the first that is no padding."""
    cell, best = detach(cell), detach(best)
    better = logical_or(_greater(cell, best), isnan(cell))
    return logical_or(better, array(first, "bool", cell.ctx)) if first.any() else better


def max_pool_with_indices(
    x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> tuple[Array, Array]:
    out, margin = _sizes(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    return _gathered(x, out, margin, kernel, stride, dilation)


def _gathered(
    x: Array, out: Ints, margin: Pairs, kernel: Ints, stride: Ints, dilation: Ints
) -> tuple[Array, Array]:
    """The maxima, gathered from where they are: the gradient goes to the first of equals, NaN wins."""
    size, lead = x.shape[2:], x.shape[:2]
    if x.size == 0:
        empty = broadcast(array(0, dtype_of(x), x.ctx), (*lead, *out))
        return empty, cast(empty, dtype="int64")
    padded = pad(detach(x), ((0, 0), (0, 0), *margin), value=-math.inf)
    ends = [
        [(i * d, i * d + (o - 1) * s + 1) for i in range(k)]
        for o, k, s, d in zip(out, kernel, stride, dilation, strict=True)
    ]
    step = (1, 1, *stride)
    cells = _stack(
        *(
            _slice(padded, begin=(0, 0, *(b for b, _ in at)), end=(*lead, *(e for _, e in at)), step=step)
            for at in itertools.product(*ends)
        )
    )
    places = array(_places(size, out, margin, kernel, stride, dilation), "int64", x.ctx)
    top = _max(cells, axis=-1, keepdims=True)
    hit = logical_or(equal_array(cells, top), isnan(cells))
    inside = op_greater_equal(
        places, scalar=0
    )  # a window of nothing but -infinity finds it in x, not around x
    first = _argmax(cast(logical_and(hit, inside), dtype="int32"), axis=-1, keepdims=True)
    places = broadcast(places, cells.shape)
    indices = reshape_to(take_along_axis(places, first, axis=-1), newshape=(*lead, *out))
    flat = reshape_to(x, newshape=(*lead, -1))
    values = take_along_axis(flat, reshape_to(indices, newshape=(*lead, -1)), axis=-1)
    return reshape_to(values, newshape=(*lead, *out)), indices


op_greater_equal = op("_npi_greater_equal_scalar")


@functools.lru_cache(maxsize=64)
def _places(size: Ints, out: Ints, margin: Pairs, kernel: Ints, stride: Ints, dilation: Ints) -> Any:
    """For every window and each of its cells the flat index into the unpadded array, -1 in the padding."""
    places = np.arange(math.prod(size), dtype=np.int64).reshape(size)
    places = np.pad(places, margin, constant_values=-1)
    steps = [
        [slice(i * d, i * d + (o - 1) * s + 1, s) for i in range(k)]
        for o, k, s, d in zip(out, kernel, stride, dilation, strict=True)
    ]
    return np.stack([places[at] for at in itertools.product(*steps)], axis=-1)


# ---------------------------------------------------------------------- average
def avg_pool(
    x: Array,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    size = x.shape[2:]
    out, margin = _sizes(size, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    if x.size == 0:
        return broadcast(array(0, dtype_of(x), x.ctx), (*x.shape[:2], *out))
    padded, left = _around(x, margin, padding, 0.0)
    window = {"kernel": kernel, "stride": stride, "pad": left}
    if padded is x and divisor_override is None:
        return _pooling(x, pool_type="avg", count_include_pad=count_include_pad, **window)
    total = _pooling(padded, pool_type="sum", **window)
    if divisor_override is not None:
        return divide(total, divisor_override)
    edge = padding if count_include_pad else (0,) * len(kernel)
    return divide(total, array(_counts(size, out, kernel, stride, padding, edge), dtype_of(x), x.ctx))


@functools.lru_cache(maxsize=64)
def _counts(size: Ints, out: Ints, kernel: Ints, stride: Ints, padding: Ints, edge: Ints) -> Any:
    """How many cells each window averages: those of ``x``, and of ``edge`` cells around it."""
    axes = [
        [min(i * s + k, n + p + e) - max(i * s, p - e) for i in range(o)]
        for o, k, s, n, p, e in zip(out, kernel, stride, size, padding, edge, strict=True)
    ]
    return functools.reduce(np.multiply.outer, [np.asarray(axis, np.float64) for axis in axes])


def adaptive_avg_pool(x: Array, output_size: Ints) -> Array:
    if x.size == 0:
        return broadcast(array(0, dtype_of(x), x.ctx), (*x.shape[:2], *output_size))
    # MXNet has it for two axes. Windows are products of intervals, so the axes can be taken in turn.
    shape = x.shape
    if len(output_size) == 2:
        return _adaptive(x, output_size=output_size)
    for axis, out in enumerate(output_size, start=2):
        ahead, n, behind = math.prod(shape[2:axis]), shape[axis], math.prod(shape[axis + 1 :])
        shape = (*shape[:axis], out, *shape[axis + 1 :])
        if n != out:
            plane = reshape_to(x, newshape=(shape[0], shape[1] * ahead, n, behind))
            x = reshape_to(_adaptive(plane, output_size=(out, behind)), newshape=shape)
    return x


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max_pool": max_pool,
    "max_pool_with_indices": max_pool_with_indices,
    "avg_pool": avg_pool,
    "adaptive_avg_pool": adaptive_avg_pool,
}
