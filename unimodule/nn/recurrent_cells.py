"""Single steps of the recurrent layers, for loops of one's own."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError
from . import init
from ._layer import place
from .module import Module
from .parameter import Parameter
from .recurrent import check_nonlinearity, two_states


class RNNCellBase(Module):
    """What the cells share: the parameters weight_ih (gates * H, I), weight_hh (gates * H, H), bias_ih and bias_hh
    (gates * H,), all from U(-b, b) with b = 1 / sqrt(H).
    """

    gates: int = 1
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if input_size < 0 or hidden_size < 1:
            raise ArgumentError(
                f"{type(self).__name__} expected positive sizes, got input_size {input_size}, hidden_size {hidden_size}"
            )
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        width, bound = self.gates * hidden_size, 1.0 / math.sqrt(hidden_size)

        def parameter(*shape: int) -> Parameter:
            return Parameter(init.uniform(-bound, bound), shape=shape)

        self.weight_ih = parameter(width, input_size)
        self.weight_hh = parameter(width, hidden_size)
        self.bias_ih = parameter(width) if bias else None
        self.bias_hh = parameter(width) if bias else None
        place(self, device, dtype)

    def _check(self, input: Tensor, *states: Tensor | None) -> None:
        """Raise ``ShapeError`` unless input and states are (N, features), or all (features,)."""
        kind, shape = type(self).__name__, tuple(input.shape)
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            raise ShapeError(
                f"{kind} expected input (N, {self.input_size}) or ({self.input_size},), got {shape}"
            )
        wanted = (*shape[:-1], self.hidden_size)
        for state in states:
            if state is not None and tuple(state.shape) != wanted:
                raise ShapeError(f"{kind} expected a state {wanted}, got {tuple(state.shape)}")

    def _zeros(self, input: Tensor) -> Tensor:
        return ops.zeros((*tuple(input.shape)[:-1], self.hidden_size), dtype=input.dtype, like=input)

    def _parameters(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class LSTMCell(RNNCellBase):
    """One step of ``LSTM``: input (N, I) or (I,), ``hx`` None (zeros) or (h, c) of (N, H) or (H,) -> the next (h, c).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> h, c = um.nn.LSTMCell(3, 4).to("numpy")(np.ones((2, 3), "float32"))
        >>> h.shape, c.shape
        ((2, 4), (2, 4))
    """

    gates = 4

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        h, c = (self._zeros(input), self._zeros(input)) if hx is None else two_states("LSTMCell", hx)
        self._check(input, h, c)
        return ops.lstm_cell(input, h, c, *self._parameters())


class GRUCell(RNNCellBase):
    """One step of ``GRU``: input (N, I) or (I,), ``hx`` None (zeros) or h (N, H) or (H,) -> the next h.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.GRUCell.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.GRUCell(3, 4).to("numpy")(np.ones((2, 3), "float32")).shape
        (2, 4)
    """

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        self._check(input, hx)
        return ops.gru_cell(input, self._zeros(input) if hx is None else hx, *self._parameters())


class RNNCell(RNNCellBase):
    """One step of ``RNN``: input (N, I) or (I,), ``hx`` None (zeros) or h (N, H) or (H,) -> the next h.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.RNNCell.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.RNNCell(3, 4).to("numpy")(np.ones((2, 3), "float32")).shape
        (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = check_nonlinearity("RNNCell", nonlinearity)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        self._check(input, hx)
        return ops.rnn_cell(
            input, self._zeros(input) if hx is None else hx, *self._parameters(), self.nonlinearity
        )

    def extra_repr(self) -> str:
        return super().extra_repr() + (
            "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        )


__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]
