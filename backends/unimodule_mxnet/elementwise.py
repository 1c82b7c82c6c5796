"""Elementwise functions of one and of two tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .integers import divide_integers, pow_integers, remainder_integers, shift_left, shift_right
from .operators import (
    Array,
    cast,
    constant,
    detach,
    differentiable,
    dtype_of,
    exact,
    is_float,
    ndarray,
    ones_like,
    op,
    select,
)

Operand = Any
"""An array or a Python scalar."""

gradient_times = op("_contrib_gradientmultiplier")
"""``x`` itself; its gradient times ``scalar``."""

isnan = op("_npi_isnan")
isinf = op("_npi_isinf")
logical_not = op("_npi_logical_not")
# Not the bitwise operators: those do not broadcast bools.
logical_and = op("_npi_multiply")
logical_or = op("_npi_add")
logical_xor = op("_npi_not_equal")
less_array = op("_npi_less")
equal_array = op("_npi_equal")
equal_scalar = op("_npi_equal_scalar")
less_scalar = op("_npi_less_scalar")
multiply_array = op("_npi_multiply", guard=True)
multiply_scalar = op("_npi_multiply_scalar")
add_array = op("_npi_add", guard=True)
subtract_array = op("_npi_subtract", guard=True)
negative = op("_npi_negative")
_absolute = op("_npi_absolute")
_erf = op("_npx_erf")
_invert = op("_npi_bitwise_not")


# ---------------------------------------------------------------------- one tensor
def absolute(x: Array) -> Array:
    if is_float(x):
        return _absolute(x)
    return select(less_scalar(x, scalar=0), negative(x), x)  # MXNet takes integers through a double


# MXNet differentiates erf with the root of pi in float32; this factor makes it float64's.
_ERF_CORRECTION = float(np.float32(math.sqrt(math.pi))) / math.sqrt(math.pi)


def erf(x: Array) -> Array:
    y = _erf(x)
    return gradient_times(y, scalar=_ERF_CORRECTION) if dtype_of(x) == "float64" else y


def bitwise_invert(x: Array) -> Array:
    return logical_not(x) if dtype_of(x) == "bool" else _invert(x)


# ---------------------------------------------------------------------- two operands
def binary(arrays: str, scalar_right: str, scalar_left: str) -> Callable[[Operand, Operand], Array]:
    """A function of two arrays, or of one and a scalar, from MXNet's three operators for it."""
    both, right, left = op(arrays, guard=True), op(scalar_right), op(scalar_left)

    def call(x1: Operand, x2: Operand) -> Array:
        if not isinstance(x2, ndarray):
            return right(x1, scalar=x2) if exact(x2, x1) else both(x1, constant(x2, x1))
        if not isinstance(x1, ndarray):
            return left(x2, scalar=x1) if exact(x1, x2) else both(constant(x1, x2), x2)
        return both(x1, x2)

    return call


add = binary("_npi_add", "_npi_add_scalar", "_npi_add_scalar")
subtract = binary("_npi_subtract", "_npi_subtract_scalar", "_npi_rsubtract_scalar")
multiply = binary("_npi_multiply", "_npi_multiply_scalar", "_npi_multiply_scalar")
divide = binary("_npi_true_divide", "_npi_true_divide_scalar", "_npi_rtrue_divide_scalar")
equal = binary("_npi_equal", "_npi_equal_scalar", "_npi_equal_scalar")
less = binary("_npi_less", "_npi_less_scalar", "_npi_greater_scalar")
bitwise_and = binary("_npi_bitwise_and", "_npi_bitwise_and_scalar", "_npi_bitwise_and_scalar")
bitwise_or = binary("_npi_bitwise_or", "_npi_bitwise_or_scalar", "_npi_bitwise_or_scalar")
bitwise_xor = binary("_npi_bitwise_xor", "_npi_bitwise_xor_scalar", "_npi_bitwise_xor_scalar")
_mod = binary("_npi_mod", "_npi_mod_scalar", "_npi_rmod_scalar")
_power = binary("_npi_power", "_npi_power_scalar", "_npi_rpower_scalar")
_atan2 = op("_npi_arctan2", guard=True)


def atan2(x1: Operand, x2: Operand) -> Array:
    x1, x2 = both_arrays(x1, x2)
    if not differentiable():
        return _atan2(x1, x2)
    # MXNet's gradient is NaN at the origin, where PyTorch has none.
    origin = logical_and(equal_scalar(x1, scalar=0), equal_scalar(x2, scalar=0))
    return select(origin, detach(_atan2(x1, x2)), _atan2(x1, select(origin, ones_like(x2), x2)))


def both_arrays(x1: Operand, x2: Operand) -> tuple[Array, Array]:
    """The operands with a scalar made an array."""
    if not isinstance(x1, ndarray):
        return constant(x1, x2), x2
    return (x1, x2) if isinstance(x2, ndarray) else (x1, constant(x2, x1))


def _extremum(name: str) -> Callable[[Operand, Operand], Array]:
    plain = binary(f"_npi_{name}", f"_npi_{name}_scalar", f"_npi_{name}_scalar")

    def call(x1: Operand, x2: Operand) -> Array:
        scalars = [x for x in (x1, x2) if not isinstance(x, ndarray)]
        corrected = differentiable() and is_float(x1 if isinstance(x1, ndarray) else x2)
        if not corrected and not any(map(math.isnan, scalars)):
            return plain(x1, x2)
        # MXNet gives the whole gradient of a tie to the first operand; the mean of both orders shares it.
        x1, x2 = both_arrays(x1, x2)
        return multiply_scalar(plain(x1, x2), scalar=0.5) + multiply_scalar(plain(x2, x1), scalar=0.5)

    return call


maximum = _extremum("maximum")
minimum = _extremum("minimum")


