"""Adapters that compute the wrong thing, continued: arithmetic, reductions, order and moving elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unimodule import ops

from .model import Fault
from .planting import Tensor, floating, of_ops


# ---------------------------------------------------------------------- division, rounding
def _towards_zero(native: Any) -> Any:
    def floor_divide(x1: Any, x2: Any) -> Tensor:
        quotient = native(x1, x2)
        rest = ops.subtract(x1, ops.multiply(quotient, x2))
        up = ops.logical_and(ops.less(quotient, 0), ops.not_equal(rest, 0))
        return ops.where(up, ops.add(quotient, 1), quotient)

    return floor_divide


def _sign_of_dividend(native: Any) -> Any:
    def remainder(x1: Any, x2: Any) -> Tensor:
        rest = native(x1, x2)
        crossed = ops.logical_and(ops.less(ops.multiply(rest, x1), 0), ops.not_equal(rest, 0))
        return ops.where(crossed, ops.subtract(rest, x2), rest)

    return remainder


ROUNDING = [
    of_ops(
        "torch",
        "forward",
        "floor_divide rounds towards 0",
        {"floor_divide": _towards_zero},
        lambda b: b.run(ops.floor_divide, np.array([-7, 7]), np.array([2, 2])),
        [-4, 3],
        ("ops.floor_divide",),
    ),
    of_ops(
        "tensorflow",
        "forward",
        "remainder has the sign of the dividend",
        {"remainder": _sign_of_dividend},
        lambda b: b.run(ops.remainder, [-7.0, 7.0], [2.0, -2.0]),
        [1.0, -1.0],
        ("ops.remainder",),
    ),
    of_ops(
        "jax",
        "forward",
        "round takes halves up",
        {"round": lambda native: lambda x: ops.floor(x + 0.5)},
        lambda b: b.run(ops.round, [0.5, 2.5]),
        [0.0, 2.0],
        ("ops.round",),
    ),
]


# ---------------------------------------------------------------------- reductions
def _scaled_sum(native: Any) -> Any:
    def total(x: Tensor, **options: Any) -> Tensor:
        y = native(x, **options)
        return y * 1.0001 if floating(y) else y

    return total


def _shifted_mean(native: Any) -> Any:
    return lambda x, **options: native(x, **options) + 1e-3


def _unbiased(native: Any) -> Any:
    return lambda x, *, axis=None, correction=0.0, keepdims=False: native(
        x, axis=axis, correction=1.0, keepdims=keepdims
    )


def _exclusive_sum(native: Any) -> Any:
    return lambda x, *, axis: native(x, axis=axis) - x


def _backward_product(native: Any) -> Any:
    return lambda x, *, axis: ops.flip(native(ops.flip(x, axis=axis), axis=axis), axis=axis)


REDUCTIONS = [
    of_ops(
        "torch",
        "forward",
        "a sum is 1.0001 times what it should be",
        {"sum": _scaled_sum},
        lambda b: b.run(ops.sum, [1.0, 2.0]),
        3.0,
        ("ops.sum",),
    ),
    of_ops(
        "mxnet",
        "forward",
        "a mean is 0.001 too large",
        {"mean": _shifted_mean},
        lambda b: b.run(ops.mean, [1.0, 2.0]),
        1.5,
        ("ops.mean",),
    ),
    of_ops(
        "tensorflow",
        "forward",
        "var is the unbiased one",
        {"var": _unbiased},
        lambda b: b.run(ops.var, [1.0, 3.0]),
        1.0,
        ("ops.var", "ops.std"),
    ),
    of_ops(
        "torch",
        "forward",
        "cumulative_sum is exclusive",
        {"cumulative_sum": _exclusive_sum},
        lambda b: b.run(lambda x: ops.cumulative_sum(x, axis=0), [1.0, 2.0]),
        [1.0, 3.0],
        ("ops.cumulative_sum",),
    ),
    of_ops(
        "jax",
        "forward",
        "cumulative_prod runs backwards",
        {"cumulative_prod": _backward_product},
        lambda b: b.run(lambda x: ops.cumulative_prod(x, axis=0), [1.0, 2.0]),
        [1.0, 2.0],
        ("ops.cumulative_prod",),
    ),
]


# ---------------------------------------------------------------------- order
def _last_of_ties(native: Any) -> Any:
    def argmax(x: Tensor, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
        if not x.shape:
            return native(x, axis=axis, keepdims=keepdims)
        size = int(np.prod(tuple(x.shape))) if axis is None else x.shape[axis]
        turned = native(ops.flip(x, axis=axis), axis=axis, keepdims=keepdims)
        return ops.subtract(size - 1, turned)

    return argmax


def _unstable(native: Any) -> Any:
    def argsort(x: Tensor, *, axis: int = -1, descending: bool = False) -> Tensor:
        if not descending or not x.shape:
            return native(x, axis=axis, descending=descending)
        return ops.flip(native(x, axis=axis, descending=False), axis=axis)

    return argsort


ORDER = [
    of_ops(
        "tensorflow",
        "forward",
        "argmax takes the last of equals",
        {"argmax": _last_of_ties},
        lambda b: b.run(ops.argmax, [1.0, 2.0, 2.0]),
        1,
        ("ops.argmax",),
    ),
    of_ops(
        "mxnet",
        "forward",
        "a descending argsort turns equals round",
        {"argsort": _unstable},
        lambda b: b.run(lambda x: ops.argsort(x, descending=True), [1.0, 1.0]),
        [0, 1],
        ("ops.argsort", "ops.sort"),
    ),
]


# ---------------------------------------------------------------------- moving elements
def _first_axis_only(native: Any) -> Any:
    def flip(x: Tensor, *, axis: Any = None) -> Tensor:
        axes = tuple(range(len(x.shape))) if axis is None else axis
        return native(x, axis=axes[:1] if isinstance(axes, tuple | list) else axes)

    return flip


def _reversed_widths(native: Any) -> Any:
    return lambda x, widths, *, value=0.0: native(x, tuple(widths)[::-1], value=value)


def _reversed_parts(native: Any) -> Any:
    return lambda arrays, *, axis=0: native(list(arrays)[::-1], axis=axis)


MOVING = [
    of_ops(
        "tensorflow",
        "forward",
        "flip turns the first of several axes only",
        {"flip": _first_axis_only},
        lambda b: b.run(ops.flip, [[1.0, 2.0], [3.0, 4.0]]),
        [[4.0, 3.0], [2.0, 1.0]],
        ("ops.flip",),
    ),
    of_ops(
        "jax",
        "forward",
        "pad takes the widths of the other axes",
        {"pad": _reversed_widths},
        lambda b: b.run(lambda x: ops.pad(x, ((0, 0), (1, 0))), [[1.0]]),
        [[0.0, 1.0]],
        ("F.pad", "ops.pad", "nn.ZeroPad2d"),
    ),
    of_ops(
        "mxnet",
        "forward",
        "concat joins backwards",
        {"concat": _reversed_parts},
        lambda b: b.run(lambda x, y: ops.concat([x, y]), [1.0], [2.0]),
        [1.0, 2.0],
        ("ops.concat",),
    ),
]


# ---------------------------------------------------------------------- the reference itself
def _rough_erf(native: Any) -> Any:
    """Abramowitz and Stegun 7.1.26: seven digits, where float64 has sixteen."""

    def erf(x: Tensor) -> Tensor:
        size = ops.abs(x)
        t = 1 / (1 + 0.3275911 * size)
        series = 1.061405429
        for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
            series = series * t + factor
        return ops.sign(x) * (1 - series * t * ops.exp(-size * size))

    return erf


REFERENCE = [
    of_ops(
        "numpy",
        "forward",
        "erf has seven digits",
        {"erf": _rough_erf},
        lambda b: b.run(ops.erf, [0.5], dtype="float64"),
        [math.erf(0.5)],
        ("ops.erf", "nn.GELU", "F.gelu"),
        1e-10,
    ),
    of_ops(
        "numpy",
        "forward",
        "log1p is log(1 + x)",
        {"log1p": lambda native: lambda x: ops.log(1 + x)},
        lambda b: b.run(lambda x: ops.log1p(x) * 1e20, [1e-20], dtype="float64"),
        [1.0],
        ("ops.log1p", "nn.Softplus"),
    ),
    of_ops(
        "numpy",
        "forward",
        "atan2 forgets the quadrant",
        {"atan2": lambda native: lambda x1, x2: ops.atan(ops.divide(x1, x2))},
        lambda b: b.run(ops.atan2, [1.0], [-1.0]),
        [3 * math.pi / 4],
        ("ops.atan2",),
    ),
]

FAULTS: list[Fault] = [*ROUNDING, *REDUCTIONS, *ORDER, *MOVING, *REFERENCE]
