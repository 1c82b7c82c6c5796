"""LSTM and GRU on the kernels that torch.nn uses (oneDNN, cuDNN)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from unimodule.backend import Tensor

Weights = Sequence[tuple[Tensor | None, ...]]


def lstm(
    x: Tensor, h0: Tensor, c0: Tensor, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Tensor, Tensor, Tensor]:
    flat = [w for layer in weights for w in layer if w is not None]
    biases = weights[0][2] is not None
    return torch.lstm(x, (h0, c0), flat, biases, num_layers, dropout, dropout > 0, bidirectional, False)


def gru(
    x: Tensor, h0: Tensor, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Tensor, Tensor]:
    flat = [w for layer in weights for w in layer if w is not None]
    biases = weights[0][2] is not None
    return torch.gru(x, h0, flat, biases, num_layers, dropout, dropout > 0, bidirectional, False)


def lstm_layer(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    w_hr: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    weights = [(w_ih, w_hh, b_ih, b_hh, w_hr)]
    x = torch.flip(x, (0,)) if reverse else x
    y, h, c = lstm(x, h0.unsqueeze(0), c0.unsqueeze(0), weights, 1, False, 0.0)
    return torch.flip(y, (0,)) if reverse else y, h.squeeze(0), c.squeeze(0)


def gru_layer(
    x: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor]:
    x = torch.flip(x, (0,)) if reverse else x
    y, h = gru(x, h0.unsqueeze(0), [(w_ih, w_hh, b_ih, b_hh)], 1, False, 0.0)
    return torch.flip(y, (0,)) if reverse else y, h.squeeze(0)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lstm": lstm,
    "gru": gru,
    "lstm_layer": lstm_layer,
    "gru_layer": gru_layer,
}
