"""Reductions, cumulative sums and sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from unimodule.backend import Tensor

from .host import or_numpy

Axis = int | tuple[int, ...] | None


# PyTorch reads an empty tuple of axes as "all"; here, as in NumPy, it is "none".
def sum(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return x if axis == () else torch.sum(x, dim=axis, keepdim=keepdims, dtype=x.dtype)


def prod(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    if type(axis) is int:
        return torch.prod(x, axis, keepdim=keepdims, dtype=x.dtype)
    if axis == ():
        return x
    rank = x.ndim  # torch.prod takes one axis only: make one of them all
    axes = range(rank) if axis is None else [a % rank for a in axis]  # type: ignore[union-attr]
    rest = [a for a in range(rank) if a not in axes]
    moved = torch.permute(x, [*rest, *axes]).reshape(
        [x.shape[a] for a in rest] + [-1 if x.numel() else _size(x, axes)]
    )
    out = torch.prod(moved, -1, dtype=x.dtype)
    return out.reshape([1 if a in axes else n for a, n in enumerate(x.shape)]) if keepdims else out


def _size(x: Tensor, axes: Any) -> int:
    size = 1
    for a in axes:
        size *= x.shape[a]
    return size


def max(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    # amax, not max: it shares the gradient between ties.
    return x if axis == () else torch.amax(x, () if axis is None else axis, keepdims)


def min(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return x if axis == () else torch.amin(x, () if axis is None else axis, keepdims)


def all(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return x if axis == () else torch.all(x, dim=axis, keepdim=keepdims)


def any(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return x if axis == () else torch.any(x, dim=axis, keepdim=keepdims)


def mean(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return x if axis == () else torch.mean(x, dim=axis, keepdim=keepdims)


def argmax(x: Tensor, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return torch.argmax(x, axis, keepdims)


def argmin(x: Tensor, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return torch.argmin(x, axis, keepdims)


def cumulative_sum(x: Tensor, *, axis: int) -> Tensor:
    return torch.cumsum(x, axis, dtype=x.dtype)


def cumulative_prod(x: Tensor, *, axis: int) -> Tensor:
    return torch.cumprod(x, axis, dtype=x.dtype)


def argsort(x: Tensor, *, axis: int = -1, descending: bool = False) -> Tensor:
    return torch.argsort(x, dim=axis, descending=descending, stable=True)


def logsumexp(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    if axis is None:
        axis = tuple(range(x.ndim))
    return x if axis == () else torch.logsumexp(x, axis, keepdims)


def _keep_dtype(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, **kwargs: Any) -> Any:
        return np.asarray(reduce(x, **kwargs), x.dtype)

    return call


def _numpy_argsort(x: Any, *, axis: int = -1, descending: bool = False) -> Any:
    # Complementing an unsigned integer reverses the order and keeps equals equal.
    return np.argsort(np.invert(x) if descending else x, axis=axis, kind="stable")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": or_numpy(sum, _keep_dtype(np.sum)),
    "prod": or_numpy(prod, _keep_dtype(np.prod)),
    "max": or_numpy(max, np.max),
    "min": or_numpy(min, np.min),
    "all": all,
    "any": any,
    "mean": mean,
    "argmax": or_numpy(argmax, np.argmax),
    "argmin": or_numpy(argmin, np.argmin),
    "cumulative_sum": or_numpy(cumulative_sum, _keep_dtype(np.cumsum)),
    "cumulative_prod": or_numpy(cumulative_prod, _keep_dtype(np.cumprod)),
    "argsort": or_numpy(argsort, _numpy_argsort),
    "logsumexp": logsumexp,
}
