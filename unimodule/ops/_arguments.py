"""Axes, shapes and broadcasting checked before a native call, so that every backend refuses the same with one class."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ..backend import Tensor
from ..errors import ShapeError

Shape = tuple[int, ...]


def shape_of(x: Tensor) -> Shape:
    """Shape of a native tensor as a plain tuple."""
    return tuple(x.shape)


def one_axis(name: str, axis: Any, rank: int) -> int:
    """``axis`` counted from the front.

    Raises:
        ShapeError: it is no axis of a tensor of that rank.
    """
    try:
        i = operator.index(axis)
    except TypeError:
        raise ShapeError(f"ops.{name} expected an integer axis, got {axis!r}") from None
    if not -rank <= i < rank:
        raise ShapeError(
            f"ops.{name} got axis {i} for a tensor of {rank} axes; expected {-rank} <= axis < {rank}"
        )
    return i + rank if i < 0 else i


def many_axes(name: str, axis: Any, rank: int) -> Shape:
    """``axis`` (None for all, an integer or several) as distinct axes counted from the front.

    Raises:
        ShapeError: one is out of range or named twice.
    """
    if axis is None:
        return tuple(range(rank))
    if not isinstance(axis, tuple | list):
        return (one_axis(name, axis, rank),)
    axes = tuple(one_axis(name, a, rank) for a in axis)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"ops.{name} got an axis twice in axis={tuple(axis)}")
    return axes


def as_shape(name: str, shape: Any) -> Shape:
    """A shape given as an integer or a sequence of integers, as a tuple.

    Raises:
        ShapeError: it is neither.
    """
    try:
        if isinstance(shape, int):
            return (shape,)
        return tuple(operator.index(n) for n in (shape if isinstance(shape, Sequence) else tuple(shape)))
    except TypeError:
        try:
            return (operator.index(shape),)
        except TypeError:
            raise ShapeError(f"ops.{name} expected a shape (integers), got {shape!r}") from None


def sizes(name: str, shape: Any) -> Shape:
    """A shape that a new tensor is to have.

    Raises:
        ShapeError: a size is negative, or no integer.
    """
    out = as_shape(name, shape)
    if any(n < 0 for n in out):
        raise ShapeError(f"ops.{name} got shape {out}: a size must not be negative")
    return out


def broadcast_shapes(name: str, *shapes: Shape) -> Shape:
    """The shape to which shapes broadcast.

    Raises:
        ShapeError: they do not.
    """
    rank = max(map(len, shapes))
    out = []
    for i in range(-rank, 0):
        found = {s[i] for s in shapes if len(s) >= -i} - {1}
        if len(found) > 1:
            listed = " and ".join(map(str, shapes))
            raise ShapeError(f"ops.{name} got tensors of shapes {listed}, which do not broadcast")
        out.append(found.pop() if found else 1)
    return tuple(out)


def join(items: Sequence[Any]) -> str:
    """Items for a message."""
    return ", ".join(map(str, items))
