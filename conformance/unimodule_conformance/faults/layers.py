"""Adapters that compute the wrong thing, continued: norms, losses, attention and recurrence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unimodule import nn, ops
from unimodule.nn import functional as F

from .model import Fault
from .planting import Bench, Tensor, of_ops


# ---------------------------------------------------------------------- normalisation
def _per_channel(v: Tensor, x: Tensor) -> Tensor:
    return ops.reshape(v, (-1, *(1,) * (len(x.shape) - 2)))


def _batch_norm(native: Any) -> Any:
    def batch_norm(x: Tensor, mean: Tensor, var: Tensor, weight: Any, bias: Any, eps: float) -> Tensor:
        y = (x - _per_channel(mean, x)) / (ops.sqrt(_per_channel(var, x)) + eps)
        y = y if weight is None else y * _per_channel(weight, x)
        return y if bias is None else y + _per_channel(bias, x)

    return batch_norm


def _layer_norm(native: Any) -> Any:
    def layer_norm(x: Tensor, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> Tensor:
        axes = tuple(range(-len(normalized_shape), 0))
        off = x - ops.mean(x, axis=axes, keepdims=True)
        y = off / (ops.sqrt(ops.mean(off * off, axis=axes, keepdims=True)) + eps)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    return layer_norm


NORMS = [
    of_ops(
        "tensorflow",
        "forward",
        "batch_norm adds eps to the root",
        {"batch_norm": _batch_norm},
        lambda b: b.run(lambda x, m, v: F.batch_norm(x, m, v, eps=3.0), [[1.0], [1.0]], [0.0], [1.0]).ravel(),
        [0.5, 0.5],
        ("nn.BatchNorm1d", "F.batch_norm", "nn.BatchNorm2d"),
    ),
    of_ops(
        "mxnet",
        "forward",
        "layer_norm adds eps to the root",
        {"layer_norm": _layer_norm},
        lambda b: b.run(lambda x: F.layer_norm(x, (2,), eps=3.0), [-1.0, 1.0]),
        [-0.5, 0.5],
        ("nn.LayerNorm", "F.layer_norm"),
    ),
    of_ops(
        "jax",
        "forward",
        "group_norm takes each channel for a group",
        {"group_norm": lambda native: lambda x, groups, w, b, eps: native(x, x.shape[1], w, b, eps)},
        lambda b: b.run(lambda x: F.group_norm(x, 1, eps=0.0), [[[1.0], [3.0]]]).ravel(),
        [-1.0, 1.0],
        ("nn.GroupNorm", "F.group_norm"),
    ),
]


# ---------------------------------------------------------------------- losses
def _counting_ignored(native: Any) -> Any:
    def cross_entropy(
        input: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str, smoothing: float
    ) -> Tensor:
        if reduction != "mean" or weight is not None:
            return native(input, target, weight, ignore_index, reduction, smoothing)
        total = native(input, target, weight, ignore_index, "sum", smoothing)
        return total / max(int(np.prod(tuple(target.shape))), 1)

    return cross_entropy


def _half_smoothing(native: Any) -> Any:
    return lambda input, target, weight, ignore, reduction, smoothing: native(
        input, target, weight, ignore, reduction, smoothing / 2
    )


LOSSES = [
    of_ops(
        "torch",
        "forward",
        "cross_entropy's mean counts ignored targets",
        {"cross_entropy": _counting_ignored},
        lambda b: b.run(F.cross_entropy, np.zeros((2, 2)), np.array([0, -100])),
        math.log(2),
        ("nn.CrossEntropyLoss", "F.cross_entropy"),
    ),
    of_ops(
        "jax",
        "forward",
        "cross_entropy halves label smoothing",
        {"cross_entropy": _half_smoothing},
        lambda b: b.run(
            lambda x, t: F.cross_entropy(x, t, label_smoothing=1.0), [[math.log(3.0), 0.0]], np.array([0])
        ),
        math.log(4.0) - math.log(3.0) / 2,
        ("nn.CrossEntropyLoss", "F.cross_entropy"),
    ),
    of_ops(
        "tensorflow",
        "forward",
        "nll_loss ignores class weights in the mean",
        {
            "nll_loss": lambda native: (
                lambda x, t, weight, ignore, reduction: (
                    native(x, t, weight, ignore, reduction)
                    if reduction != "mean" or weight is None
                    else native(x, t, weight, ignore, "sum") / max(int(np.prod(tuple(t.shape))), 1)
                )
            )
        },
        lambda b: b.run(
            lambda x, t, w: F.nll_loss(x, t, weight=w), [[-1.0, -2.0]], np.array([1]), [1.0, 3.0]
        ),
        2.0,
        ("nn.NLLLoss", "F.nll_loss", "nn.CrossEntropyLoss", "F.cross_entropy"),
    ),
]


# ---------------------------------------------------------------------- attention
def _maskless(native: Any) -> Any:
    return lambda q, k, v, mask, p, causal, scale: native(q, k, v, None, p, causal, scale)


def _lower_right(native: Any) -> Any:
    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Any, p: float, causal: bool, scale: float) -> Tensor:
        rows, columns = q.shape[-2], k.shape[-2]
        if not causal or mask is not None or rows > columns:
            return native(q, k, v, mask, p, causal, scale)
        seen = ops.asarray(np.tri(rows, columns, columns - rows, dtype=bool), like=q, dtype="bool")
        return native(q, k, v, seen, p, False, scale)

    return attend


def _attention(b: Bench, **options: Any) -> Any:
    q, k, v = np.zeros((1, 1, 1)), np.zeros((1, 2, 1)), np.array([[[1.0], [3.0]]])
    return b.run(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options), q, k, v).ravel()


ATTENTION_FOCUS = ("F.scaled_dot_product_attention", "nn.MultiheadAttention")
ATTENTION = [
    of_ops(
        "jax",
        "forward",
        "attention ignores the mask",
        {"scaled_dot_product_attention": _maskless},
        lambda b: b.run(
            lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m),
            np.zeros((1, 1, 1)),
            np.zeros((1, 2, 1)),
            [[[1.0], [3.0]]],
            np.array([[[True, False]]]),
        ).ravel(),
        [1.0],
        ATTENTION_FOCUS,
    ),
    of_ops(
        "mxnet",
        "forward",
        "the causal mask is aligned to the lower right corner",
        {"scaled_dot_product_attention": _lower_right},
        lambda b: _attention(b, is_causal=True),
        [1.0],
        ATTENTION_FOCUS,
    ),
    of_ops(
        "tensorflow",
        "forward",
        "attention does not scale its scores",
        {
            "scaled_dot_product_attention": lambda native: (
                lambda q, k, v, m, p, causal, scale: native(q, k, v, m, p, causal, 1.0)
            )
        },
        lambda b: b.run(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.0),
            np.ones((1, 1, 1)),
            [[[0.0], [1.0]]],
            [[[1.0], [3.0]]],
        ).ravel(),
        [2.0],
        ATTENTION_FOCUS,
    ),
]


# ---------------------------------------------------------------------- recurrence
def _reordered(tensor: Any, order: tuple[int, ...]) -> Any:
    if tensor is None:
        return None
    size = tensor.shape[0] // len(order)
    return ops.concat([tensor[i * size : (i + 1) * size] for i in order], axis=0)


def _gates(row: Any, order: tuple[int, ...]) -> tuple[Any, ...]:
    return (*(_reordered(t, order) for t in row[:4]), *row[4:])


def _lstm_gates(native: Any) -> Any:
    return lambda x, h, c, weights, *rest: native(x, h, c, [_gates(w, (1, 0, 2, 3)) for w in weights], *rest)


def _lstm_layer_gates(native: Any) -> Any:
    return lambda x, h, c, wi, wh, bi, bh, *rest: native(
        x, h, c, *_gates((wi, wh, bi, bh), (1, 0, 2, 3)), *rest
    )


def _opposite(tensor: Any) -> Any:
    if tensor is None:
        return None
    n = tensor.shape[0] // 3
    return ops.concat([tensor[:n], -tensor[n : 2 * n], tensor[2 * n :]], axis=0)


def _gru_gate(native: Any) -> Any:
    return lambda x, h, weights, *rest: native(
        x, h, [(*map(_opposite, w[:4]), *w[4:]) for w in weights], *rest
    )


def _gru_layer_gate(native: Any) -> Any:
    return lambda x, h, wi, wh, bi, bh, *rest: native(x, h, *map(_opposite, (wi, wh, bi, bh)), *rest)


def _unturned(native: Any) -> Any:
    def lstm(
        x: Tensor, h: Tensor, c: Tensor, weights: Any, layers: int, bidirectional: bool, p: float
    ) -> Any:
        y, *state = native(x, h, c, weights, layers, bidirectional, p)
        if bidirectional:
            half = y.shape[-1] // 2
            y = ops.concat([y[..., :half], ops.flip(y[..., half:], axis=0)], axis=-1)
        return (y, *state)

    return lstm


def _tanh_only(native: Any) -> Any:
    return lambda x, h, weights, layers, both, p, nonlinearity: native(x, h, weights, layers, both, p, "tanh")


def _recurrent(b: Bench, layer: nn.Module, shape: tuple[int, ...], names: str) -> Any:
    """The last output of a layer whose weights count up, or the second one; the right ones are torch.nn's."""
    net = b.net(layer)
    for _, parameter in net.named_parameters():
        like = parameter.numpy()
        parameter.data = np.linspace(-1.0, 1.5, like.size).reshape(like.shape).astype("float32")
    found = b.numpy(net(b.tensor(np.linspace(0.5, 1.0, int(np.prod(shape))).reshape(shape)))[0])
    return found.ravel()[-1 if names == "last" else 1]


