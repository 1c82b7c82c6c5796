"""Checks of what control flow goes by: predicates, bounds of loops, numbers of steps."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .. import dtypes
from ..backend import Backend, Tensor
from ..errors import ArgumentError, DtypeError, ShapeError
from ..registry import find_backend
from ._dispatch import ARRAYS, SCALARS, is_scalar


def check_scalar(who: str, backend: Backend, x: Any) -> None:
    """Raise unless ``x`` is a number or a tensor without axes."""
    if is_scalar(x):
        return
    if not isinstance(x, ARRAYS) and find_backend(x) is not backend:
        raise DtypeError(f"ops.{who} expected a bool tensor, got {type(x).__name__}")
    if (shape := tuple(x.shape)) != ():
        raise ShapeError(
            f"ops.{who} expected a bool tensor without axes, got shape {shape}; use ops.all or ops.any"
        )


def kind_name(backend: Backend, x: Any) -> str:
    """What ``x`` is, for a message."""
    return type(x).__name__ if isinstance(x, (*SCALARS, *ARRAYS)) else backend.dtype(x)


def is_bool(backend: Backend, x: Any) -> bool:
    """Whether ``x`` is a bool tensor."""
    return not is_scalar(x) and dtypes.canonical(x.dtype) == "bool"


def truth(backend: Backend, x: Any) -> bool:
    """The truth of a known predicate."""
    return bool(x) if is_scalar(x) or isinstance(x, ARRAYS) else bool(backend.to_numpy(x))


def count_of(what: str, n: Any) -> int:
    """``n`` as a number of steps."""
    try:
        number = -1 if isinstance(n, bool) else operator.index(n)
    except TypeError:
        number = -1
    if number < 0:
        raise ArgumentError(f"ops.{what} expected an integer of at least 0, got {n!r}")
    return number


def known_bound(backend: Backend, b: Any) -> Any:
    """A bound of a loop as an int where it is known, else as it is."""
    check_scalar("fori_loop", backend, b)
    integral = isinstance(b, int) if is_scalar(b) else np.dtype(dtypes.canonical(b.dtype)).kind in "iu"
    if not integral or isinstance(b, bool):
        raise DtypeError(f"ops.fori_loop expected integers as bounds, got {kind_name(backend, b)}")
    return (
        int(b)
        if is_scalar(b) or isinstance(b, ARRAYS)
        else int(backend.item(b))
        if backend.is_concrete(b)
        else b
    )


def common_length(name: str, backend: Backend, slices: list[Tensor], length: int | None) -> int:
    """The number of slices that a scan goes along."""
    lengths = set()
    for x in slices:
        if not backend.shape(x):
            raise ShapeError(f"ops.{name} expected xs with an axis to go along, got shape ()")
        lengths.add(backend.shape(x)[0])
    if length is not None:
        lengths.add(count_of(f"{name}: length", length))
    if len(lengths) > 1:
        raise ShapeError(f"ops.{name} expected one length, got {', '.join(str(n) for n in sorted(lengths))}")
    if not lengths:
        raise ArgumentError(f"ops.{name} expected length where xs has no tensors")
    return int(lengths.pop())
