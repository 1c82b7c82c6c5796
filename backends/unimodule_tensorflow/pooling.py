"""Pooling over windows in space. Windows in three dimensions are pooled in two steps, plane by plane and then in depth:
TensorFlow's 3-D kernels lack dtypes, and give the gradient of a maximum to every one of equals.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._layout import channels_first, to_first, to_last
from ._tools import custom_gradient, dims, move_last, pad_or_crop, rank, reshape, scalar, transpose, vector
from .indexing import getitem

Ints = tuple[int, ...]
Pool2d = Callable[[Tensor, Ints, Ints], Tensor]


def _output_size(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """How many windows PyTorch has along an axis: with ``ceil_mode`` also a last one that overhangs, if it starts inside
    the input or the padding on its left.
    """
    room = n + 2 * p - d * (k - 1) - 1
    out = (room + (s - 1 if ceil_mode else 0)) // s + 1
    return out - 1 if ceil_mode and (out - 1) * s >= n + p else out


def _plan(
    x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> tuple[list[int], list[tuple[int, int]]]:
    """The output's size, and the padding that makes just these windows fit."""
    if rank(x) != len(kernel) + 2:
        raise ValueError(f"pooling over {len(kernel)} spatial axes got input of shape {x.shape}")
    out, widths = [], []
    for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True):
        count = _output_size(n, k, s, p, d, ceil_mode)
        if count <= 0:
            raise ValueError(
                f"a window of {d * (k - 1) + 1} cells does not fit an axis of {n} with padding {p}"
            )
        out.append(count)
        widths.append((p, max((count - 1) * s + d * (k - 1) + 1 - n - p, 0)))
    return out, widths


def _padded(x: Tensor, widths: list[tuple[int, int]], value: float) -> Tensor:
    return pad_or_crop(x, ((0, 0), (0, 0), *widths), value)


# ---------------------------------------------------------------------- planes
def _by_planes(pool: Pool2d, x: Tensor, size: Ints, stride: Ints) -> Tensor:
    """Pool (N, C, *spatial), one to three spatial axes, with a function that pools two."""
    if len(size) == 2:
        return pool(x, tuple(size), tuple(stride))
    if len(size) == 1:
        out = pool(raw.ExpandDims(input=x, axis=2), (1, *size), (1, *stride))
        return raw.Squeeze(input=out, axis=[2])
    batch, channels, depth, height, width = dims(x)
    planes = pool(reshape(x, (batch, channels * depth, height, width)), tuple(size[1:]), tuple(stride[1:]))
    height, width = dims(planes)[2:]
    columns = reshape(planes, (batch, channels, depth, height * width))
    columns = pool(columns, (size[0], 1), (stride[0], 1))
    return reshape(columns, (batch, channels, dims(columns)[2], height, width))


def _run(
    kernel: Callable[..., Tensor], size: Ints, stride: Ints, first: bool, /, **tensors: Tensor
) -> Tensor:
    """A pooling kernel without padding, on tensors (N, C, height, width)."""
    if first:
        return kernel(
            **tensors, ksize=[1, 1, *size], strides=[1, 1, *stride], padding="VALID", data_format="NCHW"
        )
    tensors = {name: to_last(x) for name, x in tensors.items()}
    return to_first(kernel(**tensors, ksize=[1, *size, 1], strides=[1, *stride, 1], padding="VALID"))


# ---------------------------------------------------------------------- maximum
def max_pool(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool) -> Tensor:
    _, widths = _plan(x, kernel, stride, padding, dilation, ceil_mode)
    if not x.dtype.is_floating or any(d != 1 for d in dilation):
        return _chained_max(_padded(x, widths, _least(x)), kernel, stride, dilation)
    finite = raw.All(input=raw.IsFinite(x=x), axis=vector(range(rank(x))))

    def pool(planes: Tensor, size: Ints, stride: Ints) -> Tensor:
        return _max2d(size, stride, channels_first(x))(planes, finite)

    return _by_planes(pool, _padded(x, widths, -math.inf), tuple(kernel), tuple(stride))


@functools.lru_cache(maxsize=256)
def _max2d(size: Ints, stride: Ints, first: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """The kernel passes over a NaN and makes the lowest number of a window of -inf; PyTorch has both come through. They
    are rare, so a look at the input decides whether the slow way is taken. The gradient is the kernel's in any case.
    """

    def run(x: Tensor, finite: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, None]]]:
        # Outside the choice, which TensorFlow's optimiser does not look through: the transposes around the kernel then
        # cancel with their neighbours, and the gradient of a small CNN takes two thirds of the time.
        fast = _run(raw.MaxPool, size, stride, first, input=x)
        out = tf.cond(finite, lambda: fast, lambda: _chained_max(x, size, stride, (1, 1)))

        def gradient(dy: Tensor) -> tuple[Tensor, None]:
            back = _run(raw.MaxPoolGrad, size, stride, first, orig_input=x, orig_output=fast, grad=dy)
            return back, None

        return out, gradient

    return custom_gradient(run)


def _least(x: Tensor) -> float:
    return -math.inf if x.dtype.is_floating else x.dtype.min


def _taps(x: Tensor, axis: int, k: int, s: int, d: int) -> list[Tensor]:
    """For each cell of the window, the elements of ``x`` that it meets along ``axis``."""
    count = (x.shape[axis] - d * (k - 1) - 1) // s + 1
    lead = (slice(None),) * axis
    return [getitem(x, (*lead, slice(i * d, i * d + (count - 1) * s + 1, s))) for i in range(k)]


