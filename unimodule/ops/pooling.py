"""Pooling over one to three spatial axes. Arguments are tuples with one entry for each spatial axis."""

from __future__ import annotations

import itertools
import math

import numpy as np

from .. import dtypes, ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError
from ._checks import expect_one_dtype
from ._dispatch import checks, unary
from ._windows import (
    Ints,
    expect_output,
    pad_spatial,
    pool_padding,
    pool_size,
    spatial,
    windows,
)


@unary
def max_pool(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool) -> Tensor:
    """The largest cell under each window: y[n, c, i] = max over k of x[n, c, s i + d k - p].

    Args:
        x: (N, C, *spatial).
        kernel, stride, dilation: size, step and spread of the window, for each axis.
        padding: cells of -infinity on both sides of each axis; at most half the kernel.
        ceil_mode: round the output size up, so that windows may reach over the right edge; one that would start in
            the padding there is dropped.

    Returns:
        (N, C, *spatial'), spatial' = floor((L + 2 p - d (k - 1) - 1) / s) + 1. NaN wins; the gradient goes to the
        first of equals.

    Raises:
        ShapeError: the window is larger than the padded input.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.max_pool(np.asarray([[[1.0, 3.0, 2.0, 0.0]]]), (2,), (2,), (0,), (1,), False)
        array([[[3., 2.]]])
    """
    return ops.max_pool_with_indices(x, kernel, stride, padding, dilation, ceil_mode)[0]


