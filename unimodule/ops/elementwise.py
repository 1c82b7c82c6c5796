"""Elementwise functions of one tensor (array API 2023.12, and ``erf``, ``rsqrt``).

Functions whose result is a float cast integer and boolean tensors to the default float dtype first, as PyTorch does.
"""

from __future__ import annotations

import math

from .. import dtypes, ops
from ..backend import Tensor
from ..errors import DtypeError
from ._dispatch import expect_tensor, is_float_tensor, required, unary


# ---------------------------------------------------------------------- exponentials and roots
@unary(floats=True)
@required
def exp(x: Tensor, /) -> Tensor:
    """e^x."""


@unary(floats=True)
@required
def expm1(x: Tensor, /) -> Tensor:
    """e^x - 1, exact for small x."""


@unary(floats=True)
@required
def log(x: Tensor, /) -> Tensor:
    """Natural logarithm; -inf at 0, NaN below."""


@unary(floats=True)
@required
def log1p(x: Tensor, /) -> Tensor:
    """log(1 + x), exact for small x."""


@unary(floats=True)
def log2(x: Tensor, /) -> Tensor:
    """Logarithm to base 2."""
    return ops.divide(ops.log(x), math.log(2.0))


@unary(floats=True)
def log10(x: Tensor, /) -> Tensor:
    """Logarithm to base 10."""
    return ops.divide(ops.log(x), math.log(10.0))


@unary(floats=True)
@required
def sqrt(x: Tensor, /) -> Tensor:
    """Square root; NaN below 0. Its gradient at 0 is infinite."""


@unary(floats=True)
def rsqrt(x: Tensor, /) -> Tensor:
    """1 / sqrt(x)."""
    return ops.divide(1.0, ops.sqrt(x))


@unary(floats=True)
def reciprocal(x: Tensor, /) -> Tensor:
    """1 / x."""
    return ops.divide(1.0, x)


@unary
def square(x: Tensor, /) -> Tensor:
    """x * x, of any numeric dtype."""
    return ops.multiply(x, x)


@unary(floats=True)
@required
def erf(x: Tensor, /) -> Tensor:
    """Error function, 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x."""


# ---------------------------------------------------------------------- trigonometric and hyperbolic
@unary(floats=True)
@required
def sin(x: Tensor, /) -> Tensor:
    """Sine of an angle in radians."""


@unary(floats=True)
@required
def cos(x: Tensor, /) -> Tensor:
    """Cosine of an angle in radians."""


@unary(floats=True)
@required
def tan(x: Tensor, /) -> Tensor:
    """Tangent of an angle in radians."""


@unary(floats=True)
@required
def asin(x: Tensor, /) -> Tensor:
    """Inverse sine, in [-pi/2, pi/2]; NaN outside [-1, 1]."""


@unary(floats=True)
@required
def acos(x: Tensor, /) -> Tensor:
    """Inverse cosine, in [0, pi]; NaN outside [-1, 1]."""


@unary(floats=True)
@required
def atan(x: Tensor, /) -> Tensor:
    """Inverse tangent, in (-pi/2, pi/2)."""


@unary(floats=True)
@required
def sinh(x: Tensor, /) -> Tensor:
    """Hyperbolic sine."""


@unary(floats=True)
@required
def cosh(x: Tensor, /) -> Tensor:
    """Hyperbolic cosine."""


@unary(floats=True)
@required
def tanh(x: Tensor, /) -> Tensor:
    """Hyperbolic tangent."""


@unary(floats=True)
@required
def asinh(x: Tensor, /) -> Tensor:
    """Inverse hyperbolic sine."""


@unary(floats=True)
@required
def acosh(x: Tensor, /) -> Tensor:
    """Inverse hyperbolic cosine; NaN below 1."""


@unary(floats=True)
@required
def atanh(x: Tensor, /) -> Tensor:
    """Inverse hyperbolic tangent; infinite at -1 and 1, NaN beyond."""


# ---------------------------------------------------------------------- sign and magnitude
@unary
@required
def abs_(x: Tensor, /) -> Tensor:
    """The kernel of ``abs``."""


@unary
@required
def negative_(x: Tensor, /) -> Tensor:
    """The kernel of ``negative``."""


@unary
@required
def sign_(x: Tensor, /) -> Tensor:
    """The kernel of ``sign``."""


