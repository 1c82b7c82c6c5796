"""Batching and rematerialisation."""

from __future__ import annotations

import functools
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def watch(note: Callable[[Array], None], x: Array) -> Array:
    """``x``; ``note`` gets its gradient, with a value where nothing is compiled."""
    return x


def _watch_forward(note: Callable[[Array], None], x: Array) -> tuple[Array, None]:
    return x, None


def _watch_backward(note: Callable[[Array], None], _: None, gradient: Array) -> tuple[Array]:
    note(gradient)
    return (gradient,)


watch.defvjp(_watch_forward, _watch_backward)
