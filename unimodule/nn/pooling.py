"""Pooling layers over one to three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import ops
from ..backend import Tensor
from .functional._arguments import Size, batched, first, integers
from .functional.pooling import adaptive_size, divisor, window
from .module import Module


class _MaxPool(Module):
    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        name = type(self).__name__
        self._window = (*window(name, self.rank, kernel_size, stride, padding, dilation), bool(ceil_mode))

    def forward(self, input: Tensor) -> Any:
        if len(input.shape) != self.rank + 2:
            y = self.forward(batched(type(self).__name__, input, self.rank + 2)[0])
            return (first(y[0]), first(y[1])) if self.return_indices else first(y)
        if self.return_indices:
            return ops.max_pool_with_indices(input, *self._window)
        return ops.max_pool(input, *self._window)

    def extra_repr(self) -> str:
        """The window."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest cell under each window: y[n, c, i] = max over k of x[n, c, s i + d k - p].

    Args:
        kernel_size: size of the window.
        stride: its step; ``kernel_size`` by default.
        padding: cells of -infinity on both sides; at most half the kernel, whatever the dilation.
        dilation: distance between neighbouring cells of the window.
        return_indices: give the positions of the maxima too.
        ceil_mode: round the output size up; a last window that would start in the padding on the right is dropped.

    Shape:
        (N, C, L) or (C, L) -> (N, C, L') or (C, L'), L' = floor((L + 2 p - d (k - 1) - 1) / s) + 1. With
        ``return_indices`` a pair: values, and their int64 indices, row-major over the spatial axes.

    Raises:
        ArgumentError: sizes that make no sense.
        ShapeError: an input with other axes, or smaller than the window.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.MaxPool1d(3, stride=2).to("numpy")(np.ones((20, 16, 50))).shape
        (20, 16, 24)
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """``MaxPool1d`` over (N, C, H, W) or (C, H, W); sizes are one integer or one for each axis.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.MaxPool2d(2)(np.ones((2, 3, 7, 8), "float32")).shape
        (2, 3, 3, 4)
    """

    rank = 2


class MaxPool3d(_MaxPool):
    """``MaxPool1d`` over (N, C, D, H, W) or (C, D, H, W); sizes are one integer or one for each axis.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.MaxPool3d(2)(np.ones((2, 3, 5, 6, 7), "float32")).shape
        (2, 3, 2, 3, 3)
    """

    rank = 3


class _AvgPool(Module):
    rank: ClassVar[int]

    kernel_size: Any
    stride: Any
    padding: Any

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor(name, divisor_override)
        sizes = window(name, self.rank, kernel_size, stride, padding)[:3]
        self._arguments = (*sizes, bool(ceil_mode), bool(count_include_pad), self.divisor_override)

    def forward(self, input: Tensor) -> Tensor:
        if len(input.shape) != self.rank + 2:
            return first(self.forward(batched(type(self).__name__, input, self.rank + 2)[0]))
        return ops.avg_pool(input, *self._arguments)

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of the cells under each window: y[n, c, i] = (sum over k of x[n, c, s i + k - p]) / number of cells.

    Args:
        kernel_size: size of the window.
        stride: its step; ``kernel_size`` by default.
        padding: zeros on both sides; at most half the window.
        ceil_mode: round the output size up; a last window that would start in the padding on the right is dropped.
        count_include_pad: whether cells of the padding count. Cells that ``ceil_mode`` reaches beyond it never do.

    Shape:
        (N, C, L) or (C, L) -> (N, C, L') or (C, L'), L' = floor((L + 2 p - k) / s) + 1.

    Raises:
        ArgumentError: sizes that make no sense.
        ShapeError: an input with other axes, or smaller than the window.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.AvgPool1d(3, stride=2).to("numpy")(np.asarray([[[1.0, 2, 3, 4, 5, 6, 7]]]))
        array([[[2., 4., 6.]]], dtype=float32)
    """

    rank = 1

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        # PyTorch's layer keeps these as tuples, unlike its siblings.
        self.kernel_size = integers("AvgPool1d", "kernel_size", kernel_size, 1, 1)
        self.stride = self._arguments[1]
        self.padding = self._arguments[2]


class AvgPool2d(_AvgPool):
    """``AvgPool1d`` over (N, C, H, W) or (C, H, W); ``divisor_override`` is divided by instead of the count.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.AvgPool2d(2)(np.ones((2, 3, 7, 8), "float32")).shape
        (2, 3, 3, 4)
    """

    rank = 2


class AvgPool3d(_AvgPool):
    """``AvgPool2d`` over (N, C, D, H, W) or (C, D, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.AvgPool3d(2)(np.ones((2, 3, 5, 6, 7), "float32")).shape
        (2, 3, 2, 3, 3)
    """

    rank = 3


class _AdaptiveAvgPool(Module):
    rank: ClassVar[int]

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size
        self._wanted = adaptive_size(type(self).__name__, self.rank, output_size)
        known = tuple(n for n in self._wanted if n is not None)
        self._fixed = known if len(known) == self.rank else None

    def forward(self, input: Tensor) -> Tensor:
        if len(input.shape) != self.rank + 2:
            return first(self.forward(batched(type(self).__name__, input, self.rank + 2)[0]))
        if self._fixed is not None:
            return ops.adaptive_avg_pool(input, self._fixed)
        sizes = zip(tuple(input.shape)[2:], self._wanted, strict=True)
        return ops.adaptive_avg_pool(input, tuple(n if o is None else o for n, o in sizes))

    def extra_repr(self) -> str:
        """The output size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The mean over windows that divide an axis into ``output_size`` parts of nearly equal size.

    Args:
        output_size: out; window i covers the cells from floor(i L / out) up to, without, ceil((i + 1) L / out).

    Shape:
        (N, C, L) or (C, L) -> (N, C, out) or (C, out).

    Raises:
        ArgumentError: ``output_size`` makes no sense.
        ShapeError: an input with other axes.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool1d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.AdaptiveAvgPool1d(5).to("numpy")(np.ones((1, 64, 8))).shape
        (1, 64, 5)
    """

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """``AdaptiveAvgPool1d`` over (N, C, H, W) or (C, H, W); None in ``output_size`` keeps an axis as it is.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.AdaptiveAvgPool2d(4)(np.ones((2, 3, 7, 8), "float32")).shape
        (2, 3, 4, 4)
    """

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """``AdaptiveAvgPool1d`` over (N, C, D, H, W) or (C, D, H, W); None in ``output_size`` keeps an axis as it is.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.AdaptiveAvgPool3d(2)(np.ones((2, 3, 5, 6, 7), "float32")).shape
        (2, 3, 2, 2, 2)
    """

    rank = 3


__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]
