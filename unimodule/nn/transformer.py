"""Transformer layers and their stacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError
from ._layer import place
from .attention import MultiheadAttention
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

Activation = str | Callable[[Tensor], Tensor]


def _activation(kind: str, activation: Activation) -> Callable[[Tensor], Tensor]:
    known: dict[Any, Callable[[Tensor], Tensor]] = {"relu": ops.relu, "gelu": ops.gelu}
    if callable(activation):
        return activation
    if activation not in known:
        raise ArgumentError(f"{kind} expected activation 'relu', 'gelu' or a function, got {activation!r}")
    return known[activation]


class _Layer(Module):
    """What encoder and decoder layers share: the feed-forward block and how blocks are chained."""

    linear1: Linear
    dropout: Dropout
    linear2: Linear
    activation: Callable[[Tensor], Tensor]

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _add(self, x: Tensor, block: Callable[[Tensor], Tensor], norm: LayerNorm, dropout: Dropout) -> Tensor:
        """A block with its shortcut; the norm stands in front of the block or behind the sum."""
        if self.norm_first:
            return ops.add(x, dropout(block(norm(x))))
        return norm(ops.add(x, dropout(block(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward net, each with a shortcut, dropout and layer norm.

    x = norm1(x + attention(x)); x = norm2(x + linear2(activation(linear1(x)))). With ``norm_first`` the norms stand in
    front of the blocks instead.

    Args:
        d_model: features E of input and output.
        nhead: number of attention heads.
        dim_feedforward: features between the two linear layers.
        dropout: probability, in training.
        activation: "relu", "gelu" or a function of a tensor.
        layer_norm_eps: added to the variance in the norms.
        batch_first: sequences are (N, L, E) instead of (L, N, E).
        norm_first: see above.
        bias: whether linear layers and norms have biases.
        device, dtype: where the layer is to be, and its float dtype.

    Calling it: ``layer(src, src_mask=None, src_key_padding_mask=None, is_causal=False)``; the masks are those of
    ``MultiheadAttention``. Returns a tensor of ``src``'s shape, (L, N, E), (N, L, E) or (L, E).

    Raises:
        ShapeError, DtypeError, ArgumentError: inputs or arguments do not fit.

    Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762; norm_first: Xiong et al., 2020,
    https://arxiv.org/abs/2002.04745; https://pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.TransformerEncoderLayer(8, 2, 16).to("numpy")(np.ones((5, 3, 8))).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = ops.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias=bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _activation(type(self).__name__, activation)
        place(self, device, dtype)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x,
                x,
                x,
                key_padding_mask=src_key_padding_mask,
                need_weights=False,
                attn_mask=src_mask,
                is_causal=is_causal,
            )[0]

        x = self._add(src, attend, self.norm1, self.dropout1)
        return self._add(x, self._feed_forward, self.norm2, self.dropout2)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to an encoder's output, and a feed-forward net, each with shortcut, dropout and norm.

    Arguments as ``TransformerEncoderLayer``.

    Calling it: ``layer(tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
    memory_key_padding_mask=None, tgt_is_causal=False, memory_is_causal=False)`` returns a tensor of ``tgt``'s shape.

    Raises:
        ShapeError, DtypeError, ArgumentError: inputs or arguments do not fit.

    Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762;
    https://pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> layer = um.nn.TransformerDecoderLayer(8, 2, dim_feedforward=16).to("numpy").eval()
        >>> layer(np.ones((4, 3, 8), "float32"), np.ones((5, 3, 8), "float32")).shape
        (4, 3, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = ops.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias=bias, batch_first=batch_first)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias=bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.dropout1, self.dropout2, self.dropout3 = Dropout(dropout), Dropout(dropout), Dropout(dropout)
        self.activation = _activation(type(self).__name__, activation)
        place(self, device, dtype)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def look(x: Tensor) -> Tensor:
            masks = (memory_key_padding_mask, False, memory_mask)
            return self.multihead_attn(x, memory, memory, *masks, is_causal=memory_is_causal)[0]

        x = self._add(tgt, attend, self.norm1, self.dropout1)
        x = self._add(x, look, self.norm2, self.dropout2)
        return self._add(x, self._feed_forward, self.norm3, self.dropout3)


class TransformerEncoder(Module):
    """A stack of copies of one encoder layer, and a norm behind it.

    Args:
        encoder_layer: the layer to copy; each copy draws initial values of its own unless the layer has its already.
        num_layers: how many copies.
        norm: a module for the end, or None.
        enable_nested_tensor, mask_check: taken for PyTorch's sake; they choose a fast path there and change no value.

    Calling it: ``encoder(src, mask=None, src_key_padding_mask=None, is_causal=None)``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.TransformerEncoder.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> layer = um.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16)
        >>> net = um.nn.TransformerEncoder(layer, num_layers=2).to("numpy").eval()
        >>> net(np.ones((5, 3, 8), "float32")).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = ModuleList([encoder_layer.clone() for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """A stack of copies of one decoder layer, and a norm behind it; arguments as ``TransformerEncoder``.

    Calling it: ``decoder(tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
    memory_key_padding_mask=None, tgt_is_causal=None, memory_is_causal=False)``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.TransformerDecoder.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> layer = um.nn.TransformerDecoderLayer(8, 2, dim_feedforward=16)
        >>> net = um.nn.TransformerDecoder(layer, num_layers=2).to("numpy").eval()
        >>> net(np.ones((4, 3, 8), "float32"), np.ones((5, 3, 8), "float32")).shape
        (4, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = ModuleList([decoder_layer.clone() for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        x = tgt
        for layer in self.layers:
            x = layer(x, memory, *masks, tgt_is_causal=bool(tgt_is_causal), memory_is_causal=memory_is_causal)
        return x if self.norm is None else self.norm(x)


__all__ = ["TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer"]
