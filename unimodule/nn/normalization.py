"""Layer and group normalisation: the same in training and evaluation."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError
from . import init
from ._layer import place
from .functional._arguments import Size, integer
from .functional.normalization import expect_many, normal_shape
from .module import Module
from .parameter import Parameter


class LayerNorm(Module):
    """y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias over the last axes, with the biased variance.

    Args:
        normalized_shape: sizes of the last axes, over which mean and variance are taken.
        eps: added to the variance.
        elementwise_affine: whether there are weight and bias.
        bias: False leaves the bias out.
        device, dtype: where the layer is to be, and its float dtype.

    Attributes:
        weight, bias: of shape ``normalized_shape``, ones and zeros at first; or None.

    Shape:
        (..., *normalized_shape) -> the same.

    Raises:
        ShapeError: the input does not end in ``normalized_shape``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html; Ba, Kiros and Hinton,
    https://arxiv.org/abs/1607.06450

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.LayerNorm(2, eps=0.0).to("numpy")(np.asarray([[1.0, 3.0]], "float32"))
        array([[-1.,  1.]], dtype=float32)
    """

    normalized_shape: tuple[int, ...]
    weight: Any
    bias: Any

    def __init__(
        self,
        normalized_shape: Size,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = normal_shape("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(init.ones(), shape=shape) if elementwise_affine else None
        self.bias = Parameter(init.zeros(), shape=shape) if elementwise_affine and bias else None
        place(self, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The shape, and all options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias, for each sample and block of channels.

    Args:
        num_groups: number of blocks, a divisor of C.
        num_channels: C.
        eps: added to the variance.
        affine: whether there are weight and bias.
        device, dtype: where the layer is to be, and its float dtype.
        bias: False leaves the bias out.

    Attributes:
        weight, bias: (C,), ones and zeros at first; or None.

    Shape:
        (N, C, *spatial) -> the same.

    Raises:
        ArgumentError: ``num_groups`` does not divide ``num_channels``.
        ShapeError: an input with other channels, or with a single value for each channel of a block in all.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html; Wu and He, https://arxiv.org/abs/1803.08494

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.GroupNorm(2, 4, eps=0.0).to("numpy")(np.asarray([[1.0, 3.0, 5.0, 9.0]], "float32"))
        array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    weight: Any
    bias: Any

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_groups = integer("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = integer("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm expected num_channels to be a multiple of num_groups={num_groups}, got {num_channels}"
            )
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(init.ones(), shape=(num_channels,)) if affine else None
        self.bias = Parameter(init.zeros(), shape=(num_channels,)) if affine and bias else None
        place(self, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        if input.shape[0] == 1:
            expect_many("GroupNorm", input, math.prod(input.shape) // self.num_groups)
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The sizes, and all options."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


__all__ = ["GroupNorm", "LayerNorm"]
