"""Ops that move elements and compute nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from autograd.core import defvjp_argnums
from autograd.extend import primitive
from autograd.tracer import getval

from .tape import Op, differentiable

reshape: Op = differentiable(lambda ans, x, shape: lambda g: reshape(g, x.shape))(
    lambda x, shape: np.reshape(x, shape)
)
permute_dims: Op = differentiable(
    lambda ans, x, axes: (
        lambda g: permute_dims(g, tuple(int(i) for i in np.argsort([a % x.ndim for a in axes])))
    )
)(lambda x, axes: np.transpose(x, axes))
flip: Op = differentiable(lambda ans, x, *, axis=None: lambda g: flip(g, axis=axis))(
    lambda x, *, axis=None: np.flip(x, axis)
)


def _broadcast_vjp(ans: Any, x: Any, shape: tuple[int, ...]) -> Any:
    from .elementwise import unbroadcast

    return lambda g: unbroadcast(g, x)


broadcast_to: Op = differentiable(_broadcast_vjp)(lambda x, shape: np.broadcast_to(x, shape))


_concat: Op = primitive(lambda axis, *arrays: np.concatenate(arrays, axis=axis))


def _concat_vjps(argnums: Any, ans: Any, args: Any, kwargs: Any) -> Any:
    from .indexing import getitem

    axis, *arrays = args
    ends = np.cumsum([0] + [a.shape[axis] for a in arrays])
    lead = (slice(None),) * (axis % ans.ndim)

    def vjp(g: Any) -> Any:
        return tuple(getitem(g, (*lead, slice(int(ends[i - 1]), int(ends[i])))) for i in argnums)

    return vjp


defvjp_argnums(_concat, _concat_vjps)


def concat(arrays: Any, *, axis: int = 0) -> Any:
    return _concat(axis, *arrays)


def _pad_vjp(ans: Any, x: Any, widths: Any, *, value: float = 0.0) -> Any:
    from .indexing import getitem

    key = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))
    return lambda g: getitem(g, key)


@differentiable(_pad_vjp)
def pad(x: Any, widths: Any, *, value: float = 0.0) -> Any:
    out = np.full([a + n + b for n, (a, b) in zip(x.shape, widths, strict=True)], value, x.dtype)
    out[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))] = x
    return out


# A plain primitive, not a rounded one: the result's dtype is the point.
_cast: Op = primitive(lambda x, dtype: np.asarray(x).astype(dtype))
defvjp_argnums(_cast, lambda argnums, ans, args, kwargs: lambda g: (_cast(g, args[0].dtype),))


def cast(x: Any, dtype: np.dtype[Any]) -> Any:
    """``x`` in another dtype; a float cut to an integer is a constant."""
    if x.dtype == dtype:
        return x
    if dtype.kind in "biu":
        with np.errstate(all="ignore"):
            return np.asarray(getval(x)).astype(dtype)
    return _cast(x, dtype)
