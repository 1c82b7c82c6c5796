"""Elementwise ops. Where PyTorch's own function is right as it stands, it is the entry itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from unimodule.backend import Tensor

from .host import or_numpy


def sign(x: Tensor) -> Tensor:
    out = torch.sign(x)
    # torch.sign(nan) is 0, the array API's is nan.
    return torch.where(torch.isnan(x), x.detach(), out) if x.is_floating_point() else out


def _tensor(scalar: Any, like: Tensor) -> Tensor:
    return torch.scalar_tensor(scalar, dtype=like.dtype, device=like.device)


def _tensors(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors, for functions that take no number."""
    if not isinstance(x1, torch.Tensor):
        return _tensor(x1, x2), x2
    if not isinstance(x2, torch.Tensor):
        return x1, _tensor(x2, x1)
    return x1, x2


def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    # torch.floor_divide refuses to be differentiated, and takes no number on the left.
    if not isinstance(x1, torch.Tensor):
        x1 = _tensor(x1, x2)
    return torch.div(x1, x2, rounding_mode="floor")


def atan2(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.atan2(*_tensors(x1, x2))


def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.logical_and(*_tensors(x1, x2))


def logical_or(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.logical_or(*_tensors(x1, x2))


def logical_xor(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.logical_xor(*_tensors(x1, x2))


def remainder(x1: Tensor, x2: Tensor) -> Tensor:
    # torch.remainder(number, tensor) has no gradient.
    if not isinstance(x1, torch.Tensor):
        x1 = _tensor(x1, x2)
    return torch.remainder(x1, x2)


# Not clamp for a number, which gives the whole gradient to one side of a tie.
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.maximum(*_tensors(x1, x2))


def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.minimum(*_tensors(x1, x2))


_clamp = or_numpy(torch.clamp, np.clip)


def clip(x: Tensor, low: Any, high: Any) -> Tensor:
    if not x.is_floating_point():  # a number that the integers of x cannot hold would wrap around
        low, high = _within(low, x), _within(high, x)
    if isinstance(low, torch.Tensor) or isinstance(
        high, torch.Tensor
    ):  # two tensors or two numbers, no mixture
        low, high = _bound(low, x), _bound(high, x)
    return _clamp(x, low, high)


def _within(value: Any, like: Tensor) -> Any:
    if type(value) is not int:
        return value
    limits = torch.iinfo(like.dtype)
    return min(max(value, limits.min), limits.max)


def _bound(value: Any, like: Tensor) -> Any:
    return value if value is None or isinstance(value, torch.Tensor) else _tensor(value, like)


# PyTorch compares a tensor with a number on its right only.
def equal(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.eq(x1, x2) if isinstance(x1, torch.Tensor) else torch.eq(x2, x1)


def not_equal(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.ne(x1, x2) if isinstance(x1, torch.Tensor) else torch.ne(x2, x1)


def less(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.lt(x1, x2) if isinstance(x1, torch.Tensor) else torch.gt(x2, x1)


def less_equal(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.le(x1, x2) if isinstance(x1, torch.Tensor) else torch.ge(x2, x1)


def greater(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.gt(x1, x2) if isinstance(x1, torch.Tensor) else torch.lt(x2, x1)


def greater_equal(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.ge(x1, x2) if isinstance(x1, torch.Tensor) else torch.le(x2, x1)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "square": or_numpy(torch.square, np.square),
    "trunc": torch.trunc,
    "isfinite": torch.isfinite,
    "isinf": torch.isinf,
    "log2": torch.log2,
    "log10": torch.log10,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "erf": torch.erf,
    "abs": or_numpy(torch.abs, np.abs),
    "negative": or_numpy(torch.neg, np.negative),
    "sign": or_numpy(sign, np.sign),
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "isnan": torch.isnan,
    "logical_not": torch.logical_not,
    "bitwise_invert": or_numpy(torch.bitwise_not, np.invert),
    "add": or_numpy(torch.add, np.add),
    "subtract": or_numpy(torch.sub, np.subtract),
    "multiply": or_numpy(torch.mul, np.multiply),
    "divide": torch.true_divide,
    "pow": or_numpy(torch.pow, np.power),
    "floor_divide": or_numpy(floor_divide, np.floor_divide),
    "remainder": or_numpy(remainder, np.remainder),
    "maximum": or_numpy(maximum, np.maximum),
    "minimum": or_numpy(minimum, np.minimum),
    "atan2": atan2,
    "equal": or_numpy(equal, np.equal),
    "not_equal": or_numpy(not_equal, np.not_equal),
    "less": or_numpy(less, np.less),
    "less_equal": or_numpy(less_equal, np.less_equal),
    "greater": or_numpy(greater, np.greater),
    "greater_equal": or_numpy(greater_equal, np.greater_equal),
    "logical_and": logical_and,
    "logical_or": logical_or,
    "logical_xor": logical_xor,
    "bitwise_and": or_numpy(torch.bitwise_and, np.bitwise_and),
    "bitwise_or": or_numpy(torch.bitwise_or, np.bitwise_or),
    "bitwise_xor": or_numpy(torch.bitwise_xor, np.bitwise_xor),
    "bitwise_left_shift": or_numpy(torch.bitwise_left_shift, np.left_shift),
    "bitwise_right_shift": or_numpy(torch.bitwise_right_shift, np.right_shift),
    "clip": clip,
    "where": torch.where,
}
