"""Loose arguments, as PyTorch's functions take them, made canonical: one integer for each spatial axis, a batch axis.

Each helper takes the name of the function or layer it works for, for its messages.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from ... import ops
from ...backend import Tensor
from ...errors import ArgumentError, ShapeError

Ints = tuple[int, ...]
Size = int | Iterable[int]


def integer(name: str, what: str, value: Any, low: int) -> int:
    """``value`` as an int that is at least ``low``.

    Raises:
        ArgumentError: it is not.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if number < low or isinstance(value, bool):
        raise ArgumentError(f"{name} expected {what} to be an integer >= {low}, got {value!r}")
    return number


def integers(name: str, what: str, value: Any, rank: int, low: int) -> Ints:
    """One integer, or one for each of ``rank`` axes, as a tuple of ``rank``.

    Raises:
        ArgumentError: another number of them, not integers, or smaller than ``low``.
    """
    items = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,) * rank
    try:
        numbers = tuple(operator.index(item) for item in items)
    except TypeError:
        numbers = ()
    if len(numbers) != rank or any(n < low for n in numbers) or any(isinstance(item, bool) for item in items):
        raise ArgumentError(f"{name} expected {what} to be one or {rank} integers >= {low}, got {value!r}")
    return numbers


def batched(name: str, x: Tensor, rank: int, after: str = "C, *spatial") -> tuple[Tensor, bool]:
    """``x`` with a batch axis in front, and whether it had one.

    Args:
        name: for the message.
        x: of ``rank`` axes with its batch axis, or one fewer.
        rank: see ``x``.
        after: how the message calls the axes after the batch axis.

    Raises:
        ShapeError: ``x`` has another number of axes.
    """
    axes = len(x.shape)
    if axes == rank:
        return x, True
    if axes == rank - 1:
        return ops.expand_dims(x, axis=0), False
    raise ShapeError(
        f"{name} expected input (N, {after}) of {rank} axes or ({after}) of {rank - 1}, got {tuple(x.shape)}"
    )


def first(y: Tensor) -> Tensor:
    """The one sample of a batch that ``batched`` made."""
    return ops.getitem(y, 0)
