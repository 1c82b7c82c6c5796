"""LSTM, GRU and plain recurrent networks: whole networks as one compiled function, each layer and direction a ``lax.scan``.

The products of all inputs with the input weights are taken at once, before the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from . import random
from ._jit import Array, jit

Weights = Sequence[tuple[Array | None, ...]]


def _affine(x: Array, weight: Array, bias: Array | None) -> Array:
    product = x @ weight.T
    return product if bias is None else product + bias


# ---------------------------------------------------------------------- one direction of one layer
def _lstm_layer(
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    w_hr: Array | None,
    reverse: bool,
) -> tuple[Array, Array, Array]:
    def step(carry: tuple[Array, Array], gates_x: Array) -> tuple[tuple[Array, Array], Array]:
        h, c = carry
        i, f, g, o = jnp.split(gates_x + h @ w_hh.T, 4, axis=-1)
        c = lax.logistic(f) * c + lax.logistic(i) * jnp.tanh(g)
        h = lax.logistic(o) * jnp.tanh(c)
        if w_hr is not None:
            h = h @ w_hr.T
        return (h, c), h

    inputs = _affine(x, w_ih, b_ih)
    if b_hh is not None:
        inputs = inputs + b_hh
    (h, c), y = lax.scan(step, (h0, c0), inputs, reverse=reverse)
    return y, h, c


def _gru_layer(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    reverse: bool,
) -> tuple[Array, Array]:
    def step(h: Array, gates_x: Array) -> tuple[Array, Array]:
        # b_hh stands inside the product with r, so it cannot be added before the scan.
        r_x, z_x, n_x = jnp.split(gates_x, 3, axis=-1)
        r_h, z_h, n_h = jnp.split(_affine(h, w_hh, b_hh), 3, axis=-1)
        z = lax.logistic(z_x + z_h)
        n = jnp.tanh(n_x + lax.logistic(r_x + r_h) * n_h)
        h = n + z * (h - n)
        return h, h

    h, y = lax.scan(step, h0, _affine(x, w_ih, b_ih), reverse=reverse)
    return y, h


def _rnn_layer(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    nonlinearity: str,
    reverse: bool,
) -> tuple[Array, Array]:
    squash = jnp.tanh if nonlinearity == "tanh" else jax.nn.relu

    def step(h: Array, inputs: Array) -> tuple[Array, Array]:
        h = squash(inputs + h @ w_hh.T)
        return h, h

    inputs = _affine(x, w_ih, b_ih)
    h, y = lax.scan(step, h0, inputs if b_hh is None else inputs + b_hh, reverse=reverse)
    return y, h


# ---------------------------------------------------------------------- layers on top of each other
def _stack(
    x: Array,
    states: tuple[Array, ...],
    weights: Weights,
    num_layers: int,
    bidirectional: bool,
    dropouts: Sequence[tuple[Array, ...]],
    layer: Callable[..., tuple[Array, ...]],
) -> tuple[Array, ...]:
    """Run ``layer(x, *states, *weights, reverse)`` for each layer and direction; the last states are stacked."""
    directions = 2 if bidirectional else 1
    finals = []
    for depth in range(num_layers):
        outputs = []
        for direction in range(directions):
            place = depth * directions + direction
            y, *final = layer(x, *(state[place] for state in states), *weights[place], direction == 1)
            outputs.append(y)
            finals.append(final)
        x = outputs[0] if directions == 1 else jnp.concatenate(outputs, axis=-1)
        if dropouts and depth < num_layers - 1:
            x = random.drop(x, *dropouts[depth])
    return (x, *(jnp.stack(parts) for parts in zip(*finals, strict=True)))


@jit("num_layers", "bidirectional")
def _lstm(
    x: Array, h0: Array, c0: Array, weights: Weights, dropouts: Any, num_layers: int, bidirectional: bool
) -> tuple[Array, ...]:
    return _stack(x, (h0, c0), weights, num_layers, bidirectional, dropouts, _lstm_layer)


@jit("num_layers", "bidirectional")
def _gru(
    x: Array, h0: Array, weights: Weights, dropouts: Any, num_layers: int, bidirectional: bool
) -> tuple[Array, ...]:
    # A GRU has no projection: the fifth of each layer's weights is always None.
    return _stack(x, (h0,), [w[:4] for w in weights], num_layers, bidirectional, dropouts, _gru_layer)


@jit("num_layers", "bidirectional", "nonlinearity")
def _rnn(
    x: Array,
    h0: Array,
    weights: Weights,
    dropouts: Any,
    num_layers: int,
    bidirectional: bool,
    nonlinearity: str,
) -> tuple[Array, ...]:
    rows = [(*w[:4], nonlinearity) for w in weights]
    return _stack(x, (h0,), rows, num_layers, bidirectional, dropouts, _rnn_layer)


def _dropouts(p: float, num_layers: int) -> list[tuple[Any, ...]]:
    return [(p, *random.draw()) for _ in range(num_layers - 1)] if p > 0 else []


def lstm(
    x: Array, h0: Array, c0: Array, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Array, ...]:
    return _lstm(x, h0, c0, weights, _dropouts(dropout, num_layers), num_layers, bidirectional)


def gru(
    x: Array, h0: Array, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Array, ...]:
    return _gru(x, h0, weights, _dropouts(dropout, num_layers), num_layers, bidirectional)


def rnn(
    x: Array,
    h0: Array,
    weights: Weights,
    num_layers: int,
    bidirectional: bool,
    dropout: float,
    nonlinearity: str,
) -> tuple[Array, ...]:
    dropouts = _dropouts(dropout, num_layers)
    return _rnn(x, h0, weights, dropouts, num_layers, bidirectional, nonlinearity)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lstm": lstm,
    "gru": gru,
    "rnn": rnn,
    "lstm_layer": jit("reverse")(_lstm_layer),
    "gru_layer": jit("reverse")(_gru_layer),
    "rnn_layer": jit("nonlinearity", "reverse")(_rnn_layer),
}
