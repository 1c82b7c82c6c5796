"""A Transformer encoder that sorts texts into classes: token and sine embeddings, four layers, the mean over the text.

    unimodule compare examples/transformer_encoder.py:TextClassifier --input 4,16:int64:0..255

Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

import numpy as np

from unimodule import Tensor, nn, ops


def sines(length: int, width: int) -> np.ndarray:
    """Position embeddings (length, width): sines in the even columns, cosines in the odd ones."""
    angles = np.arange(length)[:, None] / 10000 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, width)


class TextClassifier(nn.Module):
    """Tokens (N, L), integers below ``tokens``, to scores (N, classes).

    Args:
        tokens: size of the vocabulary.
        width: features of each token.
        heads: attention heads.
        layers: how many encoder layers.
        classes: how many scores.
        length: the longest text.
        dropout: probability, in training.
    """

    def __init__(
        self,
        tokens: int = 256,
        width: int = 64,
        heads: int = 4,
        layers: int = 4,
        classes: int = 5,
        length: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(tokens, width)
        self.places = nn.Constant(sines(length, width))
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.places[: tokens.shape[1]]
        return self.head(ops.mean(self.encoder(x), axis=1))
