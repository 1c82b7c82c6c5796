"""Convolution layers that take ``in_channels`` from their first input, and are regular layers from then on."""

from __future__ import annotations

from typing import Any

from ..backend import Tensor
from ._layer import place
from .convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    _Conv,
    _ConvTranspose,
)
from .functional._arguments import Size
from .module import Module


class _LazyConv(_Conv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        Module.__init__(self)
        self._setup(None, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        place(self, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """``Conv1d`` without ``in_channels``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyConv1d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> layer = nn.LazyConv1d(8, 3).to("numpy")
        >>> layer(np.ones((2, 5, 7), "float32")).shape, layer.weight.shape
        ((2, 8, 5), (8, 5, 3))
    """

    def infer_shapes(self, input: Tensor) -> None:
        """in_channels is the size of the input's axis of channels."""
        self._infer(input, LazyConv1d, Conv1d)


class LazyConv2d(_LazyConv, Conv2d):
    """``Conv2d`` without ``in_channels``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyConv2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> layer = um.nn.LazyConv2d(8, 3).to("numpy")
        >>> layer(np.ones((2, 5, 7, 7), "float32")).shape, layer.weight.shape
        ((2, 8, 5, 5), (8, 5, 3, 3))
    """

    def infer_shapes(self, input: Tensor) -> None:
        """in_channels is the size of the input's axis of channels."""
        self._infer(input, LazyConv2d, Conv2d)


class LazyConv3d(_LazyConv, Conv3d):
    """``Conv3d`` without ``in_channels``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyConv3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> layer = um.nn.LazyConv3d(8, 3).to("numpy")
        >>> layer(np.ones((2, 5, 4, 4, 4), "float32")).shape, layer.weight.shape
        ((2, 8, 2, 2, 2), (8, 5, 3, 3, 3))
    """

    def infer_shapes(self, input: Tensor) -> None:
        """in_channels is the size of the input's axis of channels."""
        self._infer(input, LazyConv3d, Conv3d)


class _LazyConvTranspose(_ConvTranspose):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        Module.__init__(self)
        self._setup(
            None,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            output_padding,
        )
        place(self, device, dtype)


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """``ConvTranspose1d`` without ``in_channels``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose1d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> layer = um.nn.LazyConvTranspose1d(8, 3).to("numpy")
        >>> layer(np.ones((2, 5, 7), "float32")).shape, layer.weight.shape
        ((2, 8, 9), (5, 8, 3))
    """

    def infer_shapes(self, input: Tensor, output_size: Any = None) -> None:
        """in_channels is the size of the input's axis of channels."""
        self._infer(input, LazyConvTranspose1d, ConvTranspose1d)


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """``ConvTranspose2d`` without ``in_channels``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> layer = um.nn.LazyConvTranspose2d(8, 3).to("numpy")
        >>> layer(np.ones((2, 5, 7, 7), "float32")).shape, layer.weight.shape
        ((2, 8, 9, 9), (5, 8, 3, 3))
    """

    def infer_shapes(self, input: Tensor, output_size: Any = None) -> None:
        """in_channels is the size of the input's axis of channels."""
        self._infer(input, LazyConvTranspose2d, ConvTranspose2d)


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """``ConvTranspose3d`` without ``in_channels``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> layer = um.nn.LazyConvTranspose3d(8, 3).to("numpy")
        >>> layer(np.ones((2, 5, 4, 4, 4), "float32")).shape, layer.weight.shape
        ((2, 8, 6, 6, 6), (5, 8, 3, 3, 3))
    """

    def infer_shapes(self, input: Tensor, output_size: Any = None) -> None:
        """in_channels is the size of the input's axis of channels."""
        self._infer(input, LazyConvTranspose3d, ConvTranspose3d)


__all__ = [
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]
