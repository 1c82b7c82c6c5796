"""Multi-head attention."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes, ops
from ..backend import Tensor
from ..errors import ArgumentError, DtypeError, ShapeError
from . import functional as F
from . import init
from ._layer import place
from .linear import Linear
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """Attention of several heads: Concat(head_1, ..., head_h) W_out, head_i = attention(Q W_i^Q, K W_i^K, V W_i^V).

    Args:
        embed_dim: features E of query and output; the heads share them out.
        num_heads: number of heads; divides ``embed_dim``.
        dropout: probability of dropping an attention weight in training.
        bias: whether the projections have biases.
        add_bias_kv: append a learned key and value to every sequence.
        add_zero_attn: append a key and value of zeros to every sequence.
        kdim, vdim: features of key and value; ``embed_dim`` by default.
        batch_first: sequences are (N, L, E) instead of (L, N, E).
        device, dtype: where the layer is to be, and its float dtype.

    Attributes:
        in_proj_weight: (3E, E), the projections of query, key and value; or, where their features differ,
            ``q_proj_weight`` (E, E), ``k_proj_weight`` (E, kdim), ``v_proj_weight`` (E, vdim). Xavier-uniform.
        in_proj_bias: (3E,), zeros; None without bias.
        out_proj: the Linear layer W_out.
        bias_k, bias_v: (1, 1, E), with ``add_bias_kv``. Xavier-normal.

    Calling it: ``layer(query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
    average_attn_weights=True, is_causal=False)`` returns the output, and the attention weights or None.

    * query (L, N, E), key (S, N, kdim), value (S, N, vdim); batch first if so chosen; or all without N.
    * key_padding_mask (N, S) or (S,): bool, True where a key is to be ignored; or float, added to the scores.
    * attn_mask (L, S) or (N * num_heads, L, S): likewise, True where a query may not see a key.
    * need_weights: False takes fused attention, and returns None as weights.
    * average_attn_weights: weights are (N, L, S), their mean over the heads, or (N, num_heads, L, S).
    * is_causal: a hint that ``attn_mask``, which must be given, is the causal one.

    A query that may see no key gets NaN with ``need_weights``, zeros (before W_out) without, as in PyTorch.

    Raises:
        ShapeError, DtypeError: inputs or masks do not fit.
        ArgumentError: ``num_heads`` does not divide ``embed_dim``; ``is_causal`` without ``attn_mask``.

    Source: Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762;
    https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> x = np.ones((2, 5, 8))
        >>> output, weights = nn.MultiheadAttention(8, 2, batch_first=True).to("numpy")(x, x, x)
        >>> output.shape, weights.shape
        ((2, 5, 8), (2, 5, 5))
    """

    in_proj_weight: Any
    q_proj_weight: Any
    k_proj_weight: Any
    v_proj_weight: Any
    in_proj_bias: Any
    bias_k: Any
    bias_v: Any

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention expected a positive embed_dim that num_heads divides, got embed_dim {embed_dim} and "
                f"num_heads {num_heads}"
            )
        if not 0.0 <= dropout <= 1.0:
            raise ArgumentError(f"MultiheadAttention expected 0 <= dropout <= 1, got {dropout}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn

        def weight(*shape: int) -> Parameter:
            return Parameter(init.xavier_uniform(), shape=shape)

        packed = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = weight(3 * embed_dim, embed_dim) if packed else None
        self.q_proj_weight = None if packed else weight(embed_dim, embed_dim)
        self.k_proj_weight = None if packed else weight(embed_dim, self.kdim)
        self.v_proj_weight = None if packed else weight(embed_dim, self.vdim)
        self.in_proj_bias = Parameter(init.zeros(), shape=(3 * embed_dim,)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias)
        if bias:
            self.out_proj.bias = Parameter(init.zeros(), shape=(embed_dim,))
        extra = (1, 1, embed_dim)
        self.bias_k = Parameter(init.xavier_normal(), shape=extra) if add_bias_kv else None
        self.bias_v = Parameter(init.xavier_normal(), shape=extra) if add_bias_kv else None
        place(self, device, dtype)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        unbatched = len(query.shape) == 2
        self._check_inputs(query, key, value)
        if is_causal and attn_mask is None:
            raise ArgumentError(
                "MultiheadAttention expected an attn_mask beside is_causal=True, which is a hint about it"
            )
        q, k, v = self._project(*self._batch_first(query, key, value, unbatched=unbatched))
        lengths = q.shape[0], q.shape[1], k.shape[1]
        hinted = is_causal and key_padding_mask is None and not need_weights
        mask = None if hinted else self._mask(attn_mask, key_padding_mask, lengths, unbatched, query)
        q, k, v, mask = self._append(q, k, v, mask)
        dropout = self.dropout if self.training else 0.0
        if need_weights:
            heads, weights = _attend(q, k, v, mask, dropout)
            weights = ops.mean(weights, axis=1) if average_attn_weights else weights
        else:
            heads, weights = ops.scaled_dot_product_attention(q, k, v, mask, dropout, hinted), None
        joined = ops.reshape(ops.permute_dims(heads, (0, 2, 1, 3)), (*lengths[:2], self.embed_dim))
        output = self.out_proj(joined)
        if unbatched:
            output = ops.squeeze(output, axis=0)
            return output, None if weights is None else ops.squeeze(weights, axis=0)
        return output if self.batch_first else ops.permute_dims(output, (1, 0, 2)), weights

    # ------------------------------------------------------------------ projections
    def _batch_first(self, *inputs: Tensor, unbatched: bool) -> list[Tensor]:
        """The sequences as (N, length, features); one given twice stays one."""
        seen: dict[int, Tensor] = {}
        for x in inputs:
            if id(x) not in seen:
                if unbatched:
                    seen[id(x)] = ops.expand_dims(x, axis=0)
                else:
                    seen[id(x)] = x if self.batch_first else ops.permute_dims(x, (1, 0, 2))
        return [seen[id(x)] for x in inputs]

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        size, bias = self.embed_dim, self.in_proj_bias
        biases = [None if bias is None else bias[i * size : (i + 1) * size] for i in range(3)]
        if self.in_proj_weight is None:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        elif query is key and key is value:
            return list(ops.split(ops.linear(query, self.in_proj_weight, bias), 3, axis=-1))
        else:
            weights = [self.in_proj_weight[i * size : (i + 1) * size] for i in range(3)]
        return [ops.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]

    def _append(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """The heads apart, (N, heads, length, features), with the learned key and the zero key, which all may see."""
        batch, extra = k.shape[0], 0
        if self.bias_k is not None:
            row = (batch, 1, self.embed_dim)
            k = ops.concat([k, ops.broadcast_to(self.bias_k, row)], axis=1)
            v = ops.concat([v, ops.broadcast_to(self.bias_v, row)], axis=1)
            extra += 1
        if self.add_zero_attn:
            row = (batch, 1, self.embed_dim)
            zero = ops.zeros(row, dtype=k.dtype, like=k)
            k, v = ops.concat([k, zero], axis=1), ops.concat([v, zero], axis=1)
            extra += 1
        if mask is not None and extra:
            mask = ops.pad(mask, ((0, 0), (0, 0), (0, 0), (0, extra)))
        return self._split(q), self._split(k), self._split(v), mask

    def _split(self, x: Tensor) -> Tensor:
        batch, length, _ = tuple(x.shape)
        x = ops.reshape(x, (batch, length, self.num_heads, self.head_dim))
        return ops.permute_dims(x, (0, 2, 1, 3))

    # ------------------------------------------------------------------ masks and checks
    def _mask(
        self,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        lengths: tuple[int, int, int],
        unbatched: bool,
        like: Tensor,
    ) -> Tensor | None:
        """What is added to the scores, broadcastable to (N, heads, L, S)."""
        batch, length, size = lengths
        parts = []
        if attn_mask is not None:
            shape, rows = tuple(attn_mask.shape), batch * self.num_heads
            if shape not in ((length, size), (rows, length, size)):
                raise ShapeError(
                    f"MultiheadAttention expected attn_mask {(length, size)} or {(rows, length, size)}, got {shape}"
                )
            wanted = (1, 1, length, size) if len(shape) == 2 else (batch, self.num_heads, length, size)
            parts.append(ops.reshape(_additive(attn_mask, "attn_mask", like), wanted))
        if key_padding_mask is not None:
            shape, expected = tuple(key_padding_mask.shape), (size,) if unbatched else (batch, size)
            if shape != expected:
                raise ShapeError(f"MultiheadAttention expected key_padding_mask {expected}, got {shape}")
            added = _additive(key_padding_mask, "key_padding_mask", like)
            parts.append(ops.reshape(added, (batch, 1, 1, size)))
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else ops.add(*parts)

    def _check_inputs(self, *inputs: Tensor) -> None:
        shapes = [tuple(x.shape) for x in inputs]
        query, key, value = shapes
        features = (self.embed_dim, self.kdim, self.vdim)
        batch = 0 if self.batch_first else 1
        fits = len(query) in (2, 3) and len(query) == len(key) == len(value)
        fits = fits and all(shape[-1] == wanted for shape, wanted in zip(shapes, features, strict=True))
        fits = fits and key[:-1] == value[:-1]
        if not fits or (len(query) == 3 and query[batch] != key[batch]):
            order = "(N, {}, {})" if self.batch_first else "({}, N, {})"
            wanted = ", ".join(order.format(s, f) for s, f in zip("LSS", features, strict=True))
            raise ShapeError(
                f"MultiheadAttention expected query, key, value {wanted}, or all without N; got {query}, {key}, {value}"
            )


def _additive(mask: Tensor, name: str, like: Tensor) -> Tensor:
    """A mask as a float tensor of ``like``'s dtype: -inf where a bool one is True."""
    kind, wanted = dtypes.canonical(mask.dtype), dtypes.canonical(like.dtype)
    if kind == "bool":
        return ops.where(mask, ops.full((), -math.inf, dtype=wanted, like=like), 0.0)
    if not dtypes.is_floating(kind):
        raise DtypeError(f"MultiheadAttention expected {name} of dtype bool or {wanted}, got {kind}")
    return mask if kind == wanted else ops.astype(mask, wanted)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> tuple[Tensor, Tensor]:
    """Attention that shows its weights."""
    scaled = ops.multiply(q, 1.0 / math.sqrt(q.shape[-1]))
    scores = ops.matmul(scaled, ops.matrix_transpose(k))
    weights = ops.softmax(scores if mask is None else ops.add(scores, mask), -1)
    if dropout:
        weights = F.dropout(weights, dropout)
    return ops.matmul(weights, v), weights


__all__ = ["MultiheadAttention"]
