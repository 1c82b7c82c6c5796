"""Activations under the names, argument orders and defaults of torch.nn.functional.

``inplace`` is accepted for PyTorch's sake and ignored: nothing is ever written in place. Formulas, sources and errors
are documented with the ops of the same names.
"""

from __future__ import annotations

import warnings
from typing import Any

from ... import ops
from ...backend import Tensor
from ...errors import ArgumentError


# ---------------------------------------------------------------------- cell by cell
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return ops.relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return ops.relu6(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, ``negative_slope`` * x elsewhere."""
    return ops.leaky_relu(input, negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, ``weight`` * x elsewhere; one weight, or one for each channel (axis 1)."""
    return ops.prelu(input, weight)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Leaky ReLU with a slope drawn from U(lower, upper) for each cell, or with the mean slope outside training.

    Raises:
        ArgumentError: ``lower`` is greater than ``upper``.

    Source: Xu et al., "Empirical Evaluation of Rectified Activations", 2015, https://arxiv.org/abs/1505.00853

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.rrelu(np.array([-2.0, 3.0]), 0.25, 0.75).tolist()
        [-1.0, 3.0]
    """
    if lower > upper:
        raise ArgumentError(f"rrelu expected lower <= upper, got {lower} and {upper}")
    if not training:
        return ops.leaky_relu(input, (lower + upper) / 2)
    drawn = ops.random_uniform(tuple(input.shape), like=input)
    slope = ops.add(ops.multiply(drawn, upper - lower), lower)
    return ops.where(ops.less_equal(input, 0), ops.multiply(input, slope), input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, ``alpha`` * (exp(x) - 1) elsewhere."""
    return ops.elu(input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), with the constants of self-normalising nets."""
    return ops.selu(input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, ``alpha`` * (exp(x / ``alpha``) - 1) elsewhere."""
    return ops.celu(input, alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution's cumulative function; ``approximate`` is "none" or "tanh"."""
    return ops.gelu(input, approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)."""
    return ops.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x))."""
    return ops.mish(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return ops.sigmoid(input)


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x))."""
    return ops.logsigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x > ``threshold``."""
    return ops.softplus(input, beta, threshold)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + abs(x))."""
    return ops.softsign(input)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return ops.tanhshrink(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by ``lambd``, and 0 where abs(x) <= ``lambd``."""
    return ops.softshrink(input, lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 where abs(x) <= ``lambd``, x elsewhere."""
    return ops.hardshrink(input, lambd)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x, bounded to [``min_val``, ``max_val``]."""
    return ops.hardtanh(input, min_val, max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6) / 6."""
    return ops.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * min(max(x + 3, 0), 6) / 6."""
    return ops.hardswish(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > ``threshold``, ``value`` elsewhere."""
    return ops.threshold(input, threshold, value)


# ---------------------------------------------------------------------- along an axis
def _prepare(name: str, input: Tensor, dim: int | None, stacklevel: int, dtype: Any) -> tuple[Tensor, int]:
    """The input, cast if asked to, and the axis: PyTorch's old choice, with its warning, where none is given."""
    if dtype is not None:
        input = ops.astype(input, dtype)
    if dim is None:
        dim = 0 if len(input.shape) in (0, 1, 3) else 1
        warnings.warn(f"{name} without dim takes axis {dim} here; say which is meant", stacklevel=stacklevel)
    return input, dim


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along ``dim``, in ``dtype`` if one is given."""
    if dim is None or dtype is not None:
        input, dim = _prepare("softmax", input, dim, _stacklevel, dtype)
    return ops.softmax(input, dim)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-x) along ``dim``."""
    input, dim = _prepare("softmin", input, dim, _stacklevel, dtype)
    return ops.softmax(ops.negative(input), dim)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along ``dim``, in ``dtype`` if one is given."""
    if dim is None or dtype is not None:
        input, dim = _prepare("log_softmax", input, dim, _stacklevel, dtype)
    return ops.log_softmax(input, dim)


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A differentiable draw from a categorical distribution: softmax((logits + g) / tau), g from Gumbel(0, 1).

    Args:
        logits: unnormalised log-probabilities, any shape.
        tau: temperature, not 0.
        hard: return one-hot vectors, with the gradient of the soft ones.
        eps: ignored, as in PyTorch.
        dim: the axis of the classes.

    Source: Jang et al., "Categorical Reparameterization with Gumbel-Softmax", 2016, https://arxiv.org/abs/1611.01144

    Example:
        >>> import numpy as np, unimodule as um
        >>> y = um.nn.functional.gumbel_softmax(np.zeros((4, 3)), hard=True)
        >>> sorted(set(y.ravel().tolist())), y.sum(axis=-1).tolist()
        ([0.0, 1.0], [1.0, 1.0, 1.0, 1.0])
    """
    if tau == 0:
        raise ArgumentError("gumbel_softmax expected a tau other than 0")
    drawn = ops.random_uniform(tuple(logits.shape), like=logits)
    tiny = ops.finfo(drawn.dtype).smallest_normal
    exponential = ops.negative(ops.log1p(ops.negative(drawn)))  # 1 - u is never 0
    gumbels = ops.negative(ops.log(ops.maximum(exponential, tiny)))
    soft = ops.softmax(ops.divide(ops.add(logits, gumbels), tau), dim)
    if not hard:
        return soft
    classes = soft.shape[dim]
    places = ops.argmax(soft, axis=dim)
    one_hot = ops.astype(
        ops.equal(ops.expand_dims(places, axis=-1), ops.arange(classes, like=places)), soft.dtype
    )
    one_hot = ops.moveaxis(one_hot, -1, dim)
    return ops.add(ops.subtract(one_hot, ops.stop_gradient(soft)), soft)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b), a and b being the two halves of x along ``dim``."""
    return ops.glu(input, dim)


__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]
