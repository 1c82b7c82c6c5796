"""Activation functions, by their definitions. The names and formulas are torch.nn.functional's.

The formulas below run where an adapter brings none of its own. Two rules shape them:

* At a kink the gradient is PyTorch's, which decides on which side of a comparison equality stands.
* A branch of ``where`` that is not taken gets a harmless argument first (``where(x > 0, 0, x)``): its gradient is
  multiplied by zero, and zero times the infinity of an overflow would be NaN.

Scalars go through the op functions rather than operators: NumPy 1 turns a 0-d float32 times a Python float into float64.
"""

from __future__ import annotations

import math

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError
from ._dispatch import expect_tensor, paired, unary

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


# ---------------------------------------------------------------------- rectifiers
@unary
def relu(x: Tensor) -> Tensor:
    """max(x, 0); NaN stays NaN, and the gradient at 0 is 0.

    Example:
        >>> import numpy as np
        >>> relu(np.asarray([-1.0, 2.0]))
        array([0., 2.])
    """
    return ops.where(ops.less_equal(x, 0), 0, x)


@unary(floats=True)
def leaky_relu_(x: Tensor, negative_slope: float) -> Tensor:
    """What an adapter may override of ``leaky_relu``."""
    return ops.where(ops.greater(x, 0), x, ops.multiply(x, negative_slope))


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, ``negative_slope`` * x elsewhere (0 included)."""
    return leaky_relu_(x, negative_slope)


@paired
def prelu_(x: Tensor, slope: Tensor) -> Tensor:
    """What an adapter may override of ``prelu``."""
    return ops.where(ops.greater(x, 0), x, ops.multiply(x, slope))


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, ``weight`` * x elsewhere.

    Args:
        x: (N, C, *), or any shape where ``weight`` has one element.
        weight: (C,) or (1,): one learnable slope for each channel, or one for all.

    Raises:
        ShapeError: ``weight`` has neither one element nor one for each channel.

    Source: He et al., "Delving Deep into Rectifiers", 2015, https://arxiv.org/abs/1502.01852

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.prelu(np.array([[-2.0, 3.0]]), np.array([0.5])).tolist()
        [[-1.0, 3.0]]
    """
    shape, slopes = expect_tensor("prelu", x).shape(x), expect_tensor("prelu", weight).shape(weight)
    channels = shape[1] if len(shape) > 1 else 1
    if len(slopes) > 1 or (slopes and slopes[0] not in (1, channels)):
        raise ShapeError(
            f"prelu expected weight of shape (1,) or ({channels},) for input {shape}, got {slopes}"
        )
    if slopes and slopes[0] > 1:
        weight = ops.reshape(weight, (slopes[0],) + (1,) * (len(shape) - 2))
    elif slopes:
        weight = ops.reshape(weight, ())
    return prelu_(x, weight)


@unary(floats=True)
def elu_(x: Tensor, alpha: float) -> Tensor:
    """What an adapter may override of ``elu``."""
    positive = ops.greater(x, 0)
    return ops.where(positive, x, ops.multiply(ops.expm1(ops.where(positive, 0.0, x)), alpha))


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, ``alpha`` * (exp(x) - 1) elsewhere.

    Source: Clevert et al., "Fast and Accurate Deep Network Learning by ELUs", 2015, https://arxiv.org/abs/1511.07289

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.elu(np.array([-2.0, 0.0, 2.0])).round(4).tolist()
        [-0.8647, 0.0, 2.0]
    """
    return elu_(x, alpha)


@unary(floats=True)
def selu(x: Tensor) -> Tensor:
    """scale * elu(x, alpha) with the two constants that keep mean 0 and variance 1 from layer to layer.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017, https://arxiv.org/abs/1706.02515

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.selu(np.array([-2.0, 0.0, 2.0])).round(4).tolist()
        [-1.5202, 0.0, 2.1014]
    """
    return ops.multiply(elu(x, SELU_ALPHA), SELU_SCALE)


@unary(floats=True)
def celu_(x: Tensor, alpha: float) -> Tensor:
    """What an adapter may override of ``celu``."""
    positive = ops.greater(x, 0)
    return ops.where(
        positive, x, ops.multiply(ops.expm1(ops.divide(ops.where(positive, 0.0, x), alpha)), alpha)
    )


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, ``alpha`` * (exp(x / ``alpha``) - 1) elsewhere; its derivative is continuous for every alpha.

    Raises:
        ArgumentError: alpha is 0.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.celu(np.array([-2.0, 0.0, 2.0])).round(4).tolist()
        [-0.8647, 0.0, 2.0]
    """
    if alpha == 0:
        raise ArgumentError("celu expected an alpha other than 0")
    return celu_(x, alpha)


