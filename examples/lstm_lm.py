"""A language model of the recurrent age: embeddings, two LSTM layers, and scores of the next token at each place.

    unimodule compare examples/lstm_lm.py:LSTMLM --input 4,16:int64:0..255

Source: Zaremba et al., 2014, https://arxiv.org/abs/1409.2329
"""

from __future__ import annotations

from unimodule import Tensor, nn


class LSTMLM(nn.Module):
    """Tokens (N, L), integers below ``tokens``, to scores (N, L, tokens).

    Args:
        tokens: size of the vocabulary.
        width: features of the embeddings and of the hidden state.
        layers: how many LSTM layers.
        dropout: probability, in training.
    """

    def __init__(self, tokens: int = 256, width: int = 64, layers: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.embed = nn.Embedding(tokens, width)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(width, width, num_layers=layers, batch_first=True)
        self.head = nn.Linear(width, tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        features, _ = self.lstm(self.dropout(self.embed(tokens)))
        return self.head(self.dropout(features))
