"""Ops by name, as ``unimodule.backend.REQUIRED`` describes them. What is not here, the adapter declares unsupported."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from minitensor import Array, Tensor, record, together

from unimodule import dtypes


# ---------------------------------------------------------------------- elementwise
def _unary(
    fn: Callable[[Array], Array], slope: Callable[[Array, Array], Array]
) -> Callable[[Tensor], Tensor]:
    """``slope(y, x)`` is the derivative."""

    def op(x: Tensor) -> Tensor:
        y = np.asarray(fn(x.data))
        return record(y, (x, lambda g: g * slope(y, x.data)))

    return op


def _plain(fn: Callable[..., Any]) -> Callable[..., Tensor]:
    """An op of one or two operands through which no gradient flows."""

    def op(*operands: Any) -> Tensor:
        tensors = together(*operands) if len(operands) == 2 else operands
        return Tensor(fn(*(x.data for x in tensors)))

    return op


def _wins(fn: Callable[..., Any]) -> Callable[[Any, Any], Tensor]:
    """maximum or minimum: the gradient goes to the operand that was taken, ties share it."""

    def op(x1: Any, x2: Any) -> Tensor:
        x, y = together(x1, x2)
        out, tie = np.asarray(fn(x.data, y.data)), np.where(x.data == y.data, 0.5, 1.0)
        return record(
            out,
            (x, lambda g: g * tie * (out == x.data)),
            (y, lambda g: g * tie * (out == y.data)),
        )

    return op


def where(condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    chosen = condition.data
    return record(
        np.where(chosen, x1.data, x2.data),
        (x1, lambda g: np.where(chosen, g, 0)),  # a product would let a NaN of the other branch through
        (x2, lambda g: np.where(chosen, 0, g)),
    )


# ---------------------------------------------------------------------- reductions
def _kept(x: Tensor, axis: Any) -> tuple[int, ...]:
    """The shape of a reduction with keepdims."""
    axes = range(x.ndim) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
    reduced = {a % x.ndim for a in axes} if x.ndim else set()
    return tuple(1 if i in reduced else size for i, size in enumerate(x.shape))


def sum(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    kept = _kept(x, axis)
    out = np.sum(x.data, axis=axis, keepdims=keepdims, dtype=x.dtype)
    return record(out, (x, lambda g: np.broadcast_to(g.reshape(kept), x.shape)))


def _extremum(fn: Callable[..., Any]) -> Callable[..., Tensor]:
    """max or min: ties share the gradient."""

    def op(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
        kept, out = _kept(x, axis), np.asarray(fn(x.data, axis=axis, keepdims=keepdims))

        def vjp(g: Array) -> Array:
            hit = x.data == out.reshape(kept)
            return hit / hit.sum(axis=axis, keepdims=True) * g.reshape(kept)

        return record(out, (x, vjp))

    return op


def argmax(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    return Tensor(np.argmax(x.data, axis=axis, keepdims=keepdims))


# ---------------------------------------------------------------------- shape and indexing
def reshape(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return record(x.data.reshape(shape), (x, lambda g: g.reshape(x.shape)))


def permute_dims(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    back = np.argsort([a % x.ndim for a in axes])
    return record(x.data.transpose(axes), (x, lambda g: g.transpose(back)))


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return record(np.broadcast_to(x.data, shape), (x, lambda g: g))


def concat(arrays: list[Tensor], *, axis: int = 0) -> Tensor:
    ends = np.cumsum([x.shape[axis] for x in arrays])

    def piece(i: int) -> Callable[[Array], Array]:
        return lambda g: np.split(g, ends[:-1], axis=axis)[i]

    return record(
        np.concatenate([x.data for x in arrays], axis), *((x, piece(i)) for i, x in enumerate(arrays))
    )


def take_along_axis(x: Tensor, indices: Tensor, *, axis: int = -1) -> Tensor:
    def others(shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(1 if i == axis % x.ndim else size for i, size in enumerate(shape))

    lead = np.broadcast_shapes(others(x.shape), others(indices.shape))
    size = [list(lead), list(lead)]
    size[0][axis], size[1][axis] = x.shape[axis], indices.shape[axis]
    x, chosen = broadcast_to(x, tuple(size[0])), np.broadcast_to(indices.data, size[1])

    def vjp(g: Array) -> Array:
        out = np.zeros(x.shape, g.dtype)
        key = list(np.ogrid[tuple(slice(n) for n in chosen.shape)])
        key[axis] = chosen
        np.add.at(out, tuple(key), g)  # gradients add up where an index repeats
        return out

    return record(np.take_along_axis(x.data, chosen, axis), (x, vjp))


# ---------------------------------------------------------------------- the rest
def astype(x: Tensor, dtype: str) -> Tensor:
    out = x.data.astype(dtypes.to_numpy_dtype(dtype))
    return record(out, (x, lambda g: g)) if dtypes.is_floating(dtype) else Tensor(out)


def _silent(fn: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy warns of a NaN in the making; no other framework does."""

    @functools.wraps(fn)
    def op(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return fn(*args, **kwargs)

    return op


_OPS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "add": lambda x1, x2: x1 + x2,
    "argmax": argmax,
    "astype": astype,
    "broadcast_to": broadcast_to,
    "concat": concat,
    "divide": lambda x1, x2: x1 / x2,
    "equal": _plain(np.equal),
    "exp": _unary(np.exp, lambda y, x: y),
    "getitem": lambda x, key: x[key],
    "isnan": _plain(np.isnan),
    "less": _plain(np.less),
    "log": _unary(np.log, lambda y, x: 1 / x),
    "logical_and": _plain(np.logical_and),
    "logical_not": _plain(np.logical_not),
    "logical_or": _plain(np.logical_or),
    "matmul": lambda x1, x2: x1 @ x2,
    "max": _extremum(np.max),
    "maximum": _wins(np.maximum),
    "min": _extremum(np.min),
    "minimum": _wins(np.minimum),
    "multiply": lambda x1, x2: x1 * x2,
    "negative": lambda x: -x,
    "permute_dims": permute_dims,
    "pow": lambda x1, x2: x1**x2,
    "reshape": reshape,
    "sign": _plain(np.sign),
    "sqrt": _unary(np.sqrt, lambda y, x: 0.5 / y),
    "stop_gradient": lambda x: Tensor(x.data),
    "subtract": lambda x1, x2: x1 - x2,
    "sum": sum,
    "take_along_axis": take_along_axis,
    "tanh": _unary(np.tanh, lambda y, x: 1 - y * y),
    "where": where,
}

FUNCTIONS = {name: _silent(fn) for name, fn in _OPS.items()}
