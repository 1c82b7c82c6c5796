"""Shapes and order of elements (array API 2023.12; ``flatten``, ``split``, ``pad``, ``swapaxes`` besides).

All of these are differentiable and compute nothing. A result may share memory with its argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError, DtypeError, ShapeError
from ..registry import find_backend
from ._arguments import Shape, as_shape, broadcast_shapes, many_axes, one_axis, shape_of
from ._dispatch import expect_tensor, gather, required, unary


# ---------------------------------------------------------------------- what an adapter provides
@unary
@required
def reshape_(x: Tensor, shape: Shape) -> Tensor:
    """The kernel of ``reshape``."""


@unary
@required
def permute_dims_(x: Tensor, axes: Shape) -> Tensor:
    """The kernel of ``permute_dims``."""


@unary
@required
def broadcast_to_(x: Tensor, shape: Shape) -> Tensor:
    """The kernel of ``broadcast_to``."""


@unary
@required
def flip_(x: Tensor, *, axis: int | Shape | None = None) -> Tensor:
    """The kernel of ``flip``."""


@unary
@required
def pad_(x: Tensor, widths: tuple[Shape, ...], *, value: float = 0.0) -> Tensor:
    """The kernel of ``pad``."""


# ---------------------------------------------------------------------- one shape for another
def reshape(x: Tensor, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """The same elements in row-major order under another shape.

    Args:
        x: any tensor.
        shape: one size may be -1 and is then computed.
        copy: True for a result that shares no memory with ``x``.

    Raises:
        ShapeError: the sizes do not multiply to the number of elements.

    Example:
        >>> import numpy as np
        >>> reshape(np.arange(6), (2, -1)).shape
        (2, 3)
    """
    expect_tensor("reshape", x)
    old, new = shape_of(x), as_shape("reshape", shape)
    count, known = math.prod(old), math.prod([n for n in new if n != -1])
    if -1 in new and new.count(-1) == 1 and known > 0 and count % known == 0:
        new = tuple(count // known if n == -1 else n for n in new)
    elif count != known or min(new, default=0) < 0:
        raise ShapeError(f"ops.reshape cannot give {count} elements of shape {old} the shape {new}")
    out = x if new == old else reshape_(x, new)
    return ops.asarray(out, copy=True, like=out) if copy else out


def flatten(x: Tensor, /, start_axis: int = 0, end_axis: int = -1) -> Tensor:
    """The axes from ``start_axis`` to ``end_axis``, both included, made one; a scalar becomes a vector.

    Raises:
        ShapeError: there is no such axis, or the first lies behind the last.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.flatten(np.ones((2, 3, 4)), 1).shape
        (2, 12)
    """
    expect_tensor("flatten", x)
    shape = shape_of(x) or (1,)
    first, last = one_axis("flatten", start_axis, len(shape)), one_axis("flatten", end_axis, len(shape))
    if first > last:
        raise ShapeError(f"ops.flatten got start_axis {start_axis} behind end_axis {end_axis}")
    return reshape(x, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def expand_dims(x: Tensor, /, *, axis: int | Shape = 0) -> Tensor:
    """``x`` with axes of size 1 put in, which stand at ``axis`` in the result.

    Raises:
        ShapeError: the position is out of range.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.expand_dims(np.ones((2, 3)), axis=1).shape
        (2, 1, 3)
    """
    expect_tensor("expand_dims", x)
    shape = shape_of(x)
    rank = len(shape) + (len(axis) if isinstance(axis, tuple | list) else 1)
    new, sizes = many_axes("expand_dims", axis, rank), iter(shape)
    return reshape_(x, tuple(1 if i in new else next(sizes) for i in range(rank)))


def squeeze(x: Tensor, /, axis: int | Shape) -> Tensor:
    """``x`` without the axes given, which must have size 1.

    Raises:
        ShapeError: there is no such axis, or its size is not 1.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.squeeze(np.ones((2, 1, 3)), 1).shape
        (2, 3)
    """
    expect_tensor("squeeze", x)
    shape = shape_of(x)
    gone = many_axes("squeeze", axis, len(shape))
    if any(shape[i] != 1 for i in gone):
        raise ShapeError(f"ops.squeeze got axis {axis} for shape {shape}: its size is not 1")
    return reshape_(x, tuple(n for i, n in enumerate(shape) if i not in gone))


# ---------------------------------------------------------------------- axes in another order
def permute_dims(x: Tensor, /, axes: Shape) -> Tensor:
    """``x`` with its axes reordered: axis i of the result is axis ``axes[i]`` of ``x``.

    Raises:
        ShapeError: ``axes`` is not a permutation of the axes.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.permute_dims(np.ones((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    expect_tensor("permute_dims", x)
    rank, order = len(shape_of(x)), as_shape("permute_dims", axes)
    if len(order) != rank:
        raise ShapeError(f"ops.permute_dims expected {rank} axes for shape {shape_of(x)}, got {order}")
    order = many_axes("permute_dims", order, rank)
    return x if order == tuple(range(rank)) else permute_dims_(x, order)


def moveaxis(x: Tensor, source: int | Shape, destination: int | Shape, /) -> Tensor:
    """``x`` with axes moved to other places; the others keep their order.

    Raises:
        ShapeError: there is no such axis, or there are more sources than destinations.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.moveaxis(np.ones((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    expect_tensor("moveaxis", x)
    rank = len(shape_of(x))
    old, new = many_axes("moveaxis", source, rank), many_axes("moveaxis", destination, rank)
    if len(old) != len(new):
        raise ShapeError(f"ops.moveaxis got {len(old)} axes to move and {len(new)} places")
    order = [i for i in range(rank) if i not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return permute_dims(x, tuple(order))


def swapaxes(x: Tensor, axis1: int, axis2: int, /) -> Tensor:
    """``x`` with two axes exchanged.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.swapaxes(np.ones((2, 3, 4)), 0, 2).shape
        (4, 3, 2)
    """
    expect_tensor("swapaxes", x)
    order = list(range(len(shape_of(x))))
    i, j = one_axis("swapaxes", axis1, len(order)), one_axis("swapaxes", axis2, len(order))
    order[i], order[j] = j, i
    return permute_dims(x, tuple(order))


def flip(x: Tensor, /, *, axis: int | Shape | None = None) -> Tensor:
    """``x`` backwards along axes (None for all).

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.flip(np.array([1, 2, 3])).tolist()
        [3, 2, 1]
    """
    expect_tensor("flip", x)
    axes = many_axes("flip", axis, len(shape_of(x)))
    return flip_(x, axis=axes) if axes else x


def roll(x: Tensor, /, shift: int | Shape, *, axis: int | Shape | None = None) -> Tensor:
    """``x`` moved along axes; what leaves at the end comes back at the front.

    Args:
        x: any tensor.
        shift: how far, one number or one for each axis; negative towards the front.
        axis: along which; None rolls the flattened tensor.

    Raises:
        ShapeError: there is no such axis, or not one shift for each axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.roll(np.array([1, 2, 3]), 1).tolist()
        [3, 1, 2]
    """
    expect_tensor("roll", x)
    shape = shape_of(x)
    if axis is None:
        return reshape(roll(reshape(x, (-1,)) if 0 not in shape else reshape(x, (0,)), shift, axis=0), shape)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    shifts = as_shape("roll", shift)
    if len(shifts) == 1:
        shifts = shifts * len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(f"ops.roll got {len(shifts)} shifts for {len(axes)} axes")
    for by, a in zip(shifts, axes, strict=True):
        i = one_axis("roll", a, len(shape))
        if not shape[i] or not (cut := -by % shape[i]):
            continue
        lead = (slice(None),) * i
        back, front = ops.getitem(x, (*lead, slice(cut, None))), ops.getitem(x, (*lead, slice(0, cut)))
        x = ops.concat([back, front], axis=i)
    return x


# ---------------------------------------------------------------------- more of the same
def broadcast_to(x: Tensor, /, shape: Any) -> Tensor:
    """``x`` repeated to a shape that it broadcasts to.

    Raises:
        ShapeError: it does not broadcast to that.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.broadcast_to(np.array([1, 2]), (2, 2)).tolist()
        [[1, 2], [1, 2]]
    """
    expect_tensor("broadcast_to", x)
    old, new = shape_of(x), as_shape("broadcast_to", shape)
    if old == new:
        return x
    if len(old) > len(new) or any(a not in (1, b) for a, b in zip(old[::-1], new[::-1], strict=False)):
        raise ShapeError(f"ops.broadcast_to cannot broadcast {old} to {new}")
    return broadcast_to_(x, new)


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """All tensors at the shape to which they broadcast together, each in its dtype.

    Raises:
        ShapeError: they do not broadcast.

    Example:
        >>> import numpy as np, unimodule as um
        >>> [x.shape for x in um.ops.broadcast_arrays(np.ones((3, 1)), np.ones(4))]
        [(3, 4), (3, 4)]
    """
    _, found = gather("broadcast_arrays", *arrays, same_dtype=())
    shape = broadcast_shapes("broadcast_arrays", *map(shape_of, found))
    return [broadcast_to(x, shape) for x in found]


def repeat(x: Tensor, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Each element of an axis several times in a row (``tile`` repeats the whole).

    Args:
        x: any tensor.
        repeats: how often, one number or one for each element of the axis.
        axis: along which; None flattens first.

    Raises:
        ShapeError: there is no such axis, or not one number for each element.

    Example:
        >>> import numpy as np
        >>> repeat(np.asarray([1, 2]), 2)
        array([1, 1, 2, 2])
    """
    expect_tensor("repeat", x)
    if axis is None:
        x, axis = reshape(x, (math.prod(shape_of(x)),)), 0
    shape = shape_of(x)
    i = one_axis("repeat", axis, len(shape))
    counts = _counts(repeats)
    if len(counts) == 1:
        rows = broadcast_to(expand_dims(x, axis=i + 1), (*shape[: i + 1], counts[0], *shape[i + 1 :]))
        return reshape(rows, (*shape[:i], shape[i] * counts[0], *shape[i + 1 :]))
    if len(counts) != shape[i]:
        raise ShapeError(
            f"ops.repeat expected {shape[i]} repeats for axis {axis} of {shape}, got {len(counts)}"
        )
    places = [k for k, n in enumerate(counts) for _ in range(n)]
    return ops.take(x, ops.asarray(places, dtype="int64", like=x), axis=i)


def _counts(repeats: Any) -> Shape:
    """How often to repeat, as Python integers: one, or one for each element."""
    if not isinstance(repeats, int):
        if (backend := find_backend(repeats)) is not None:
            repeats = backend.to_numpy(repeats).tolist()
        repeats = tuple(repeats) if isinstance(repeats, list | tuple) else (repeats,)
    counts = repeats if isinstance(repeats, tuple) else (repeats,)
    if not all(isinstance(n, int | np.integer) for n in counts):
        raise DtypeError(f"ops.repeat expected integer repeats, got {repeats!r}")
    if min(counts, default=0) < 0:
        raise ArgumentError(f"ops.repeat got a negative number of repeats: {repeats!r}")
    return tuple(int(n) for n in counts)


def tile(x: Tensor, repetitions: Any, /) -> Tensor:
    """``x`` as a whole repeated along each axis.

    Args:
        x: any tensor.
        repetitions: one number for each axis; the shorter of it and the shape is filled with ones at the front.

    Raises:
        ShapeError: a number is negative.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.tile(np.array([1, 2]), (2, 2)).tolist()
        [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    expect_tensor("tile", x)
    times, shape = as_shape("tile", repetitions), shape_of(x)
    if min(times, default=0) < 0:
        raise ShapeError(f"ops.tile got a negative number of repetitions: {times}")
    rank = max(len(times), len(shape))
    times, shape = (1,) * (rank - len(times)) + times, (1,) * (rank - len(shape)) + shape
    pairs = tuple(n for pair in zip(times, shape, strict=True) for n in pair)
    thin = reshape(x, tuple(n for size in shape for n in (1, size)))
    return reshape(broadcast_to(thin, pairs), tuple(a * b for a, b in zip(times, shape, strict=True)))


def pad(x: Tensor, widths: Sequence[tuple[int, int]], /, *, value: float = 0.0) -> Tensor:
    """``x`` with a constant around it.

    Args:
        x: any tensor.
        widths: one (before, after) pair of non-negative integers for each axis.
        value: the constant.

    Raises:
        ShapeError: there is not one pair for each axis, or a width is negative.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.pad(np.ones((1, 2)), [(0, 1), (1, 0)]).tolist()
        [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """
    expect_tensor("pad", x)
    shape = shape_of(x)
    pairs = tuple(as_shape("pad", pair) for pair in widths)
    if len(pairs) != len(shape) or any(len(p) != 2 or min(p) < 0 for p in pairs):
        raise ShapeError(
            f"ops.pad expected a (before, after) pair of sizes for each axis of shape {shape}, got {pairs}"
        )
    return pad_(x, pairs, value=value) if any(map(any, pairs)) else x
