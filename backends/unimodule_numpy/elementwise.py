"""Elementwise ops and their derivatives. Every tensor operand of a binary op has the same dtype."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .tape import Op, constant, differentiable

SCALARS = (bool, int, float)


def unbroadcast(g: Any, x: Any) -> Any:
    """A gradient summed over the axes along which ``x`` was broadcast."""
    from .reductions import sum
    from .shaping import reshape

    shape = x.shape
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    axes = (*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1))
    return reshape(sum(g, axis=axes), shape)


def _like(scalar: float, x: Any) -> Any:
    return np.asarray(scalar, x.dtype)


def _with_scalars(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Accept a Python scalar on either side: it takes the tensor's dtype (NumPy 1.x would promote 0-d tensors)."""

    def call(x1: Any, x2: Any) -> Any:
        if type(x1) in SCALARS:
            x1 = _like(x1, x2)
        elif type(x2) in SCALARS:
            x2 = _like(x2, x1)
        return op(x1, x2)

    return call


# ---------------------------------------------------------------------- two tensors, differentiable
def _binary(
    fn: Callable[[Any, Any], Any],
    first: Callable[[Any, Any, Any, Any], Any],
    second: Callable[[Any, Any, Any, Any], Any],
) -> Callable[[Any, Any], Any]:
    """``first`` and ``second``: ``(g, ans, x1, x2) ->`` the gradient of each operand before it is unbroadcast."""
    op = differentiable(
        lambda ans, x1, x2: lambda g: unbroadcast(first(g, ans, x1, x2), x1),
        lambda ans, x1, x2: lambda g: unbroadcast(second(g, ans, x1, x2), x2),
    )(lambda x1, x2: fn(x1, x2))
    return _with_scalars(op)


def _pow_base(g: Any, ans: Any, x1: Any, x2: Any) -> Any:
    # y * x ** (y - 1); where y is 0 the product is 0 whatever x is, also where x ** -1 is infinite
    slope = multiply(x2, pow(x1, subtract(x2, 1)))
    return multiply(g, where(equal(x2, 0), _like(0, x2), slope))


def _pow_exponent(g: Any, ans: Any, x1: Any, x2: Any) -> Any:
    flat = logical_and(equal(x1, 0), logical_not(less(x2, 0)))
    log_base = log(where(equal(x1, 0), _like(1, x1), x1))
    slope = multiply(ans, where(equal(x1, 0), _like(-np.inf, x1), log_base))
    return multiply(g, where(flat, _like(0, x1), slope))


def _share(g: Any, x: Any, other: Any, loses: Any) -> Any:
    half = multiply(g, 0.5)
    return where(equal(x, other), half, where(loses, _like(0, g), g))


add: Op = _binary(np.add, lambda g, ans, x1, x2: g, lambda g, ans, x1, x2: g)
subtract: Op = _binary(np.subtract, lambda g, ans, x1, x2: g, lambda g, ans, x1, x2: negative(g))
multiply: Op = _binary(
    np.multiply, lambda g, ans, x1, x2: multiply(g, x2), lambda g, ans, x1, x2: multiply(g, x1)
)
divide: Op = _binary(
    np.divide,
    lambda g, ans, x1, x2: divide(g, x2),
    lambda g, ans, x1, x2: negative(divide(multiply(g, ans), x2)),
)
pow: Op = _binary(np.power, _pow_base, _pow_exponent)
remainder: Op = _binary(
    np.remainder,
    lambda g, ans, x1, x2: g,
    lambda g, ans, x1, x2: negative(multiply(g, floor(divide(x1, x2)))),
)
maximum: Op = _binary(
    np.maximum,
    lambda g, ans, x1, x2: _share(g, x1, x2, less(x1, x2)),
    lambda g, ans, x1, x2: _share(g, x2, x1, less(x2, x1)),
)
minimum: Op = _binary(
    np.minimum,
    lambda g, ans, x1, x2: _share(g, x1, x2, less(x2, x1)),
    lambda g, ans, x1, x2: _share(g, x2, x1, less(x1, x2)),
)


def _over_square(g: Any, x: Any, x1: Any, x2: Any) -> Any:
    """``g * x / (x1^2 + x2^2)``, 0 at the origin."""
    square = add(multiply(x1, x1), multiply(x2, x2))
    origin = equal(square, 0)
    return where(origin, _like(0, x), divide(multiply(g, x), where(origin, _like(1, x), square)))