# ---------------------------------------------------------------------- piecewise linear
@unary(floats=True)
def hardtanh_(x: Tensor, low: float, high: float) -> Tensor:
    """What an adapter may override of ``hardtanh``."""
    # Not clip: PyTorch passes no gradient at the two bounds.
    inside = ops.logical_and(ops.greater(x, low), ops.less(x, high))
    return ops.where(inside, x, ops.clip(ops.stop_gradient(x), low, high))


def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x, bounded to [``min_val``, ``max_val``].

    Raises:
        ArgumentError: ``min_val`` is greater than ``max_val``.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.hardtanh(np.array([-2.0, 0.0, 2.0])).tolist()
        [-1.0, 0.0, 1.0]
    """
    if min_val > max_val:
        raise ArgumentError(f"hardtanh expected min_val <= max_val, got {min_val} and {max_val}")
    return hardtanh_(x, min_val, max_val)


def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return hardtanh_(x, 0.0, 6.0)


@unary(floats=True)
def hardsigmoid(x: Tensor) -> Tensor:
    """min(max(x + 3, 0), 6) / 6."""
    return ops.divide(hardtanh_(ops.add(x, 3.0), 0.0, 6.0), 6.0)


@unary(floats=True)
def hardswish(x: Tensor) -> Tensor:
    """x * min(max(x + 3, 0), 6) / 6.

    Source: Howard et al., "Searching for MobileNetV3", 2019, https://arxiv.org/abs/1905.02244

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.hardswish(np.array([-4.0, 0.0, 4.0])).tolist()
        [-0.0, 0.0, 4.0]
    """
    # In three pieces for PyTorch's gradient at the bends: 0 at -3 and 1 at 3.
    bent = ops.logical_and(ops.greater(x, -3.0), ops.less(x, 3.0))
    middle = ops.where(bent, x, 0.0)
    outside = ops.where(ops.less(x, 3.0), ops.multiply(ops.stop_gradient(x), 0.0), x)
    return ops.where(bent, ops.divide(ops.multiply(middle, ops.add(middle, 3.0)), 6.0), outside)


@unary(floats=True)
def threshold_(x: Tensor, threshold: float, value: float) -> Tensor:
    """What an adapter may override of ``threshold``."""
    return ops.where(ops.less_equal(x, threshold), value, x)


def threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    """x where x > ``threshold``, ``value`` elsewhere."""
    return threshold_(x, threshold, value)


@unary(floats=True)
def hardshrink_(x: Tensor, lambd: float) -> Tensor:
    """What an adapter may override of ``hardshrink``."""
    return ops.where(ops.logical_and(ops.less_equal(x, lambd), ops.less_equal(-lambd, x)), 0.0, x)


def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """0 where |x| <= ``lambd``, x elsewhere."""
    return hardshrink_(x, lambd)


@unary(floats=True)
def softshrink_(x: Tensor, lambd: float) -> Tensor:
    """What an adapter may override of ``softshrink``."""
    below = ops.where(ops.less(x, -lambd), ops.add(x, lambd), ops.multiply(ops.stop_gradient(x), 0.0))
    return ops.where(ops.greater(x, lambd), ops.subtract(x, lambd), below)


def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by ``lambd``, and 0 where |x| <= ``lambd``.

    Raises:
        ArgumentError: ``lambd`` is negative.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.softshrink(np.array([-2.0, 0.0, 2.0])).tolist()
        [-1.5, 0.0, 1.5]
    """
    if lambd < 0:
        raise ArgumentError(f"softshrink expected lambd >= 0, got {lambd}")
    return softshrink_(x, lambd)


