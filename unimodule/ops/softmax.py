"""Softmax and its kin: functions along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ShapeError
from ._arguments import many_axes, one_axis
from ._dispatch import expect_tensor, unary


def _along(name: str, kernel: Callable[..., Tensor], x: Tensor, axis: int) -> Tensor:
    shape = expect_tensor(name, x).shape(x)
    if not shape:  # as in PyTorch, a scalar counts as a slice of one element
        one_axis(name, axis, 1)
        return ops.reshape(kernel(ops.reshape(x, (1,)), 0), ())
    return kernel(x, one_axis(name, axis, len(shape)))


@unary(floats=True)
def softmax_(x: Tensor, axis: int) -> Tensor:
    """What an adapter may override of ``softmax``."""
    grown = ops.exp(ops.subtract(x, ops.stop_gradient(ops.max(x, axis=axis, keepdims=True))))
    return ops.divide(grown, ops.sum(grown, axis=axis, keepdims=True))


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along ``axis``; NaN where a whole slice is -inf.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np
        >>> softmax(np.zeros((1, 4)))
        array([[0.25, 0.25, 0.25, 0.25]])
    """
    return _along("softmax", softmax_, x, axis)


@unary(floats=True)
def log_softmax_(x: Tensor, axis: int) -> Tensor:
    """What an adapter may override of ``log_softmax``."""
    shifted = ops.subtract(x, ops.stop_gradient(ops.max(x, axis=axis, keepdims=True)))
    return ops.subtract(shifted, ops.log(ops.sum(ops.exp(shifted), axis=axis, keepdims=True)))


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """log(softmax(x)) along ``axis``, without the underflow of its parts.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.log_softmax(np.zeros(2), 0).round(4).tolist()
        [-0.6931, -0.6931]
    """
    return _along("log_softmax", log_softmax_, x, axis)


@unary(floats=True)
def logsumexp_(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """What an adapter may override of ``logsumexp``."""
    top = ops.stop_gradient(ops.max(x, axis=axis, keepdims=True))
    shift = ops.where(ops.isfinite(top), top, 0.0)  # an infinite shift would make inf - inf
    total = ops.log(ops.sum(ops.exp(ops.subtract(x, shift)), axis=axis, keepdims=keepdims))
    return ops.add(total, shift if keepdims else ops.reshape(shift, tuple(total.shape)))


def logsumexp(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over ``axis`` (an integer, a tuple, or None for all axes); -inf where a whole slice is -inf.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.logsumexp(np.zeros((2, 4)), axis=1).round(4).tolist()
        [1.3863, 1.3863]
    """
    shape = expect_tensor("logsumexp", x).shape(x)
    return logsumexp_(
        x, axis=None if axis is None else many_axes("logsumexp", axis, len(shape)), keepdims=keepdims
    )


@unary(floats=True)
def glu_(x: Tensor, axis: int) -> Tensor:
    """What an adapter may override of ``glu``."""
    a, b = ops.split(x, 2, axis=axis)
    return ops.multiply(a, ops.sigmoid(b))


def glu(x: Tensor, axis: int = -1) -> Tensor:
    """a * ops.sigmoid(b), a and b being the two halves of x along ``axis``.

    Raises:
        ShapeError: there is no such axis, or its size is odd.

    Source: Dauphin et al., "Language Modeling with Gated Convolutional Networks", 2016,
    https://arxiv.org/abs/1612.08083

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.glu(np.array([3.0, 0.0])).tolist()
        [1.5]
    """
    shape = expect_tensor("glu", x).shape(x)
    axis = one_axis("glu", axis, len(shape))
    if shape[axis] % 2:
        raise ShapeError(f"glu expected an axis of even size to halve, got axis {axis} of {shape}")
    return glu_(x, axis)


__all__ = ["glu", "log_softmax", "logsumexp", "softmax"]
