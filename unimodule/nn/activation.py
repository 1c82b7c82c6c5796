"""Activation layers: torch.nn's names, arguments and defaults over the ops of the same meaning.

``inplace`` is kept for ``repr`` and otherwise ignored: nothing is ever written in place.
"""

from __future__ import annotations

import warnings
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError
from . import functional as F
from . import init as initializers
from ._layer import place
from .module import Module
from .parameter import Parameter


class _Inplace(Module):
    """What the layers with PyTorch's ``inplace`` argument and no other share."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


def _with_inplace(text: str, inplace: bool) -> str:
    return f"{text}, inplace=True" if inplace else text


# ---------------------------------------------------------------------- rectifiers
class ReLU(_Inplace):
    """y = max(x, 0), on any shape.

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.ReLU().to("numpy")(np.asarray([-1.0, 2.0]))
        array([0., 2.], dtype=float32)
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.relu(input)


class ReLU6(_Inplace):
    """y = min(max(x, 0), 6), on any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.relu6(input)


class LeakyReLU(Module):
    """y = x where x > 0, ``negative_slope`` * x elsewhere."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return _with_inplace(f"negative_slope={self.negative_slope}", self.inplace)


class PReLU(Module):
    """y = x where x > 0, ``weight`` * x elsewhere, with a learned weight.

    Args:
        num_parameters: 1, or the number of channels (axis 1): one slope for all or for each.
        init: what the slopes start from.
        device, dtype: where the layer is to be, and its float dtype.

    Source: He et al., "Delving Deep into Rectifiers", 2015, https://arxiv.org/abs/1502.01852

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.PReLU().to("numpy")(np.array([-2.0, 3.0], "float32")).tolist()
        [-0.5, 3.0]
    """

    weight: Tensor

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__()
        if num_parameters < 1:
            raise ShapeError(f"PReLU expected num_parameters >= 1, got {num_parameters}")
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(initializers.constant(init), shape=(num_parameters,))
        place(self, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """Leaky ReLU whose slope is drawn from U(lower, upper) for each cell in training, and is their mean in evaluation.

    Source: Xu et al., "Empirical Evaluation of Rectified Activations", 2015, https://arxiv.org/abs/1505.00853

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.RReLU(0.25, 0.75).to("numpy").eval()(np.array([-2.0, 3.0], "float32")).tolist()
        [-1.0, 3.0]
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        if lower > upper:
            raise ArgumentError(f"RReLU expected lower <= upper, got {lower} and {upper}")
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        return _with_inplace(f"lower={self.lower}, upper={self.upper}", self.inplace)


class ELU(Module):
    """y = x where x > 0, ``alpha`` * (exp(x) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return _with_inplace(f"alpha={self.alpha}", self.inplace)


class CELU(ELU):
    """y = x where x > 0, ``alpha`` * (exp(x / ``alpha``) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha, inplace)
        if alpha == 0:
            raise ArgumentError("CELU expected an alpha other than 0")

    def forward(self, input: Tensor) -> Tensor:
        return ops.celu(input, self.alpha)


class SELU(_Inplace):
    """y = scale * elu(x, alpha), with the constants of self-normalising nets."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.selu(input)


# ---------------------------------------------------------------------- smooth ones
class GELU(Module):
    """y = x * P(X <= x) for a standard normal X.

    Args:
        approximate: "none" (by erf), or "tanh".

    Example:
        >>> import numpy as np, unimodule as um
        >>> [round(y, 4) for y in um.nn.GELU().to("numpy")(np.array([-1.0, 0.0, 1.0], "float32")).tolist()]
        [-0.1587, 0.0, 0.8413]
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU expected approximate 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return ops.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_Inplace):
    """y = x * sigmoid(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.silu(input)


class Mish(_Inplace):
    """y = x * tanh(softplus(x))."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.mish(input)


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.sigmoid(input)


class LogSigmoid(Module):
    """y = log(sigmoid(x))."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.logsigmoid(input)


class Tanh(Module):
    """y = tanh(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.tanh(input)


class Softplus(Module):
    """y = log(1 + exp(beta * x)) / beta, and x itself where beta * x > ``threshold``."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """y = x / (1 + abs(x))."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.softsign(input)


class Tanhshrink(Module):
    """y = x - tanh(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.tanhshrink(input)


# ---------------------------------------------------------------------- piecewise linear
class Softshrink(Module):
    """y = x moved towards 0 by ``lambd``, and 0 where abs(x) <= ``lambd``."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        if lambd < 0:
            raise ArgumentError(f"Softshrink expected lambd >= 0, got {lambd}")
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return ops.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(Module):
    """y = 0 where abs(x) <= ``lambd``, x elsewhere."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardtanh(Module):
    """y = x, bounded to [``min_val``, ``max_val``]. ``min_value`` and ``max_value`` are PyTorch's retired names."""

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        for old, value in (("min_val", min_value), ("max_val", max_value)):
            if value is not None:
                warnings.warn(f"Hardtanh({old}ue=...) is retired; write {old}", FutureWarning, stacklevel=2)
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.min_val >= self.max_val:
            raise ArgumentError(f"Hardtanh expected min_val < max_val, got {self.min_val} and {self.max_val}")

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return _with_inplace(f"min_val={self.min_val}, max_val={self.max_val}", self.inplace)


class Hardsigmoid(Module):
    """y = min(max(x + 3, 0), 6) / 6."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardsigmoid(input)


class Hardswish(Hardsigmoid):
    """y = x * min(max(x + 3, 0), 6) / 6."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardswish(input)


class Threshold(Module):
    """y = x where x > ``threshold``, ``value`` elsewhere."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        return _with_inplace(f"threshold={self.threshold}, value={self.value}", self.inplace)


__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]
