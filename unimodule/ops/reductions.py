"""Reductions, statistics and scans (array API 2023.12; ``count_nonzero``, ``cumulative_prod`` and ``diff`` of 2024.12).

``axis`` is None for all axes, an integer or a tuple; an empty tuple reduces nothing.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

from .. import dtypes, ops
from ..backend import Backend, Tensor
from ..errors import DtypeError, ShapeError
from ._arguments import many_axes, one_axis, shape_of
from ._dispatch import expect_tensor, gather, is_float_tensor, required, to_float, unary

Axis = int | tuple[int, ...] | None


# ---------------------------------------------------------------------- what an adapter provides
@unary
@required
def sum_(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The kernel of ``sum``."""


@unary
@required
def prod_(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The kernel of ``prod``."""


@unary
@required
def max_(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The kernel of ``max``."""


@unary
@required
def min_(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The kernel of ``min``."""


@unary
@required
def all_(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The kernel of ``all``."""


@unary
@required
def any_(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The kernel of ``any``."""


@unary
@required
def cumulative_sum_(x: Tensor, /, *, axis: int) -> Tensor:
    """The kernel of ``cumulative_sum``."""


@unary
@required
def cumulative_prod_(x: Tensor, /, *, axis: int) -> Tensor:
    """The kernel of ``cumulative_prod``."""


def _reduced(name: str, x: Tensor, axis: Axis | list[int]) -> tuple[Axis, int]:
    """The axes to hand to an adapter (None stays None), and how many elements fall together."""
    shape = shape_of(x)
    if axis is None:
        return None, math.prod(shape)
    if isinstance(axis, tuple | list):
        axes = many_axes(name, axis, len(shape))
        return axes, math.prod([shape[a] for a in axes])
    i = one_axis(name, axis, len(shape))
    return i, shape[i]


def _accumulator(backend: Backend, x: Tensor, dtype: Any) -> Tensor:
    """``x`` in the dtype in which it is added up: the one asked for, int64 for bool and smaller integers."""
    if dtype is not None:
        return ops.astype(x, dtype)
    if is_float_tensor(x) or backend.dtype(x) in ("int64", "uint64"):
        return x
    return ops.astype(x, dtypes.DEFAULT_INT)


# ---------------------------------------------------------------------- sums and products
def sum(x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Sum over axes. Booleans and integers of fewer than 64 bits (unsigned ones too, as in PyTorch) give int64.

    Args:
        x: numeric or bool.
        axis: the axes to sum over.
        dtype: the result's dtype, to which ``x`` is cast first.
        keepdims: keep the reduced axes, with size 1.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np
        >>> sum(np.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=-1)
        array([3., 7.])
    """
    x = _accumulator(expect_tensor("sum", x), x, dtype)
    axis, _ = _reduced("sum", x, axis)
    return x if axis == () else sum_(x, axis=axis, keepdims=keepdims)


def prod(x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Product over axes; dtypes as in ``sum``. The gradient is right where factors are 0, too."""
    x = _accumulator(expect_tensor("prod", x), x, dtype)
    axis, _ = _reduced("prod", x, axis)
    return x if axis == () else prod_(x, axis=axis, keepdims=keepdims)


def count_nonzero(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements are not 0, as int64; NaN is not 0."""
    return sum(_truth("count_nonzero", x), axis=axis, dtype=dtypes.DEFAULT_INT, keepdims=keepdims)


# ---------------------------------------------------------------------- extrema
def _ordered(name: str, x: Tensor, axis: Any) -> Axis:
    backend = expect_tensor(name, x)
    if not is_float_tensor(x) and backend.dtype(x) == "bool":
        raise DtypeError(f"ops.{name} is not defined for bool")
    axes, count = _reduced(name, x, axis)
    if count == 0:
        raise ShapeError(f"ops.{name} of no elements: the reduced axes of shape {shape_of(x)} are empty")
    return axes


def max(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest element over axes; NaN if one is there. Ties share the gradient evenly.

    Raises:
        ShapeError: there is no such axis, or it is empty.
        DtypeError: ``x`` is boolean.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.max(np.array([[1.0, 5.0], [7.0, 3.0]]), axis=1).tolist()
        [5.0, 7.0]
    """
    axis = _ordered("max", x, axis)
    return x if axis == () else max_(x, axis=axis, keepdims=keepdims)


def min(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Smallest element over axes; NaN if one is there. Ties share the gradient evenly.

    Raises:
        ShapeError: there is no such axis, or it is empty.
        DtypeError: ``x`` is boolean.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.min(np.array([[1.0, 5.0], [7.0, 3.0]]), axis=1).tolist()
        [1.0, 3.0]
    """
    axis = _ordered("min", x, axis)
    return x if axis == () else min_(x, axis=axis, keepdims=keepdims)


# ---------------------------------------------------------------------- moments
@unary(floats=True)
def mean_(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The kernel of ``mean``: sum / number of elements, in float32 for floats of 16 bits, whose sums overflow."""
    _, count = _reduced("mean", x, axis)
    dtype = dtypes.canonical(x.dtype)
    if dtype in ("float16", "bfloat16"):
        return ops.astype(mean_(ops.astype(x, "float32"), axis=axis, keepdims=keepdims), dtype)
    total = sum_(x, axis=axis, keepdims=keepdims)
    return ops.divide(total, float(count)) if count else ops.multiply(total, math.nan)


def mean(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over axes; NaN over none. Integers are averaged in the default float dtype.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.mean(np.array([[1.0, 5.0], [7.0, 3.0]]), axis=0).tolist()
        [4.0, 4.0]
    """
    x = to_float(expect_tensor("mean", x), x)
    axis, _ = _reduced("mean", x, axis)
    return x if axis == () else mean_(x, axis=axis, keepdims=keepdims)


@unary(floats=True)
def var_(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The kernel of ``var``, in two passes: a difference of large squares would lose everything."""
    _, count = _reduced("var", x, axis)
    dtype = dtypes.canonical(x.dtype)
    if dtype in ("float16", "bfloat16"):
        wide = ops.astype(x, "float32")
        return ops.astype(var_(wide, axis=axis, correction=correction, keepdims=keepdims), dtype)
    off = ops.subtract(x, mean_(x, axis=axis, keepdims=True))
    total = sum_(ops.multiply(off, off), axis=axis, keepdims=keepdims)
    return ops.divide(total, builtins.max(float(count - correction), 0.0))


def var(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Variance over axes: sum of squared deviations from the mean / (n - correction).

    Args:
        x: floats; integers are cast to the default float dtype.
        axis: the axes to reduce.
        correction: 0 for the biased variance, 1 for Bessel's. With n <= correction the divisor is 0.
        keepdims: keep the reduced axes, with size 1.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> x = np.array([1.0, 3.0])
        >>> um.ops.item(um.ops.var(x)), um.ops.item(um.ops.var(x, correction=1))
        (1.0, 2.0)
    """
    x = to_float(expect_tensor("var", x), x)
    axis, _ = _reduced("var", x, axis)
    if axis == ():  # each element is its own mean
        return ops.divide(ops.subtract(x, x), builtins.max(1.0 - correction, 0.0))
    return var_(x, axis=axis, correction=correction, keepdims=keepdims)


def std(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Standard deviation over axes, sqrt(var). The gradient where it is 0 is 0, as in PyTorch."""
    variance = ops.var(x, axis=axis, correction=correction, keepdims=keepdims)
    # 1 where the variance is 0: the root's slope, infinite there, is taken at 1 instead and then multiplied by 0.
    none = ops.astype(ops.equal(variance, 0.0), dtypes.canonical(variance.dtype))
    return ops.multiply(ops.sqrt(ops.add(variance, none)), ops.subtract(1.0, none))


# ---------------------------------------------------------------------- truth
def _truth(name: str, x: Tensor) -> Tensor:
    return x if expect_tensor(name, x).dtype(x) == "bool" else ops.not_equal(x, 0)


def all(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether every element over axes is true (not 0), as bool; true over none."""
    x = _truth("all", x)
    axis, _ = _reduced("all", x, axis)
    return x if axis == () else all_(x, axis=axis, keepdims=keepdims)


def any(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element over axes is true (not 0), as bool; false over none."""
    x = _truth("any", x)
    axis, _ = _reduced("any", x, axis)
    return x if axis == () else any_(x, axis=axis, keepdims=keepdims)


# ---------------------------------------------------------------------- scans
def _scan(
    name: str, kernel: Any, first: int, x: Tensor, axis: int | None, dtype: Any, include_initial: bool
) -> Tensor:
    backend = expect_tensor(name, x)
    shape = shape_of(x)
    if axis is None:
        if len(shape) != 1:
            raise ShapeError(f"ops.{name} needs axis= for a tensor of shape {shape}")
        axis = 0
    axis = one_axis(name, axis, len(shape))
    out = kernel(_accumulator(backend, x, dtype), axis=axis)
    if include_initial:
        start = ops.full((*shape[:axis], 1, *shape[axis + 1 :]), first, dtype=backend.dtype(out), like=out)
        out = ops.concat([start, out], axis=axis)
    return out


def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Sums of all elements up to each one along an axis; dtypes as in ``sum``.

    Args:
        x: numeric.
        axis: may be None for one-dimensional tensors only.
        dtype: the result's dtype, to which ``x`` is cast first.
        include_initial: put a 0 in front, so that the axis grows by one.

    Raises:
        ShapeError: there is no such axis, or none was given.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.cumulative_sum(np.array([1, 2, 3])).tolist()
        [1, 3, 6]
    """
    return _scan("cumulative_sum", cumulative_sum_, 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Products of all elements up to each one along an axis; arguments as in ``cumulative_sum``, with 1 in front."""
    return _scan("cumulative_prod", cumulative_prod_, 1, x, axis, dtype, include_initial)


def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The n-th difference of neighbours along an axis, which shrinks by n.

    Args:
        x: numeric.
        axis: along which.
        n: how often to take differences.
        prepend, append: put before or after ``x`` along the axis first.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.diff(np.array([1, 4, 9])).tolist()
        [3, 5]
    """
    _, (x, prepend, append) = gather("diff", x, prepend, append)
    parts = [part for part in (prepend, x, append) if part is not None]
    axis = one_axis("diff", axis, len(shape_of(x)))
    x = parts[0] if len(parts) == 1 else ops.concat(parts, axis=axis)
    lead = (slice(None),) * axis
    for _ in range(builtins.min(n, shape_of(x)[axis])):
        size = shape_of(x)[axis]
        x = ops.subtract(
            ops.getitem(x, (*lead, slice(1, size))),
            ops.getitem(x, (*lead, slice(0, builtins.max(size - 1, 0)))),
        )
    return x