def _numeric(name: str, x: Tensor) -> Tensor:
    backend = expect_tensor(name, x)
    if not is_float_tensor(x) and backend.dtype(x) == "bool":
        raise DtypeError(f"ops.{name} is not defined for bool")
    return x


def abs(x: Tensor, /) -> Tensor:
    """Absolute value, of any numeric dtype. The gradient at 0 is 0."""
    return abs_(_numeric("abs", x))


def negative(x: Tensor, /) -> Tensor:
    """-x, of any numeric dtype."""
    return negative_(_numeric("negative", x))


def positive(x: Tensor, /) -> Tensor:
    """x itself."""
    return _numeric("positive", x)


def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or 1, in x's dtype; NaN stays NaN. Its gradient is 0."""
    return sign_(_numeric("sign", x))


@unary
def signbit(x: Tensor, /) -> Tensor:
    """Whether the sign bit of a float is set: true for -0.0 as well, false for NaN."""
    below = ops.less(x, 0.0)
    return ops.logical_or(below, ops.logical_and(ops.equal(x, 0.0), ops.less(ops.divide(1.0, x), 0.0)))


# ---------------------------------------------------------------------- rounding
@unary
@required
def floor_(x: Tensor, /) -> Tensor:
    """The kernel of ``floor``."""


@unary
@required
def ceil_(x: Tensor, /) -> Tensor:
    """The kernel of ``ceil``."""


@unary
@required
def round_(x: Tensor, /) -> Tensor:
    """The kernel of ``round``."""


@unary
def trunc_(x: Tensor, /) -> Tensor:
    """The kernel of ``trunc``."""
    return ops.where(ops.less(x, 0.0), ops.ceil(x), ops.floor(x))


def floor(x: Tensor, /) -> Tensor:
    """The largest integer not above x, in x's dtype; an integer tensor comes back as it is. Its gradient is 0."""
    return floor_(x) if is_float_tensor(_numeric("floor", x)) else x


def ceil(x: Tensor, /) -> Tensor:
    """The smallest integer not below x, in x's dtype; an integer tensor comes back as it is. Its gradient is 0."""
    return ceil_(x) if is_float_tensor(_numeric("ceil", x)) else x


def round(x: Tensor, /) -> Tensor:
    """The nearest integer, in x's dtype; of two equally near ones the even one. Its gradient is 0.

    Example:
        >>> import numpy as np
        >>> round(np.asarray([0.5, 1.5, 2.5]))
        array([0., 2., 2.])
    """
    return round_(x) if is_float_tensor(_numeric("round", x)) else x


def trunc(x: Tensor, /) -> Tensor:
    """The nearest integer towards zero, in x's dtype; an integer tensor comes back as it is. Its gradient is 0."""
    return trunc_(x) if is_float_tensor(_numeric("trunc", x)) else x


# ---------------------------------------------------------------------- tests of value
@unary(floats=True)
@required
def isnan(x: Tensor, /) -> Tensor:
    """Whether each element is NaN; false for integers."""


@unary(floats=True)
def isinf(x: Tensor, /) -> Tensor:
    """Whether each element is infinite; false for integers."""
    return ops.equal(ops.abs(x), math.inf)


@unary(floats=True)
def isfinite(x: Tensor, /) -> Tensor:
    """Whether each element is neither NaN nor infinite; true for integers."""
    return ops.less(ops.abs(x), math.inf)


# ---------------------------------------------------------------------- logic and bits
@unary
@required
def logical_not_(x: Tensor, /) -> Tensor:
    """The kernel of ``logical_not``."""


@unary
@required
def bitwise_invert_(x: Tensor, /) -> Tensor:
    """The kernel of ``bitwise_invert``."""


def logical_not(x: Tensor, /) -> Tensor:
    """Not x, for boolean tensors."""
    if (dtype := expect_tensor("logical_not", x).dtype(x)) != "bool":
        raise DtypeError(f"ops.logical_not is not defined for {dtype}; it takes bool")
    return logical_not_(x)


def bitwise_invert(x: Tensor, /) -> Tensor:
    """Every bit flipped, for integer and boolean tensors."""
    if dtypes.is_floating(dtype := expect_tensor("bitwise_invert", x).dtype(x)):
        raise DtypeError(f"ops.bitwise_invert is not defined for {dtype}; it takes integers and bool")
    return bitwise_invert_(x)
