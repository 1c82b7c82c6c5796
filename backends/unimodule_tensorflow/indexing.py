"""Taking elements out of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._tools import dims, move_last, rank, tensor, transpose, vector

_INDEX = frozenset({tf.int32, tf.int64})


def getitem(x: Tensor, key: tuple[Any, ...]) -> Tensor:
    """``x[key]`` as one StridedSlice; TensorFlow's own indexing spends five times as long on packing the numbers."""
    begin, end, step = [], [], []
    no_begin = no_end = ellipsis = new = shrink = 0
    for i, k in enumerate(key):
        b, e, s, bit = 0, 0, 1, 1 << i
        if k is None:
            new |= bit
        elif k is Ellipsis:
            ellipsis |= bit
        elif isinstance(k, slice):
            b, e, s = (0 if n is None else int(n) for n in (k.start, k.stop, 1 if k.step is None else k.step))
            no_begin |= bit * (k.start is None)
            no_end |= bit * (k.stop is None)
        else:
            b = int(k)
            e = b + 1
            shrink |= bit
        begin.append(b)
        end.append(e)
        step.append(s)
    if not key:
        return tensor(x)
    return raw.StridedSlice(
        input=x,
        begin=vector(begin),
        end=vector(end),
        strides=vector(step),
        begin_mask=no_begin,
        end_mask=no_end,
        ellipsis_mask=ellipsis,
        new_axis_mask=new,
        shrink_axis_mask=shrink,
    )


def _indices(indices: Tensor) -> Tensor:
    return indices if indices.dtype in _INDEX else tf.cast(indices, tf.int64)


def take(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    return raw.GatherV2(params=x, indices=_indices(indices), axis=axis)


def take_along_axis(x: Tensor, indices: Tensor, *, axis: int = -1) -> Tensor:
    x, _ = move_last(x, axis)
    at, back = move_last(_indices(indices), axis)
    if x.shape[:-1] != at.shape[:-1]:
        lead = raw.BroadcastArgs(s0=vector(dims(x)[:-1]), s1=vector(dims(at)[:-1]))
        x = raw.BroadcastTo(input=x, shape=tf.concat([lead, vector(dims(x)[-1:])], 0))
        at = raw.BroadcastTo(input=at, shape=tf.concat([lead, vector(dims(at)[-1:])], 0))
    last = rank(x) - 1
    out = raw.GatherV2(params=x, indices=at, axis=last, batch_dims=last)
    return out if back is None else transpose(out, back)


def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    return raw.GatherV2(params=weight, indices=_indices(indices), axis=0)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "getitem": getitem,
    "take": take,
    "take_along_axis": take_along_axis,
    "embedding": embedding,
}
