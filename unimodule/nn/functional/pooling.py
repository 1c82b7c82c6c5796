"""Pooling over one to three spatial axes, with and without a batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import ops
from ...backend import Tensor
from ...errors import ArgumentError
from ...ops._dispatch import expect_tensor
from ...ops.pooling import check_adaptive_avg_pool, check_avg_pool, check_max_pool, check_padding
from ._arguments import Ints, Size, batched, first, integer, integers

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest cell under each window: y[n, c, i] = max over k of x[n, c, s i + d k - p].

    Args:
        input: (N, C, L) or (C, L).
        kernel_size: size of the window.
        stride: its step; ``kernel_size`` by default.
        padding: cells of -infinity on both sides; at most half the kernel, whatever the dilation.
        dilation: distance between neighbouring cells of the window.
        ceil_mode: round the output size up; a last window that would start in the padding on the right is dropped.
        return_indices: give the positions of the maxima too.

    Returns:
        (N, C, L') or (C, L'), L' = floor((L + 2 p - d (k - 1) - 1) / s) + 1. With ``return_indices`` a pair: these
        values, and for each the int64 index of its cell, row-major over the spatial axes. NaN wins, and the gradient
        goes to the first of equals.

    Raises:
        ArgumentError: a kernel, stride, padding or dilation that makes no sense.
        ShapeError: the input has another number of axes, or is smaller than the window.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.max_pool1d.html

    Example:
        >>> import numpy as np
        >>> max_pool1d(np.asarray([[1.0, 3.0, 2.0, 0.0]]), 2, return_indices=True)
        (array([[3., 2.]]), array([[1, 2]]))
    """
    return _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """``max_pool1d`` over (N, C, H, W) or (C, H, W); sizes are one integer or one for each axis.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.max_pool2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.max_pool2d(np.ones((2, 3, 7, 8)), 2).shape
        (2, 3, 3, 4)
    """
    return _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """``max_pool1d`` over (N, C, D, H, W) or (C, D, H, W); sizes are one integer or one for each axis.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.max_pool3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.max_pool3d(np.ones((2, 3, 5, 6, 7)), 2).shape
        (2, 3, 2, 3, 3)
    """
    return _max_pool(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of the cells under each window: y[n, c, i] = (sum over k of x[n, c, s i + k - p]) / number of cells.

    Args:
        input: (N, C, L) or (C, L).
        kernel_size: size of the window.
        stride: its step; ``kernel_size`` by default.
        padding: zeros on both sides; at most half the window.
        ceil_mode: round the output size up; a last window that would start in the padding on the right is dropped.
        count_include_pad: whether cells of the padding count. Cells that ``ceil_mode`` reaches beyond it never do.

    Returns:
        (N, C, L') or (C, L'), L' = floor((L + 2 p - k) / s) + 1.

    Raises:
        ArgumentError: a kernel, stride or padding that makes no sense.
        ShapeError: the input has another number of axes, or is smaller than the window.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool1d.html

    Example:
        >>> import numpy as np
        >>> avg_pool1d(np.asarray([[1.0, 3.0, 2.0, 0.0]]), 2, stride=1)
        array([[2. , 2.5, 1. ]])
    """
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """``avg_pool1d`` over (N, C, H, W) or (C, H, W); ``divisor_override`` is divided by instead of the count.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.avg_pool2d(np.ones((2, 3, 7, 8)), 2).shape
        (2, 3, 3, 4)
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """``avg_pool2d`` over (N, C, D, H, W) or (C, D, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.avg_pool3d(np.ones((2, 3, 5, 6, 7)), 2).shape
        (2, 3, 2, 3, 3)
    """
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def adaptive_avg_pool1d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """The mean over windows that divide an axis into ``output_size`` parts of nearly equal size.

    Args:
        input: (N, C, L) or (C, L). Window i covers the cells from floor(i L / out) up to, without,
            ceil((i + 1) L / out).
        output_size: out.

    Returns:
        (N, C, out) or (C, out).

    Raises:
        ArgumentError: ``output_size`` makes no sense.
        ShapeError: the input has another number of axes.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool1d.html

    Example:
        >>> import numpy as np
        >>> adaptive_avg_pool1d(np.asarray([[1.0, 3.0, 5.0]]), 2)
        array([[2., 4.]])
    """
    return _adaptive("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """``adaptive_avg_pool1d`` over (N, C, H, W) or (C, H, W); None in ``output_size`` keeps an axis as it is.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.adaptive_avg_pool2d(np.ones((2, 3, 7, 8)), 4).shape
        (2, 3, 4, 4)
    """
    return _adaptive("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """``adaptive_avg_pool1d`` over (N, C, D, H, W) or (C, D, H, W); None in ``output_size`` keeps an axis as it is.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.adaptive_avg_pool3d(np.ones((2, 3, 5, 6, 7)), 2).shape
        (2, 3, 2, 2, 2)
    """
    return _adaptive("adaptive_avg_pool3d", 3, input, output_size)


# ---------------------------------------------------------------------- shared with the layers
def window(
    name: str, rank: int, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size = 1
) -> tuple[Ints, Ints, Ints, Ints]:
    """Kernel, stride, padding and dilation of a pooling as tuples of ``rank``.

    Raises:
        ArgumentError: one of them makes no sense, or the padding is more than half the kernel.
    """
    kernel = integers(name, "kernel_size", kernel_size, rank, 1)
    # PyTorch takes an empty stride, its way to say None, too.
    unset = stride is None or (isinstance(stride, Sequence) and not stride)
    step = kernel if unset else integers(name, "stride", stride, rank, 1)
    pads = integers(name, "padding", padding, rank, 0)
    spread = integers(name, "dilation", dilation, rank, 1)
    check_padding(name, kernel, pads)
    return kernel, step, pads, spread


def divisor(name: str, value: Any) -> int | None:
    """``divisor_override``, which may be any integer but 0.

    Raises:
        ArgumentError: it is not.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value == 0:
        raise ArgumentError(f"{name} expected divisor_override to be an integer other than 0, got {value!r}")
    return value


def adaptive_size(
    name: str, rank: int, output_size: int | Sequence[int | None] | None
) -> tuple[int | None, ...]:
    """``output_size`` with one entry for each axis; None where the axis keeps its size.

    Raises:
        ArgumentError: it is neither an integer nor ``rank`` of them.
    """
    many = isinstance(output_size, Sequence) and not isinstance(output_size, str)
    items: tuple[Any, ...] = tuple(output_size) if many else (output_size,) * rank  # type: ignore[arg-type]
    if len(items) != rank:
        raise ArgumentError(f"{name} expected output_size to be one or {rank} integers, got {output_size!r}")
    return tuple(None if n is None else integer(name, "output_size", n, 0) for n in items)


def _max_pool(
    name: str,
    rank: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    expect_tensor(name, input)
    kernel, step, pads, spread = window(name, rank, kernel_size, stride, padding, dilation)
    x, has_batch = batched(name, input, rank + 2)
    check_max_pool(x, kernel, step, pads, spread, bool(ceil_mode))
    if not return_indices:
        y = ops.max_pool(x, kernel, step, pads, spread, bool(ceil_mode))
        return y if has_batch else first(y)
    y, where = ops.max_pool_with_indices(x, kernel, step, pads, spread, bool(ceil_mode))
    return (y, where) if has_batch else (first(y), first(where))


def _avg_pool(
    name: str,
    rank: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    expect_tensor(name, input)
    kernel, step, pads, _ = window(name, rank, kernel_size, stride, padding)
    options = bool(ceil_mode), bool(count_include_pad), divisor(name, divisor_override)
    x, has_batch = batched(name, input, rank + 2)
    check_avg_pool(x, kernel, step, pads, *options)
    y = ops.avg_pool(x, kernel, step, pads, *options)
    return y if has_batch else first(y)


def _adaptive(name: str, rank: int, input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    expect_tensor(name, input)
    wanted = adaptive_size(name, rank, output_size)
    x, has_batch = batched(name, input, rank + 2)
    out = tuple(n if o is None else o for n, o in zip(tuple(x.shape)[2:], wanted, strict=True))
    check_adaptive_avg_pool(x, out)
    y = ops.adaptive_avg_pool(x, out)
    return y if has_batch else first(y)
