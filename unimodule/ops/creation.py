"""New tensors (array API 2023.12; ``one_hot`` besides).

Where they are made: beside ``like``, or at ``backend`` and ``device``; with neither, where the running net is, else on
the CPU of the default backend. ``like`` says where, not what: the dtype is the default one unless ``dtype`` is given.

An adapter may provide ``full``: ``(shape, value, dtype, device)``, and ``arange``: ``(start, stop, step, dtype,
device)``; without them values come from the host.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..backend import Backend, Tensor
from ..errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError
from ._arguments import shape_of, sizes
from ._dispatch import expect_tensor, gather
from .conversion import place


def _filled(backend: Backend, device: str, shape: tuple[int, ...], value: Any, dtype: str) -> Tensor:
    own = backend.function("full")
    if own is not None:
        return own(shape, value, dtype, device)
    return backend.from_numpy(np.full(shape, value, dtypes.to_numpy_dtype(dtype)), dtype, device)


# ---------------------------------------------------------------------- constants
def full(
    shape: Any,
    fill_value: bool | int | float,
    *,
    dtype: Any = None,
    device: str | None = None,
    like: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """A tensor of one value everywhere.

    Args:
        shape: an integer or a tuple of them.
        fill_value: its type says the dtype when ``dtype`` does not: bool, int64 or the default float.
        dtype: of the result.
        device, like, backend: where to; see the module's text.

    Raises:
        ShapeError: a size is negative.

    Example:
        >>> full((2,), 3, backend="numpy")
        array([3, 3])
    """
    found, target = place(backend, device, like)
    kind = dtypes.canonical(type(fill_value) if dtype is None else dtype)
    return _filled(found, target, sizes("full", shape), fill_value, kind)


def zeros(
    shape: Any,
    *,
    dtype: Any = None,
    device: str | None = None,
    like: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """A tensor of zeros, of the default float dtype unless ``dtype`` is given."""
    return full(shape, 0.0, dtype=dtype or dtypes.DEFAULT_FLOAT, device=device, like=like, backend=backend)


def ones(
    shape: Any,
    *,
    dtype: Any = None,
    device: str | None = None,
    like: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """A tensor of ones, of the default float dtype unless ``dtype`` is given."""
    return full(shape, 1.0, dtype=dtype or dtypes.DEFAULT_FLOAT, device=device, like=like, backend=backend)


def empty(
    shape: Any,
    *,
    dtype: Any = None,
    device: str | None = None,
    like: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """A tensor whose values do not matter (they are zeros: a run is to be repeatable)."""
    return zeros(shape, dtype=dtype, device=device, like=like, backend=backend)


def full_like(
    x: Tensor, /, fill_value: bool | int | float, *, dtype: Any = None, device: str | None = None
) -> Tensor:
    """One value everywhere, with shape, dtype and device of ``x``."""
    backend, target = place(None, device, x)
    kind = backend.dtype(x) if dtype is None else dtypes.canonical(dtype)
    return _filled(backend, target, shape_of(x), fill_value, kind)


def zeros_like(x: Tensor, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros with shape, dtype and device of ``x``."""
    return full_like(x, 0, dtype=dtype, device=device)


