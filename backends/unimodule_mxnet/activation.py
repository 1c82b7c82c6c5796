"""Activation functions and softmax.

Where MXNet's kernel has a parameter (a slope), it takes it in float32, even for float64 tensors: those are composed.
So are scalars, for which it asks for the size of an axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .elementwise import FUNCTIONS as _ELEMENTWISE
from .elementwise import add, divide, erf, multiply, multiply_array, multiply_scalar, subtract
from .operators import Array, detach, dtype_of, host_sum, op, recording, reshape_to, select, zeros_like
from .reductions import Axis, axes_of, max, sum

_exp, _expm1, _log, _log1p, _tanh = (_ELEMENTWISE[name] for name in ("exp", "expm1", "log", "log1p", "tanh"))
_leaky = op("LeakyReLU", act_type="leaky")
_gelu = op("LeakyReLU", act_type="gelu")
_isfinite = op("_npi_isfinite")
_greater_scalar = op("_npi_greater_scalar")
_relu = op("_npx_relu")
quick_relu = op("Activation", act_type="relu")  # oneDNN's, which makes 0 of NaN
_elu = op("LeakyReLU", act_type="elu")
_pooling = op("Pooling")
sigmoid = op("_npx_sigmoid")


def _fits_kernel(x: Array) -> bool:
    return dtype_of(x) == "float32" and x.ndim > 0


def relu(x: Array) -> Array:
    trace = recording.trace
    if trace is None:
        return _relu(x)
    if not trace.in_blocks(x):
        return trace.note_relu(_relu(x), x)
    return trace.note_relu(trace.either(x, _relu, _relu_in_blocks), x)


def _relu_in_blocks(x: Array) -> Array:
    """relu of what a convolution has just made, in oneDNN's own layout: MXNet's operator would have it undone first.

    ELU without its exponential part keeps NaN (whose gradient is 0, where MXNet's operator has NaN); an average of one
    cell, which is 0 plus that cell, has no -0.
    """
    cell = (1,) * (x.ndim - 2)
    return _pooling(_elu(x, slope=0.0), kernel=cell, stride=cell, pool_type="avg")


def silu(x: Array) -> Array:
    return multiply_array(x, sigmoid(x))


def gelu(x: Array, approximate: str) -> Array:
    if approximate == "tanh":
        cube = multiply(multiply_array(multiply_array(x, x), x), 0.044715)
        inner = multiply(add(x, cube), math.sqrt(2 / math.pi))
        return multiply_array(multiply_scalar(x, scalar=0.5), add(_tanh(inner), 1.0))
    if _fits_kernel(x):
        return _gelu(x)
    return multiply_array(multiply_scalar(x, scalar=0.5), add(erf(multiply(x, math.sqrt(0.5))), 1.0))


def elu(x: Array, alpha: float) -> Array:
    # Not oneDNN's, which is exp(x) - 1 literally, and so loses its digits near 0. The exponential must not see large x:
    # where drops its infinity, but not the NaN of infinity times zero.
    positive = _greater_scalar(x, scalar=0)
    return select(positive, x, multiply(_expm1(select(positive, zeros_like(x), x)), alpha))


def leaky_relu(x: Array, negative_slope: float) -> Array:
    if _fits_kernel(x) and negative_slope:  # without a slope it makes 0 of NaN
        return _leaky(x, slope=negative_slope)
    return select(_greater_scalar(x, scalar=0), x, multiply(x, negative_slope))


def softplus(x: Array, beta: float, threshold: float) -> Array:
    """log(1 + exp(beta x)) / beta. MXNet's own loses the left tail, being log(1 + ...) literally."""
    scaled = x if beta == 1 else multiply(x, beta)
    large = _greater_scalar(scaled, scalar=threshold)
    smooth = _log1p(_exp(select(large, zeros_like(x), scaled)))
    return select(large, x, smooth if beta == 1 else divide(smooth, beta))


def _with_nan(operator: Callable[..., Array]) -> Callable[[Array, int], Array]:
    """A softmax, with NaN in all of a slice where there is NaN or infinity in it.

    oneDNN's, in float32, keeps NaN to itself. Looking for it costs a fraction of the softmax, and MXNet's slower
    kernel, which a temperature of 1 brings up, gets it right.
    """

    def call(x: Array, axis: int) -> Array:
        if x.size == 0:
            return x
        if recording.by_others:
            return operator(x, axis=axis, temperature=1.0)
        y = operator(x, axis=axis)
        if dtype_of(x) == "float32" and x.ctx.device_type == "cpu" and math.isnan(host_sum(y)):
            return operator(x, axis=axis, temperature=1.0)
        return y

    return call


softmax = _with_nan(op("_npx_softmax"))
_log_softmax = op("_npx_log_softmax")


def log_softmax(x: Array, axis: int) -> Array:
    # oneDNN's float32 kernel has 20 times the error of MXNet's own, 2.5e-6 of the gradient, and keeps NaN to itself.
    return _log_softmax(x, axis=axis, temperature=1.0) if x.size else x


def logsumexp(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    axes = axes_of(x, axis)
    if not axes:
        return x
    top = max(detach(x), axis=axes, keepdims=True)
    top = detach(select(_isfinite(top), top, zeros_like(top)))
    total = add(_log(sum(_exp(subtract(x, top)), axis=axes, keepdims=True)), top)
    if keepdims:
        return total
    return reshape_to(total, newshape=tuple(n for a, n in enumerate(x.shape) if a not in axes))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": relu,
    "sigmoid": sigmoid,
    "silu": silu,
    "gelu": gelu,
    "elu": elu,
    "leaky_relu": leaky_relu,
    "softplus": softplus,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
}
