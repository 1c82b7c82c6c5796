"""Indexing with numbers, slices and integer tensors.

Where indices could not be checked (under a trace, on an accelerator), one out of range reads NaN from a float tensor
and takes no gradient: JAX's "fill" mode. The alternative, clamping, is wrong without a trace.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from ._jit import Array, jit


@jit("extents", "steps", "shape")
def _slice(
    x: Array,
    starts: tuple[int, ...],
    extents: tuple[int, ...],
    steps: tuple[int, ...],
    shape: tuple[int, ...],
) -> Array:
    # Starts are dynamic, so that a loop over x[i] compiles once; under an outer trace they are constants that XLA folds.
    window = lax.dynamic_slice(x, starts, extents)
    if any(step > 1 for step in steps):
        window = lax.slice(window, (0,) * x.ndim, extents, steps)
    return lax.reshape(window, shape)


def getitem(x: Array, key: tuple[Any, ...]) -> Array:
    starts: list[int] = []
    extents: list[int] = []
    steps: list[int] = []
    shape: list[int] = []
    for entry, size in _entries(x.shape, key):
        if entry is None:
            shape.append(1)
            continue
        if isinstance(entry, slice):
            start, stop, step = entry.indices(size)
            length = len(range(start, stop, step))
            extent = (length - 1) * step + 1 if length else 0
            shape.append(length)
        else:
            index = operator.index(entry)
            start, extent, step = index + size if index < 0 else index, 1, 1
        starts.append(start)
        extents.append(extent)
        steps.append(step)
    return _slice(x, tuple(starts), tuple(extents), tuple(steps), tuple(shape))


def _entries(shape: tuple[int, ...], key: tuple[Any, ...]) -> list[tuple[Any, int]]:
    """Each entry of a key with the size of the axis it reads (0 for None), ``...`` and missing ones written out."""
    used = sum(1 for entry in key if entry is not None and entry is not Ellipsis)
    if used > len(shape):
        raise IndexError(f"too many indices: {used} for a tensor of shape {shape}")
    rest = [slice(None)] * (len(shape) - used)
    place = next((i for i, entry in enumerate(key) if entry is Ellipsis), None)
    full = [*key, *rest] if place is None else [*key[:place], *rest, *key[place + 1 :]]
    sizes = iter(shape)
    return [(entry, 0 if entry is None else next(sizes)) for entry in full]


def _wide_enough(indices: Array) -> Array:
    """Indices of at least 32 bits: JAX adds the axis' size to negative ones in their own dtype, where it can wrap."""
    return indices if indices.dtype.itemsize >= 4 else indices.astype(jnp.int32)


@jit("axis")
def take(x: Array, indices: Array, *, axis: int) -> Array:
    return jnp.take(x, _wide_enough(indices), axis=axis, mode="fill")


@jit("axis")
def take_along_axis(x: Array, indices: Array, *, axis: int = -1) -> Array:
    return jnp.take_along_axis(x, _wide_enough(indices), axis=axis, mode="fill")


@jit()
def embedding(indices: Array, weight: Array) -> Array:
    return jnp.take(weight, _wide_enough(indices), axis=0, mode="fill")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "getitem": getitem,
    "take": take,
    "take_along_axis": take_along_axis,
    "embedding": embedding,
}
