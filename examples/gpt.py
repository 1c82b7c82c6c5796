"""A small GPT: a decoder-only Transformer whose scores share their weights with the token embeddings.

    unimodule compare examples/gpt.py:GPT --input 2,16:int64:0..255

Source: Radford et al., 2019 (GPT-2); the layout of the blocks follows https://github.com/karpathy/nanoGPT
"""

from __future__ import annotations

from unimodule import Tensor, init, nn, ops
from unimodule.nn import functional as F


class Attention(nn.Module):
    """Causal self-attention: (N, L, width) to the same shape; a token sees itself and what stands before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = tuple(x.shape)
        split = ops.reshape(self.qkv(x), (n, length, 3, self.heads, width // self.heads))
        q, k, v = (ops.permute_dims(split[:, :, i], (0, 2, 1, 3)) for i in range(3))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(ops.reshape(ops.permute_dims(attended, (0, 2, 1, 3)), (n, length, width)))


class Block(nn.Module):
    """Attention and a two-layer net, each behind a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.mlp(self.norm2(x)))


class GPT(nn.Module):
    """Tokens (N, L), integers below ``tokens``, to scores of the next token at each place (N, L, tokens).

    Args:
        tokens: size of the vocabulary.
        length: the longest text.
        width: features of each token.
        heads: attention heads.
        layers: how many blocks.
        dropout: probability, in training.
    """

    def __init__(
        self,
        tokens: int = 256,
        length: int = 64,
        width: int = 64,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(tokens, width)
        self.places = nn.Parameter(init.normal(std=0.02), shape=(length, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.dropout(self.tokens(tokens) + self.places[: tokens.shape[1]])
        return F.linear(self.norm(self.blocks(x)), self.tokens.weight)
