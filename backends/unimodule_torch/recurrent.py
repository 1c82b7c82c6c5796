"""LSTM, GRU and plain recurrent nets on the kernels that torch.nn uses (oneDNN, cuDNN)."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from unimodule.backend import Tensor

Weights = Sequence[tuple[Tensor | None, ...]]


@functools.cache
def _hush_projection() -> None:
    """Use up PyTorch's one warning that oneDNN has no projections: nobody who asked for one can act on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, two = torch.zeros(1, 1, 1), torch.zeros(1, 1, 2)
        weights = [torch.zeros(8, 1), torch.zeros(8, 1), torch.zeros(1, 2)]
        torch.lstm(one, (one, two), weights, False, 1, 0.0, False, False, False)


def lstm(
    x: Tensor, h0: Tensor, c0: Tensor, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Tensor, Tensor, Tensor]:
    flat = [w for layer in weights for w in layer if w is not None]
    biases = weights[0][2] is not None
    if weights[0][4] is not None and not torch.compiler.is_dynamo_compiling():
        _hush_projection()
    return torch.lstm(x, (h0, c0), flat, biases, num_layers, dropout, dropout > 0, bidirectional, False)


def gru(
    x: Tensor, h0: Tensor, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Tensor, Tensor]:
    flat = [w for layer in weights for w in layer if w is not None]
    biases = weights[0][2] is not None
    return torch.gru(x, h0, flat, biases, num_layers, dropout, dropout > 0, bidirectional, False)


_RNN = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}


def rnn(
    x: Tensor,
    h0: Tensor,
    weights: Weights,
    num_layers: int,
    bidirectional: bool,
    dropout: float,
    nonlinearity: str,
) -> tuple[Tensor, Tensor]:
    flat = [w for layer in weights for w in layer if w is not None]
    biases = weights[0][2] is not None
    return _RNN[nonlinearity](x, h0, flat, biases, num_layers, dropout, dropout > 0, bidirectional, False)


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


def rnn_layer(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    nonlinearity: str,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    x = torch.flip(x, (0,)) if reverse else x
    y, h = rnn(x, h0.unsqueeze(0), [(w_ih, w_hh, b_ih, b_hh)], 1, False, 0.0, nonlinearity)
    return torch.flip(y, (0,)) if reverse else y, h.squeeze(0)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lstm": lstm,
    "gru": gru,
    "lstm_layer": lstm_layer,
    "gru_layer": gru_layer,
    "rnn": rnn,
    "rnn_layer": rnn_layer,
}
