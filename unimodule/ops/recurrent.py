"""Recurrent layers: LSTM, GRU and the plain one, in PyTorch's gate order.

A stack (``lstm``) runs its layers and directions one after another through ``lstm_layer``, which walks through time
step by step; an adapter overrides either with a fused kernel or a compiled scan. Inputs are (T, N, features) throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _draws, ops
from ..backend import Backend, Tensor
from ..errors import DtypeError, ShapeError
from ._dispatch import call, declare, gather
from ._recurrence import Weights, gru_step, lstm_step, rnn_step, run_stack, walk


# ---------------------------------------------------------------------- what an adapter may override
def lstm_layer_(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    w_hr: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """What an adapter may override of ``lstm_layer``."""
    return walk(lstm_step, x, (h0, c0), (w_ih, w_hh, b_ih, b_hh, w_hr), reverse)


def gru_layer_(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """What an adapter may override of ``gru_layer``."""
    return walk(gru_step, x, (h0,), (w_ih, w_hh, b_ih, b_hh, None), reverse)


def rnn_layer_(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    nonlinearity: str,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """What an adapter may override of ``rnn_layer``."""
    return walk(rnn_step(nonlinearity), x, (h0,), (w_ih, w_hh, b_ih, b_hh, None), reverse)


def lstm_(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weights: Weights,
    num_layers: int,
    bidirectional: bool,
    dropout: float,
) -> tuple[Tensor, ...]:
    """What an adapter may override of ``lstm``."""

    def layer(x: Tensor, state: tuple[Tensor, ...], w: Any, reverse: bool) -> Any:
        w_ih, w_hh, b_ih, b_hh, w_hr = w
        return lstm_layer(x, state[0], state[1], w_ih, w_hh, b_ih, b_hh, w_hr, reverse)

    return run_stack(layer, x, (h0, c0), weights, num_layers, bidirectional, dropout)


def gru_(
    x: Tensor, h0: Tensor, weights: Weights, num_layers: int, bidirectional: bool, dropout: float
) -> tuple[Tensor, ...]:
    """What an adapter may override of ``gru``."""

    def layer(x: Tensor, state: tuple[Tensor, ...], w: Any, reverse: bool) -> Any:
        w_ih, w_hh, b_ih, b_hh, _ = w
        return gru_layer(x, state[0], w_ih, w_hh, b_ih, b_hh, reverse)

    return run_stack(layer, x, (h0,), weights, num_layers, bidirectional, dropout)


def rnn_(
    x: Tensor,
    h0: Tensor,
    weights: Weights,
    num_layers: int,
    bidirectional: bool,
    dropout: float,
    nonlinearity: str,
) -> tuple[Tensor, ...]:
    """What an adapter may override of ``rnn``."""

    def layer(x: Tensor, state: tuple[Tensor, ...], w: Any, reverse: bool) -> Any:
        w_ih, w_hh, b_ih, b_hh, _ = w
        return rnn_layer(x, state[0], w_ih, w_hh, b_ih, b_hh, nonlinearity, reverse)

    return run_stack(layer, x, (h0,), weights, num_layers, bidirectional, dropout)


for _default in (lstm_layer_, gru_layer_, rnn_layer_, lstm_, gru_, rnn_):
    declare(_default)


# ---------------------------------------------------------------------- what users call
def _gather_stack(
    name: str, x: Tensor, states: tuple[Tensor, ...], weights: Weights
) -> tuple[Backend, list[Tensor], list[tuple[Tensor | None, ...]]]:
    """All tensors on one backend, once their shapes and dtypes are known to fit."""
    rows = [(*row, *(None,) * (5 - len(row))) for row in weights]
    backend, flat = gather(name, x, *states, *(w for row in rows for w in row), same_dtype=())
    n = 1 + len(states)
    if not backend.mixes_dtypes and len({t.dtype for t in flat if t is not None}) > 1:
        found = ", ".join(sorted({backend.dtype(t) for t in flat if t is not None}))
        raise DtypeError(f"{name} expected input, states and weights of one dtype, got {found}")
    _check_stack(name, [backend.shape(t) for t in flat[:n]], backend.shape(flat[n]), len(rows))
    return backend, flat[:n], [tuple(flat[i : i + 5]) for i in range(n, len(flat), 5)]


def _check_stack(name: str, shapes: list[tuple[int, ...]], w_ih: tuple[int, ...], rows: int) -> None:
    x, *states = shapes
    if len(x) != 3 or x[2] != w_ih[1]:
        raise ShapeError(f"{name} expected x (T, N, {w_ih[1]}), got {x}")
    if x[0] == 0:
        raise ShapeError(f"{name} expected at least one time step, got x {x}")
    for state in states:
        if len(state) != 3 or state[:2] != (rows, x[1]):
            raise ShapeError(f"{name} expected initial states ({rows}, {x[1]}, features), got {state}")


def _call_stack(
    backend: Backend, default: Callable[..., Any], dropout: float, *args: Any
) -> tuple[Tensor, ...]:
    # Of everything nothing is left: adapters see 0 <= dropout < 1. And masks that are the same on every backend are not theirs.
    if dropout >= 1 or (dropout and _draws.everywhere()):
        return default(*args)  # type: ignore[no-any-return]
    return call(backend, default.__name__.rstrip("_"), *args)  # type: ignore[no-any-return]


def lstm(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weights: Weights,
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """A stack of LSTM layers.

    At each time step
    i, f, g, o = split(W_ih x + b_ih + W_hh h + b_hh);  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)

    and h = W_hr h where there is a projection.

    Args:
        x: (T, N, I).
        h0: (layers * directions, N, H), or the projected size in place of H.
        c0: (layers * directions, N, H).
        weights: for each layer and direction w_ih (4H, in), w_hh (4H, H or projected), b_ih (4H,) or None, b_hh (4H,)
            or None, w_hr (projected, H) or None.
        num_layers: layers on top of each other.
        bidirectional: whether each layer also runs backwards; outputs stand side by side.
        dropout: applied to every layer's output but the last one's; 0 outside training.

    Returns:
        y (T, N, directions * H), and the last h and c, shaped as h0 and c0.

    Raises:
        ShapeError: x, h0 or c0 do not fit.

    Source: Hochreiter and Schmidhuber, 1997; https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> weights = [(np.ones((16, 3)), np.ones((16, 4)), None, None, None)]
        >>> y, h, c = um.ops.lstm(np.ones((5, 2, 3)), np.zeros((1, 2, 4)), np.zeros((1, 2, 4)), weights)
        >>> y.shape, h.shape, c.shape
        ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    """
    backend, (x, h0, c0), rows = _gather_stack("lstm", x, (h0, c0), weights)
    return _call_stack(backend, lstm_, dropout, x, h0, c0, rows, num_layers, bidirectional, dropout)


def gru(
    x: Tensor,
    h0: Tensor,
    weights: Weights,
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """A stack of GRU layers.

    At each time step
    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr);  z = sigmoid(W_iz x + b_iz + W_hz h + b_hz);
    n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h = (1 - z) n + z h

    Arguments as ``lstm``, with gates in the order r, z, n and no projection; returns y and the last h.

    Source: Cho et al., 2014, https://arxiv.org/abs/1406.1078; https://pytorch.org/docs/stable/generated/torch.nn.GRU.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> weights = [(np.ones((12, 3)), np.ones((12, 4)), None, None, None)]
        >>> y, h = um.ops.gru(np.ones((5, 2, 3)), np.zeros((1, 2, 4)), weights)
        >>> y.shape, h.shape
        ((5, 2, 4), (1, 2, 4))
    """
    backend, (x, h0), rows = _gather_stack("gru", x, (h0,), weights)
    return _call_stack(backend, gru_, dropout, x, h0, rows, num_layers, bidirectional, dropout)


def rnn(
    x: Tensor,
    h0: Tensor,
    weights: Weights,
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    nonlinearity: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """A stack of plain recurrent layers, h = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu in tanh's place.

    Arguments as ``lstm``, with one gate and no projection; returns y and the last h.

    Source: Elman, 1990; https://pytorch.org/docs/stable/generated/torch.nn.RNN.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> weights = [(np.ones((4, 3)), np.ones((4, 4)), None, None, None)]
        >>> y, h = um.ops.rnn(np.ones((5, 2, 3)), np.zeros((1, 2, 4)), weights)
        >>> y.shape, h.shape
        ((5, 2, 4), (1, 2, 4))
    """
    backend, (x, h0), rows = _gather_stack("rnn", x, (h0,), weights)
    return _call_stack(backend, rnn_, dropout, x, h0, rows, num_layers, bidirectional, dropout, nonlinearity)


def lstm_layer(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    w_hr: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """One direction of one LSTM layer: x (T, N, I), h0 and c0 (N, H) -> y (T, N, H) and the last h and c (N, H)."""
    backend, tensors = gather("lstm_layer", x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr)
    return call(backend, "lstm_layer", *tensors, reverse)  # type: ignore[no-any-return]


def gru_layer(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """One direction of one GRU layer: x (T, N, I), h0 (N, H) -> y (T, N, H) and the last h (N, H)."""
    backend, tensors = gather("gru_layer", x, h0, w_ih, w_hh, b_ih, b_hh)
    return call(backend, "gru_layer", *tensors, reverse)  # type: ignore[no-any-return]


def rnn_layer(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """One direction of one plain recurrent layer: x (T, N, I), h0 (N, H) -> y (T, N, H) and the last h (N, H)."""
    backend, tensors = gather("rnn_layer", x, h0, w_ih, w_hh, b_ih, b_hh)
    return call(backend, "rnn_layer", *tensors, nonlinearity, reverse)  # type: ignore[no-any-return]


# ---------------------------------------------------------------------- single steps
def lstm_cell(
    x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One step of ``lstm``: x (N, I), h and c (N, H) -> the next h and c."""
    return lstm_step(ops.linear(x, w_ih, b_ih), (h, c), w_hh, b_hh, None)


def gru_cell(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
) -> Tensor:
    """One step of ``gru``: x (N, I), h (N, H) -> the next h."""
    return gru_step(ops.linear(x, w_ih, b_ih), (h,), w_hh, b_hh)[0]


def rnn_cell(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    nonlinearity: str = "tanh",
) -> Tensor:
    """One step of ``rnn``: x (N, I), h (N, H) -> the next h."""
    return rnn_step(nonlinearity)(ops.linear(x, w_ih, b_ih), (h,), w_hh, b_hh)[0]


__all__ = [
    "gru",
    "gru_cell",
    "gru_layer",
    "lstm",
    "lstm_cell",
    "lstm_layer",
    "rnn",
    "rnn_cell",
    "rnn_layer",
]
