"""Functions that move elements and compute nothing, and matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from ._jit import Array, jit


@jit("shape")
def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    return lax.reshape(x, shape)


@jit("axes")
def permute_dims(x: Array, axes: tuple[int, ...]) -> Array:
    return jnp.transpose(x, axes)


@jit("shape")
def broadcast_to(x: Array, shape: tuple[int, ...]) -> Array:
    return jnp.broadcast_to(x, shape)


@jit("axis")
def _concat(arrays: tuple[Array, ...], axis: int) -> Array:
    return lax.concatenate(arrays, axis % arrays[0].ndim)


def concat(arrays: Sequence[Array], *, axis: int = 0) -> Array:
    return _concat(tuple(arrays), axis)


@jit("sizes", "axis")
def split(x: Array, sizes: tuple[int, ...], *, axis: int) -> Sequence[Array]:
    # The gradient of slices is as many padded copies and their sum; that of a split is one concatenation.
    return lax.split(x, sizes, axis)


@jit("axis")
def flip(x: Array, *, axis: int | tuple[int, ...] | None = None) -> Array:
    return jnp.flip(x, axis)


@jit("widths")
def _pad(x: Array, value: Array, widths: tuple[tuple[int, int], ...]) -> Array:
    value = lax.convert_element_type(value, x.dtype)
    return lax.pad(x, value, [(before, after, 0) for before, after in widths])


def pad(x: Array, widths: Sequence[Sequence[int]], *, value: float = 0.0) -> Array:
    # `value` stays dynamic: a NaN is a new key in the cache of compiled functions each time
    return _pad(x, value, tuple((before, after) for before, after in widths))


@jit()
def matmul(x1: Array, x2: Array) -> Array:
    return jnp.matmul(x1, x2)


@jit()
def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != weight.dtype):
        raise TypeError("linear: tensors of different dtypes")  # JAX would promote them
    product = lax.dot_general(x, weight, (((x.ndim - 1,), (1,)), ((), ())))
    return product if bias is None else product + bias


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "reshape": reshape,
    "permute_dims": permute_dims,
    "broadcast_to": broadcast_to,
    "concat": concat,
    "split": split,
    "flip": flip,
    "pad": pad,
    "matmul": matmul,
    "linear": linear,
}
