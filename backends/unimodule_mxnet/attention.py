"""Scaled dot-product attention."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .activation import softmax
from .elementwise import add_array, logical_and, multiply
from .loading import mx
from .operators import Array, array, constant, detach, dtype_of, op, reshape_to, select
from .random import dropout

_batch_dot = op("batch_dot")
_any = op("_np_any", axis=-1, keepdims=True)
_greater = op("_npi_greater_scalar")


def scaled_dot_product_attention(
    q: Array, k: Array, v: Array, mask: Array | None, dropout_p: float, is_causal: bool, scale: float
) -> Array:
    lead, rows, columns, width = q.shape[:-2], q.shape[-2], k.shape[-2], v.shape[-1]
    q, k, v = (reshape_to(t, newshape=(-1, *t.shape[-2:])) for t in (q, k, v))
    scores = _batch_dot(multiply(q, scale), k, transpose_b=True)
    allowed = None
    if is_causal:
        allowed = detach(_lower_triangle(rows, columns, str(q.ctx)))
    if mask is not None:
        scores = reshape_to(scores, newshape=(*lead, rows, columns))
        if dtype_of(mask) == "bool":
            allowed = mask if allowed is None else logical_and(mask, allowed)
        else:
            scores = add_array(scores, mask)
            finite = _greater(scores, scalar=-math.inf)
            allowed = finite if allowed is None else logical_and(finite, allowed)
    something = None
    if allowed is not None:
        scores = select(allowed, scores, constant(-math.inf, scores))
        if mask is not None:  # a query that may look at nothing gets zeros, as in PyTorch since 2.5
            something = _any(allowed)
            scores = select(something, scores, constant(0, scores))
    attention = softmax(scores, -1)
    if dropout_p:
        attention = dropout(attention, dropout_p)
    if something is not None:
        attention = select(something, attention, constant(0, attention))
    out = _batch_dot(reshape_to(attention, newshape=(-1, rows, columns)), v)
    return reshape_to(out, newshape=(*lead, rows, width))


@functools.lru_cache(maxsize=64)
def _lower_triangle(rows: int, columns: int, context: str) -> Array:
    kind, _, index = context[:-1].partition("(")
    return array(np.tri(rows, columns, dtype=bool), "bool", mx.Context(kind, int(index)))


FUNCTIONS: dict[str, Callable[..., Any]] = {"scaled_dot_product_attention": scaled_dot_product_attention}
