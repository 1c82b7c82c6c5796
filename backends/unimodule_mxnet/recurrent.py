"""LSTM and GRU: MXNet's fused operator, and steps in Python for what it lacks (projections)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .activation import sigmoid
from .elementwise import FUNCTIONS as _ELEMENTWISE
from .elementwise import add_array, multiply_array, subtract_array
from .indexing import getitem
from .linear import linear
from .operators import Array, array, broadcast, dtype_of, in_training, op, reshape_to
from .random import dropout as drop
from .reductions import concatenate

Weights = Sequence[tuple[Array | None, ...]]

_rnn = op("RNN", state_outputs=True)
_split = op("SliceChannel", axis=-1)
_stack = op("_npi_stack", axis=0)
_tanh = _ELEMENTWISE["tanh"]


# ---------------------------------------------------------------------- the fused operator
def _fused(
    mode: str, x: Array, states: list[Array], weights: Weights, layers: int, both: bool
) -> list[Array]:
    """MXNet's RNN: gates in PyTorch's order; all parameters in one vector, first the matrices, then the biases."""
    hidden = weights[0][1].shape[1]  # type: ignore[union-attr]
    flat = [reshape_to(w, newshape=(-1,)) for layer in weights for w in layer[:2]]
    for layer in weights:
        for bias, matrix in zip(layer[2:4], layer[:2], strict=True):
            zeros = broadcast(array(0, dtype_of(x), x.ctx), (matrix.shape[0],)) if bias is None else bias  # type: ignore[union-attr]
            flat.append(zeros)
    parameters = concatenate(*flat, axis=0)
    attributes = {"state_size": hidden, "num_layers": layers, "bidirectional": both, "mode": mode, "p": 0.0}
    return in_training(_rnn, x, parameters, *states, **attributes)


Layer = Callable[..., tuple[Array, ...]]


def _layered(
    step: Layer,
    x: Array,
    states: list[Array],
    weights: Weights,
    num_layers: int,
    bidirectional: bool,
    dropout: float,
) -> tuple[Array, ...]:
    """Layer by layer, direction by direction, with dropout between layers."""
    directions = 1 + bidirectional
    last: list[tuple[Array, ...]] = []
    for layer in range(num_layers):
        if layer and dropout:
            x = drop(x, dropout)
        outputs = []
        for direction in range(directions):
            i = layer * directions + direction
            y, *final = step(x, *(getitem(s, (i,)) for s in states), *weights[i], direction == 1)
            outputs.append(y)
            last.append(tuple(final))
        x = concatenate(*outputs, axis=-1) if bidirectional else outputs[0]
    return (x, *(_stack(*state) for state in zip(*last, strict=True)))


def _cut(weights: Weights, length: int) -> Weights:
    return [tuple(layer[:length]) for layer in weights]


def lstm(
    x: Array, h0: Array, c0: Array, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Array, ...]:
    if weights[0][4] is None and x.size and _at_once(x, num_layers, dropout):
        return tuple(_fused("lstm", x, [h0, c0], weights, num_layers, bidirectional))
    return _layered(lstm_layer, x, [h0, c0], weights, num_layers, bidirectional, dropout)


def gru(
    x: Array, h0: Array, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Array, ...]:
    if x.size and _at_once(x, num_layers, dropout):
        return tuple(_fused("gru", x, [h0], weights, num_layers, bidirectional))
    return _layered(gru_layer, x, [h0], _cut(weights, 4), num_layers, bidirectional, dropout)


def _at_once(x: Array, num_layers: int, dropout: float) -> bool:
    """Whether the kernel takes all layers. In other dtypes than float32 it leaves the gradients of all but the last layer as
    it found their memory where the input needs none.
    """
    return num_layers == 1 or (not dropout and dtype_of(x) == "float32")


# ---------------------------------------------------------------------- one direction of one layer
def _run(
    mode: str, x: Array, states: list[Array], weights: tuple[Array | None, ...], reverse: bool
) -> list[Array]:
    x = _backwards(x) if reverse else x
    states = [reshape_to(s, newshape=(1, *s.shape)) for s in states]
    y, *final = _fused(mode, x, states, [weights], 1, False)
    final = [reshape_to(s, newshape=s.shape[1:]) for s in final]
    return [_backwards(y) if reverse else y, *final]


_flip = op("_npi_flip", axis=0)


def _backwards(x: Array) -> Array:
    """``x`` backwards in time."""
    return _flip(x)


def lstm_layer(
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    w_hr: Array | None,
    reverse: bool,
) -> tuple[Array, ...]:
    if w_hr is None and x.size:
        return tuple(_run("lstm", x, [h0, c0], (w_ih, w_hh, b_ih, b_hh), reverse))
    h, c, outputs = h0, c0, []
    inputs = linear(x, w_ih, b_ih)
    steps = x.shape[0]
    for t in range(steps - 1, -1, -1) if reverse else range(steps):
        gates = add_array(getitem(inputs, (t,)), linear(h, w_hh, b_hh))
        i, f, g, o = _split(gates, num_outputs=4)
        c = add_array(multiply_array(sigmoid(f), c), multiply_array(sigmoid(i), _tanh(g)))
        h = multiply_array(sigmoid(o), _tanh(c))
        h = h if w_hr is None else linear(h, w_hr, None)
        outputs.append(h)
    return _in_time(outputs, reverse, x, h), h, c


def gru_layer(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    reverse: bool,
) -> tuple[Array, ...]:
    if x.size:
        return tuple(_run("gru", x, [h0], (w_ih, w_hh, b_ih, b_hh), reverse))
    h, outputs = h0, []
    inputs = linear(x, w_ih, b_ih)
    steps = x.shape[0]
    for t in range(steps - 1, -1, -1) if reverse else range(steps):
        xr, xz, xn = _split(getitem(inputs, (t,)), num_outputs=3)
        hr, hz, hn = _split(linear(h, w_hh, b_hh), num_outputs=3)
        z = sigmoid(add_array(xz, hz))
        n = _tanh(add_array(xn, multiply_array(sigmoid(add_array(xr, hr)), hn)))
        h = add_array(n, multiply_array(z, subtract_array(h, n)))
        outputs.append(h)
    return _in_time(outputs, reverse, x, h), h


def _in_time(outputs: list[Array], reverse: bool, x: Array, h: Array) -> Array:
    if not outputs:
        return broadcast(array(0, dtype_of(x), x.ctx), (0, *h.shape))
    return _stack(*(outputs[::-1] if reverse else outputs))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lstm": lstm,
    "gru": gru,
    "lstm_layer": lstm_layer,
    "gru_layer": gru_layer,
}