RECURRENCE = [
    of_ops(
        "tensorflow",
        "forward",
        "the LSTM's input and forget gates are exchanged",
        {"lstm": _lstm_gates, "lstm_layer": _lstm_layer_gates},
        lambda b: _recurrent(b, nn.LSTM(1, 1), (2, 1), "last"),
        0.06862651,
        ("nn.LSTM", "nn.LSTMCell"),
        1e-5,
    ),
    of_ops(
        "jax",
        "forward",
        "the GRU's update gate keeps what it should let go",
        {"gru": _gru_gate, "gru_layer": _gru_layer_gate},
        lambda b: _recurrent(b, nn.GRU(1, 1), (2, 1), "last"),
        0.54008114,
        ("nn.GRU", "nn.GRUCell"),
        1e-5,
    ),
    of_ops(
        "mxnet",
        "forward",
        "a bidirectional LSTM leaves its backward half the wrong way round",
        {"lstm": _unturned},
        lambda b: _recurrent(b, nn.LSTM(1, 1, bidirectional=True), (2, 1), "first"),
        0.08404583,
        ("nn.LSTM",),
        1e-5,
    ),
    of_ops(
        "torch",
        "forward",
        "a recurrent net takes relu for tanh",
        {"rnn": _tanh_only},
        lambda b: _recurrent(b, nn.RNN(1, 1, nonlinearity="relu"), (2, 1), "last"),
        0.0,
        ("nn.RNN",),
        1e-5,
    ),
]

FAULTS: list[Fault] = [*NORMS, *LOSSES, *ATTENTION, *RECURRENCE]
