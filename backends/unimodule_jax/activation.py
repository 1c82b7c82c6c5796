"""Activations. Where two formulas meet, the choice at the kink is PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._jit import Array, jit


@jit()
def relu(x: Array) -> Array:
    return jax.nn.relu(x)


@jit()
def sigmoid(x: Array) -> Array:
    return lax.logistic(x)


@jit()
def silu(x: Array) -> Array:
    return x * lax.logistic(x)


@jit("approximate")
def gelu(x: Array, approximate: str) -> Array:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


@jit("alpha")
def elu(x: Array, alpha: float) -> Array:
    positive = x > 0
    return jnp.where(positive, x, alpha * jnp.expm1(jnp.where(positive, 0, x)))


@jit("negative_slope")
def leaky_relu(x: Array, negative_slope: float) -> Array:
    return jnp.where(x > 0, x, negative_slope * x)  # jax.nn's slope at 0 is 1, PyTorch's is negative_slope


@jit("beta", "threshold")
def softplus(x: Array, beta: float, threshold: float) -> Array:
    linear = beta * x > threshold
    return jnp.where(linear, x, jnp.logaddexp(beta * jnp.where(linear, 0, x), 0) / beta)


@jit("axis")
def softmax(x: Array, axis: int) -> Array:
    return jax.nn.softmax(x, axis)


@jit("axis")
def log_softmax(x: Array, axis: int) -> Array:
    return jax.nn.log_softmax(x, axis)


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
}
