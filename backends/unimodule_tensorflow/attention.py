"""Attention."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._tools import dims, rank, scalar
from .activation import softmax
from .linear import matmul
from .random import dropout


def _causal(rows: Any, columns: Any) -> Tensor:
    if isinstance(rows, int) and isinstance(columns, int):
        return tf.constant(_lower_triangle(rows, columns))
    return tf.range(rows)[:, None] >= tf.range(columns)


@functools.lru_cache(maxsize=64)
def _lower_triangle(rows: int, columns: int) -> np.ndarray[Any, Any]:
    return np.tri(rows, columns, dtype=bool)


def scaled_dot_product_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float,
) -> Tensor:
    product = raw.BatchMatMulV2 if rank(q) > 2 else None
    q = raw.Mul(x=q, y=scalar(scale, q))
    scores = raw.MatMul(a=q, b=k, transpose_b=True) if product is None else product(x=q, y=k, adj_y=True)
    seen = _causal(dims(q)[-2], dims(k)[-2]) if is_causal else None
    if mask is not None:
        if mask.dtype.is_bool:
            allowed = mask
        else:
            scores = raw.AddV2(x=scores, y=mask)
            allowed = raw.NotEqual(x=scores, y=scalar(-math.inf, scores))
        seen = allowed if seen is None else raw.LogicalAnd(x=seen, y=allowed)
    if seen is not None:
        # The lowest number, not -inf: a query that may look at nothing then gets finite weights, which the second
        # selection makes 0, as PyTorch does since 2.5, and no NaN comes into the gradient.
        lowest = tf.constant(scores.dtype.min, scores.dtype)
        scores = raw.SelectV2(condition=seen, t=scores, e=lowest)
    weights = softmax(scores, -1)
    if mask is not None:
        weights = raw.SelectV2(condition=seen, t=weights, e=scalar(0.0, weights))
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return matmul(weights, v)


FUNCTIONS: dict[str, Callable[..., Any]] = {"scaled_dot_product_attention": scaled_dot_product_attention}