atan2: Op = _binary(
    np.arctan2,
    lambda g, ans, x1, x2: _over_square(g, x2, x1, x2),
    lambda g, ans, x1, x2: _over_square(g, negative(x1), x1, x2),
)

# ---------------------------------------------------------------------- two tensors, no gradient
floor_divide: Op = _with_scalars(constant(np.floor_divide))
equal: Op = _with_scalars(constant(np.equal))
less: Op = _with_scalars(constant(np.less))
logical_and: Op = _with_scalars(constant(np.logical_and))
logical_or: Op = _with_scalars(constant(np.logical_or))
bitwise_and: Op = _with_scalars(constant(np.bitwise_and))
bitwise_or: Op = _with_scalars(constant(np.bitwise_or))
bitwise_xor: Op = _with_scalars(constant(np.bitwise_xor))
bitwise_left_shift: Op = _with_scalars(constant(np.left_shift))
bitwise_right_shift: Op = _with_scalars(constant(np.right_shift))

where: Op = differentiable(
    None,
    lambda ans, condition, x1, x2: lambda g: unbroadcast(where(condition, g, _like(0, g)), x1),
    lambda ans, condition, x1, x2: lambda g: unbroadcast(where(condition, _like(0, g), g), x2),
)(lambda condition, x1, x2: np.where(condition, x1, x2))


# ---------------------------------------------------------------------- one tensor
def _unary(fn: Callable[[Any], Any], slope: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """``slope``: ``(ans, x) ->`` the derivative."""
    return differentiable(lambda ans, x: lambda g: multiply(g, slope(ans, x)))(lambda x: fn(x))


def _one_minus_square(x: Any) -> Any:
    return multiply(subtract(1.0, x), add(1.0, x))  # exact where x is near 1, unlike 1 - x^2


def _inverse(x: Any) -> Any:
    return divide(1.0, x)


negative: Op = differentiable(lambda ans, x: lambda g: negative(g))(lambda x: np.negative(x))
abs: Op = _unary(np.abs, lambda ans, x: sign(x))
exp: Op = _unary(np.exp, lambda ans, x: ans)
expm1: Op = _unary(np.expm1, lambda ans, x: add(ans, 1.0))
log: Op = _unary(np.log, lambda ans, x: _inverse(x))
log1p: Op = _unary(np.log1p, lambda ans, x: _inverse(add(x, 1.0)))
sqrt: Op = _unary(np.sqrt, lambda ans, x: divide(0.5, ans))
sin: Op = _unary(np.sin, lambda ans, x: cos(x))
cos: Op = _unary(np.cos, lambda ans, x: negative(sin(x)))
tan: Op = _unary(np.tan, lambda ans, x: add(multiply(ans, ans), 1.0))
asin: Op = _unary(np.arcsin, lambda ans, x: _inverse(sqrt(_one_minus_square(x))))
acos: Op = _unary(np.arccos, lambda ans, x: divide(-1.0, sqrt(_one_minus_square(x))))
atan: Op = _unary(np.arctan, lambda ans, x: _inverse(add(multiply(x, x), 1.0)))
sinh: Op = _unary(np.sinh, lambda ans, x: cosh(x))
cosh: Op = _unary(np.cosh, lambda ans, x: sinh(x))
tanh: Op = _unary(np.tanh, lambda ans, x: _one_minus_square(ans))
asinh: Op = _unary(np.arcsinh, lambda ans, x: _inverse(sqrt(add(multiply(x, x), 1.0))))
acosh: Op = _unary(np.arccosh, lambda ans, x: _inverse(sqrt(multiply(subtract(x, 1.0), add(x, 1.0)))))
atanh: Op = _unary(np.arctanh, lambda ans, x: _inverse(_one_minus_square(x)))


def _erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[x.dtype])(x) if x.size else x.copy()  # NumPy has no erf


erf: Op = _unary(_erf, lambda ans, x: multiply(exp(negative(multiply(x, x))), 2.0 / math.sqrt(math.pi)))

sign: Op = constant(np.sign)
floor: Op = constant(np.floor)
ceil: Op = constant(np.ceil)
round: Op = constant(np.round)
isnan: Op = constant(np.isnan)
logical_not: Op = constant(np.logical_not)
bitwise_invert: Op = constant(np.invert)
