"""LSTM and GRU, in PyTorch's gate order. Inputs are (T, N, features).

The inputs of all steps are projected in one product; a step then takes a dozen ops. TensorFlow's own fused cells
(BlockLSTM, CudnnRNN) lack float64, projections and second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw
from ._tools import vector
from .linear import linear
from .random import dropout as drop

Weights = Sequence[tuple[Tensor | None, ...]]


def _steps(x: Tensor, w_ih: Tensor, bias: Tensor | None, reverse: bool) -> list[Tensor]:
    """The projected input of each step, in the order in which the steps are taken."""
    if not x.shape[0]:
        raise ValueError(
            f"a recurrent layer needs a known number of steps, one at least; got input {x.shape}"
        )
    steps = list(raw.Unpack(value=linear(x, w_ih, bias), num=x.shape[0], axis=0))
    return steps[::-1] if reverse else steps


def _stack(outputs: list[Tensor], reverse: bool) -> Tensor:
    return raw.Pack(values=outputs[::-1] if reverse else outputs, axis=0)


def _split(x: Tensor, parts: int) -> list[Tensor]:
    return list(raw.Split(axis=1, value=x, num_split=parts))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return a if b is None else b
    return raw.AddV2(x=a, y=b)


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
    h, c, outputs = h0, c0, []
    for projected in _steps(x, w_ih, _sum(b_ih, b_hh), reverse):
        gates = raw.AddV2(x=projected, y=raw.MatMul(a=h, b=w_hh, transpose_b=True))
        i, f, g, o = _split(gates, 4)
        kept = raw.Mul(x=raw.Sigmoid(x=f), y=c)
        c = raw.AddV2(x=kept, y=raw.Mul(x=raw.Sigmoid(x=i), y=raw.Tanh(x=g)))
        h = raw.Mul(x=raw.Sigmoid(x=o), y=raw.Tanh(x=c))
        if w_hr is not None:
            h = raw.MatMul(a=h, b=w_hr, transpose_b=True)
        outputs.append(h)
    return _stack(outputs, reverse), h, c


def gru_layer(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    h, outputs = h0, []
    hidden = h0.shape[-1]
    for projected in _steps(x, w_ih, b_ih, reverse):
        x_rz, x_n = raw.SplitV(value=projected, size_splits=vector((2 * hidden, hidden)), axis=1, num_split=2)
        h_rz, h_n = raw.SplitV(
            value=linear(h, w_hh, b_hh), size_splits=vector((2 * hidden, hidden)), axis=1, num_split=2
        )
        r, z = _split(raw.Sigmoid(x=raw.AddV2(x=x_rz, y=h_rz)), 2)
        n = raw.Tanh(x=raw.AddV2(x=x_n, y=raw.Mul(x=r, y=h_n)))
        h = raw.AddV2(x=n, y=raw.Mul(x=z, y=raw.Sub(x=h, y=n)))
        outputs.append(h)
    return _stack(outputs, reverse), h


def _run_stack(
    layer: Callable[..., tuple[Tensor, ...]],
    x: Tensor,
    initial: Sequence[Tensor],
    weights: Weights,
    num_layers: int,
    bidirectional: bool,
    dropout: float,
) -> tuple[Tensor, ...]:
    directions = 2 if bidirectional else 1
    states = [raw.Unpack(value=s, num=num_layers * directions, axis=0) for s in initial]
    final: list[Sequence[Tensor]] = []
    for level in range(num_layers):
        outputs = []
        for direction in range(directions):
            row = level * directions + direction
            y, *state = layer(x, *(s[row] for s in states), *weights[row], direction == 1)
            outputs.append(y)
            final.append(state)
        x = raw.ConcatV2(values=outputs, axis=-1) if bidirectional else outputs[0]
        if dropout and level < num_layers - 1:
            x = drop(x, dropout)
    return (x, *(raw.Pack(values=list(s), axis=0) for s in zip(*final, strict=True)))


def lstm(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weights: Weights,
    num_layers: int,
    bidirectional: bool,
    dropout: float,
) -> tuple[Tensor, ...]:
    return _run_stack(lstm_layer, x, (h0, c0), weights, num_layers, bidirectional, dropout)


def gru(
    x: Tensor, h0: Tensor, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Tensor, ...]:
    return _run_stack(gru_layer, x, (h0,), [w[:4] for w in weights], num_layers, bidirectional, dropout)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lstm": lstm,
    "gru": gru,
    "lstm_layer": lstm_layer,
    "gru_layer": gru_layer,
}