def _inwards_out(kernel: Ints, stride: Ints, dilation: Ints) -> list[tuple[int, int, int, int]]:
    """Axis, window, stride and dilation, the last axis first: so the first of equals in a window is the one that is
    found first axis by axis.
    """
    return list(zip(range(2, 2 + len(kernel)), kernel, stride, dilation, strict=True))[::-1]


def _chained_max(x: Tensor, kernel: Ints, stride: Ints, dilation: Ints) -> Tensor:
    for axis, k, s, d in _inwards_out(kernel, stride, dilation):
        first, *rest = _taps(x, axis, k, s, d)
        # Maximum keeps NaN and gives its gradient to the first operand of equals: both as max pooling should.
        x = functools.reduce(lambda best, tap: raw.Maximum(x=best, y=tap), rest, first)
    return x


def max_pool_with_indices(
    x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> tuple[Tensor, Tensor]:
    _, widths = _plan(x, kernel, stride, padding, dilation, ceil_mode)
    sizes = x.shape[2:]
    cells = np.arange(math.prod(sizes)).reshape(1, 1, *sizes)
    # Padding has index -1 and loses even to an element of -inf.
    cells = np.pad(cells, [(0, 0), (0, 0), *widths], constant_values=-1)
    where = tf.constant(cells, tf.int64)
    x = _padded(x, widths, _least(x))
    for axis, k, s, d in _inwards_out(kernel, stride, dilation):
        (best, *taps), (at, *places) = _taps(x, axis, k, s, d), _taps(where, axis, k, s, d)
        for tap, place in zip(taps, places, strict=True):
            better = raw.LogicalOr(x=raw.Greater(x=tap, y=best), y=raw.Less(x=at, y=tf.constant(0, tf.int64)))
            if x.dtype.is_floating:
                first_nan = raw.LogicalAnd(x=raw.IsNan(x=tap), y=raw.Equal(x=best, y=best))
                better = raw.LogicalOr(x=better, y=first_nan)
            best = raw.SelectV2(condition=better, t=tap, e=best)
            at = raw.SelectV2(condition=better, t=place, e=at)
        x, where = best, at
    return x, raw.BroadcastTo(input=where, shape=raw.Shape(input=x))


# ---------------------------------------------------------------------- mean
def _mean2d(x: Tensor, size: Ints, stride: Ints) -> Tensor:
    return _run(raw.AvgPool, size, stride, channels_first(x), value=x)


def avg_pool(
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    out, widths = _plan(x, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    cells = math.prod(kernel)
    mean = _by_planes(_mean2d, _padded(x, widths, 0.0), tuple(kernel), tuple(stride))
    if divisor_override is not None:
        return raw.Mul(x=mean, y=scalar(cells / divisor_override, x))
    counts = _counts(
        tuple(x.shape[2:]), tuple(out), tuple(kernel), tuple(stride), tuple(padding), count_include_pad
    )
    if (counts == cells).all():
        return mean
    return raw.Mul(x=mean, y=tf.constant(cells / counts, x.dtype))


@functools.lru_cache(maxsize=256)
def _counts(
    size: Ints, out: Ints, kernel: Ints, stride: Ints, padding: Ints, count_include_pad: bool
) -> np.ndarray[Any, Any]:
    """The number of cells that PyTorch divides the sum of each window by: padding counts if it is told to, what
    overhangs the padding never does.
    """
    total = np.ones(())
    for n, m, k, s, p in zip(size, out, kernel, stride, padding, strict=True):
        start = np.arange(m) * s - p
        end = np.minimum(start + k, n + p)
        along = end - start if count_include_pad else np.minimum(end, n) - np.maximum(start, 0)
        total = np.multiply.outer(total, along)
    return total


def adaptive_avg_pool(x: Tensor, output_size: Sequence[int]) -> Tensor:
    size = tuple(x.shape[2:])
    if len(size) != len(output_size):
        raise ValueError(f"adaptive pooling to {tuple(output_size)} got input of shape {x.shape}")
    if all(n % m == 0 for n, m in zip(size, output_size, strict=True)):
        window = tuple(n // m for n, m in zip(size, output_size, strict=True))
        if all(m == 1 for m in output_size):
            return raw.Mean(input=x, axis=vector(range(2, rank(x))), keep_dims=True)
        return _by_planes(_mean2d, x, window, window)
    for axis, m in enumerate(output_size, start=2):
        x = _adapt(x, axis, m)
    return x


def _adapt(x: Tensor, axis: int, out: int) -> Tensor:
    """Means over nearly equal parts of one axis: the parts are gathered, the shorter ones filled up with zeros."""
    n = x.shape[axis]
    starts = np.arange(out) * n // out
    lengths = -(-(np.arange(out) + 1) * n // out) - starts
    cells = starts[:, None] + np.arange(lengths.max())
    cells = np.where(cells < (starts + lengths)[:, None], cells, n)
    last, back = move_last(x, axis)
    last = pad_or_crop(last, [(0, 0)] * (rank(x) - 1) + [(0, 1)])
    parts = raw.GatherV2(params=last, indices=tf.constant(cells, tf.int32), axis=rank(x) - 1)
    mean = raw.RealDiv(x=raw.Sum(input=parts, axis=vector((-1,))), y=tf.constant(lengths, x.dtype))
    return mean if back is None else transpose(mean, back)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max_pool": max_pool,
    "max_pool_with_indices": max_pool_with_indices,
    "avg_pool": avg_pool,
    "adaptive_avg_pool": adaptive_avg_pool,
}
