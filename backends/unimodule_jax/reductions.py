"""Reductions, cumulative functions, arg-reductions and sorting."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from ._jit import Array, computing_dtype, index_dtype, jit

Axes = int | tuple[int, ...] | None


@jit("axis", "keepdims")
def sum(x: Array, *, axis: Axes = None, keepdims: bool = False) -> Array:
    return jnp.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


@jit("axis", "keepdims")
def prod(x: Array, *, axis: Axes = None, keepdims: bool = False) -> Array:
    return jnp.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


@jit("axis", "keepdims")
def mean(x: Array, *, axis: Axes = None, keepdims: bool = False) -> Array:
    wide = x.astype(computing_dtype(x.dtype))
    return jnp.mean(wide, axis=axis, keepdims=keepdims).astype(x.dtype)


@jit("axis", "correction", "keepdims")
def var(x: Array, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    wide = x.astype(computing_dtype(x.dtype))
    off = wide - jnp.mean(wide, axis=axis, keepdims=True)
    total = jnp.sum(off * off, axis=axis, keepdims=keepdims)
    count = x.size // builtins.max(total.size, 1)
    return (total / builtins.max(count - correction, 0)).astype(x.dtype)


@jit("axis", "keepdims")
def max(x: Array, *, axis: Axes = None, keepdims: bool = False) -> Array:
    return jnp.max(x, axis=axis, keepdims=keepdims)


@jit("axis", "keepdims")
def min(x: Array, *, axis: Axes = None, keepdims: bool = False) -> Array:
    return jnp.min(x, axis=axis, keepdims=keepdims)


@jit("axis", "keepdims")
def all(x: Array, *, axis: Axes = None, keepdims: bool = False) -> Array:
    return jnp.all(x, axis=axis, keepdims=keepdims)


@jit("axis", "keepdims")
def any(x: Array, *, axis: Axes = None, keepdims: bool = False) -> Array:
    return jnp.any(x, axis=axis, keepdims=keepdims)


@jit("axis", "keepdims")
def argmax(x: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
    return jnp.argmax(x, axis=axis, keepdims=keepdims).astype(index_dtype())


@jit("axis", "keepdims")
def argmin(x: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
    return jnp.argmin(x, axis=axis, keepdims=keepdims).astype(index_dtype())


@jit("axis")
def cumulative_sum(x: Array, *, axis: int) -> Array:
    return lax.cumsum(x.astype(computing_dtype(x.dtype)), axis % x.ndim).astype(x.dtype)


@jit("axis")
def cumulative_prod(x: Array, *, axis: int) -> Array:
    return lax.cumprod(x.astype(computing_dtype(x.dtype)), axis % x.ndim).astype(x.dtype)


@jit("axis", "descending")
def argsort(x: Array, *, axis: int = -1, descending: bool = False) -> Array:
    return jnp.argsort(x, axis=axis, stable=True, descending=descending).astype(index_dtype())


@jit("axis", "keepdims")
def logsumexp(x: Array, *, axis: Axes = None, keepdims: bool = False) -> Array:
    wide = x.astype(computing_dtype(x.dtype))
    top = lax.stop_gradient(jnp.max(wide, axis=axis, keepdims=True, initial=-jnp.inf))
    shift = jnp.where(jnp.isinf(top), 0, top)  # infinity - infinity is NaN
    total = jnp.log(jnp.sum(jnp.exp(wide - shift), axis=axis, keepdims=True)) + shift
    if not keepdims:
        total = jnp.squeeze(total, axis)
    return total.astype(x.dtype)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": sum,
    "prod": prod,
    "mean": mean,
    "var": var,
    "max": max,
    "min": min,
    "all": all,
    "any": any,
    "argmax": argmax,
    "argmin": argmin,
    "cumulative_sum": cumulative_sum,
    "cumulative_prod": cumulative_prod,
    "argsort": argsort,
    "logsumexp": logsumexp,
}
