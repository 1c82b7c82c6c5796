"""Elementwise functions of two tensors: arithmetic, extrema, comparison, logic and bits (array API 2023.12).

Operands broadcast and meet in the promoted dtype (``dtypes.PROMOTION``). One of them may be a Python scalar, which never
changes a float tensor's dtype; a float beside an integer tensor makes it the default float.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..backend import Tensor
from ..errors import DtypeError
from ._arguments import broadcast_shapes
from ._dispatch import (
    binary,
    call,
    checks,
    declare,
    expect_tensor,
    gather,
    is_scalar,
    required,
    scalar_tensor,
    to_float,
)

NUMERIC = dtypes.INTEGER + dtypes.FLOATING
BITS = dtypes.BOOL + dtypes.INTEGER


def _tensors(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Both operands as tensors: a scalar becomes a 0-d one."""
    if is_scalar(x1):
        return scalar_tensor(expect_tensor("", x2), x1, x2), x2
    if is_scalar(x2):
        return x1, scalar_tensor(expect_tensor("", x1), x2, x1)
    return x1, x2


# ---------------------------------------------------------------------- arithmetic
@binary(only=NUMERIC)
@required
def add(x1: Any, x2: Any, /) -> Tensor:
    """x1 + x2."""


@binary(only=NUMERIC)
@required
def subtract(x1: Any, x2: Any, /) -> Tensor:
    """x1 - x2."""


@binary(only=NUMERIC)
@required
def multiply(x1: Any, x2: Any, /) -> Tensor:
    """x1 * x2."""


@binary(floats=True)
@required
def divide(x1: Any, x2: Any, /) -> Tensor:
    """x1 / x2; integers are divided in the default float dtype."""


@binary(only=NUMERIC)
@required
def floor_divide(x1: Any, x2: Any, /) -> Tensor:
    """The quotient rounded towards minus infinity, Python's ``//``. Its gradient is 0."""


@binary(only=NUMERIC)
@required
def remainder(x1: Any, x2: Any, /) -> Tensor:
    """x1 - floor(x1 / x2) * x2, with the sign of x2: Python's ``%``."""


@binary(only=NUMERIC)
@required
def pow(x1: Any, x2: Any, /) -> Tensor:
    """x1 ** x2. The gradient is finite at base 0 where the exponent is at least 1."""


# ---------------------------------------------------------------------- extrema
@binary(only=NUMERIC)
@required
def maximum(x1: Any, x2: Any, /) -> Tensor:
    """The larger of two; NaN if either is. Ties share the gradient evenly."""


@binary(only=NUMERIC)
@required
def minimum(x1: Any, x2: Any, /) -> Tensor:
    """The smaller of two; NaN if either is. Ties share the gradient evenly."""


def clip_(x: Tensor, low: Any, high: Any) -> Tensor:
    """The kernel of ``clip``: bounds are tensors of x's dtype, Python scalars or None. The gradient passes at a bound."""
    if low is not None:
        x = ops.where(_beyond(ops.less(x, low), low), low, x)
    return x if high is None else ops.where(_beyond(ops.greater(x, high), high), high, x)


def _beyond(outside: Tensor, bound: Any) -> Tensor:
    if is_scalar(bound):
        return ops.logical_or(outside, True) if bound != bound else outside
    return ops.logical_or(outside, ops.isnan(bound))


declare(clip_)


def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """``x`` with what is below ``min`` or above ``max`` replaced by it; NaN stays, and a NaN bound gives NaN.

    Args:
        x: numeric.
        min, max: tensors that broadcast with ``x``, Python scalars, or None for no bound. Where min > max it is max.

    Returns:
        In the promoted dtype. The gradient passes to ``x`` at both bounds, and to a bound where it is taken.

    Raises:
        ShapeError: the shapes do not broadcast.
        DtypeError: ``x`` is boolean.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.clip(np.array([-1.0, 0.5, 3.0]), 0, 1).tolist()
        [0.0, 0.5, 1.0]
    """
    backend = expect_tensor("clip", x)
    if backend.dtype(x) == "bool":
        raise DtypeError("ops.clip is not defined for bool")
    bounds = [b for b in (min, max) if b is not None]
    if all(is_scalar(b) for b in bounds):
        x = to_float(backend, x) if any(isinstance(b, float) for b in bounds) else x
    else:
        backend, (x, min, max) = gather("clip", x, min, max)
        broadcast_shapes("clip", *(tuple(t.shape) for t in (x, min, max) if t is not None))
    return call(backend, "clip", x, min, max) if bounds else x


# ---------------------------------------------------------------------- functions of a point or of magnitudes
@binary(floats=True)
@required
def atan2(x1: Any, x2: Any, /) -> Tensor:
    """The angle of the point (x2, x1), in [-pi, pi]."""