# ---------------------------------------------------------------------- smooth ones
@unary(floats=True)
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), exact to rounding for both signs."""
    below = ops.less(x, 0)
    grown = ops.exp(ops.where(below, x, 0.0))  # where x < 0
    shrunk = ops.exp(ops.negative(ops.where(below, 0.0, x)))
    return ops.where(below, ops.divide(grown, ops.add(grown, 1.0)), ops.divide(1.0, ops.add(shrunk, 1.0)))


@unary(floats=True)
def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also called swish.

    Source: Elfwing et al., 2017, https://arxiv.org/abs/1702.03118

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.silu(np.array([-2.0, 0.0, 2.0])).round(4).tolist()
        [-0.2384, 0.0, 1.7616]
    """
    return ops.multiply(x, sigmoid(x))


@unary(floats=True)
def gelu_(x: Tensor, approximate: str) -> Tensor:
    """What an adapter may override of ``gelu``."""
    if approximate == "tanh":
        cubed = ops.multiply(ops.multiply(ops.multiply(x, x), x), 0.044715)
        inner = ops.tanh(ops.multiply(ops.add(x, cubed), math.sqrt(2.0 / math.pi)))
    else:
        inner = ops.erf(ops.multiply(x, math.sqrt(0.5)))
    return ops.multiply(ops.multiply(x, 0.5), ops.add(inner, 1.0))


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution's cumulative function: x/2 * (1 + erf(x / sqrt(2))).

    Args:
        x: any shape.
        approximate: ``"none"``, or ``"tanh"`` for x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).

    Raises:
        ArgumentError: ``approximate`` is neither.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016, https://arxiv.org/abs/1606.08415

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.gelu(np.array([-1.0, 0.0, 1.0])).round(4).tolist()
        [-0.1587, 0.0, 0.8413]
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu expected approximate 'none' or 'tanh', got {approximate!r}")
    return gelu_(x, approximate)


@unary(floats=True)
def softplus_(x: Tensor, beta: float, threshold: float) -> Tensor:
    """What an adapter may override of ``softplus``."""
    t = ops.multiply(x, beta)
    return ops.where(ops.greater(t, threshold), x, ops.divide(_softplus(t), beta))


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without overflow."""
    positive = ops.greater(x, 0)
    above, below = ops.where(positive, x, 0.0), ops.where(positive, 0.0, x)
    return ops.where(
        positive, ops.add(above, ops.log1p(ops.exp(ops.negative(above)))), ops.log1p(ops.exp(below))
    )


def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x > ``threshold``."""
    return softplus_(x, beta, threshold)


@unary(floats=True)
def logsigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), without the underflow of its parts."""
    return ops.negative(_softplus(ops.negative(x)))


@unary(floats=True)
def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x)).

    Source: Misra, "Mish", 2019, https://arxiv.org/abs/1908.08681

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.mish(np.array([-2.0, 0.0, 2.0])).round(4).tolist()
        [-0.2525, 0.0, 1.944]
    """
    return ops.multiply(x, ops.tanh(softplus(x)))


@unary(floats=True)
def softsign(x: Tensor) -> Tensor:
    """x / (1 + abs(x))."""
    return ops.divide(x, ops.add(ops.abs(x), 1.0))


@unary(floats=True)
def tanhshrink(x: Tensor) -> Tensor:
    """x - tanh(x)."""
    return ops.subtract(x, ops.tanh(x))


__all__ = [
    "celu",
    "elu",
    "gelu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]