@unary
def max_pool_with_indices(
    x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> tuple[Tensor, Tensor]:
    """``max_pool`` and where each of its cells came from.

    Returns:
        The values, and an int64 tensor of the same shape: the row-major index into the spatial axes of ``x``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.max_pool_with_indices(np.asarray([[[1.0, 3.0, 2.0, 0.0]]]), (2,), (2,), (0,), (1,), False)[1]
        array([[[1, 2]]])
    """
    check_max_pool(x, kernel, stride, padding, dilation, ceil_mode)
    size = spatial(x)
    out = pool_size(size, kernel, stride, padding, dilation, ceil_mode)
    margin = pool_padding(size, out, kernel, stride, padding, dilation)
    cells = ops.stack(windows(pad_spatial(x, margin, -math.inf), out, kernel, stride, dilation), axis=-1)
    # A window of nothing but -inf must not find its maximum in the padding.
    places = np.arange(math.prod(size), dtype=np.int64).reshape(1, 1, *size)
    places = np.pad(places, ((0, 0), (0, 0), *margin), constant_values=-1)
    places = np.stack(windows(places, out, kernel, stride, dilation), axis=-1)
    seen = ops.stop_gradient(cells)
    nan = ops.isnan(seen)
    hit = ops.logical_and(ops.equal(seen, ops.max(seen, axis=-1, keepdims=True)), places >= 0)
    # The first of equals, but the last NaN, as in PyTorch.
    order = np.arange(1, math.prod(kernel) + 1, dtype=np.int32)
    score = ops.where(nan, ops.asarray(order, like=x, dtype="int32"), ops.astype(hit, "int32"))
    first = ops.argmax(score, axis=-1, keepdims=True)
    values = ops.take_along_axis(cells, first, axis=-1)
    indices = ops.take_along_axis(ops.asarray(places, like=x, dtype="int64"), first, axis=-1)
    return ops.squeeze(values, axis=-1), ops.squeeze(indices, axis=-1)


@unary
def avg_pool(
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """The mean of the cells under each window: y[n, c, i] = (sum over k of x[n, c, s i + k - p]) / divisor.

    Args:
        x: (N, C, *spatial).
        kernel, stride: size and step of the window, for each axis.
        padding: zeros on both sides of each axis; at most half the kernel.
        ceil_mode: as in ``max_pool``.
        count_include_pad: whether the divisor counts cells of the padding too. Cells that ``ceil_mode`` reaches
            beyond the padding never count.
        divisor_override: what to divide by instead of the number of cells.

    Returns:
        (N, C, *spatial'), spatial' = floor((L + 2 p - k) / s) + 1.

    Raises:
        ShapeError: the window is larger than the padded input.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.avg_pool(np.asarray([[[1.0, 3.0, 2.0, 0.0]]]), (2,), (2,), (0,), False, True, None)
        array([[[2., 1.]]])
    """
    check_avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    size, ones = spatial(x), (1,) * len(kernel)
    out = pool_size(size, kernel, stride, padding, ones, ceil_mode)
    margin = pool_padding(size, out, kernel, stride, padding, ones)
    first, *rest = windows(pad_spatial(x, margin), out, kernel, stride, ones)
    total = sum(rest, start=first)
    if divisor_override is not None:
        return total / divisor_override
    edge = padding if count_include_pad else (0,) * len(kernel)
    counts = [
        [min(i * s + k, n + p + e) - max(i * s, p - e) for i in range(o)]
        for o, k, s, n, p, e in zip(out, kernel, stride, size, padding, edge, strict=True)
    ]
    cells = np.asarray([math.prod(c) for c in itertools.product(*counts)]).reshape(out)
    if (cells == cells.flat[0]).all():
        return total / int(cells.flat[0])
    return ops.divide(total, cells.astype(dtypes.to_numpy_dtype(dtypes.canonical(x.dtype))))


@unary
def adaptive_avg_pool(x: Tensor, output_size: Ints) -> Tensor:
    """The mean over windows that divide each axis into ``output_size`` parts of nearly equal size.

    Window i of an axis of size L covers the cells from floor(i L / out) up to, without, ceil((i + 1) L / out).

    Args:
        x: (N, C, *spatial).
        output_size: for each axis.

    Returns:
        (N, C, *output_size).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.adaptive_avg_pool(np.asarray([[[1.0, 3.0, 5.0]]]), (2,))
        array([[[2., 4.]]])
    """
    check_adaptive_avg_pool(x, output_size)
    # The windows are products of intervals, so the mean can be taken axis by axis.
    for axis, (n, out) in enumerate(zip(spatial(x), output_size, strict=True), start=2):
        lead = (slice(None),) * axis
        parts = [
            ops.mean(
                ops.getitem(x, (*lead, slice(i * n // out, -(-(i + 1) * n // out)))), axis=axis, keepdims=True
            )
            for i in range(out)
        ]
        x = ops.concat(parts, axis=axis) if parts else ops.getitem(x, (*lead, slice(0, 0)))
    return x


# ---------------------------------------------------------------------- what a wrong call is told
def check_pool(
    name: str, x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> None:
    """Raise unless the input of a pooling fits its window.

    Raises:
        ShapeError: saying what was expected.
        ArgumentError: the padding is more than half the kernel.
    """
    if len(x.shape) != len(kernel) + 2:
        raise ShapeError(
            f"{name} expected input (N, C, *spatial) of {len(kernel) + 2} axes, got {tuple(x.shape)}"
        )
    if 0 in tuple(x.shape)[1:]:
        raise ShapeError(
            f"{name} expected input whose axes but the first are not empty, got {tuple(x.shape)}"
        )
    check_padding(name, kernel, padding)
    expect_one_dtype(name, input=x)
    expect_output(name, x, pool_size(spatial(x), kernel, stride, padding, dilation, ceil_mode), kernel)


def check_padding(name: str, kernel: Ints, padding: Ints) -> None:
    """Raise unless the padding is at most half the kernel. Not half of what a dilated kernel reaches over: PyTorch takes
    no more, and a window could lie in the padding alone.

    Raises:
        ArgumentError: it is more.
    """
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ArgumentError(
            f"{name} expected padding of at most half the kernel, got padding={padding}, kernel_size={kernel}"
        )


@checks("max_pool")
@checks("max_pool_with_indices")
def check_max_pool(
    x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> None:
    """``check_pool`` for the arguments of ``max_pool``."""
    check_pool("max_pool", x, kernel, stride, padding, dilation, ceil_mode)


@checks("avg_pool")
def check_avg_pool(
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> None:
    """``check_pool`` for the arguments of ``avg_pool``."""
    check_pool("avg_pool", x, kernel, stride, padding, (1,) * len(kernel), ceil_mode)


@checks("adaptive_avg_pool")
def check_adaptive_avg_pool(x: Tensor, output_size: Ints) -> None:
    """Raise unless the input has as many spatial axes as the output.

    Raises:
        ShapeError: saying what was expected.
    """
    if len(x.shape) != len(output_size) + 2 or 0 in tuple(x.shape)[1:]:
        raise ShapeError(
            f"adaptive_avg_pool expected input (N, C, *spatial) of {len(output_size) + 2} axes, none of them but the "
            f"first empty, for output_size {output_size}, got {tuple(x.shape)}"
        )
    expect_one_dtype("adaptive_avg_pool", input=x)


__all__ = [
    "adaptive_avg_pool",
    "avg_pool",
    "check_adaptive_avg_pool",
    "check_avg_pool",
    "check_max_pool",
    "check_padding",
    "max_pool",
    "max_pool_with_indices",
]
