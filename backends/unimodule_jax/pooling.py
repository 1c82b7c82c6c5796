"""Pooling over the spatial axes of (N, C, *spatial), rank 1 to 3, with PyTorch's output sizes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._jit import Array, computing_dtype, index_dtype, jit

Sizes = tuple[int, ...]

_SMALL_WINDOW = 9
"""Up to this many elements a window's maximum is taken over shifted slices, axis by axis, which XLA fuses: on one CPU core
the gradient of a 2 x 2 pooling of (32, 64, 56, 56) takes 12 ms instead of 89. Nor does it lose a NaN."""


# ---------------------------------------------------------------------- where the windows lie
def _high_padding(
    spatial: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Sizes:
    """Padding after each axis that makes the windows as many as PyTorch has.

    In ceil mode a last, partial window counts, but only if it starts inside the input or the padding before it.
    """
    result = []
    for size, k, s, p, d in zip(spatial, kernel, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        high = p
        if size + 2 * p + (s - 1 if ceil_mode else 0) < reach:
            raise ValueError(f"pooling: a window of {reach} does not fit {size} and a padding of {p}")
        if ceil_mode:
            windows = -(-(size + 2 * p - reach) // s) + 1
            if (windows - 1) * s < size + p:
                high = max(p, (windows - 1) * s + reach - size - p)
        result.append(high)
    return tuple(result)


def _full(sizes: tuple[Any, ...], fill: Any = 1) -> tuple[Any, ...]:
    """Per-axis settings of the spatial axes, with the batch and channel axes in front."""
    return (fill, fill, *sizes)


def _pairs(padding: Sizes, high: Sizes) -> tuple[tuple[int, int], ...]:
    return _full(tuple(zip(padding, high, strict=True)), (0, 0))


# ---------------------------------------------------------------------- maximum
@jit("kernel", "stride", "padding", "dilation", "ceil_mode")
def max_pool(
    x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Array:
    high = _high_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    if math.prod(kernel) <= _SMALL_WINDOW:
        return _max_of_slices(x, kernel, stride, _pairs(padding, high), dilation)
    if any(d > 1 for d in dilation):  # JAX has no gradient for a dilated window
        return _max_with_indices(x, kernel, stride, _pairs(padding, high), dilation)[0]
    init = np.array(-np.inf, x.dtype)
    return lax.reduce_window(x, init, lax.max, _full(kernel), _full(stride), _pairs(padding, high))


def _max_of_slices(x: Array, kernel: Sizes, stride: Sizes, pairs: Any, dilation: Sizes) -> Array:
    x = lax.pad(x, np.array(-np.inf, x.dtype), [(low, high, 0) for low, high in pairs])
    if stride != kernel or any(d > 1 for d in dilation):
        return _slide(x, kernel, stride, dilation)[0]
    whole = [n - n % k for n, k in zip(x.shape[2:], kernel, strict=True)]
    return _tile(lax.slice(x, (0,) * x.ndim, (*x.shape[:2], *whole)), kernel)


def _slide(
    x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes, places: bool = False
) -> tuple[Array, Array | None]:
    """The largest of each window, and, if asked for, its place there in row-major order. The last axis comes first, so
    that the first of equals in that order wins, and the last NaN.
    """
    best: Array = x
    at: Array | None = None
    weight = 1
    for axis in range(x.ndim - 1, 1, -1):
        k, s, d = kernel[axis - 2], stride[axis - 2], dilation[axis - 2]
        reach = ((best.shape[axis] - d * (k - 1) - 1) // s) * s + 1

        def shifted(
            whole: Array, i: int, axis: int = axis, s: int = s, d: int = d, reach: int = reach
        ) -> Array:
            return lax.slice_in_dim(whole, i * d, i * d + reach, s, axis)

        rows, row_at = best, at
        best = shifted(rows, 0)
        if places:
            at = jnp.zeros(best.shape, jnp.int8) if row_at is None else shifted(row_at, 0)
        for i in range(1, k):
            other = shifted(rows, i)
            takes = (other > best) | jnp.isnan(other)
            best = jnp.where(takes, other, best)
            if places:
                there = 0 if row_at is None else shifted(row_at, i)
                at = jnp.where(takes, jnp.int8(i * weight) + there, at)
        weight *= k
    return best, at


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _tile(x: Array, kernel: Sizes) -> Array:
    """The largest of each window, where windows lie side by side and cover everything."""
    return _slide(x, kernel, kernel, (1,) * len(kernel))[0]


@_tile.defjvp
def _tile_jvp(kernel: Sizes, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # As one choice by place the gradient is one pass over x. JAX's own, through the comparisons, computes whatever x
    # comes from (a bias, a relu) again for each of them: twice the time of a small CNN's whole backward pass.
    (x,), (slope,) = primals, tangents
    best, at = _slide(x, kernel, kernel, (1,) * len(kernel), places=True)
    assert at is not None
    split, inner = list(x.shape[:2]), tuple(range(3, 3 + 2 * len(kernel), 2))
    for n, k in zip(best.shape[2:], kernel, strict=True):
        split += [n, k]
    numbers = np.arange(math.prod(kernel), dtype=np.int8).reshape(
        [k for pair in zip((1,) * len(kernel), kernel, strict=True) for k in pair]
    )
    chosen = lax.expand_dims(at, inner) == numbers
    return best, jnp.sum(jnp.where(chosen, slope.reshape(split), 0), axis=inner)


@jit("kernel", "stride", "padding", "dilation", "ceil_mode")
def max_pool_with_indices(
    x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[Array, Array]:
    high = _high_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    return _max_with_indices(x, kernel, stride, _pairs(padding, high), dilation)


def _max_with_indices(
    x: Array, kernel: Sizes, stride: Sizes, pairs: Any, dilation: Sizes
) -> tuple[Array, Array]:
    spatial = x.shape[2:]
    total = math.prod(spatial)
    places = jnp.broadcast_to(lax.iota(jnp.int32, total).reshape(spatial), x.shape)

    def better(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        # Symmetric in a and b, since XLA may combine in any order: the last NaN, else the first of the largest.
        (av, ai), (bv, bi) = a, b
        nan_a, nan_b, earlier = jnp.isnan(av), jnp.isnan(bv), ai < bi
        larger = (av > bv) | ((av == bv) & earlier)
        take_a = jnp.where(nan_a & nan_b, ~earlier, nan_a | (~nan_b & larger))
        return jnp.where(take_a, av, bv), jnp.where(take_a, ai, bi)

    _, indices = lax.reduce_window(
        (lax.stop_gradient(x), places),
        (np.array(-np.inf, x.dtype), np.array(total, np.int32)),
        better,
        _full(kernel),
        _full(stride),
        pairs,
        window_dilation=_full(dilation),
    )
    flat = x.reshape(*x.shape[:2], total)
    values = jnp.take_along_axis(flat, indices.reshape(*x.shape[:2], -1), axis=2)  # carries the gradient
    return values.reshape(indices.shape), indices.astype(index_dtype())


# ---------------------------------------------------------------------- average
@jit("kernel", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
def avg_pool(
    x: Array,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    spatial = x.shape[2:]
    high = _high_padding(spatial, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    wide = x.astype(computing_dtype(x.dtype))
    zero = np.array(0, wide.dtype)
    total = lax.reduce_window(wide, zero, lax.add, _full(kernel), _full(stride), _pairs(padding, high))
    if divisor_override is not None:
        return (total / divisor_override).astype(x.dtype)
    counts = np.ones((), wide.dtype)
    for axis, n in enumerate(total.shape[2:]):
        start = np.arange(n) * stride[axis] - padding[axis]
        # A partial window of ceil mode counts the declared padding at most, not what ceil mode adds to it.
        low, end = (
            (start, spatial[axis] + padding[axis]) if count_include_pad else (start.clip(0), spatial[axis])
        )
        counts = np.multiply.outer(counts, np.minimum(start + kernel[axis], end) - low)
    return (total / counts.astype(wide.dtype)).astype(x.dtype)


@jit("output_size")
def adaptive_avg_pool(x: Array, output_size: Sizes) -> Array:
    # The windows are boxes, so the mean over a box is the mean over its sides, one axis after the other.
    y = x.astype(computing_dtype(x.dtype))
    for axis, outputs in enumerate(output_size, start=2):
        y = _adaptive_mean(y, axis, outputs)
    return y.astype(x.dtype)


def _adaptive_mean(x: Array, axis: int, outputs: int) -> Array:
    size = x.shape[axis]
    if outputs and size % outputs == 0:
        split = x.reshape(*x.shape[:axis], outputs, size // outputs, *x.shape[axis + 1 :])
        return jnp.mean(split, axis=axis + 1)
    window = np.arange(outputs)
    start = window * size // outputs if outputs else window
    stop = -(-(window + 1) * size // outputs) if outputs else window
    counts = stop - start
    offsets = np.arange(counts.max(initial=0))
    inside = offsets < counts[:, None]
    rows = jnp.take(x, np.minimum(start[:, None] + offsets, size - 1), axis=axis)
    tail = (1,) * (x.ndim - axis - 1)
    kept = jnp.where(inside.reshape(*inside.shape, *tail), rows, 0)
    return jnp.sum(kept, axis=axis + 1) / counts.astype(x.dtype).reshape(-1, *tail)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max_pool": max_pool,
    "max_pool_with_indices": max_pool_with_indices,
    "avg_pool": avg_pool,
    "adaptive_avg_pool": adaptive_avg_pool,
}
