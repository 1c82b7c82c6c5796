"""Batch, layer and group normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .elementwise import FUNCTIONS as _ELEMENTWISE
from .elementwise import add, add_array, divide, multiply, multiply_array, subtract_array
from .operators import Array, detach, differentiable, dtype_of, in_training, ones_and_zeros, op, reshape_to
from .reductions import mean

_batch_norm = op("BatchNorm", axis=1, fix_gamma=False)
_layer_norm = op("LayerNorm", axis=-1)
_sqrt = _ELEMENTWISE["sqrt"]
_square = op("_npi_square")


def _per_channel(v: Array, x: Array) -> Array:
    return reshape_to(v, newshape=(1, -1, *(1,) * (x.ndim - 2)))


def _affine(x: Array, weight: Array | None, bias: Array | None) -> Array:
    if weight is not None:
        x = multiply_array(x, weight)
    return x if bias is None else add_array(x, bias)


def _with_defaults(weight: Array | None, bias: Array | None, n: int, x: Array) -> tuple[Array, Array]:
    ones, zeros = ones_and_zeros(n, x)
    return (ones if weight is None else weight), (zeros if bias is None else bias)


def batch_norm(
    x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float
) -> Array:
    if not differentiable() and x.size:
        gamma, beta = _with_defaults(weight, bias, x.shape[1], x)
        return _batch_norm(x, gamma, beta, mean, var, eps=eps, use_global_stats=True)
    scale = _sqrt(add(var, eps))
    scale = divide(1.0, scale) if weight is None else divide(weight, scale)
    shift = multiply_array(mean, scale)
    shift = _ELEMENTWISE["negative"](shift) if bias is None else subtract_array(bias, shift)
    if x.size == 0:
        return add_array(multiply_array(x, _per_channel(scale, x)), _per_channel(shift, x))
    # MXNet's has no gradient for the statistics, so they go into weight and bias, of its own that for mean 0 and variance
    # 1. As products and sums with x these would take several times as long.
    ones, zeros = ones_and_zeros(x.shape[1], x)
    scale = multiply(scale, math.sqrt(1 + _EPS))
    return _batch_norm(x, scale, shift, zeros, ones, eps=_EPS, use_global_stats=True)


_EPS = 1e-5  # cuDNN takes no less


def batch_norm_train(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    n = x.shape[1]
    gamma, beta = _with_defaults(weight, bias, n, x)
    # It also updates running statistics in place; with momentum 1 those handed over stay what they are.
    ones, zeros = ones_and_zeros(n, x)
    y, mu, _ = in_training(
        _batch_norm,
        x,
        gamma,
        beta,
        zeros,
        ones,
        eps=eps,
        momentum=1.0,
        use_global_stats=False,
        output_mean_var=True,
    )
    # Its statistics have no gradient, and none is asked for; the variance is 1 / sqrt(var + eps), which loses small ones.
    mu = detach(mu)
    centred = subtract_array(detach(x), _per_channel(mu, x))
    var = mean(_square(centred), axis=tuple(a for a in range(x.ndim) if a != 1))
    return y, mu, var


def _standardize(x: Array, eps: float) -> Array:
    """Mean 0 and variance 1 along the last axis."""
    centred = subtract_array(x, mean(x, axis=-1, keepdims=True))
    return divide(centred, _sqrt(add(mean(_square(centred), axis=-1, keepdims=True), eps)))


def layer_norm(
    x: Array, normalized_shape: tuple[int, ...], weight: Array | None, bias: Array | None, eps: float
) -> Array:
    if x.size == 0:
        return _affine(x, weight, bias)
    n, shape = math.prod(normalized_shape), x.shape
    rows = x if len(normalized_shape) == 1 else reshape_to(x, newshape=(-1, n))
    if dtype_of(x) == "float64":  # MXNet takes eps in float32
        return _affine(reshape_to(_standardize(rows, eps), newshape=shape), weight, bias)
    gamma, beta = _with_defaults(weight, bias, n, x)
    y = _layer_norm(rows, reshape_to(gamma, newshape=(n,)), reshape_to(beta, newshape=(n,)), eps=eps)
    return y if rows is x else reshape_to(y, newshape=shape)


def group_norm(x: Array, num_groups: int, weight: Array | None, bias: Array | None, eps: float) -> Array:
    shape = x.shape  # MXNet's own has one weight for a group, not for a channel
    if shape[1] % num_groups:
        raise ValueError(f"group_norm: {num_groups} groups do not divide {shape[1]} channels")
    rows = reshape_to(x, newshape=(shape[0] * num_groups, math.prod(shape[1:]) // num_groups))
    y = reshape_to(layer_norm(rows, rows.shape[1:], None, None, eps), newshape=shape)
    weight, bias = (None if v is None else _per_channel(v, x) for v in (weight, bias))
    return _affine(y, weight, bias)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "batch_norm": batch_norm,
    "batch_norm_train": batch_norm_train,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
}
