"""Reading parts of tensors. Indices are in range: the core has checked them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from unimodule.backend import Tensor

from .host import or_numpy

INDEX_DTYPES = frozenset({torch.int64, torch.int32})


def take(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    if indices.dtype not in INDEX_DTYPES:
        indices = indices.to(torch.int64)
    if indices.ndim == 1:
        return torch.index_select(x, axis, indices)
    axis %= x.ndim
    picked = torch.index_select(x, axis, indices.reshape(-1))
    return picked.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def take_along_axis(x: Tensor, indices: Tensor, *, axis: int = -1) -> Tensor:
    return torch.take_along_dim(x, indices.to(torch.int64), axis)


def _numpy_take(x: Any, indices: Any, *, axis: int) -> Any:
    return np.take(x, indices.astype(np.int64), axis)


def _numpy_take_along_axis(x: Any, indices: Any, *, axis: int = -1) -> Any:
    axis %= x.ndim
    shape = np.broadcast_shapes((*x.shape[:axis], 1, *x.shape[axis + 1 :]), indices.shape)
    wide = np.broadcast_to(x, (*shape[:axis], x.shape[axis], *shape[axis + 1 :]))
    return np.take_along_axis(wide, np.broadcast_to(indices, shape).astype(np.int64), axis)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "getitem": operator.getitem,
    "take": or_numpy(take, _numpy_take),
    "take_along_axis": or_numpy(take_along_axis, _numpy_take_along_axis),
}