@binary(floats=True)
def hypot(x1: Any, x2: Any, /) -> Tensor:
    """sqrt(x1^2 + x2^2), without overflow or underflow on the way; infinite if either is, whatever the other."""
    a, b = _tensors(x1, x2)
    scale = ops.stop_gradient(ops.maximum(ops.abs(a), ops.abs(b)))
    scale = ops.where(ops.logical_and(ops.isfinite(scale), ops.greater(scale, 0.0)), scale, 1.0)
    u, v = ops.divide(a, scale), ops.divide(b, scale)
    length = ops.multiply(scale, ops.sqrt(ops.add(ops.multiply(u, u), ops.multiply(v, v))))
    return ops.where(ops.logical_or(ops.isinf(a), ops.isinf(b)), math.inf, length)


@binary(floats=True)
def logaddexp(x1: Any, x2: Any, /) -> Tensor:
    """log(exp(x1) + exp(x2)), without overflow: max + log1p(exp(-|x1 - x2|))."""
    a, b = _tensors(x1, x2)
    gap = ops.where(ops.equal(a, b), 0.0, ops.subtract(a, b))  # inf - inf is 0 here
    return ops.add(ops.maximum(a, b), ops.log1p(ops.exp(ops.negative(ops.abs(gap)))))


@binary(floats=True)
def copysign(x1: Any, x2: Any, /) -> Tensor:
    """|x1| with the sign of x2, that of -0.0 included."""
    a, b = _tensors(x1, x2)
    size = ops.abs(a)
    return ops.where(ops.signbit(b), ops.negative(size), size)


@binary(floats=True)
def nextafter(x1: Any, x2: Any, /) -> Tensor:
    """The next number of the dtype after x1 in the direction of x2. Computed on the host; it has no gradient."""
    a, b = _tensors(x1, x2)
    backend = expect_tensor("nextafter", a)
    host = np.nextafter(backend.to_numpy(a), backend.to_numpy(b))
    return backend.from_numpy(host, backend.dtype(a), backend.device(a))


# ---------------------------------------------------------------------- comparison
@binary
@required
def equal(x1: Any, x2: Any, /) -> Tensor:
    """Whether x1 == x2, as bool; NaN equals nothing."""


@binary
def not_equal(x1: Any, x2: Any, /) -> Tensor:
    """Whether x1 != x2, as bool; NaN differs from everything."""
    return ops.logical_not(ops.equal(x1, x2))


@binary
@required
def less(x1: Any, x2: Any, /) -> Tensor:
    """Whether x1 < x2, as bool."""


@binary
def less_equal(x1: Any, x2: Any, /) -> Tensor:
    """Whether x1 <= x2, as bool."""
    return ops.logical_or(ops.less(x1, x2), ops.equal(x1, x2))  # not "not x2 < x1": NaN compares false


@binary
def greater(x1: Any, x2: Any, /) -> Tensor:
    """Whether x1 > x2, as bool."""
    return ops.less(x2, x1)


@binary
def greater_equal(x1: Any, x2: Any, /) -> Tensor:
    """Whether x1 >= x2, as bool."""
    return ops.less_equal(x2, x1)


# ---------------------------------------------------------------------- logic and bits
@binary(only=dtypes.BOOL)
@required
def logical_and(x1: Any, x2: Any, /) -> Tensor:
    """Both of two boolean tensors."""


@binary(only=dtypes.BOOL)
@required
def logical_or(x1: Any, x2: Any, /) -> Tensor:
    """Either of two boolean tensors, or both."""


@binary(only=dtypes.BOOL)
def logical_xor(x1: Any, x2: Any, /) -> Tensor:
    """Exactly one of two boolean tensors."""
    return ops.not_equal(x1, x2)


@binary(only=BITS)
@required
def bitwise_and(x1: Any, x2: Any, /) -> Tensor:
    """x1 & x2, bit by bit; integers or bool."""


@binary(only=BITS)
@required
def bitwise_or(x1: Any, x2: Any, /) -> Tensor:
    """x1 | x2, bit by bit; integers or bool."""


@binary(only=BITS)
@required
def bitwise_xor(x1: Any, x2: Any, /) -> Tensor:
    """x1 ^ x2, bit by bit; integers or bool."""


@binary(only=dtypes.INTEGER)
@required
def bitwise_left_shift(x1: Any, x2: Any, /) -> Tensor:
    """x1 << x2, for integers; 0 <= x2 < the number of bits."""


@binary(only=dtypes.INTEGER)
@required
def bitwise_right_shift(x1: Any, x2: Any, /) -> Tensor:
    """x1 >> x2, for integers, keeping the sign; 0 <= x2 < the number of bits."""


def _check_broadcast(name: str) -> None:
    @checks(name)
    def check(x1: Any, x2: Any, /) -> None:
        broadcast_shapes(name, *(() if is_scalar(x) else tuple(x.shape) for x in (x1, x2)))


BINARY = tuple(
    "add subtract multiply divide floor_divide remainder pow maximum minimum atan2 hypot logaddexp copysign nextafter "
    "equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor bitwise_and bitwise_or "
    "bitwise_xor bitwise_left_shift bitwise_right_shift".split()
)
for _name in BINARY:
    _check_broadcast(_name)
