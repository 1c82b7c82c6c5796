"""Branches and loops in compiled code: ``jax.lax``'s. A body draws other random numbers in each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from unimodule.errors import NotSupportedError

from . import random
from ._jit import Array

Values = list[Array]


def cond(
    pred: Array, true_fn: Callable[[Values], Values], false_fn: Callable[[Values], Values], operands: Values
) -> Values:
    return lax.cond(pred, true_fn, false_fn, operands)


def while_loop(
    cond_fn: Callable[[Values], Array],
    body_fn: Callable[[Values], Values],
    values: Values,
    max_iters: int | None,
) -> Values:
    if max_iters is not None:
        # A scan, since JAX cannot differentiate a while_loop in reverse; a branch in it, so that the steps after the
        # last cost nothing and have no gradients that could be NaN.
        def step(values: Values, i: Array) -> tuple[Values, None]:
            with random.step(i):
                return lax.cond(cond_fn(values), body_fn, lambda values: values, values), None

        return lax.scan(step, values, jnp.arange(max_iters, dtype=jnp.uint32))[0]

    def test(state: tuple[Array, Values]) -> Array:
        with random.step(state[0]):
            return cond_fn(state[1])

    def body(state: tuple[Array, Values]) -> tuple[Array, Values]:
        with random.step(state[0]):
            return state[0] + jnp.uint32(1), body_fn(state[1])

    out = lax.while_loop(test, body, (jnp.uint32(0), values))[1]
    return [_forward_only(x) if jnp.issubdtype(x.dtype, jnp.floating) else x for x in out]


def scan(
    f: Callable[[Values, Values], tuple[Values, Values]],
    carry: Values,
    xs: Values,
    length: int,
    reverse: bool,
) -> tuple[Values, Values]:
    def step(carry: Values, slices: tuple[Array, Values]) -> tuple[Values, Values]:
        with random.step(slices[0]):
            return f(carry, slices[1])

    indices = jnp.arange(length, dtype=jnp.uint32)
    return lax.scan(step, carry, (indices, xs), length=length, reverse=reverse)


@jax.custom_jvp
def _forward_only(x: Array) -> Array:
    """``x``, with an error of ours in place of JAX's where a reverse gradient reaches it."""
    return x


@_forward_only.defjvp
def _forward_only_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    tangent = jax.custom_derivatives.linear_call(lambda _, t: t, _refuse, (), tangents[0])
    return _forward_only(primals[0]), tangent


def _refuse(_: Any, cotangent: Array) -> Array:
    raise NotSupportedError(
        "backend 'jax' cannot take the gradient of a compiled ops.while_loop without max_iters; give max_iters, an upper "
        "bound on the number of steps"
    )


FUNCTIONS: dict[str, Callable[..., Any]] = {"cond": cond, "while_loop": while_loop, "scan": scan}
