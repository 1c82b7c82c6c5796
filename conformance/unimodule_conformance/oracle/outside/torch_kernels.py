"""Convolution, pooling, recurrent layers and creation of ``ops``, on PyTorch's functions of one rank each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from .torch_ops import cast

Tensor = Any
Ints = tuple[int, ...]


def _by_rank(name: str, rank: int) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(F, f"{name}{rank}d")
    return found


def _conv(
    x: Tensor, weight: Tensor, bias: Any, stride: Ints, padding: Any, dilation: Ints, groups: int
) -> Tensor:
    padded = F.pad(x, [width for pair in reversed(padding) for width in pair])
    return _by_rank("conv", x.ndim - 2)(padded, weight, bias, stride, 0, dilation, groups)


def _conv_transpose(
    x: Tensor, weight: Tensor, bias: Any, stride: Ints, padding: Ints, more: Ints, dilation: Ints, groups: int
) -> Tensor:
    padding, more = (tuple(map(int, sizes)) for sizes in (padding, more))
    return _by_rank("conv_transpose", x.ndim - 2)(x, weight, bias, stride, padding, more, groups, dilation)


def _max_pool(
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
    indices: bool = False,
) -> Any:
    return _by_rank("max_pool", x.ndim - 2)(x, kernel, stride, padding, dilation, ceil_mode, indices)


def _avg_pool(
    x: Tensor, kernel: Ints, stride: Ints, padding: Ints, ceil_mode: bool, counted: bool, divisor: int | None
) -> Tensor:
    if x.ndim == 3:  # the 1-dimensional one takes no divisor: a second axis of size 1
        given = (x[:, :, None], (1, *kernel), (1, *stride), (0, *padding), ceil_mode, counted, divisor)
        return F.avg_pool2d(*given)[:, :, 0]
    return _by_rank("avg_pool", x.ndim - 2)(x, kernel, stride, padding, ceil_mode, counted, divisor)


def _adaptive(x: Tensor, size: Ints) -> Tensor:
    return _by_rank("adaptive_avg_pool", x.ndim - 2)(x, size)


# ---------------------------------------------------------------------- recurrent
def _flat(weights: Any) -> tuple[list[Tensor], bool]:
    """All weights one after another, as PyTorch takes them; zeros for a bias that is missing beside another."""
    biased = any(len(each) > 2 and (each[2] is not None or each[3] is not None) for each in weights)
    out: list[Tensor] = []
    for w_ih, w_hh, b_ih, b_hh, *rest in weights:
        zero = torch.zeros_like(w_ih[:, 0])
        out += [w_ih, w_hh]
        out += [zero if b_ih is None else b_ih, zero if b_hh is None else b_hh] if biased else []
        out += [weight for weight in rest if weight is not None]
    return out, biased


def _lstm(
    x: Tensor, h: Tensor, c: Tensor, weights: Any, num_layers: int = 1, bidirectional: bool = False
) -> Any:
    flat, biased = _flat(weights)
    return torch.lstm(x, (h, c), flat, biased, num_layers, 0.0, False, bidirectional, False)


def _gru(x: Tensor, h: Tensor, weights: Any, num_layers: int = 1, bidirectional: bool = False) -> Any:
    flat, biased = _flat(weights)
    return torch.gru(x, h, flat, biased, num_layers, 0.0, False, bidirectional, False)


def _rnn(
    x: Tensor,
    h: Tensor,
    weights: Any,
    num_layers: int = 1,
    bidirectional: bool = False,
    nonlinearity: str = "tanh",
) -> Any:
    flat, biased = _flat(weights)
    run = torch.rnn_tanh if nonlinearity == "tanh" else torch.rnn_relu
    return run(x, h, flat, biased, num_layers, 0.0, False, bidirectional, False)


def _turned(x: Tensor, reverse: bool) -> Tensor:
    return x.flip(0) if reverse else x


def _lstm_layer(x: Tensor, h: Tensor, c: Tensor, *weights: Any, reverse: bool = False, **named: Any) -> Any:
    given, reverse = _reversing(weights, 5, reverse)
    filled = _filled(given, named, ("b_ih", "b_hh", "w_hr"))
    y, hn, cn = _lstm(_turned(x, reverse), h[None], c[None], [filled])
    return _turned(y, reverse), hn[0], cn[0]


def _gru_layer(x: Tensor, h: Tensor, *weights: Any, reverse: bool = False, **named: Any) -> Any:
    given, reverse = _reversing(weights, 4, reverse)
    y, hn = _gru(_turned(x, reverse), h[None], [_filled(given, named, ("b_ih", "b_hh"))])
    return _turned(y, reverse), hn[0]


def _rnn_layer(
    x: Tensor, h: Tensor, *weights: Any, nonlinearity: str = "tanh", reverse: bool = False, **named: Any
) -> Any:
    filled = _filled(list(weights), named, ("b_ih", "b_hh"))
    y, hn = _rnn(_turned(x, reverse), h[None], [filled], nonlinearity=nonlinearity)
    return _turned(y, reverse), hn[0]


def _reversing(weights: tuple[Any, ...], count: int, reverse: bool) -> tuple[list[Any], bool]:
    """The weights, and whether to walk backwards, which may stand behind them."""
    return list(weights[:count]), weights[count] if len(weights) > count else reverse


def _filled(weights: list[Any], named: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    """Two weights and what follows them, by place or by name."""
    return [*weights, *(named.get(name) for name in names[len(weights) - 2 :])]


def _rnn_cell(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any, nonlinearity: str = "tanh"
) -> Any:
    run = torch.rnn_tanh_cell if nonlinearity == "tanh" else torch.rnn_relu_cell
    return run(x, h, w_ih, w_hh, *_biases(w_ih, b_ih, b_hh))


def _biases(w_ih: Tensor, b_ih: Any, b_hh: Any) -> tuple[Any, Any]:
    zero = torch.zeros_like(w_ih[:, 0])
    return zero if b_ih is None else b_ih, zero if b_hh is None else b_hh


# ---------------------------------------------------------------------- creation
def _created(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *args, dtype="float32", **options: cast(make(*args, **options), dtype)


def _linspace(start: float, stop: float, num: int, *, endpoint: bool = True) -> Tensor:
    count = num if endpoint else num + 1
    return torch.linspace(start, stop, count, dtype=torch.float64)[:num]


def _eye(rows: int, columns: int | None = None, *, k: int = 0) -> Tensor:
    places = torch.arange(rows if columns is None else columns)[None] - torch.arange(rows)[:, None]
    return (places == k).double()


KERNELS: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "max_pool": _max_pool,
    "max_pool_with_indices": functools.partial(_max_pool, indices=True),
    "avg_pool": _avg_pool,
    "adaptive_avg_pool": _adaptive,
    "lstm": _lstm,
    "gru": _gru,
    "rnn": _rnn,
    "lstm_layer": _lstm_layer,
    "gru_layer": _gru_layer,
    "rnn_layer": _rnn_layer,
    "lstm_cell": lambda x, h, c, w_ih, w_hh, b_ih, b_hh: torch.lstm_cell(
        x, (h, c), w_ih, w_hh, *_biases(w_ih, b_ih, b_hh)
    ),
    "gru_cell": lambda x, h, w_ih, w_hh, b_ih, b_hh: torch.gru_cell(
        x, h, w_ih, w_hh, *_biases(w_ih, b_ih, b_hh)
    ),
    "rnn_cell": _rnn_cell,
    "zeros": _created(torch.zeros),
    "ones": _created(torch.ones),
    "linspace": _created(_linspace),
    "eye": _created(_eye),
    "full": lambda shape, value, *, dtype=None: cast(torch.full(shape, value), dtype),
    "full_like": lambda x, value, *, dtype=None: cast(torch.full_like(cast(x, dtype), value), dtype),
    "empty_like": lambda x, *, dtype=None: cast(torch.zeros_like(x), dtype),
    "empty": _created(torch.zeros),
    "topk": lambda x, k, *, axis=-1, largest=True: tuple(
        part.narrow(axis, 0, k) for part in torch.sort(x, dim=axis, descending=largest, stable=True)
    ),
}
"""Name in ``ops`` -> the same of PyTorch."""

__all__ = ["KERNELS"]
