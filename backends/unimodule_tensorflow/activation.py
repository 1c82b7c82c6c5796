"""Activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._tools import move_last, rank, scalar, tensor, transpose, vector
from .elementwise import erf


def relu(x: Tensor) -> Tensor:
    return raw.Relu(features=x)


def sigmoid(x: Tensor) -> Tensor:
    return raw.Sigmoid(x=x)


def silu(x: Tensor) -> Tensor:
    return raw.Mul(x=x, y=raw.Sigmoid(x=x))


def gelu(x: Tensor, approximate: str) -> Tensor:
    if approximate == "tanh":
        cube = raw.Mul(x=raw.Square(x=x), y=x)
        inner = raw.AddV2(x=x, y=raw.Mul(x=cube, y=scalar(0.044715, x)))
        gate = raw.Tanh(x=raw.Mul(x=inner, y=scalar(math.sqrt(2 / math.pi), x)))
    else:
        gate = erf(raw.Mul(x=x, y=scalar(math.sqrt(0.5), x)))
    half = raw.Mul(x=x, y=scalar(0.5, x))
    return raw.Mul(x=half, y=raw.AddV2(x=gate, y=scalar(1.0, x)))


def elu(x: Tensor, alpha: float) -> Tensor:
    # Of Elu itself little is left near 0: it subtracts 1 from the exponential. Which must not see large x: the infinity is
    # dropped, but not the NaN that its gradient makes of it.
    positive = raw.Greater(x=x, y=scalar(0.0, x))
    curve = raw.Expm1(x=raw.SelectV2(condition=positive, t=raw.ZerosLike(x=x), e=x))
    return raw.SelectV2(condition=positive, t=x, e=raw.Mul(x=curve, y=scalar(alpha, x)))


def leaky_relu(x: Tensor, negative_slope: float) -> Tensor:
    if x.dtype != tf.float64:
        return raw.LeakyRelu(features=x, alpha=negative_slope)
    # The kernel takes its slope in float32.
    steep = raw.Mul(x=x, y=scalar(negative_slope, x))
    return raw.SelectV2(condition=raw.Greater(x=x, y=scalar(0.0, x)), t=x, e=steep)


def softplus(x: Tensor, beta: float, threshold: float) -> Tensor:
    scaled = x if beta == 1 else raw.Mul(x=x, y=scalar(beta, x))
    soft = raw.Softplus(features=scaled)
    if beta != 1:
        soft = raw.RealDiv(x=soft, y=scalar(beta, x))
    return raw.SelectV2(condition=raw.Greater(x=scaled, y=scalar(threshold, x)), t=x, e=soft)


def _over_last(kernel: Callable[[Tensor], Tensor]) -> Callable[[Tensor, int], Tensor]:
    """The kernels know the last axis only, and refuse an empty one."""

    def run(x: Tensor, axis: int) -> Tensor:
        if rank(x) == 0:
            return raw.Squeeze(input=kernel(raw.ExpandDims(input=x, axis=0)), axis=[0])
        if 0 in tuple(x.shape):
            return tensor(x)
        last, back = move_last(x, axis)
        out = kernel(last)
        return out if back is None else transpose(out, back)

    return run


def _softmax(x: Tensor) -> Tensor:
    # oneDNN's kernel leaves a NaN where it stood; PyTorch's spreads it over its slice, and so does dividing by the sum,
    # which is 1 otherwise.
    out = raw.Softmax(logits=x)
    total = raw.Sum(input=out, axis=vector((-1,)), keep_dims=True)
    return raw.RealDiv(x=out, y=tf.stop_gradient(total))


def _log_softmax(x: Tensor) -> Tensor:
    return raw.LogSoftmax(logits=x)


softmax = _over_last(_softmax)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": relu,
    "sigmoid": sigmoid,
    "silu": silu,
    "gelu": gelu,
    "elu": elu,
    "leaky_relu": leaky_relu,
    "softplus": softplus,
    "softmax": softmax,
    "log_softmax": _over_last(_log_softmax),
}
