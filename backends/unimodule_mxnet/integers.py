"""Exact integer arithmetic. MXNet has no ``//``, no shifts, and takes ``**`` and ``%`` of integers through doubles."""

from __future__ import annotations

import numpy as np

from .operators import Array, array, constant, dtype_of, ones_like, op, select, zeros_like

_and_scalar = op("_npi_bitwise_and_scalar")
_and = op("_npi_multiply")  # of bools
_or = op("_npi_add")
_quotient = op("broadcast_div")  # C's division: towards zero, and a trap where the quotient does not exist
_multiply = op("_npi_multiply")
_subtract = op("_npi_subtract")
_add_scalar = op("_npi_add_scalar")
_negative = op("_npi_negative")
_equal = op("_npi_equal_scalar")
_less = op("_npi_less_scalar")
_greater_equal = op("_npi_greater_equal_scalar")
_not_equal = op("_npi_not_equal")
_not_equal_scalar = op("_npi_not_equal_scalar")
_take = op("take", mode="clip", axis=0)


def divide_integers(x: Array, y: Array) -> Array:
    """``x // y``, rounded towards minus infinity; 0 where ``y`` is 0, as in NumPy."""
    # The smallest integer over -1, and anything over 0, end the process: keep both from the division.
    by_zero = _equal(y, scalar=0)
    divisor = select(by_zero, ones_like(y), y)
    if dtype_of(y)[0] == "u":
        return select(by_zero, zeros_like(y), _quotient(x, divisor))
    by_minus_one = _equal(y, scalar=-1)
    divisor = select(by_minus_one, ones_like(y), divisor)
    quotient = _quotient(x, divisor)
    rest = _subtract(x, _multiply(quotient, divisor))
    signs_differ = _not_equal(_less(rest, scalar=0), _less(divisor, scalar=0))
    rounds_down = _and(signs_differ, _not_equal_scalar(rest, scalar=0))
    quotient = select(rounds_down, _add_scalar(quotient, scalar=-1), quotient)
    return select(by_zero, zeros_like(y), select(by_minus_one, _negative(x), quotient))


def remainder_integers(x: Array, y: Array) -> Array:
    """``x % y`` with the sign of ``y``; 0 where ``y`` is 0, as in NumPy."""
    rest = _subtract(x, _multiply(divide_integers(x, y), y))
    return select(_equal(y, scalar=0), zeros_like(y), rest)


def pow_integers(x: Array, y: Array) -> Array:
    """``x ** y`` by repeated squaring; for a negative exponent the quotient 1 / x ** -y, towards zero."""
    # From 64 on, a result fits only for the bases 0, 1 and -1, which see no more than whether y is even.
    odd = _and_scalar(y, scalar=1)
    exponent = select(_greater_equal(y, scalar=64), _add_scalar(odd, scalar=62), y)
    negative = _less(y, scalar=0)
    exponent = select(negative, odd, exponent)
    result, square = ones_like(x), x
    for bit in range(6):
        taken = _not_equal_scalar(_and_scalar(exponent, scalar=2**bit), scalar=0)
        result = select(taken, _multiply(result, square), result)
        square = _multiply(square, square)
    if dtype_of(y)[0] == "u":
        return result
    is_unit = _or(_equal(x, scalar=1), _equal(x, scalar=-1))
    return select(_and(negative, _equal(is_unit, scalar=0)), zeros_like(x), result)


def _powers_of_two(like: Array) -> Array:
    """1, 2, 4, ... as far as the dtype goes, then 0."""
    dtype = np.dtype(dtype_of(like))
    bits = 8 * dtype.itemsize
    values = [(1 << i) % (1 << bits) for i in range(bits)] + [0]
    return array(np.array(values, np.uint64).astype(dtype), dtype.name, like.ctx)


def shift_left(x: Array, y: Array) -> Array:
    """``x << y``; 0 where every bit leaves."""
    return _multiply(x, _take(_powers_of_two(x), y))


def shift_right(x: Array, y: Array) -> Array:
    """``x >> y``, keeping the sign."""
    dtype = np.dtype(dtype_of(x))
    bits = 8 * dtype.itemsize
    limit = bits - (dtype.kind == "i")  # the highest power of two of a signed integer is negative
    gone = (
        select(_less(x, scalar=0), constant(-1, x), constant(0, x)) if dtype.kind == "i" else constant(0, x)
    )
    beyond = _greater_equal(y, scalar=limit)
    return select(
        beyond, gone, divide_integers(x, _take(_powers_of_two(x), select(beyond, zeros_like(y), y)))
    )
