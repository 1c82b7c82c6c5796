"""Functions of one or two tensors, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._tools import NARROW, SCALARS, custom_gradient, scalar, sum_to, tensor

Binary = Callable[[Any, Any], Tensor]


# ---------------------------------------------------------------------- one tensor
def _unary(kernel: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        return kernel(x=x)

    return run


def _signed(
    kernel: Callable[..., Tensor], unsigned: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """A kernel that TensorFlow has for signed numbers only."""

    def run(x: Tensor) -> Tensor:
        return unsigned(x) if x.dtype.is_unsigned else kernel(x=x)

    return run


def _negative_unsigned(x: Tensor) -> Tensor:
    return raw.Sub(x=scalar(0, x), y=x)


def _sign_unsigned(x: Tensor) -> Tensor:
    return raw.Minimum(x=x, y=scalar(1, x))


def erf(x: Tensor) -> Tensor:
    if x.dtype == tf.float64:  # whose kernel is NaN at infinity; at 10, erf is 1 and its slope 1e-44
        x = raw.ClipByValue(t=x, clip_value_min=scalar(-10.0, x), clip_value_max=scalar(10.0, x))
    return raw.Erf(x=x)


def bitwise_invert(x: Tensor) -> Tensor:
    return raw.LogicalNot(x=x) if x.dtype.is_bool else raw.Invert(x=x)


# ---------------------------------------------------------------------- two tensors, or one and a Python scalar
def operands(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors: a Python scalar takes the other's dtype."""
    if type(x1) in SCALARS:
        return scalar(x1, x2), x2
    if type(x2) in SCALARS:
        return x1, scalar(x2, x1)
    return x1, x2


def _binary(kernel: Callable[..., Tensor]) -> Binary:
    def run(x1: Any, x2: Any) -> Tensor:
        if type(x1) in SCALARS:
            x1 = scalar(x1, x2)
        elif type(x2) in SCALARS:
            x2 = scalar(x2, x1)
        return kernel(x=x1, y=x2)

    return run


def _bool_too(kernel: Callable[..., Tensor], on_bools: Callable[..., Tensor]) -> Binary:
    """A kernel for integers, with another one that means the same for bools."""

    def run(x1: Any, x2: Any) -> Tensor:
        x1, x2 = operands(x1, x2)
        return on_bools(x=x1, y=x2) if x1.dtype.is_bool else kernel(x=x1, y=x2)

    return run


def _less_bools(x: Tensor, y: Tensor) -> Tensor:
    return raw.LogicalAnd(x=raw.LogicalNot(x=x), y=y)


def _less_equal_bools(x: Tensor, y: Tensor) -> Tensor:
    return raw.LogicalOr(x=raw.LogicalNot(x=x), y=y)