def pow(x1: Operand, x2: Operand) -> Array:
    """``x1 ** x2``. Only a scalar exponent other than 0 has a finite gradient everywhere in MXNet's own."""
    if not is_float(x1 if isinstance(x1, ndarray) else x2):
        return pow_integers(*both_arrays(x1, x2))
    if not isinstance(x2, ndarray) and x2 != 0:
        return _power(x1, x2)
    if not differentiable():
        return _power(x1, x2)
    x1, x2 = both_arrays(x1, x2)
    # Where the base is 0, the exponent gets no gradient, and the base e * 0 ** (e - 1), which is 0 for e = 0.
    base_is_zero = equal_scalar(x1, scalar=0)
    hole = logical_and(base_is_zero, logical_not(equal_scalar(x2, scalar=0)))
    one = ones_like(x1)
    at_zero = _power(select(hole, x1, one), detach(x2))
    return select(hole, at_zero, _power(select(base_is_zero, one, x1), x2))


def remainder(x1: Operand, x2: Operand) -> Array:
    if not is_float(x1 if isinstance(x1, ndarray) else x2):
        return remainder_integers(*both_arrays(x1, x2))
    if not isinstance(x2, ndarray) and x2 != 0 and math.isfinite(x2):
        return _mod(x1, x2)
    x1, x2 = both_arrays(x1, x2)
    # MXNet's is 0 where the divisor is 0, and so is the gradient of an infinite divisor's sign mismatch.
    by_zero = equal_scalar(x2, scalar=0)
    return select(by_zero, constant(math.nan, x1), _mod(x1, select(by_zero, ones_like(x2), x2)))


_around = op("_npi_around")


def floor_divide(x1: Operand, x2: Operand) -> Array:
    if not is_float(x1 if isinstance(x1, ndarray) else x2):
        return divide_integers(*both_arrays(x1, x2))
    x1, x2 = map(detach, both_arrays(x1, x2))
    # floor(x1 / x2) would round 0.9999... up to 1: take the remainder off first, then nothing is left to floor.
    quotient = divide(subtract_array(x1, _mod(x1, x2)), x2)
    half = dtype_of(x1) == "float16"  # of which MXNet rounds none
    quotient = cast(_around(cast(quotient, dtype="float32")), dtype="float16") if half else _around(quotient)
    infinite = logical_and(isinf(x2), logical_not(isinf(x1)))
    below = less_scalar(multiply_array(sign(x1), sign(x2)), scalar=0)
    quotient = select(infinite, negative(cast(below, dtype=dtype_of(x1))), quotient)
    return select(equal_scalar(x2, scalar=0), divide(x1, x2), quotient)


_sign = op("_npi_sign")


def sign(x: Array) -> Array:
    return select(isnan(x), detach(x), _sign(x)) if is_float(x) else _sign(x)  # MXNet's of NaN is 0


def where(condition: Array, x1: Array, x2: Array) -> Array:
    return select(condition, x1, x2)  # arrays only: with a scalar MXNet's gradient has the mask inverted


def _bitwise(
    integers: Callable[..., Array], bools: Callable[..., Array]
) -> Callable[[Operand, Operand], Array]:
    def call(x1: Operand, x2: Operand) -> Array:
        if dtype_of(x1 if isinstance(x1, ndarray) else x2) == "bool":
            return bools(*both_arrays(x1, x2))
        return integers(x1, x2)

    return call


def _arrays(function: Callable[[Array, Array], Array]) -> Callable[[Operand, Operand], Array]:
    return lambda x1, x2: function(*both_arrays(x1, x2))


_UNARY = {
    "exp": "_npi_exp",
    "expm1": "_npi_expm1",
    "log": "_npi_log",
    "log1p": "_npi_log1p",
    "sqrt": "_npi_sqrt",
    "sin": "_npi_sin",
    "cos": "_npi_cos",
    "tan": "_npi_tan",
    "asin": "_npi_arcsin",
    "acos": "_npi_arccos",
    "atan": "_npi_arctan",
    "sinh": "_npi_sinh",
    "cosh": "_npi_cosh",
    "tanh": "_npi_tanh",
    "asinh": "_npi_arcsinh",
    "acosh": "_npi_arccosh",
    "atanh": "_npi_arctanh",
    "floor": "_npi_floor",
    "ceil": "_npi_ceil",
    "round": "_npi_around",  # `rint` rounds halves away from zero
}

_amp_cast = op("amp_cast")


def rounded(x: Array, dtype: str) -> Array:
    """``x`` of float32 rounded to what float16 or bfloat16 holds, as is its gradient. MXNet's arrays have no bfloat16 but
    as what this operator returns.
    """
    narrow = _amp_cast if dtype == "bfloat16" else cast
    return narrow(narrow(x, dtype=dtype), dtype="float32")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: op(operator) for name, operator in _UNARY.items()},
    "erf": erf,
    "abs": absolute,
    "negative": negative,
    "sign": sign,
    "isnan": isnan,
    "logical_not": logical_not,
    "bitwise_invert": bitwise_invert,
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "divide": divide,
    "pow": pow,
    "floor_divide": floor_divide,
    "remainder": remainder,
    "maximum": maximum,
    "minimum": minimum,
    "atan2": atan2,
    "equal": equal,
    "less": less,
    "logical_and": _arrays(logical_and),
    "logical_or": _arrays(logical_or),
    "bitwise_and": _bitwise(bitwise_and, logical_and),
    "bitwise_or": _bitwise(bitwise_or, logical_or),
    "bitwise_xor": _bitwise(bitwise_xor, logical_xor),
    "bitwise_left_shift": _arrays(shift_left),
    "bitwise_right_shift": _arrays(shift_right),
    "where": where,
}
