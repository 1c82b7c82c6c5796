"""LSTM, GRU and the plain recurrent layer, with torch.nn's arguments, parameter names, layouts and initialisation."""

from __future__ import annotations

import math
import warnings
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError
from . import init
from ._layer import place
from .module import Module
from .parameter import Parameter


class RNNBase(Module):
    """What the recurrent layers share: parameters, and inputs and states brought to one shape.

    For layer k and each direction (the backward one has the suffix ``_reverse``) there are ``weight_ih_lk``
    (gates * H, in), ``weight_hh_lk`` (gates * H, H), the biases ``bias_ih_lk`` and ``bias_hh_lk`` (gates * H,) and, with a
    projection, ``weight_hr_lk`` (proj_size, H). All start from U(-b, b), b = 1 / sqrt(H).

    Args:
        input_size: features I of each time step.
        hidden_size: features H of the state.
        num_layers: layers on top of each other.
        bias: whether there are biases.
        batch_first: input and output are (N, T, features) instead of (T, N, features).
        dropout: probability with which each layer's output but the last one's is dropped, in training.
        bidirectional: each layer also runs backwards; the outputs stand side by side.
        proj_size: size to which an LSTM's output is projected; 0 for no projection.
        device, dtype: where the layer is to be, and its float dtype.

    Raises:
        ArgumentError: a size is not positive, or ``dropout`` is not a probability.
    """

    gates: int = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._check_arguments()
        self._rows: list[tuple[str | None, ...]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse") if bidirectional else ("",):
                self._add_row(layer, suffix)
        place(self, device, dtype)

    def _check_arguments(self) -> None:
        kind = type(self).__name__
        for name in ("input_size", "hidden_size", "num_layers"):
            if not isinstance(value := getattr(self, name), int) or value < (name != "input_size"):
                raise ArgumentError(f"{kind} expected {name} to be a positive integer, got {value!r}")
        if isinstance(self.dropout, bool) or not 0.0 <= self.dropout <= 1.0:
            raise ArgumentError(f"{kind} expected 0 <= dropout <= 1, got {self.dropout}")
        if not 0 <= self.proj_size < self.hidden_size:
            raise ArgumentError(
                f"{kind} expected 0 <= proj_size < hidden_size {self.hidden_size}, got {self.proj_size}"
            )
        if self.dropout and self.num_layers == 1:
            warnings.warn(
                f"{kind} drops the outputs of all layers but the last: with one layer, dropout={self.dropout} does nothing",
                stacklevel=4,
            )

    def _add_row(self, layer: int, suffix: str) -> None:
        width, out = self.gates * self.hidden_size, self.proj_size or self.hidden_size
        inputs = self.input_size if layer == 0 else out * (2 if self.bidirectional else 1)
        shapes: dict[str, tuple[int, ...] | None] = {
            "weight_ih": (width, inputs),
            "weight_hh": (width, out),
            "bias_ih": (width,) if self.bias else None,
            "bias_hh": (width,) if self.bias else None,
            "weight_hr": (self.proj_size, self.hidden_size) if self.proj_size else None,
        }
        bound = 1.0 / math.sqrt(self.hidden_size)
        row: list[str | None] = []
        for kind, shape in shapes.items():
            name = f"{kind}_l{layer}{suffix}"
            row.append(None if shape is None else name)
            if shape is not None:
                setattr(self, name, Parameter(init.uniform(-bound, bound), shape=shape))
        self._rows.append(tuple(row))

    # ------------------------------------------------------------------ in front of and behind the op
    def _weights(self) -> list[tuple[Tensor | None, ...]]:
        return [tuple(None if name is None else getattr(self, name) for name in row) for row in self._rows]

    def _to_time_first(self, input: Tensor) -> Tensor:
        """The input as (T, N, I)."""
        shape = tuple(input.shape)
        if len(shape) not in (2, 3) or shape[-1] != self.input_size:
            batched = "(N, T, {})" if self.batch_first else "(T, N, {})"
            wanted = f"{batched.format(self.input_size)} or (T, {self.input_size})"
            raise ShapeError(f"{type(self).__name__} expected input {wanted}, got {shape}")
        if len(shape) == 2:
            return ops.expand_dims(input, axis=1)
        return ops.permute_dims(input, (1, 0, 2)) if self.batch_first else input

    def _initial(self, state: Tensor | None, name: str, size: int, x: Tensor, unbatched: bool) -> Tensor:
        """A state as (layers * directions, N, size): the one given, or zeros."""
        rows, batch = len(self._rows), tuple(x.shape)[1]
        if state is None:
            return ops.zeros((rows, batch, size), dtype=x.dtype, like=x)
        wanted = (rows, size) if unbatched else (rows, batch, size)
        if tuple(state.shape) != wanted:
            raise ShapeError(f"{type(self).__name__} expected {name} {wanted}, got {tuple(state.shape)}")
        return ops.expand_dims(state, axis=1) if unbatched else state

    def _finish(self, output: Tensor, unbatched: bool) -> Tensor:
        if unbatched:
            return ops.squeeze(output, axis=1)
        return ops.permute_dims(output, (1, 0, 2)) if self.batch_first else output

    def _drop(self) -> float:
        return self.dropout if self.training else 0.0

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        shown = (("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False))
        for name, default in (*shown, ("dropout", 0.0), ("bidirectional", False)):
            if (value := getattr(self, name)) != default:
                text += f", {name}={value}"
        return text


class LSTM(RNNBase):
    """Long short-term memory.

    At each time step, with gates in the order i, f, g, o on the weights' first axis,
    i, f, g, o = split(W_ih x + b_ih + W_hh h + b_hh);  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c).

    Arguments and parameters are described with ``RNNBase``.

    Shapes: input (T, N, I), (N, T, I) with ``batch_first``, or (T, I); ``hx`` None (zeros) or a pair h (layers *
    directions, N, H or proj_size) and c (layers * directions, N, H), without N for an unbatched input. Returns the
    output, shaped as the input with directions * (H or proj_size) features, and the last (h, c).

    Raises:
        ShapeError, DtypeError: input or states do not fit.

    Source: Hochreiter and Schmidhuber, 1997; projections: Sak et al., 2014, https://arxiv.org/abs/1402.1128;
    https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> output, (h, c) = nn.LSTM(3, 5, num_layers=2).to("numpy")(np.ones((7, 2, 3)))
        >>> output.shape, h.shape, c.shape
        ((7, 2, 5), (2, 2, 5), (2, 2, 5))
    """

    gates = 4

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        unbatched = len(input.shape) == 2
        x = self._to_time_first(input)
        h, c = (None, None) if hx is None else two_states("LSTM", hx)
        h = self._initial(h, "h", self.proj_size or self.hidden_size, x, unbatched)
        c = self._initial(c, "c", self.hidden_size, x, unbatched)
        y, h, c = ops.lstm(x, h, c, self._weights(), self.num_layers, self.bidirectional, self._drop())
        if unbatched:
            h, c = ops.squeeze(h, axis=1), ops.squeeze(c, axis=1)
        return self._finish(y, unbatched), (h, c)


class _OneState(RNNBase):
    """What GRU and RNN share: a single state."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def _run(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        unbatched = len(input.shape) == 2
        x = self._to_time_first(input)
        y, h = self._run(x, self._initial(hx, "hx", self.hidden_size, x, unbatched))
        return self._finish(y, unbatched), ops.squeeze(h, axis=1) if unbatched else h


class GRU(_OneState):
    """Gated recurrent units.

    At each time step, with gates in the order r, z, n on the weights' first axis,
    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr);  z = sigmoid(W_iz x + b_iz + W_hz h + b_hz);
    n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h = (1 - z) n + z h.

    Arguments and parameters are described with ``RNNBase``.

    Shapes: input (T, N, I), (N, T, I) with ``batch_first``, or (T, I); ``hx`` None (zeros) or (layers * directions, N,
    H), without N for an unbatched input. Returns the output, shaped as the input with directions * H features, and the
    last h.

    Raises:
        ShapeError, DtypeError: input or state do not fit.

    Source: Cho et al., 2014, https://arxiv.org/abs/1406.1078; https://pytorch.org/docs/stable/generated/torch.nn.GRU.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> y, h = um.nn.GRU(3, 4, batch_first=True).to("numpy")(np.ones((2, 5, 3), "float32"))
        >>> y.shape, h.shape
        ((2, 5, 4), (1, 2, 4))
    """

    gates = 3

    def _run(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return ops.gru(x, h, self._weights(), self.num_layers, self.bidirectional, self._drop())


class RNN(_OneState):
    """The plain recurrent layer, at each time step h = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Arguments and parameters are described with ``RNNBase``; ``nonlinearity`` is "tanh" or "relu". Shapes as ``GRU``.

    Raises:
        ShapeError, DtypeError: input or state do not fit.
        ArgumentError: ``nonlinearity`` is neither.

    Source: Elman, 1990; https://pytorch.org/docs/stable/generated/torch.nn.RNN.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> y, h = um.nn.RNN(3, 4, num_layers=2).to("numpy")(np.ones((5, 2, 3), "float32"))
        >>> y.shape, h.shape
        ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        )
        self.nonlinearity = check_nonlinearity("RNN", nonlinearity)

    def _run(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return ops.rnn(
            x, h, self._weights(), self.num_layers, self.bidirectional, self._drop(), self.nonlinearity
        )


def two_states(kind: str, hx: Any) -> tuple[Tensor, Tensor]:
    """``hx``, if it is the pair (h, c) that an LSTM starts from."""
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise ArgumentError(f"{kind} expected hx to be a pair (h, c), got {type(hx).__name__}")
    return hx[0], hx[1]


def check_nonlinearity(kind: str, nonlinearity: str) -> str:
    """``nonlinearity``, if it is one that a plain recurrent layer can have."""
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"{kind} expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
    return nonlinearity


__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]
