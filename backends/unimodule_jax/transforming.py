"""Batching and rematerialisation."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from . import random
from ._jit import Array

Flat = Callable[[list[Array]], list[Array]]


def vmap(fn: Flat, values: list[Array], axes: list[int]) -> list[Array]:
    def run(index: Array, slices: list[Array]) -> list[Array]:
        with random.step(index):
            return fn(slices)

    size = values[0].shape[axes[0]]
    return jax.vmap(run, in_axes=(0, list(axes)))(jnp.arange(size, dtype=jnp.uint32), list(values))


def checkpoint(fn: Flat, values: list[Array]) -> list[Array]:
    return jax.checkpoint(fn)(list(values))
