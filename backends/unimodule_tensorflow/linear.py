"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._tools import dims, rank, reshape

_KERNELS = frozenset({tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64})


def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    dtype = x1.dtype
    if dtype not in _KERNELS:  # what wraps around in 64 bits does so in fewer
        return tf.cast(matmul(tf.cast(x1, tf.int64), tf.cast(x2, tf.int64)), dtype)
    left, right = rank(x1), rank(x2)
    if left == 2 and right == 2:
        return raw.MatMul(a=x1, b=x2)
    if left == 0 or right == 0:
        raise ValueError(f"matmul needs operands of one axis or more, got shapes {x1.shape} and {x2.shape}")
    if left == 1:
        x1 = raw.ExpandDims(input=x1, axis=0)
    if right == 1:
        x2 = raw.ExpandDims(input=x2, axis=-1)
    if left <= 2 and right <= 2:
        out = raw.MatMul(a=x1, b=x2)
    elif right <= 2:  # one large product instead of many small ones
        *lead, inner = dims(x1)
        out = raw.MatMul(a=_rows(x1, inner), b=x2)
        out = reshape(out, (*lead, dims(x2)[-1]))
    else:
        out = raw.BatchMatMulV2(x=x1, y=x2)
    gone = [axis for axis, n in ((-2, left), (-1, right)) if n == 1]
    return raw.Squeeze(input=out, axis=gone) if gone else out


def _rows(x: Tensor, width: Any) -> Tensor:
    """``x`` as a matrix whose rows are its last axis; -1 would not do where the width is 0."""
    count: Any = 1
    for n in dims(x)[:-1]:
        count = count * n
    return reshape(x, (count, width))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if x.shape[-1] == 0 and weight.shape[-1] == 0:
        # In a graph, product and bias are fused into a oneDNN kernel that aborts the process on nothing to sum over.
        out = tf.zeros((*dims(x)[:-1], dims(weight)[0]), x.dtype)
        return out if bias is None else raw.AddV2(x=out, y=bias)
    if rank(x) == 2:
        out = raw.MatMul(a=x, b=weight, transpose_b=True)
        return out if bias is None else raw.BiasAdd(value=out, bias=bias)
    *lead, inner = dims(x)
    out = raw.MatMul(a=_rows(x, inner), b=weight, transpose_b=True)
    if bias is not None:
        out = raw.BiasAdd(value=out, bias=bias)
    return reshape(out, (*lead, dims(weight)[0]))


FUNCTIONS: dict[str, Callable[..., Any]] = {"matmul": matmul, "linear": linear}
