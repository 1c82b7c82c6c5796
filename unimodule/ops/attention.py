"""Scaled dot-product attention."""

from __future__ import annotations

import math

import numpy as np

from .. import _draws, dtypes, ops
from ..backend import Backend, Tensor
from ..errors import ArgumentError, DtypeError, ShapeError
from ._dispatch import adopt, call, declare, expect_tensor, gather

Shape = tuple[int, ...]


def scaled_dot_product_attention_(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float, is_causal: bool, scale: float
) -> Tensor:
    """What an adapter may override of ``scaled_dot_product_attention``."""
    scores = ops.multiply(ops.matmul(q, ops.matrix_transpose(k)), scale)
    if is_causal:
        causal = _causal_mask(tuple(q.shape)[-2], tuple(k.shape)[-2], like=scores)
        scores = ops.where(causal, scores, -math.inf)
    if mask is None:
        weights = ops.softmax(scores, -1)
    else:
        boolean = dtypes.canonical(mask.dtype) == "bool"
        scores = ops.where(mask, scores, -math.inf) if boolean else ops.add(scores, mask)
        weights = _softmax_or_zero(scores)
    if dropout_p:
        weights = ops.dropout(weights, dropout_p)
    return ops.matmul(weights, v)


declare(scaled_dot_product_attention_)


def _softmax_or_zero(scores: Tensor) -> Tensor:
    """Softmax over the last axis; zeros, and no gradient, in rows that are all -inf."""
    empty = ops.all(ops.equal(scores, -math.inf), axis=-1, keepdims=True)
    return ops.where(empty, 0.0, ops.softmax(ops.where(empty, 0.0, scores), -1))


def _causal_mask(length: int, size: int, *, like: Tensor) -> Tensor:
    """(length, size) bool, True where the key's place is at most the query's; on ``like``'s backend and device."""
    return adopt(expect_tensor("scaled_dot_product_attention", like), np.tri(length, size, dtype=bool), like)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(Q K^T * scale + mask) V.

    A query that no key is open to gets zeros, not NaN.

    Args:
        query: (..., L, E).
        key: (..., S, E).
        value: (..., S, Ev). The leading axes of the three broadcast.
        attn_mask: broadcasts to (..., L, S): bool, True where a key takes part, or of the query's dtype and added to
            the scores.
        dropout_p: probability of dropping an attention weight. Applied always: pass 0 in evaluation.
        is_causal: query i sees the keys up to place i; not together with ``attn_mask``.
        scale: 1 / sqrt(E) by default.
        enable_gqa: each key and value head serves a group of neighbouring query heads (axis -3).

    Returns:
        (..., L, Ev).

    Raises:
        ShapeError, DtypeError: the tensors do not fit together.
        ArgumentError: a mask beside ``is_causal``, or ``dropout_p`` is not a probability.

    Source: Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762;
    https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> v = np.asarray([[1.0], [3.0]])
        >>> ops.scaled_dot_product_attention(np.zeros((2, 4)), np.zeros((2, 4)), v, is_causal=True)
        array([[1.],
               [2.]])
    """
    backend, (q, k, v, mask) = gather(
        "scaled_dot_product_attention", query, key, value, attn_mask, same_dtype=(0, 1, 2)
    )
    if not 0.0 <= dropout_p <= 1.0:
        raise ArgumentError(f"attention expected 0 <= dropout_p <= 1, got {dropout_p}")
    if mask is not None:
        mask = _check_mask(backend, mask, q, is_causal)
    if enable_gqa:
        k, v = _repeat_heads(backend, q, k), _repeat_heads(backend, q, v)
    q, k, v = _broadcast_leading(backend, q, k, v)
    if mask is not None:
        _check_mask_shape(backend.shape(mask), (*backend.shape(q)[:-1], backend.shape(k)[-2]))
    if scale is None:
        scale = 1.0 / math.sqrt(backend.shape(q)[-1])
    dropped = dropout_p == 1  # of everything nothing is left: adapters see 0 <= dropout_p < 1
    p = 0.0 if dropped else float(dropout_p)
    arguments = (q, k, v, mask, p, is_causal, float(scale))
    if p and _draws.everywhere():  # masks that are the same on every backend: not the adapter's own
        y = scaled_dot_product_attention_(*arguments)
    else:
        y = call(backend, "scaled_dot_product_attention", *arguments)
    return ops.multiply(y, 0.0) if dropped else y


def _check_mask(backend: Backend, mask: Tensor, q: Tensor, is_causal: bool) -> Tensor:
    if is_causal:
        raise ArgumentError("attention expected either attn_mask or is_causal=True, got both")
    kind, wanted = backend.dtype(mask), backend.dtype(q)
    if kind != "bool" and not dtypes.is_floating(kind):
        raise DtypeError(f"attention expected attn_mask of dtype bool or {wanted}, got {kind}")
    return mask if kind in ("bool", wanted) else ops.astype(mask, wanted)


def _repeat_heads(backend: Backend, q: Tensor, x: Tensor) -> Tensor:
    """Keys or values with each head repeated until there are as many as the query has."""
    heads, shape = backend.shape(q)[-3:-2], backend.shape(x)
    if not heads or len(shape) < 3 or shape[-3] == 0 or heads[0] % shape[-3]:
        raise ShapeError(
            f"grouped attention expected a number of query heads (axis -3) divisible by that of keys and values, got "
            f"query {backend.shape(q)} and key or value {shape}"
        )
    return ops.repeat(x, heads[0] // shape[-3], axis=len(shape) - 3)


def _broadcast_leading(backend: Backend, q: Tensor, k: Tensor, v: Tensor) -> list[Tensor]:
    """The three with equal leading axes.

    Raises:
        ShapeError: they do not fit together.
    """
    shapes = [backend.shape(t) for t in (q, k, v)]
    fits = all(len(s) >= 2 for s in shapes)
    if fits and shapes[0][-1] == shapes[1][-1] and shapes[1][-2] == shapes[2][-2]:
        leads = [s[:-2] for s in shapes]
        if leads[0] == leads[1] == leads[2]:
            return [q, k, v]
        try:
            lead = np.broadcast_shapes(*leads)
        except ValueError:
            pass
        else:
            return [
                t if s[:-2] == lead else ops.broadcast_to(t, lead + s[-2:])
                for t, s in zip((q, k, v), shapes, strict=True)
            ]
    raise ShapeError(
        "attention expected query (..., L, E), key (..., S, E) and value (..., S, Ev) whose leading axes broadcast, "
        f"got {shapes[0]}, {shapes[1]} and {shapes[2]}"
    )


def _check_mask_shape(got: Shape, scores: Shape) -> None:
    try:
        fits = np.broadcast_shapes(got, scores) == scores
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"attention expected attn_mask that broadcasts to {scores}, got {got}")


__all__ = ["scaled_dot_product_attention"]
