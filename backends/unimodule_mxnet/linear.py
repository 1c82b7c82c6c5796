"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .operators import (
    Array,
    array,
    broadcast,
    cast,
    differentiable,
    dtype_of,
    is_float,
    op,
    recording,
    reshape_to,
)

_sum = op("_np_sum")

_matmul = op("_npi_matmul", guard=True)
_multiply = op("_npi_multiply")
_batch_dot = op("batch_dot")
_add = op("_npi_add")
_fully_connected = op("FullyConnected", flatten=False)


def on_gpu(x: Array) -> bool:
    """Whether ``x`` lives on a GPU."""
    return x.ctx.device_type == "gpu"


def matmul(x1: Array, x2: Array) -> Array:
    if not is_float(x1):
        return _matmul_integers(x1, x2)
    if dtype_of(x1) == "float16" and not on_gpu(x1):  # MXNet has no such kernel
        return cast(matmul(cast(x1, dtype="float32"), cast(x2, dtype="float32")), dtype="float16")
    if x1.ndim <= 2 and x2.ndim <= 2:
        return _matmul(x1, x2)
    return _matmul_batches(x1, x2)


def _matmul_batches(x1: Array, x2: Array) -> Array:
    """Batches of matrices, broadcast first: MXNet's gradient is wrong where a batch axis of 1 stands before others."""
    row, column = x1.ndim == 1, x2.ndim == 1
    left = (1, *x1.shape) if row else x1.shape
    right = (*x2.shape, 1) if column else x2.shape
    lead = np.broadcast_shapes(left[:-2], right[:-2])
    n, k, m = left[-2], left[-1], right[-1]
    shape = (*lead, *(() if row else (n,)), *(() if column else (m,)))
    if 0 in (*lead, n, k, m) or k != right[-2]:
        return _matmul(x1, x2)
    if row:
        x1 = reshape_to(x1, newshape=left)
    if column:
        x2 = reshape_to(x2, newshape=right)
    if len(right) == 2:  # one matrix for all: no batches then
        return reshape_to(_matmul(reshape_to(x1, newshape=(-1, k)), x2), newshape=shape)
    x1 = reshape_to(broadcast(x1, (*lead, n, k)), newshape=(-1, n, k))
    x2 = reshape_to(broadcast(x2, (*lead, k, m)), newshape=(-1, k, m))
    return reshape_to(_batch_dot(x1, x2), newshape=shape)


def _matmul_integers(x1: Array, x2: Array) -> Array:
    """MXNet multiplies matrices of floats only."""
    row, column = x1.ndim == 1, x2.ndim == 1
    if row:
        x1 = reshape_to(x1, newshape=(1, -1))
    if column:
        x2 = reshape_to(x2, newshape=(-1, 1))
    left = reshape_to(x1, newshape=(*x1.shape, 1))
    right = reshape_to(x2, newshape=(*x2.shape[:-2], 1, *x2.shape[-2:]))
    out = _sum(_multiply(left, right), axis=-2)
    shape = out.shape
    if row or column:
        shape = shape[:-2] + (() if row else shape[-2:-1]) + (() if column else shape[-1:])
        out = reshape_to(out, newshape=shape)
    return out


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """``x @ weight.T + bias``."""
    shape, (outputs, features) = x.shape, weight.shape  # once: MXNet asks its engine each time
    if 0 in shape or not outputs or not features:
        zeros = array(0, dtype_of(x), x.ctx)
        return broadcast(zeros if bias is None else bias, (*shape[:-1], outputs))
    if dtype_of(x) == "float16" and not on_gpu(x):
        wide = [None if a is None else cast(a, dtype="float32") for a in (x, weight, bias)]
        return cast(linear(*wide), dtype="float16")
    if len(shape) == 1:
        return reshape_to(linear(reshape_to(x, newshape=(1, -1)), weight, bias), newshape=(outputs,))
    if bias is None:
        return _fully_connected(x, weight, num_hidden=outputs, no_bias=True)

    # Apart, since oneDNN writes no gradient of a bias where the weight, frozen or computed, takes none. It is dearer: the
    # gradient is MXNet's sum over rows, twenty times the time of all the rest for (256, 256).
    def apart(x: Array) -> Array:
        return _add(_fully_connected(x, weight, num_hidden=outputs, no_bias=True), bias)

    def together(x: Array) -> Array:
        return _fully_connected(x, weight, bias, num_hidden=outputs)

    if not differentiable() or dtype_of(x) != "float32" or on_gpu(x):
        return together(x)
    if recording.trace is not None:
        return recording.trace.where_marked(weight, x, apart, together)
    return apart(x) if recording.by_others or weight.grad is None else together(x)


FUNCTIONS: dict[str, Callable[..., Any]] = {"matmul": matmul, "linear": linear}
