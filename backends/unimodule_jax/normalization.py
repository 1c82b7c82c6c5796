"""Normalisation, each as one compiled function; 16-bit floats are computed in float32, as PyTorch does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from ._jit import Array, computing_dtype, jit


def _moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Mean, ``x`` less its mean, and biased variance over ``axes``, which stay as 1, in two passes. ``x - mean`` is one
    value for all who need it: were it written twice, its gradient would be two sums over ``axes``.
    """
    mean = jnp.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    return mean, centred, jnp.mean(jnp.square(centred), axis=axes, keepdims=True)


def _scale(centred: Array, var: Array, weight: Array | None, bias: Array | None, eps: float) -> Array:
    y = centred * lax.rsqrt(var + eps)
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def _by_channel(x: Array, parameter: Array | None) -> Array | None:
    return None if parameter is None else parameter.reshape((-1,) + (1,) * (x.ndim - 2))


@jit("eps")
def batch_norm(
    x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float
) -> Array:
    wide = x.astype(computing_dtype(x.dtype))
    mean, var, weight, bias = (_by_channel(x, p) for p in (mean, var, weight, bias))
    return _scale(wide - mean, var, weight, bias, eps).astype(x.dtype)


@jit("eps")
def batch_norm_train(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    wide = x.astype(computing_dtype(x.dtype))
    mean, centred, var = _moments(wide, (0, *range(2, x.ndim)))
    y = _scale(centred, var, _by_channel(x, weight), _by_channel(x, bias), eps)
    return y.astype(x.dtype), mean.reshape(-1).astype(x.dtype), var.reshape(-1).astype(x.dtype)


@jit("normalized_shape", "eps")
def layer_norm(
    x: Array, normalized_shape: tuple[int, ...], weight: Array | None, bias: Array | None, eps: float
) -> Array:
    if x.shape[x.ndim - len(normalized_shape) :] != tuple(normalized_shape):  # JAX would broadcast
        raise ValueError(f"layer_norm: {x.shape} does not end in {normalized_shape}")
    wide = x.astype(computing_dtype(x.dtype))
    _, centred, var = _moments(wide, tuple(range(x.ndim - len(normalized_shape), x.ndim)))
    return _scale(centred, var, weight, bias, eps).astype(x.dtype)


@jit("num_groups", "eps")
def group_norm(x: Array, num_groups: int, weight: Array | None, bias: Array | None, eps: float) -> Array:
    if x.shape[1] % num_groups:
        raise ValueError(f"group_norm: {num_groups} groups do not divide {x.shape[1]} channels")
    wide = x.astype(computing_dtype(x.dtype)).reshape(x.shape[0], num_groups, -1)
    _, centred, var = _moments(wide, (2,))
    y = (centred * lax.rsqrt(var + eps)).reshape(x.shape)
    if weight is not None:
        y = y * _by_channel(x, weight)
    if bias is not None:
        y = y + _by_channel(x, bias)
    return y.astype(x.dtype)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "batch_norm": batch_norm,
    "batch_norm_train": batch_norm_train,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
}
