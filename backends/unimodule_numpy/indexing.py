"""Ops that pick elements; each has the op that puts them back as its gradient, and the other way round."""

from __future__ import annotations

from typing import Any

import numpy as np
from autograd.tracer import getval

from .shaping import broadcast_to
from .tape import Op, differentiable


# ---------------------------------------------------------------------- x[key], basic keys
def _put(g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    out[key] = g  # a basic key names no element twice
    return out


_put_back: Op = differentiable(lambda ans, g, key, shape: lambda gg: getitem(gg, key))(_put)
getitem: Op = differentiable(lambda ans, x, key: lambda g: _put_back(g, key, x.shape))(lambda x, key: x[key])


# ---------------------------------------------------------------------- whole slices
def _add_slices(g: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    np.add.at(out, (slice(None),) * axis + (indices,), g)
    return out


_take_back: Op = differentiable(lambda ans, g, indices, axis, shape: lambda gg: _take(gg, indices, axis))(
    _add_slices
)
_take: Op = differentiable(lambda ans, x, indices, axis: lambda g: _take_back(g, indices, axis, x.shape))(
    lambda x, indices, axis: np.take(x, indices, axis=axis)
)


def take(x: Any, indices: Any, *, axis: int) -> Any:
    return _take(x, getval(indices), axis % x.ndim)


# ---------------------------------------------------------------------- single elements
def _mesh(indices: Any, axis: int) -> tuple[Any, ...]:
    key = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    key[axis] = indices
    return tuple(key)


def _add_elements(g: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    np.add.at(out, _mesh(indices, axis), g)
    return out


_pick_back: Op = differentiable(lambda ans, g, indices, axis, shape: lambda gg: _pick(gg, indices, axis))(
    _add_elements
)
_pick: Op = differentiable(lambda ans, x, indices, axis: lambda g: _pick_back(g, indices, axis, x.shape))(
    lambda x, indices, axis: x[_mesh(indices, axis)]
)


def take_along_axis(x: Any, indices: Any, *, axis: int = -1) -> Any:
    indices, axis = getval(indices), axis % x.ndim
    lead = np.broadcast_shapes(
        *(tuple(1 if i == axis else n for i, n in enumerate(a.shape)) for a in (x, indices))
    )
    x = broadcast_to(x, (*lead[:axis], x.shape[axis], *lead[axis + 1 :]))
    indices = np.broadcast_to(indices, (*lead[:axis], indices.shape[axis], *lead[axis + 1 :]))
    return _pick(x, indices, axis)
