"""Convolution layers and their transposes over one to three spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError
from . import init
from ._layer import bias_init, place, settle, weight_init
from .functional._arguments import Size, batched, first, integer, integers
from .functional.convolution import conv_padding
from .functional.padding import pad
from .module import Module
from .parameter import Parameter

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvBase(Module):
    """Arguments, parameters and looks of all convolutions. ``in_channels`` is None while it is not known."""

    rank: ClassVar[int]
    transposed: ClassVar[bool] = False

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    groups: int
    padding_mode: str
    weight: Any
    bias: Any

    def _declare(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        dilation: Size,
        groups: int,
        bias: bool,
        padding_mode: str,
        output_padding: Size = 0,
    ) -> None:
        name, rank = type(self).__name__, self.rank
        self.groups = integer(name, "groups", groups, 1)
        self.in_channels = 0 if in_channels is None else integer(name, "in_channels", in_channels, 1)
        self.out_channels = integer(name, "out_channels", out_channels, 1)
        if self.out_channels % self.groups:
            raise ArgumentError(
                f"{name} expected out_channels to be a multiple of groups={groups}, got {out_channels}"
            )
        self._check_in_channels(name, ArgumentError)
        self.kernel_size = integers(name, "kernel_size", kernel_size, rank, 1)
        self.stride = integers(name, "stride", stride, rank, 1)
        self.dilation = integers(name, "dilation", dilation, rank, 1)
        self.output_padding = integers(name, "output_padding", output_padding, rank, 0)
        self._pads = conv_padding(name, padding, self.kernel_size, self.stride, self.dilation)
        self.padding = padding if isinstance(padding, str) else tuple(before for before, _ in self._pads)
        if padding_mode not in PADDING_MODES:
            raise ArgumentError(
                f"{name} expected padding_mode to be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}"
            )
        self.padding_mode = padding_mode
        channels = in_channels if in_channels is None else self.in_channels
        self.weight = Parameter(weight_init(), shape=self._weight_shape(channels))
        known = channels is not None or self.transposed
        if not bias:
            self.bias = None
        elif known:
            self.bias = Parameter(bias_init(self._fan_in()), shape=(self.out_channels,))
        else:  # its distribution depends on in_channels, so it is to be drawn later too
            self.bias = Parameter(init.zeros(), shape=(None,))

    def _weight_shape(self, in_channels: int | None) -> tuple[int | None, ...]:
        if self.transposed:
            return (in_channels, self.out_channels // self.groups, *self.kernel_size)
        return (self.out_channels, in_channels and in_channels // self.groups, *self.kernel_size)

    def _fan_in(self) -> int:
        channels = self.out_channels if self.transposed else self.in_channels
        return channels // self.groups * math.prod(self.kernel_size)

    def _check_in_channels(self, name: str, error: type[ArgumentError] | type[ShapeError]) -> None:
        if self.in_channels % self.groups:
            raise error(
                f"{name} expected in_channels to be a multiple of groups={self.groups}, got {self.in_channels}"
            )

    def _infer(self, input: Tensor, lazy: type[Module], regular: type[Module]) -> None:
        name = type(self).__name__
        x, _ = batched(name, input, self.rank + 2)
        self.in_channels = int(x.shape[1])
        if not self.in_channels:
            raise ShapeError(f"{name} expected input with channels on axis 1, got {tuple(x.shape)}")
        self._check_in_channels(name, ShapeError)
        self.parameter("weight").shape = self._weight_shape(self.in_channels)
        if "bias" in self._variables:
            bias = self.parameter("bias")
            bias.shape, bias.init = (self.out_channels,), bias_init(self._fan_in())
        settle(self, lazy, regular)

    def extra_repr(self) -> str:
        """The sizes, and the options that are not the defaults."""
        nothing, single = (0,) * self.rank, (1,) * self.rank
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding != nothing:
            text += f", padding={self.padding}"
        if self.dilation != single:
            text += f", dilation={self.dilation}"
        if self.output_padding != nothing:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvBase):
    def __init__(
        self,
        in_channels: int,
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
        super().__init__()
        self._setup(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        )
        place(self, device, dtype)

    def _setup(self, *arguments: Any) -> None:
        self._declare(*arguments)
        self._margin: tuple[int, ...] = ()  # for pad(), where the padding is not of zeros
        if self.padding_mode != "zeros":
            self._margin = tuple(n for pair in reversed(self._pads) for n in pair)
            self._pads = ((0, 0),) * self.rank

    def forward(self, input: Tensor) -> Tensor:
        if len(input.shape) != self.rank + 2:
            return first(self.forward(batched(type(self).__name__, input, self.rank + 2)[0]))
        if self._margin:
            input = pad(input, self._margin, mode=self.padding_mode)
        return ops.conv(input, self.weight, self.bias, self.stride, self._pads, self.dilation, self.groups)


class Conv1d(_Conv):
    """Cross-correlation: y[n, o, i] = b[o] + sum over c, k of w[o, c, k] x[n, c, s i + d k - p].

    Args:
        in_channels, out_channels: number of channels of input and output.
        kernel_size: size of the window.
        stride: its step.
        padding: cells added on both sides; or ``"valid"`` (none), or ``"same"`` (the output has the input's size; only
            for stride 1).
        dilation: distance between neighbouring kernel cells.
        groups: number of blocks that the channels are split into; it divides both numbers of channels.
        bias: whether there is a b.
        padding_mode: what the padding holds: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        device, dtype: where the layer is to be, and its float dtype.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel_size), drawn from U(-b, b) with
            b = 1 / sqrt(in_channels / groups * kernel_size).
        bias: (out_channels,), drawn from the same; or None.

    Shape:
        (N, in_channels, L) or (in_channels, L) -> (N, out_channels, L') or (out_channels, L'),
        L' = floor((L + 2 p - d (k - 1) - 1) / s) + 1.

    Raises:
        ArgumentError: sizes or options that make no sense or do not go together.
        ShapeError: an input with other axes or channels, or smaller than the kernel.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv1d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.Conv1d(16, 33, 3, stride=2).to("numpy")(np.ones((20, 16, 50), "float32")).shape
        (20, 33, 24)
    """

    rank = 1


class Conv2d(_Conv):
    """``Conv1d`` over (N, in_channels, H, W) or (in_channels, H, W); weight (out, in / groups, kH, kW).

    ``kernel_size``, ``stride``, ``padding`` and ``dilation`` are one integer or one for each axis.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.Conv2d(3, 8, (3, 5), padding=(1, 2)).to("numpy")(np.ones((2, 3, 7, 9), "float32")).shape
        (2, 8, 7, 9)
    """

    rank = 2


class Conv3d(_Conv):
    """``Conv1d`` over (N, in_channels, D, H, W) or (in_channels, D, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.Conv3d(2, 4, 3, padding=1).to("numpy")(np.ones((1, 2, 5, 6, 7), "float32")).shape
        (1, 4, 5, 6, 7)
    """

    rank = 3


class _ConvTranspose(_ConvBase):
    transposed = True

    def __init__(
        self,
        in_channels: int,
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
        super().__init__()
        self._setup(
            in_channels,
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

    def _setup(self, *arguments: Any) -> None:
        self._declare(*arguments)
        name = type(self).__name__
        if isinstance(self.padding, str):
            raise ArgumentError(f"{name} expected padding to be integers, got {self.padding!r}")
        self._cut = self.padding
        if self.padding_mode != "zeros":
            raise ArgumentError(f"{name} expected padding_mode 'zeros', got {self.padding_mode!r}")
        if any(
            e >= max(s, d) for e, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True)
        ):
            raise ArgumentError(
                f"{name} expected output_padding smaller than stride or dilation, got {self.output_padding}"
            )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        if len(input.shape) != self.rank + 2:
            x, _ = batched(type(self).__name__, input, self.rank + 2)
            return first(self.forward(x, output_size))
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        return ops.conv_transpose(
            input, self.weight, self.bias, self.stride, self._cut, extra, self.dilation, self.groups
        )

    def _extra(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that leads to ``output_size``: the spatial sizes, or a whole shape that ends in them."""
        wanted = tuple(output_size)
        if not self.rank <= len(wanted) <= self.rank + 2:
            raise ShapeError(f"expected output_size to be {self.rank} sizes, or a shape, got {wanted}")
        wanted = wanted[-self.rank :]
        sizes = tuple(input.shape)[2:]
        least = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                sizes, self.stride, self._cut, self.dilation, self.kernel_size, strict=True
            )
        )
        extra = tuple(w - n for w, n in zip(wanted, least, strict=True))
        if not all(0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
            raise ShapeError(
                f"expected output_size from {least} to {most} for input {tuple(input.shape)}, got {wanted}"
            )
        return extra


class ConvTranspose1d(_ConvTranspose):
    """The gradient of ``Conv1d`` with respect to its input, as a layer of its own ("deconvolution").

    Args:
        in_channels, out_channels: number of channels of input and output.
        kernel_size: size of the kernel.
        stride: distance at which neighbouring input cells add the kernel to the output.
        padding: cells cut off on both sides of the output.
        output_padding: so many fewer are cut off on the right; smaller than stride or dilation.
        groups: number of blocks that the channels are split into; it divides both numbers of channels.
        bias: whether there is a bias.
        dilation: distance between neighbouring kernel cells.
        padding_mode: only ``"zeros"``.
        device, dtype: where the layer is to be, and its float dtype.

    Attributes:
        weight: (in_channels, out_channels / groups, kernel_size), drawn from U(-b, b) with
            b = 1 / sqrt(out_channels / groups * kernel_size).
        bias: (out_channels,), drawn from the same; or None.

    Shape:
        (N, in_channels, L) or (in_channels, L) -> (N, out_channels, L') or (out_channels, L'),
        L' = (L - 1) s - 2 p + d (k - 1) + output_padding + 1. ``layer(x, output_size)`` chooses the output_padding that
        leads to the given spatial sizes.

    Raises:
        ArgumentError: sizes or options that make no sense or do not go together.
        ShapeError: an input with other axes or channels, or an ``output_size`` out of reach.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> layer = nn.ConvTranspose1d(16, 33, 3, stride=2).to("numpy")
        >>> x = np.ones((20, 16, 50), "float32")
        >>> layer(x).shape, layer(x, output_size=(102,)).shape
        ((20, 33, 101), (20, 33, 102))
    """

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """``ConvTranspose1d`` over (N, in_channels, H, W) or (in_channels, H, W); weight (in, out / groups, kH, kW).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.ConvTranspose2d(2, 4, 2, stride=2).to("numpy")(np.ones((1, 2, 5, 6), "float32")).shape
        (1, 4, 10, 12)
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """``ConvTranspose1d`` over (N, in_channels, D, H, W) or (in_channels, D, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.ConvTranspose3d(2, 4, 2, stride=2).to("numpy")(np.ones((1, 2, 3, 4, 5), "float32")).shape
        (1, 4, 6, 8, 10)
    """

    rank = 3


__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]
