"""Elementwise functions. See the contract in ``unimodule.backend`` for what each one means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._jit import Array, jit

# ---------------------------------------------------------------------- powers
_LARGEST_STATIC_EXPONENT = 16


def _integer_exponent(value: object) -> int | None:
    """A small whole Python number as an int, or None: what is worth a compilation of its own."""
    if isinstance(value, int | float) and abs(value) <= _LARGEST_STATIC_EXPONENT and value == int(value):
        return int(value)
    return None


@jit("exponent")
def _integer_power(x: Array, exponent: int) -> Array:
    return lax.integer_pow(x, exponent)


@jit()
def _power(x1: Array, x2: Array) -> Array:
    x1, x2 = _meet(x1, x2)
    if jnp.issubdtype(x1.dtype, jnp.integer):
        return jnp.power(x1, x2)
    one = (x2 == 0) & ((x1 == 0) | jnp.isnan(x1))  # JAX's derivative for the base is NaN there, PyTorch's 0
    return jnp.power(jnp.where(one, 1, x1), x2)


def power(x1: Array, x2: Array) -> Array:
    exponent = _integer_exponent(x2)  # multiplications, exact where lax.pow is not
    return _power(x1, x2) if exponent is None else _integer_power(x1, exponent)


# ---------------------------------------------------------------------- other operations with a kink or a pole
@jit()
def atan2(x1: Array, x2: Array) -> Array:
    origin = (x1 == 0) & (x2 == 0)  # no gradient there, as PyTorch has it; JAX has NaN
    here = lax.stop_gradient(jnp.arctan2(x1, x2))
    return jnp.where(origin, here, jnp.arctan2(x1, jnp.where(origin, 1, x2)))


@jit()
def floor_divide(x1: Array, x2: Array) -> Array:
    x1, x2 = _meet(x1, x2)
    zero = x2 == 0
    if jnp.issubdtype(x1.dtype, jnp.integer):  # XLA's x // 0 is -1 or -2; NumPy's is 0
        return jnp.where(zero, 0, jnp.floor_divide(x1, jnp.where(zero, 1, x2)))
    # jnp gives NaN for 1. // 0., NumPy and PyTorch infinity. The function is flat wherever it has a derivative.
    x1, x2 = lax.stop_gradient((x1, x2))
    return jnp.where(zero, x1 / x2, jnp.floor_divide(x1, x2))


@jit()
def remainder(x1: Array, x2: Array) -> Array:
    x1, x2 = _meet(x1, x2)
    if jnp.issubdtype(x1.dtype, jnp.integer):
        zero = x2 == 0
        return jnp.where(zero, 0, jnp.remainder(x1, jnp.where(zero, 1, x2)))
    return jnp.remainder(x1, x2)


def _meet(x1: Array, x2: Array) -> tuple[Array, Array]:
    """Both operands as arrays of one dtype; a Python scalar takes the tensor's."""
    dtype = jnp.result_type(x1, x2)
    return jnp.asarray(x1, dtype), jnp.asarray(x2, dtype)


@jit()
def where(condition: Array, x1: Array, x2: Array) -> Array:
    return jnp.where(condition, x1, x2)


@jit()
def clip(x: Array, low: Array | None, high: Array | None) -> Array:
    # Not jnp.clip, which halves the gradient at a bound. A NaN bound gives NaN.
    if low is not None:
        x = jnp.where((x < low) | (low != low), low, x)
    return x if high is None else jnp.where((x > high) | (high != high), high, x)


def _absolute(x: Array) -> Array:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return jnp.abs(x)
    return x * lax.stop_gradient(jnp.sign(x))  # JAX's own has the slope 1 at 0


def _compiled(fn: Callable[..., Any], name: str) -> Callable[..., Any]:
    def unary(x: Array) -> Array:
        return fn(x)

    def binary(x1: Array, x2: Array) -> Array:
        return fn(x1, x2)

    chosen = unary if name in _UNARY else binary
    chosen.__name__ = name  # what profilers and HLO dumps show
    return jax.jit(chosen)


_UNARY: dict[str, Callable[..., Any]] = {
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "sqrt": jnp.sqrt,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "atan": jnp.arctan,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "tanh": jnp.tanh,
    "asinh": jnp.arcsinh,
    "acosh": jnp.arccosh,
    "atanh": jnp.arctanh,
    "erf": lax.erf,
    "abs": _absolute,
    "negative": jnp.negative,
    "sign": jnp.sign,
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "round": jnp.round,
    "isnan": jnp.isnan,
    "logical_not": jnp.logical_not,
    "bitwise_invert": jnp.invert,
    "stop_gradient": lax.stop_gradient,
}

_BINARY: dict[str, Callable[..., Any]] = {
    "add": jnp.add,
    "subtract": jnp.subtract,
    "multiply": jnp.multiply,
    "divide": jnp.true_divide,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "equal": jnp.equal,
    "not_equal": jnp.not_equal,
    "less": jnp.less,
    "less_equal": jnp.less_equal,
    "greater": jnp.greater,
    "greater_equal": jnp.greater_equal,
    "logical_and": jnp.logical_and,
    "logical_or": jnp.logical_or,
    "logical_xor": jnp.logical_xor,
    "bitwise_and": jnp.bitwise_and,
    "bitwise_or": jnp.bitwise_or,
    "bitwise_xor": jnp.bitwise_xor,
    "bitwise_left_shift": jnp.left_shift,
    "bitwise_right_shift": jnp.right_shift,
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _compiled(fn, name) for name, fn in (_UNARY | _BINARY).items()},
    "pow": power,
    "atan2": atan2,
    "floor_divide": floor_divide,
    "remainder": remainder,
    "where": where,
    "clip": clip,
}