def ones_like(x: Tensor, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones with shape, dtype and device of ``x``."""
    return full_like(x, 1, dtype=dtype, device=device)


def empty_like(x: Tensor, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Values that do not matter, with shape, dtype and device of ``x`` (they are zeros)."""
    return full_like(x, 0, dtype=dtype, device=device)


# ---------------------------------------------------------------------- sequences
def arange(
    start: int | float,
    /,
    stop: int | float | None = None,
    step: int | float = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
    like: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """start, start + step, ... below ``stop``; ``arange(n)`` is 0 to n - 1.

    Args:
        start, stop, step: all integers give int64, otherwise the default float; ``stop`` is not included.
        dtype: of the result.
        device, like, backend: where to; see the module's text.

    Raises:
        ArgumentError: the step is 0.

    Example:
        >>> import unimodule as um
        >>> um.ops.arange(1, 7, 2, backend="numpy").tolist()
        [1, 3, 5]
    """
    start, stop = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ArgumentError("ops.arange got step 0")
    whole = all(isinstance(n, int | np.integer) for n in (start, stop, step))
    kind = dtypes.canonical((int if whole else float) if dtype is None else dtype)
    found, target = place(backend, device, like)
    own = found.function("arange")
    if own is not None:
        return own(start, stop, step, kind, target)
    return found.from_numpy(np.arange(start, stop, step), kind, target)


def linspace(
    start: int | float,
    stop: int | float,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
    like: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """``num`` evenly spaced numbers from ``start`` to ``stop``, which is included unless ``endpoint`` is False.

    Raises:
        ArgumentError: ``num`` is negative.

    Example:
        >>> import unimodule as um
        >>> um.ops.linspace(0.0, 1.0, 5, backend="numpy").tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if (count := operator.index(num)) < 0:
        raise ArgumentError(f"ops.linspace got num={num}")
    found, target = place(backend, device, like)
    kind = dtypes.canonical(dtypes.DEFAULT_FLOAT if dtype is None else dtype)
    return found.from_numpy(np.linspace(start, stop, count, endpoint=endpoint), kind, target)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
    like: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Ones on the k-th diagonal (above the main one for k > 0), zeros elsewhere."""
    found, target = place(backend, device, like)
    rows, columns = sizes("eye", (n_rows, n_rows if n_cols is None else n_cols))
    kind = dtypes.canonical(dtypes.DEFAULT_FLOAT if dtype is None else dtype)
    return found.from_numpy(np.eye(rows, columns, k), kind, target)


# ---------------------------------------------------------------------- made of other tensors
def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Coordinates of a grid: one tensor for each one-dimensional tensor given, all of the grid's shape.

    Args:
        arrays: vectors; their dtypes are promoted.
        indexing: "xy" (Cartesian: the first two axes are exchanged) or "ij" (matrix).

    Raises:
        ArgumentError: another ``indexing``.
        ShapeError: one is not a vector.

    Example:
        >>> import numpy as np, unimodule as um
        >>> [g.tolist() for g in um.ops.meshgrid(np.array([1, 2]), np.array([3, 4, 5]))]
        [[[1, 2], [1, 2], [1, 2]], [[3, 3], [4, 4], [5, 5]]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"ops.meshgrid got indexing={indexing!r}; expected 'xy' or 'ij'")
    if not arrays:
        return []
    _, found = gather("meshgrid", *arrays)
    if any(len(shape_of(x)) != 1 for x in found):
        raise ShapeError(f"ops.meshgrid expected vectors, got shapes {[shape_of(x) for x in found]}")
    rank = len(found)
    thin = [
        ops.reshape(x, (1,) * i + (-1 if 0 not in shape_of(x) else 0,) + (1,) * (rank - 1 - i))
        for i, x in enumerate(found)
    ]
    grids = ops.broadcast_arrays(*thin)
    return [ops.swapaxes(g, 0, 1) for g in grids] if indexing == "xy" and rank > 1 else grids


def _triangle(name: str, x: Tensor, k: int, lower: bool) -> Tensor:
    backend = expect_tensor(name, x)
    if len(shape_of(x)) < 2:
        raise ShapeError(f"ops.{name} expected a matrix or a stack of them, got shape {shape_of(x)}")
    rows, columns = shape_of(x)[-2:]
    kept = np.tri(rows, columns, k if lower else k - 1, dtype=bool)
    mask = backend.from_numpy(kept if lower else ~kept, "bool", backend.device(x))
    return ops.where(mask, x, zeros((), dtype=backend.dtype(x), like=x))


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """``x`` with zeros above the k-th diagonal of each matrix (..., M, N).

    Raises:
        ShapeError: ``x`` has fewer than two axes.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.tril(np.ones((2, 3)), k=1).tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    return _triangle("tril", x, k, lower=True)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """``x`` with zeros below the k-th diagonal of each matrix (..., M, N).

    Raises:
        ShapeError: ``x`` has fewer than two axes.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.triu(np.ones((2, 3))).tolist()
        [[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """
    return _triangle("triu", x, k, lower=False)


def one_hot(x: Tensor, num_classes: int, /, *, dtype: Any = dtypes.DEFAULT_INT) -> Tensor:
    """A new last axis with 1 at the place that each element names, 0 elsewhere.

    Args:
        x: integers, 0 <= i < num_classes, of any shape.
        num_classes: size of the new axis.
        dtype: of the result.

    Raises:
        OutOfRangeError: an element is out of range.
        DtypeError: ``x`` is not an integer tensor.

    Example:
        >>> one_hot(np.asarray([1, 0]), 2)
        array([[0, 1],
               [1, 0]])
    """
    backend = expect_tensor("one_hot", x)
    if not dtypes.is_integer(kind := backend.dtype(x)):
        raise DtypeError(f"ops.one_hot expected integers, got {kind}")
    if num_classes < 1 and 0 not in shape_of(x):
        raise OutOfRangeError(f"ops.one_hot got num_classes={num_classes}")
    backend.check_indices(x, num_classes)
    places = arange(num_classes, dtype=kind, like=x)
    return ops.astype(ops.equal(ops.expand_dims(x, axis=-1), places), dtype)