def _extremum(kernel: Callable[..., Tensor]) -> Binary:
    """TensorFlow's own gradient gives all of it to the first of equals; ours shares it."""

    @custom_gradient
    def of_floats(x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        out = kernel(x=x, y=y)

        def gradient(dy: Tensor) -> tuple[Tensor, Tensor]:
            nothing, half = scalar(0.0, x), raw.Mul(x=dy, y=scalar(0.5, x))
            tie, first = raw.Equal(x=x, y=y), raw.Less(x=x, y=y)
            second = raw.Less(x=y, y=x)
            if kernel is raw.Minimum:
                first, second = second, first  # which operand lost; with a NaN in play neither has
            to_x = raw.SelectV2(condition=first, t=nothing, e=dy)
            to_y = raw.SelectV2(condition=second, t=nothing, e=dy)
            return (
                sum_to(raw.SelectV2(condition=tie, t=half, e=to_x), x),
                sum_to(raw.SelectV2(condition=tie, t=half, e=to_y), y),
            )

        return out, gradient

    def run(x1: Any, x2: Any) -> Tensor:
        x1, x2 = operands(x1, x2)
        return of_floats(x1, x2) if x1.dtype.is_floating else kernel(x=x1, y=x2)

    return run


# ---------------------------------------------------------------------- powers
_PRODUCTS: dict[float, Callable[[Tensor], Tensor]] = {
    0: lambda x: tf.ones_like(x),
    1: tensor,
    2: lambda x: raw.Square(x=x),
    3: lambda x: raw.Mul(x=raw.Square(x=x), y=x),
    4: lambda x: raw.Square(x=raw.Square(x=x)),
}
"""Small powers as products: exact, and differentiable at 0 as often as one likes (x**2's third derivative by way of
pow is 0 * 0**-1)."""


@custom_gradient
def _pow(x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
    """PyTorch's gradient: TensorFlow's is NaN for x**0 at 0, and 0 where log(x) is not defined."""
    out = raw.Pow(x=x, y=y)

    def gradient(dy: Tensor) -> tuple[Tensor, Tensor]:
        nothing, one = scalar(0.0, x), scalar(1.0, x)
        slope = raw.Mul(x=y, y=_pow(x, raw.Sub(x=y, y=one)))
        to_x = raw.SelectV2(condition=raw.Equal(x=y, y=nothing), t=nothing, e=raw.Mul(x=dy, y=slope))
        at_zero = raw.LogicalAnd(x=raw.Equal(x=x, y=nothing), y=raw.GreaterEqual(x=y, y=nothing))
        safe = raw.SelectV2(condition=at_zero, t=one, e=x)
        to_y = raw.Mul(x=dy, y=raw.Mul(x=_pow(x, y), y=raw.Log(x=safe)))
        return sum_to(to_x, x), sum_to(raw.SelectV2(condition=at_zero, t=nothing, e=to_y), y)

    return out, gradient


def pow(x1: Any, x2: Any) -> Tensor:
    like = x2 if type(x1) in SCALARS else x1
    if like.dtype.is_unsigned:  # no kernel; what wraps around in 64 bits does so in fewer
        x1, x2 = (x if type(x) in SCALARS else tf.cast(x, tf.int64) for x in (x1, x2))
        return tf.cast(raw.Pow(**dict(zip("xy", operands(x1, x2), strict=True))), like.dtype)
    if type(x2) in SCALARS:
        if like.dtype.is_floating and x2 in _PRODUCTS:
            return _PRODUCTS[x2](x1)
        return raw.Pow(x=x1, y=scalar(x2, x1))
    if type(x1) in SCALARS and x1 > 0:
        return raw.Pow(x=scalar(x1, x2), y=x2)
    x1, x2 = operands(x1, x2)
    return _pow(x1, x2) if like.dtype.is_floating else raw.Pow(x=x1, y=x2)


# ---------------------------------------------------------------------- division that rounds
def _float_divmod(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Python's divmod from the exact ``fmod``. TensorFlow's FloorDiv rounds x / y up to the next integer at times
    (1 // 0.1), and its FloorMod gives 0 for a tiny negative x.
    """
    zero, one = scalar(0.0, x), scalar(1.0, x)
    rest = raw.TruncateMod(x=x, y=y)
    quotient = raw.RealDiv(x=raw.Sub(x=x, y=rest), y=y)
    crossed = raw.NotEqual(x=raw.Less(x=rest, y=zero), y=raw.Less(x=y, y=zero))
    crossed = raw.LogicalAnd(x=crossed, y=raw.NotEqual(x=rest, y=zero))
    modulus = raw.SelectV2(condition=crossed, t=raw.AddV2(x=rest, y=y), e=rest)
    quotient = raw.SelectV2(condition=crossed, t=raw.Sub(x=quotient, y=one), e=quotient)
    # The subtraction may have rounded, so the quotient is an integer only nearly.
    rounded = raw.Floor(x=quotient)
    short = raw.Greater(x=raw.Sub(x=quotient, y=rounded), y=scalar(0.5, x))
    rounded = raw.SelectV2(condition=short, t=raw.AddV2(x=rounded, y=one), e=rounded)
    direct = raw.RealDiv(x=x, y=y)
    rounded = raw.SelectV2(condition=raw.Equal(x=y, y=zero), t=direct, e=rounded)
    return rounded, modulus


def _divmod(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    dtype = x.dtype
    if dtype in NARROW:  # no fmod kernel; in float32 it is exact
        pair = _float_divmod(tf.cast(x, tf.float32), tf.cast(y, tf.float32))
        return tf.cast(pair[0], dtype), tf.cast(pair[1], dtype)
    return _float_divmod(x, y)


def floor_divide(x1: Any, x2: Any) -> Tensor:
    x1, x2 = operands(x1, x2)
    if not x1.dtype.is_floating:
        return raw.FloorDiv(x=x1, y=x2)
    return tf.stop_gradient(_divmod(tf.stop_gradient(x1), tf.stop_gradient(x2))[0])


@custom_gradient
def _remainder(x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
    quotient, out = _divmod(x, y)

    def gradient(dy: Tensor) -> tuple[Tensor, Tensor]:
        return sum_to(dy, x), sum_to(raw.Neg(x=raw.Mul(x=dy, y=tf.stop_gradient(quotient))), y)

    return out, gradient


def remainder(x1: Any, x2: Any) -> Tensor:
    x1, x2 = operands(x1, x2)
    return _remainder(x1, x2) if x1.dtype.is_floating else raw.FloorMod(x=x1, y=x2)


# ---------------------------------------------------------------------- choices
def clip(x: Tensor, low: Any, high: Any) -> Tensor:
    """Bounds are tensors, Python scalars or None. The gradient passes at both, and to a bound where it is taken."""
    plain = all(bound is None or (type(bound) in SCALARS and bound == bound) for bound in (low, high))
    plain = plain and (low is None or high is None or low <= high)  # crossed, the kernel gives the lower one
    if plain and x.dtype.is_floating:
        low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
        return raw.ClipByValue(t=x, clip_value_min=scalar(low, x), clip_value_max=scalar(high, x))
    for bound, kernel, compare in ((low, raw.Maximum, raw.Less), (high, raw.Minimum, raw.Greater)):
        if bound is None:
            continue
        _, edge = operands(x, bound)
        if x.dtype.is_floating:  # the kernels' gradient at a bound would be shared
            outside = raw.LogicalOr(x=compare(x=x, y=edge), y=raw.IsNan(x=edge))
            x = raw.SelectV2(condition=outside, t=edge, e=x)
        else:
            x = kernel(x=x, y=edge)
    return tensor(x)


def where(condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    return raw.SelectV2(condition=condition, t=x1, e=x2)


_KERNELS = {
    "exp": "Exp", "expm1": "Expm1", "log": "Log", "log1p": "Log1p", "sqrt": "Sqrt", "rsqrt": "Rsqrt", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos",
    "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh",
    "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "isnan": "IsNan", "isinf": "IsInf", "isfinite": "IsFinite", "logical_not": "LogicalNot",
}  # fmt: skip
_BINARY_KERNELS = {
    "add": "AddV2", "subtract": "Sub", "multiply": "Mul", "divide": "RealDiv", "equal": "Equal",
    "not_equal": "NotEqual",
    "logical_and": "LogicalAnd", "logical_or": "LogicalOr", "bitwise_left_shift": "LeftShift",
    "bitwise_right_shift": "RightShift",
}  # fmt: skip


def atan2(x1: Any, x2: Any) -> Tensor:
    y, x = operands(x1, x2)
    nothing = scalar(0.0, x)
    # No gradient at the origin, as PyTorch has it; TensorFlow's is NaN.
    origin = raw.LogicalAnd(x=raw.Equal(x=y, y=nothing), y=raw.Equal(x=x, y=nothing))
    there = tf.stop_gradient(raw.Atan2(y=y, x=x))
    away = raw.Atan2(y=y, x=raw.SelectV2(condition=origin, t=scalar(1.0, x), e=x))
    return raw.SelectV2(condition=origin, t=there, e=away)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _unary(getattr(raw, kernel)) for name, kernel in _KERNELS.items()},
    **{name: _binary(getattr(raw, kernel)) for name, kernel in _BINARY_KERNELS.items()},
    "abs": _signed(raw.Abs, tensor),
    "negative": _signed(raw.Neg, _negative_unsigned),
    "sign": _signed(raw.Sign, _sign_unsigned),
    "erf": erf,
    "bitwise_invert": bitwise_invert,
    "less": _bool_too(raw.Less, _less_bools),
    "less_equal": _bool_too(raw.LessEqual, _less_equal_bools),
    "bitwise_and": _bool_too(raw.BitwiseAnd, raw.LogicalAnd),
    "bitwise_or": _bool_too(raw.BitwiseOr, raw.LogicalOr),
    "bitwise_xor": _bool_too(raw.BitwiseXor, raw.NotEqual),
    "maximum": _extremum(raw.Maximum),
    "minimum": _extremum(raw.Minimum),
    "atan2": atan2,
    "pow": pow,
    "floor_divide": floor_divide,
    "remainder": remainder,
    "where": where,
    "clip": clip,
}
