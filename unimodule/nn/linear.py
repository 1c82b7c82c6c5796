"""Linear, bilinear and identity layers."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ShapeError
from . import functional, init
from ._layer import bias_init, place, settle, weight_init
from .functional._arguments import integer
from .module import Module
from .parameter import Parameter


class Identity(Module):
    """Returns its input. Takes, and ignores, any arguments.

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.Identity(54, unused=True).to("numpy")(np.ones(2))
        array([1., 1.], dtype=float32)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """y = x W^T + b.

    Args:
        in_features: size of the input's last axis.
        out_features: size of the output's last axis.
        bias: whether there is a b.
        device, dtype: where the layer is to be, and its float dtype.

    Attributes:
        weight: (out_features, in_features), drawn from U(-1/sqrt(in_features), 1/sqrt(in_features)).
        bias: (out_features,), drawn from the same; or None.

    Shape:
        (..., in_features) -> (..., out_features).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Linear.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.Linear(20, 30).to("numpy")(np.ones((128, 20), "float32")).shape
        (128, 30)
    """

    in_features: int
    out_features: int
    weight: Any
    bias: Any

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = integer("Linear", "in_features", in_features, 0)
        self.out_features = integer("Linear", "out_features", out_features, 0)
        self.weight = Parameter(weight_init(), shape=(self.out_features, self.in_features))
        self.bias = Parameter(bias_init(self.in_features), shape=(self.out_features,)) if bias else None
        place(self, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes, and whether there is a bias."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class LazyLinear(Linear):
    """A ``Linear`` that takes ``in_features`` from its first input, and is a ``Linear`` from then on.

    Args:
        out_features: size of the output's last axis.
        bias: whether there is a bias.
        device, dtype: where the layer is to be, and its float dtype.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyLinear.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> layer = nn.LazyLinear(3).to("numpy")
        >>> layer(np.ones((2, 5), "float32")).shape, layer.weight.shape
        ((2, 3), (3, 5))
    """

    def __init__(
        self, out_features: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(0, out_features, bias=False)
        self.weight = Parameter(weight_init(), shape=(self.out_features, None))
        if bias:  # its distribution depends on in_features, so it is to be drawn later too
            self.bias = Parameter(init.zeros(), shape=(None,))
        place(self, device, dtype)

    def infer_shapes(self, input: Tensor) -> None:
        """in_features is the size of the input's last axis."""
        if not len(input.shape):
            raise ShapeError("LazyLinear expected input (..., in_features), got a tensor without axes")
        self.in_features = int(input.shape[-1])
        self.parameter("weight").shape = (self.out_features, self.in_features)
        if "bias" in self._variables:
            bias = self.parameter("bias")
            bias.shape, bias.init = (self.out_features,), bias_init(self.in_features)
        settle(self, LazyLinear, Linear)


class Bilinear(Module):
    """y_o = x1^T W_o x2 + b_o.

    Args:
        in1_features, in2_features: sizes of the two inputs' last axes.
        out_features: size of the output's last axis.
        bias: whether there is a b.
        device, dtype: where the layer is to be, and its float dtype.

    Attributes:
        weight: (out_features, in1_features, in2_features), drawn from U(-1/sqrt(in1_features), 1/sqrt(in1_features)).
        bias: (out_features,), drawn from the same; or None.

    Shape:
        (..., in1_features) and (..., in2_features) -> (..., out_features).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Bilinear.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.Bilinear(2, 3, 4).to("numpy")(np.ones((5, 2), "float32"), np.ones((5, 3), "float32")).shape
        (5, 4)
    """

    weight: Any
    bias: Any

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = integer("Bilinear", "in1_features", in1_features, 1)
        self.in2_features = integer("Bilinear", "in2_features", in2_features, 0)
        self.out_features = integer("Bilinear", "out_features", out_features, 0)
        bound = 1 / math.sqrt(self.in1_features)
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(init.uniform(-bound, bound), shape=shape)
        self.bias = Parameter(init.uniform(-bound, bound), shape=(self.out_features,)) if bias else None
        place(self, device, dtype)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return functional.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes, and whether there is a bias."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


__all__ = ["Bilinear", "Identity", "LazyLinear", "Linear"]
