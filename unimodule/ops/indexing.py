"""Elements picked out: ``getitem``, ``take``, ``take_along_axis``, ``where`` (array API 2023.12).

An index out of range is ``OutOfRangeError``, an ``IndexError``, on every backend where the indices have values now and
lie on the host; a compiled call, or one on an accelerator, does as the framework does.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..backend import Backend, Tensor
from ..errors import DtypeError, OutOfRangeError, ShapeError
from ..registry import find_backend
from ._arguments import broadcast_shapes, one_axis, shape_of
from ._dispatch import call, declare, expect_tensor, gather, required, unary


@unary
@required
def getitem_(x: Tensor, key: tuple[Any, ...]) -> Tensor:
    """The kernel of ``getitem``."""


@required
def take_(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """The kernel of ``take``."""


declare(take_)


@required
def take_along_axis_(x: Tensor, indices: Tensor, *, axis: int = -1) -> Tensor:
    """The kernel of ``take_along_axis``."""


declare(take_along_axis_)


@required
def where_(condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    """The kernel of ``where``."""


declare(where_)


# ---------------------------------------------------------------------- by indices
def _indices(name: str, x: Tensor, indices: Any) -> tuple[Backend, Tensor, Tensor]:
    backend, (x, indices) = gather(name, x, indices, same_dtype=())
    if not dtypes.is_integer(kind := backend.dtype(indices)):
        raise DtypeError(f"ops.{name} expected integer indices, got {kind}")
    return backend, x, indices


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """Slices of ``x`` along an axis, picked by indices.

    Args:
        x: any tensor.
        indices: integers of any shape, which takes the axis's place; 0 <= i < size.
        axis: may be None for one-dimensional tensors only.

    Raises:
        OutOfRangeError: an index is out of range.
        ShapeError: there is no such axis, or none was given.
        DtypeError: the indices are not integers.

    Example:
        >>> import numpy as np
        >>> take(np.asarray([[1, 2], [3, 4]]), np.asarray([1, 1, 0]), axis=1)
        array([[2, 2, 1],
               [4, 4, 3]])
    """
    backend, x, indices = _indices("take", x, indices)
    shape = shape_of(x)
    if axis is None:
        if len(shape) != 1:
            raise ShapeError(f"ops.take needs axis= for a tensor of shape {shape}")
        axis = 0
    axis = one_axis("take", axis, len(shape))
    backend.check_indices(indices, shape[axis])
    return call(backend, "take", x, indices, axis=axis)


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """Elements of ``x`` along an axis, picked one by one.

    Args:
        x: any tensor.
        indices: integers, 0 <= i < size, of ``x``'s rank; broadcasts against ``x`` on the other axes.
        axis: along which.

    Raises:
        OutOfRangeError: an index is out of range.
        ShapeError: the shapes do not fit, or there is no such axis.
        DtypeError: the indices are not integers.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.take_along_axis(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1], [0]]), axis=1).tolist()
        [[2.0], [3.0]]
    """
    backend, x, indices = _indices("take_along_axis", x, indices)
    shape, wanted = shape_of(x), shape_of(indices)
    axis = one_axis("take_along_axis", axis, len(shape))
    if len(wanted) != len(shape):
        raise ShapeError(
            f"ops.take_along_axis expected indices of {len(shape)} axes as in {shape}, got {wanted}"
        )
    broadcast_shapes("take_along_axis", *((*s[:axis], *s[axis + 1 :]) for s in (shape, wanted)))
    backend.check_indices(indices, shape[axis])
    return call(backend, "take_along_axis", x, indices, axis=axis)


def where(condition: Tensor, x1: Any, x2: Any, /) -> Tensor:
    """``x1`` where the condition holds, ``x2`` elsewhere. Nothing of the branch not taken reaches the gradient.

    Args:
        condition: bool.
        x1, x2: tensors or Python scalars; all three broadcast.

    Raises:
        ShapeError: the shapes do not broadcast.
        DtypeError: the condition is not boolean.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.where(np.array([True, False]), np.array([1.0, 2.0]), 0.0).tolist()
        [1.0, 0.0]
    """
    backend = find_backend(x1)
    alike = backend is not None and type(x1) is type(x2) and x1.dtype == x2.dtype
    if backend is None or not alike or find_backend(condition) is not backend:
        backend, (condition, x1, x2) = gather("where", condition, x1, x2, same_dtype=(1, 2))
    if (kind := backend.dtype(condition)) != "bool":
        raise DtypeError(f"ops.where expected a boolean condition, got {kind}")
    shapes = shape_of(condition), shape_of(x1), shape_of(x2)
    if not shapes[0] == shapes[1] == shapes[2]:
        broadcast_shapes("where", *shapes)
    return call(backend, "where", condition, x1, x2)


# ---------------------------------------------------------------------- by a key
def getitem(x: Tensor, key: Any, /) -> Tensor:
    """``x[key]`` as NumPy has it, for every kind of key and on every backend.

    Args:
        x: any tensor.
        key: an integer, slice (of any step), None, ``...``, an integer or boolean tensor or array, or a tuple of these.
            A boolean one makes the result's shape depend on values, so it does not compile.

    Raises:
        OutOfRangeError: an index is out of range, or there are more of them than axes.
        ShapeError: index tensors do not broadcast, or a mask does not fit.

    Example:
        >>> import numpy as np
        >>> x = np.asarray([[1, 2, 3], [4, 5, 6]])
        >>> getitem(x, (slice(None), slice(None, None, -1)))
        array([[3, 2, 1],
               [6, 5, 4]])
        >>> getitem(x, x > 4)
        array([5, 6])
    """
    backend = expect_tensor("getitem", x)
    entries = _expand(backend, x, key if isinstance(key, tuple) else (key,))
    if not any(_is_tensor(e) for e in entries):
        return _basic(x, entries)
    return _advanced(backend, x, entries)


def _expand(backend: Backend, x: Tensor, key: tuple[Any, ...]) -> list[Any]:
    """The key with one entry for each axis of ``x`` (and Nones): no ``...``, masks as index tensors, integers checked."""
    shape, entries, axis = shape_of(x), [], 0
    key = tuple(_as_index(backend, x, e) for e in key)
    taken = sum(_axes_of(e) for e in key)
    if taken > len(shape) or sum(e is ... for e in key) > 1:
        raise OutOfRangeError(f"ops.getitem got too many indices for shape {shape}: {taken}")
    if not any(e is ... for e in key):
        key = (*key, ...)
    for entry in key:
        if entry is ...:
            entries += [slice(None)] * (len(shape) - taken)
            axis += len(shape) - taken
            continue
        if isinstance(entry, int):
            if not -shape[axis] <= entry < shape[axis]:
                raise OutOfRangeError(f"ops.getitem got index {entry} for axis {axis} of shape {shape}")
            entry %= shape[axis]
        if isinstance(entry, _Mask):
            if entry.host.shape != shape[axis : axis + entry.host.ndim]:
                raise ShapeError(f"ops.getitem got a mask of shape {entry.host.shape} for shape {shape}")
            device = backend.device(x)
            entries += [backend.from_numpy(i, "int64", device) for i in np.nonzero(entry.host)]
        else:
            entries.append(entry)
        axis += _axes_of(entry)
    return entries


_LISTS = (bool, np.bool_, list)


def _is_tensor(entry: Any) -> bool:
    """Whether an entry of an expanded key is an index tensor."""
    return not (entry is None or isinstance(entry, int | slice))


class _Mask:
    """A boolean key on the host."""

    def __init__(self, host: np.ndarray[Any, Any]) -> None:
        self.host = host


def _axes_of(entry: Any) -> int:
    return 0 if entry is None or entry is ... else entry.host.ndim if isinstance(entry, _Mask) else 1


def _as_index(backend: Backend, x: Tensor, entry: Any) -> Any:
    if entry is None or entry is ... or isinstance(entry, slice) or type(entry) is int:
        return entry
    if not isinstance(entry, _LISTS) and not hasattr(entry, "shape"):
        try:
            return operator.index(entry)
        except TypeError:
            raise DtypeError(f"ops.getitem cannot take {entry!r} as an index") from None
    if isinstance(entry, list) and all(type(e) is int for e in entry):
        return ops.asarray(entry, dtype=dtypes.DEFAULT_INT, like=x)
    if isinstance(entry, _LISTS):
        entry = np.asarray(entry)
    _, (_, entry) = gather("getitem", x, entry, same_dtype=())
    kind = backend.dtype(entry)
    if kind == "bool":
        return _Mask(backend.to_numpy(entry))
    if not dtypes.is_integer(kind):
        raise DtypeError(f"ops.getitem expected integer or boolean indices, got {kind}")
    return entry


def _basic(x: Tensor, entries: list[Any]) -> Tensor:
    """Integers, slices and None; an adapter takes slices forwards only, so a backward one is read and flipped."""
    shape, key, backwards, axis, place = shape_of(x), [], [], 0, 0
    for entry in entries:
        if isinstance(entry, slice):
            start, stop, step = entry.indices(shape[axis])
            if step < 0:
                count = len(range(start, stop, step))
                last = start + (count - 1) * step
                entry = slice(last, start + 1, -step) if count else slice(0, 0)
                backwards.append(place)
            else:
                entry = slice(start, max(start, stop), step)
        key.append(entry)
        axis += entry is not None
        place += not isinstance(entry, int)
    whole = [slice(0, n, 1) for n in shape]
    if key == whole and not backwards:
        return x
    x = getitem_(x, tuple(key))
    return ops.flip(x, axis=tuple(backwards)) if backwards else x


def _advanced(backend: Backend, x: Tensor, entries: list[Any]) -> Tensor:
    """Index tensors: their axes go to the front and are made one, of which ``take`` picks flat indices."""
    chosen = [i for i, e in enumerate(entries) if isinstance(e, int) or _is_tensor(e)]
    together = chosen == list(range(chosen[0], chosen[-1] + 1))
    rest = [slice(None) if i in chosen else e for i, e in enumerate(entries)]
    x = _basic(x, rest)  # entries and axes of x now correspond one to one
    shape = shape_of(x)
    flat = _forward(backend, x, entries[chosen[0]], shape[chosen[0]])
    for i in chosen[1:]:
        flat = ops.add(ops.multiply(flat, shape[i]), _forward(backend, x, entries[i], shape[i]))
    others = [i for i in range(len(shape)) if i not in chosen]
    x = ops.permute_dims(x, tuple(chosen + others))
    x = ops.reshape(x, (math.prod([shape[i] for i in chosen]), *(shape[i] for i in others)))
    out = ops.take(x, flat, axis=0)
    if not together or chosen[0] == 0:
        return out
    rank = len(shape_of(flat))
    return ops.moveaxis(out, tuple(range(rank)), tuple(range(chosen[0], chosen[0] + rank)))


def _forward(backend: Backend, x: Tensor, index: Any, size: int) -> Tensor:
    """An index or index tensor as an int64 tensor, counted from the front, in range."""
    if isinstance(index, int):
        return ops.asarray(index, dtype=dtypes.DEFAULT_INT, like=x)
    backend.check_indices(index, size, -size)
    index = ops.astype(index, dtypes.DEFAULT_INT)
    return ops.where(ops.less(index, 0), ops.add(index, size), index)
