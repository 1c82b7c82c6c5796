"""Order, search and sets (array API 2023.12; ``topk`` besides).

``nonzero``, ``unique_*`` and ``searchsorted`` answer with places or with shapes that depend on values: they have no
gradient in a place, run on the host and do not compile.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from .. import dtypes, ops
from ..backend import Backend, Tensor
from ..errors import ArgumentError, DtypeError, ShapeError
from ._arguments import one_axis, shape_of
from ._dispatch import expect_tensor, gather, is_float_tensor, required, unary


# ---------------------------------------------------------------------- order
@unary
@required
def argsort_(x: Tensor, /, *, axis: int = -1, descending: bool = False) -> Tensor:
    """The kernel of ``argsort``."""


def _axis(name: str, x: Tensor, axis: int) -> int:
    backend = expect_tensor(name, x)
    if not is_float_tensor(x) and backend.dtype(x) == "bool":
        raise DtypeError(f"ops.{name} is not defined for bool")
    return one_axis(name, axis, len(shape_of(x)))


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort ``x`` along an axis, as int64. Equal elements keep their order; NaN counts as largest.

    Args:
        x: numeric.
        axis: along which.
        descending: largest first.
        stable: there for the standard's sake: the order is always stable.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.argsort(np.array([3.0, 1.0, 2.0])).tolist()
        [1, 2, 0]
    """
    return argsort_(x, axis=_axis("argsort", x, axis), descending=descending)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """``x`` sorted along an axis, differentiable; arguments as in ``argsort``."""
    i = _axis("sort", x, axis)
    return ops.take_along_axis(x, argsort_(x, axis=i, descending=descending), axis=i)


class TopK(NamedTuple):
    """Values and the indices at which they stood."""

    values: Tensor
    indices: Tensor


def topk(x: Tensor, k: int, /, *, axis: int = -1, largest: bool = True) -> TopK:
    """The k largest (or smallest) elements along an axis in order, and their indices (int64), the first of equals first.

    Raises:
        ShapeError: there is no such axis, or it has fewer than k elements.

    Example:
        >>> import numpy as np, unimodule as um
        >>> [x.tolist() for x in um.ops.topk(np.array([1.0, 3.0, 2.0]), 2)]
        [[3.0, 2.0], [1, 2]]
    """
    i = _axis("topk", x, axis)
    size = shape_of(x)[i]
    if not 0 <= k <= size:
        raise ShapeError(f"ops.topk got k={k} for an axis of {size} elements")
    lead = (slice(None),) * i
    indices = ops.getitem(argsort_(x, axis=i, descending=largest), (*lead, slice(0, k)))
    return TopK(ops.take_along_axis(x, indices, axis=i), indices)


# ---------------------------------------------------------------------- search
@unary
@required
def argmax_(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The kernel of ``argmax``."""


@unary
@required
def argmin_(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The kernel of ``argmin``."""


def _place(name: str, kernel: Any, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    expect_tensor(name, x)
    shape = shape_of(x)
    i = None if axis is None else _axis(name, x, axis)
    if 0 in shape and (i is None or shape[i] == 0):
        raise ShapeError(f"ops.{name} of no elements: shape {shape}, axis {axis}")
    return kernel(x, axis=i, keepdims=keepdims)


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the largest element along an axis (None: in the flattened tensor), as int64; the first of equals, and
    the first NaN if there is one.

    Raises:
        ShapeError: there is no such axis, or it is empty.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.argmax(np.array([[1.0, 5.0], [7.0, 7.0]]), axis=1).tolist()
        [1, 0]
    """
    return _place("argmax", argmax_, x, axis, keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the smallest element along an axis (None: in the flattened tensor), as int64; the first of equals, and
    the first NaN if there is one.

    Raises:
        ShapeError: there is no such axis, or it is empty.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.argmin(np.array([[1.0, 5.0], [7.0, 7.0]]), axis=1).tolist()
        [0, 0]
    """
    return _place("argmin", argmin_, x, axis, keepdims)


def _back(backend: Backend, like: Tensor, host: np.ndarray[Any, Any], dtype: str | None = None) -> Tensor:
    return backend.from_numpy(host, dtype or dtypes.DEFAULT_INT, backend.device(like))


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The places of the elements that are not 0, row-major: one int64 vector for each axis.

    Raises:
        ShapeError: ``x`` is a scalar.

    Example:
        >>> import numpy as np, unimodule as um
        >>> [i.tolist() for i in um.ops.nonzero(np.array([[0, 1], [2, 0]]))]
        [[0, 1], [1, 0]]
    """
    backend = expect_tensor("nonzero", x)
    if not shape_of(x):
        raise ShapeError("ops.nonzero expected at least one axis, got a scalar")
    return tuple(_back(backend, x, places) for places in np.nonzero(backend.to_numpy(x)))


def searchsorted(
    x1: Tensor, x2: Tensor, /, *, side: Literal["left", "right"] = "left", sorter: Tensor | None = None
) -> Tensor:
    """Where to put elements into a sorted vector so that it stays sorted, as int64.

    Args:
        x1: the vector, ascending (or in the order of ``sorter``).
        x2: what to put in, of any shape.
        side: "left" puts an element before its equals, "right" behind them.
        sorter: indices that sort ``x1``.

    Raises:
        ArgumentError: another ``side``.
        ShapeError: ``x1`` is not a vector.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.searchsorted(np.array([1.0, 3.0, 5.0]), np.array([3.0, 4.0])).tolist()
        [1, 2]
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"ops.searchsorted got side={side!r}; expected 'left' or 'right'")
    backend, (x1, x2) = gather("searchsorted", x1, x2)
    if len(shape_of(x1)) != 1:
        raise ShapeError(f"ops.searchsorted expected a vector, got shape {shape_of(x1)}")
    if sorter is not None:
        x1 = ops.take(x1, sorter, axis=0)
    return _back(
        backend, x2, np.asarray(np.searchsorted(backend.to_numpy(x1), backend.to_numpy(x2), side=side))
    )


# ---------------------------------------------------------------------- sets
class UniqueAll(NamedTuple):
    """Distinct values, where each stood first, which of them each element is, and how often each occurs."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Distinct values and how often each occurs."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Distinct values and which of them each element is."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor, /) -> UniqueAll:
    """The distinct values of ``x`` in ascending order (every NaN is one of its own), and where they are.

    Example:
        >>> found = unique_all(np.asarray([3, 1, 3]))
        >>> found.values, found.inverse_indices, found.counts
        (array([1, 3]), array([1, 0, 1]), array([1, 2]))
    """
    backend = expect_tensor("unique_all", x)
    host = backend.to_numpy(x)
    wide = host.astype(np.float32) if host.dtype.name == "bfloat16" else host  # whose NaNs NumPy cannot order
    _, first, inverse, counts = np.unique(
        wide, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    return UniqueAll(
        _back(backend, x, host.reshape(-1)[first], backend.dtype(x)),
        _back(backend, x, first),
        _back(backend, x, inverse.reshape(host.shape)),  # flat in NumPy 1.x
        _back(backend, x, counts),
    )


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The distinct values of ``x`` in ascending order, and how often each occurs."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The distinct values of ``x`` in ascending order, and which of them each element is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The distinct values of ``x`` in ascending order."""
    return unique_all(x).values
