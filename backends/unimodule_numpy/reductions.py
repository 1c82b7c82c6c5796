"""Sums, products, extrema, scans and order along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import divide, equal, multiply, where
from .shaping import broadcast_to, flip, permute_dims, reshape
from .tape import Op, constant, differentiable


def _kept(x: Any, axis: Any) -> tuple[int, ...]:
    """The shape of a reduction of ``x`` with keepdims."""
    axes = range(x.ndim) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
    reduced = {a % x.ndim for a in axes} if x.ndim else set()
    return tuple(1 if i in reduced else n for i, n in enumerate(x.shape))


def _sum_vjp(ans: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    return lambda g: broadcast_to(reshape(g, _kept(x, axis)), x.shape)


sum: Op = differentiable(_sum_vjp)(
    lambda x, *, axis=None, keepdims=False: np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)
)


def _extremum_vjp(ans: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    def vjp(g: Any) -> Any:
        kept = _kept(x, axis)
        hit = equal(x, reshape(ans, kept)).astype(x.dtype)
        return multiply(divide(hit, sum(hit, axis=axis, keepdims=True)), reshape(g, kept))

    return vjp


max: Op = differentiable(_extremum_vjp)(
    lambda x, *, axis=None, keepdims=False: np.max(x, axis=axis, keepdims=keepdims)
)
min: Op = differentiable(_extremum_vjp)(
    lambda x, *, axis=None, keepdims=False: np.min(x, axis=axis, keepdims=keepdims)
)


def _prod_vjp(ans: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The product of all the others, from the left and from the right: exact where factors are 0."""

    def vjp(g: Any) -> Any:
        kept = _kept(x, axis)
        rest = [i for i in range(x.ndim) if kept[i] == x.shape[i]]
        gone = [i for i in range(x.ndim) if kept[i] != x.shape[i]]
        moved = permute_dims(x, (*rest, *gone))
        flat = reshape(moved, (*(x.shape[i] for i in rest), int(np.prod([x.shape[i] for i in gone]))))
        others = multiply(_exclusive_prod(flat), flip(_exclusive_prod(flip(flat, axis=-1)), axis=-1))
        back = permute_dims(reshape(others, moved.shape), tuple(np.argsort([*rest, *gone])))
        return multiply(back, reshape(g, kept))

    return vjp


def _exclusive_prod(x: Any) -> Any:
    """Products of what stands before each element of the last axis."""
    from .indexing import getitem
    from .shaping import concat

    one = np.ones((*x.shape[:-1], 1), x.dtype)
    return cumulative_prod(getitem(concat([one, x], axis=-1), (..., slice(None, -1))), axis=-1)


prod: Op = differentiable(_prod_vjp)(
    lambda x, *, axis=None, keepdims=False: np.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype)
)

cumulative_sum: Op = differentiable(
    lambda ans, x, *, axis: lambda g: flip(cumulative_sum(flip(g, axis=axis), axis=axis), axis=axis)
)(lambda x, *, axis: np.cumsum(x, axis=axis, dtype=x.dtype))


def _cumulative_prod_vjp(ans: Any, x: Any, *, axis: int) -> Any:
    """``sum over i >= j of g_i * prod over k <= i, k != j of x_k``, as a matrix over i and j: exact at zeros."""

    def vjp(g: Any) -> Any:
        n, order = x.shape[axis], [i for i in range(x.ndim) if i != axis % x.ndim] + [axis % x.ndim]
        last = permute_dims(x, tuple(order))
        rows = broadcast_to(reshape(last, (*last.shape[:-1], 1, n)), (*last.shape[:-1], n, n))
        others = cumulative_prod(where(np.eye(n, dtype=bool), np.ones((), x.dtype), rows), axis=-1)
        weight = reshape(permute_dims(g, tuple(order)), (*last.shape[:-1], 1, n))
        terms = where(np.triu(np.ones((n, n), bool)), multiply(others, weight), np.zeros((), x.dtype))
        return permute_dims(sum(terms, axis=-1), tuple(np.argsort(order)))

    return vjp


cumulative_prod: Op = differentiable(_cumulative_prod_vjp)(
    lambda x, *, axis: np.cumprod(x, axis=axis, dtype=x.dtype)
)

all: Op = constant(lambda x, *, axis=None, keepdims=False: np.all(x, axis=axis, keepdims=keepdims))
any: Op = constant(lambda x, *, axis=None, keepdims=False: np.any(x, axis=axis, keepdims=keepdims))
argmax: Op = constant(
    lambda x, *, axis=None, keepdims=False: np.argmax(x, axis=axis, keepdims=keepdims).astype(np.int64)
)
argmin: Op = constant(
    lambda x, *, axis=None, keepdims=False: np.argmin(x, axis=axis, keepdims=keepdims).astype(np.int64)
)


def _argsort(x: Any, *, axis: int = -1, descending: bool = False) -> Any:
    if not descending:
        return np.argsort(x, axis=axis, kind="stable").astype(np.int64)
    # Backwards from the back: equal elements keep their order, and NaN comes first.
    order = np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    return (x.shape[axis] - 1 - order).astype(np.int64)


argsort: Op = constant(_argsort)


# ---------------------------------------------------------------------- products of matrices
def _matmul_vjps() -> tuple[Any, Any]:
    from .elementwise import unbroadcast

    def transposed(x: Any) -> Any:
        return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))

    return (
        lambda ans, x1, x2: lambda g: unbroadcast(_matmul(g, transposed(x2)), x1),
        lambda ans, x1, x2: lambda g: unbroadcast(_matmul(transposed(x1), g), x2),
    )


_matmul: Op = differentiable(*_matmul_vjps())(lambda x1, x2: np.matmul(x1, x2))


def matmul(x1: Any, x2: Any) -> Any:
    """As the array API has it: a vector stands for a row on the left and for a column on the right."""
    left, right = x1.ndim == 1, x2.ndim == 1
    if not (left or right):
        return _matmul(x1, x2)
    out = _matmul(reshape(x1, (1, *x1.shape)) if left else x1, reshape(x2, (*x2.shape, 1)) if right else x2)
    shape = out.shape
    shape = shape[:-1] if right else shape
    return reshape(out, (*shape[:-2], shape[-1]) if left and not right else shape[:-1] if left else shape)
