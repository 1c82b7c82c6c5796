"""Pooling over the spatial axes of (N, C, *spatial), rank 1 to 3, with PyTorch's output sizes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ._jit import Array, computing_dtype, index_dtype, jit

Sizes = tuple[int, ...]

_SMALL_WINDOW = 9
"""Up to this many elements a window's maximum is taken over shifted slices, which XLA fuses: on a CPU the gradient of a
2 x 2 pooling of (32, 64, 56, 56) takes 16 ms instead of 77 (3 x 3: 49 instead of 59). Nor does it lose a NaN."""


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
    counts = [
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    best = None
    for place in itertools.product(*map(range, kernel)):
        starts = [i * d for i, d in zip(place, dilation, strict=True)]
        stops = [i + (n - 1) * s + 1 for i, n, s in zip(starts, counts, stride, strict=True)]
        other = lax.slice(x, (0, 0, *starts), (*x.shape[:2], *stops), _full(stride))
        if best is None:
            best = other
        else:  # only a larger one, or a NaN, takes the place: the gradient goes to the first of equals
            best = jnp.where((other > best) | jnp.isnan(other), other, best)
    return best


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
