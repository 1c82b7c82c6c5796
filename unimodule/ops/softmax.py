"""Softmax and its kin: functions along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ShapeError
from ._dispatch import expect_tensor, unary


def _along(name: str, kernel: Callable[..., Tensor], x: Tensor, axis: int) -> Tensor:
    shape = expect_tensor(name, x).shape(x)
    rank = len(shape) or 1  # as in PyTorch, a scalar counts as a slice of one element
    if not -rank <= axis < rank:
        raise ShapeError(
            f"{name} expected -{rank} <= axis < {rank} for a tensor of shape {shape}, got {axis}"
        )
    return kernel(x, axis) if shape else ops.reshape(kernel(ops.reshape(x, (1,)), 0), ())


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
    """
    return _along("log_softmax", log_softmax_, x, axis)


@unary(floats=True)
def logsumexp(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over ``axis`` (an integer, a tuple, or None for all axes); -inf where a whole slice is -inf."""
    top = ops.stop_gradient(ops.max(x, axis=axis, keepdims=True))
    shift = ops.where(ops.isfinite(top), top, 0.0)  # an infinite shift would make inf - inf
    total = ops.log(ops.sum(ops.exp(ops.subtract(x, shift)), axis=axis, keepdims=keepdims))
    shift = shift if keepdims else ops.reshape(shift, tuple(total.shape))
    return ops.add(total, shift)


@unary(floats=True)
def glu_(x: Tensor, axis: int) -> Tensor:
    """What an adapter may override of ``glu``."""
    half = x.shape[axis] // 2
    before = (slice(None),) * (axis % len(x.shape))
    return ops.multiply(x[(*before, slice(0, half))], ops.sigmoid(x[(*before, slice(half, None))]))


def glu(x: Tensor, axis: int = -1) -> Tensor:
    """a * ops.sigmoid(b), a and b being the two halves of x along ``axis``.

    Raises:
        ShapeError: there is no such axis, or its size is odd.

    Source: Dauphin et al., "Language Modeling with Gated Convolutional Networks", 2016,
    https://arxiv.org/abs/1612.08083
    """
    shape = expect_tensor("glu", x).shape(x)
    if not -len(shape) <= axis < len(shape) or shape[axis] % 2:
        raise ShapeError(f"glu expected an axis of even size to halve, got axis {axis} of {shape}")
    return glu_(x, axis)


__all__ = ["glu", "log_softmax", "logsumexp", "softmax"]
