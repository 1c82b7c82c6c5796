"""Activations. Where two formulas meet, the choice at the kink is PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
    if approximate != "tanh" or x.dtype != np.float64:
        return jax.nn.gelu(x, approximate=approximate == "tanh")
    # XLA's tanh in float64 ends 8e-16 short of 1, which x makes large again, and its cube in the gradient.
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    ended = jnp.abs(inner) > 20
    tanh = jnp.where(ended, jnp.sign(inner), jnp.tanh(jnp.where(ended, 0, inner)))
    return 0.5 * x * (1 + tanh)


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
