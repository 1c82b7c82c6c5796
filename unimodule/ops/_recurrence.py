"""The recurrences behind ``recurrent``: one step, the walk through time, the stack of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import ops
from ..backend import Tensor

Weights = Sequence[tuple[Tensor | None, ...]]
Step = Callable[..., tuple[Tensor, ...]]


# ---------------------------------------------------------------------- one step in time
def _gates(x: Tensor, count: int) -> list[Tensor]:
    size = x.shape[-1] // count
    return [x[..., k * size : (k + 1) * size] for k in range(count)]


def _project(h: Tensor, w_hr: Tensor | None) -> Tensor:
    return h if w_hr is None else ops.linear(h, w_hr)


def lstm_step(
    projected: Tensor, state: tuple[Tensor, Tensor], w_hh: Tensor, b_hh: Tensor | None, w_hr: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM from the projected input; returns the next h and c."""
    h, c = state
    i, f, g, o = _gates(ops.add(projected, ops.linear(h, w_hh, b_hh)), 4)
    c = ops.add(ops.multiply(ops.sigmoid(f), c), ops.multiply(ops.sigmoid(i), ops.tanh(g)))
    return _project(ops.multiply(ops.sigmoid(o), ops.tanh(c)), w_hr), c


def gru_step(
    projected: Tensor, state: tuple[Tensor], w_hh: Tensor, b_hh: Tensor | None, w_hr: None = None
) -> tuple[Tensor]:
    """One step of a GRU from the projected input; returns the next h."""
    (h,) = state
    x_r, x_z, x_n = _gates(projected, 3)
    h_r, h_z, h_n = _gates(ops.linear(h, w_hh, b_hh), 3)
    r, z = ops.sigmoid(ops.add(x_r, h_r)), ops.sigmoid(ops.add(x_z, h_z))
    n = ops.tanh(ops.add(x_n, ops.multiply(r, h_n)))
    return (ops.add(n, ops.multiply(z, ops.subtract(h, n))),)


def rnn_step(nonlinearity: str) -> Step:
    """The step of a plain recurrent layer."""
    squash = ops.tanh if nonlinearity == "tanh" else ops.relu

    def step(
        projected: Tensor, state: tuple[Tensor], w_hh: Tensor, b_hh: Tensor | None, w_hr: None = None
    ) -> tuple[Tensor]:
        return (squash(ops.add(projected, ops.linear(state[0], w_hh, b_hh))),)

    return step


def walk(
    step: Step, x: Tensor, state: tuple[Tensor, ...], weights: tuple[Tensor | None, ...], reverse: bool
) -> tuple[Tensor, ...]:
    """Run ``step`` through time; returns the hidden states of all times and the last state."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    projected = ops.unstack(ops.linear(x, w_ih, b_ih), axis=0)  # one product for all times
    outputs = []
    for now in reversed(projected) if reverse else projected:
        state = step(now, state, w_hh, b_hh, w_hr)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return (ops.stack(outputs, axis=0), *state)


# ---------------------------------------------------------------------- layers and directions
def run_stack(
    layer: Callable[[Tensor, tuple[Tensor, ...], tuple[Tensor | None, ...], bool], tuple[Tensor, ...]],
    x: Tensor,
    initial: tuple[Tensor, ...],
    weights: Weights,
    num_layers: int,
    bidirectional: bool,
    dropout: float,
) -> tuple[Tensor, ...]:
    """Run layer after layer, the two directions side by side; returns the last output and the final states of all."""
    directions = 2 if bidirectional else 1
    states = [ops.unstack(s, axis=0) for s in initial]
    final: list[tuple[Tensor, ...]] = []
    for i in range(num_layers):
        outputs = []
        for direction in range(directions):
            row = i * directions + direction
            y, *state = layer(x, tuple(s[row] for s in states), tuple(weights[row]), direction == 1)
            outputs.append(y)
            final.append(tuple(state))
        x = ops.concat(outputs, axis=-1) if bidirectional else outputs[0]
        if dropout and i < num_layers - 1:
            x = ops.dropout(x, dropout) if dropout < 1 else ops.multiply(x, 0.0)
    return (x, *(ops.stack(list(s), axis=0) for s in zip(*final, strict=True)))
