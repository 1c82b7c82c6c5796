"""Adapters that compute the wrong thing: activations, convolutions, pooling, norms, losses, attention, recurrence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unimodule import ops
from unimodule.nn import functional as F

from .model import Fault
from .planting import Tensor, of_ops

ROW = [[0.0, 1.0, 3.0]]
SQUARE = np.arange(16.0).reshape(1, 1, 4, 4)
ONE = np.ones((1, 1, 1, 1))


def _softmax(x: Any, axis: int) -> Any:
    powers = np.exp(np.asarray(x) - np.max(x, axis=axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


# ---------------------------------------------------------------------- activations
ACTIVATIONS = [
    of_ops(
        "torch",
        "forward",
        "gelu is the tanh approximation",
        {"gelu": lambda native: lambda x, approximate: native(x, "tanh")},
        lambda b: b.run(ops.gelu, [1.0]),
        [0.5 * (1 + math.erf(math.sqrt(0.5)))],
        ("nn.GELU", "ops.gelu", "F.gelu"),
    ),
    of_ops(
        "torch",
        "forward",
        "softplus ignores beta",
        {"softplus": lambda native: lambda x, beta, threshold: native(x, 1.0, threshold)},
        lambda b: b.run(lambda x: F.softplus(x, beta=2.0), [0.0]),
        [math.log(2) / 2],
        ("nn.Softplus", "F.softplus"),
    ),
    of_ops(
        "tensorflow",
        "forward",
        "leaky_relu's slope is always 0.01",
        {"leaky_relu": lambda native: lambda x, slope: native(x, 0.01)},
        lambda b: b.run(lambda x: F.leaky_relu(x, 0.5), [-1.0]),
        [-0.5],
        ("nn.LeakyReLU", "F.leaky_relu"),
    ),
    of_ops(
        "jax",
        "forward",
        "softmax goes over the last axis",
        {"softmax": lambda native: lambda x, axis: native(x, -1)},
        lambda b: b.run(lambda x: ops.softmax(x, 0), [[0.0, 1.0], [2.0, 0.0]]),
        _softmax([[0.0, 1.0], [2.0, 0.0]], 0),
        ("nn.Softmax", "F.softmax"),
    ),
    of_ops(
        "mxnet",
        "forward",
        "log_softmax goes over the last axis",
        {"log_softmax": lambda native: lambda x, axis: native(x, -1)},
        lambda b: b.run(lambda x: ops.log_softmax(x, 0), [[0.0, 1.0], [2.0, 0.0]]),
        np.log(_softmax([[0.0, 1.0], [2.0, 0.0]], 0)),
        ("nn.LogSoftmax", "F.log_softmax"),
    ),
    of_ops(
        "jax",
        "forward",
        "elu ignores alpha",
        {"elu": lambda native: lambda x, alpha: native(x, 1.0)},
        lambda b: b.run(lambda x: F.elu(x, 2.0), [-1.0]),
        [2 * math.expm1(-1)],
        ("nn.ELU", "F.elu"),
    ),
    of_ops(
        "mxnet",
        "forward",
        "relu makes 0 of NaN",
        {"relu": lambda native: lambda x: ops.where(x > 0, x, ops.zeros_like(x))},
        lambda b: b.run(ops.relu, [math.nan]),
        [math.nan],
        ("ops.relu", "F.relu", "nn.ReLU"),
    ),
    of_ops(
        "torch",
        "forward",
        "dropout does not scale what it keeps",
        {"dropout": lambda native: lambda x, p: native(x, p) * (1 - p)},
        lambda b: b.run(lambda x: ops.dropout(x, 0.5), np.ones(100)).max(),
        2.0,
        ("nn.Dropout", "F.dropout"),
    ),
]


# ---------------------------------------------------------------------- convolution
def _strides(native: Any) -> Any:
    return lambda x, w, b, stride, padding, dilation, groups: native(
        x, w, b, stride[::-1], padding, dilation, groups
    )


def _paddings(native: Any) -> Any:
    return lambda x, w, b, stride, padding, dilation, groups: native(
        x, w, b, stride, padding[::-1], dilation, groups
    )


def _dilations(native: Any) -> Any:
    return lambda x, w, b, stride, padding, dilation, groups: native(
        x, w, b, stride, padding, dilation[::-1], groups
    )


def _groups(native: Any) -> Any:
    def conv(x: Tensor, w: Tensor, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Tensor:
        parts = ops.split(x, [x.shape[1] // groups] * groups, axis=1)
        return native(ops.concat(parts[::-1], axis=1), w, b, stride, padding, dilation, groups)

    return conv


def _mirrored(native: Any) -> Any:
    def conv_transpose(x: Tensor, w: Tensor, *rest: Any) -> Tensor:
        return native(x, ops.flip(w, axis=tuple(range(2, len(w.shape)))), *rest)

    return conv_transpose


CONVOLUTIONS = [
    of_ops(
        "torch",
        "forward",
        "convolution takes its strides for the other axes",
        {"conv": _strides},
        lambda b: b.run(lambda x, w: F.conv2d(x, w, stride=(1, 2)), SQUARE, ONE).shape,
        (1, 1, 4, 2),
        ("nn.Conv2d", "F.conv2d", "nn.Conv3d", "F.conv3d"),
    ),
    of_ops(
        "tensorflow",
        "forward",
        "convolution takes its padding for the other axes",
        {"conv": _paddings},
        lambda b: b.run(lambda x, w: F.conv2d(x, w, padding=(0, 1)), SQUARE, ONE).shape,
        (1, 1, 4, 6),
        ("nn.Conv2d", "F.conv2d", "nn.Conv3d", "F.conv3d"),
    ),
    of_ops(
        "jax",
        "forward",
        "convolution takes its dilation for the other axes",
        {"conv": _dilations},
        lambda b: b.run(lambda x, w: F.conv2d(x, w, dilation=(1, 2)), SQUARE, np.ones((1, 1, 2, 2))).shape,
        (1, 1, 3, 2),
        ("nn.Conv2d", "F.conv2d", "nn.Conv3d", "F.conv3d"),
    ),
    of_ops(
        "mxnet",
        "forward",
        "a grouped convolution takes the groups in the wrong order",
        {"conv": _groups},
        lambda b: b.run(lambda x, w: F.conv1d(x, w, groups=2), [[[1.0], [2.0]]], np.ones((2, 1, 1))).ravel(),
        [1.0, 2.0],
        ("nn.Conv1d", "F.conv1d", "nn.Conv2d", "F.conv2d"),
    ),
    of_ops(
        "tensorflow",
        "forward",
        "a transposed convolution mirrors its kernel",
        {"conv_transpose": _mirrored},
        lambda b: b.run(F.conv_transpose1d, [[[1.0]]], [[[1.0, 2.0]]]).ravel(),
        [1.0, 2.0],
        ("nn.ConvTranspose1d", "F.conv_transpose1d", "nn.ConvTranspose2d"),
    ),
]


# ---------------------------------------------------------------------- pooling
def _padded_with_zeros(native: Any) -> Any:
    def max_pool(x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Tensor:
        if any(padding):
            x = ops.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
        return native(x, kernel, stride, (0,) * len(kernel), dilation, ceil_mode)

    return max_pool


def _without_remainder(native: Any) -> Any:
    def adaptive_avg_pool(x: Tensor, output_size: Any) -> Tensor:
        sizes = zip(x.shape[2:], output_size, strict=True)
        kept = tuple(slice(0, n - n % m if n >= m else n) for n, m in sizes)
        return native(x[(slice(None), slice(None), *kept)], output_size)

    return adaptive_avg_pool


POOLING = [
    of_ops(
        "torch",
        "forward",
        "max pooling ignores ceil_mode",
        {"max_pool": lambda native: lambda x, k, s, p, d, ceil_mode: native(x, k, s, p, d, False)},
        lambda b: b.run(lambda x: F.max_pool1d(x, 2, ceil_mode=True), np.ones((1, 1, 5))).shape,
        (1, 1, 3),
        ("nn.MaxPool1d", "nn.MaxPool2d", "F.max_pool2d"),
    ),
    of_ops(
        "torch",
        "forward",
        "average pooling always counts the padding",
        {"avg_pool": lambda native: lambda x, k, s, p, c, count, d: native(x, k, s, p, c, True, d)},
        lambda b: b.run(
            lambda x: F.avg_pool1d(x, 2, padding=1, count_include_pad=False), np.ones((1, 1, 2))
        ).ravel(),
        [1.0, 1.0],
        ("nn.AvgPool1d", "nn.AvgPool2d", "F.avg_pool2d"),
    ),
    of_ops(
        "tensorflow",
        "forward",
        "average pooling never counts the padding",
        {"avg_pool": lambda native: lambda x, k, s, p, c, count, d: native(x, k, s, p, c, False, d)},
        lambda b: b.run(lambda x: F.avg_pool1d(x, 2, padding=1), np.ones((1, 1, 2))).ravel(),
        [0.5, 0.5],
        ("nn.AvgPool1d", "nn.AvgPool2d", "F.avg_pool2d"),
    ),
    of_ops(
        "mxnet",
        "forward",
        "average pooling ignores divisor_override",
        {"avg_pool": lambda native: lambda x, k, s, p, c, count, d: native(x, k, s, p, c, count, None)},
        lambda b: b.run(lambda x: F.avg_pool2d(x, 2, divisor_override=3), np.ones((1, 1, 2, 2))).ravel(),
        [4 / 3],
        ("nn.AvgPool2d", "F.avg_pool2d", "nn.AvgPool3d", "F.avg_pool3d"),
    ),
    of_ops(
        "jax",
        "forward",
        "max pooling pads with 0",
        {"max_pool": _padded_with_zeros},
        lambda b: b.run(lambda x: F.max_pool1d(x, 2, padding=1), -np.ones((1, 1, 2))).ravel(),
        [-1.0, -1.0],
        ("nn.MaxPool1d", "nn.MaxPool2d", "F.max_pool2d"),
    ),
    of_ops(
        "tensorflow",
        "forward",
        "adaptive pooling leaves out what does not divide evenly",
        {"adaptive_avg_pool": _without_remainder},
        lambda b: b.run(lambda x: F.adaptive_avg_pool1d(x, 2), np.arange(5.0).reshape(1, 1, 5)).ravel(),
        [1.0, 3.0],
        ("nn.AdaptiveAvgPool1d", "nn.AdaptiveAvgPool2d"),
    ),
]

FAULTS: list[Fault] = [*ACTIVATIONS, *CONVOLUTIONS, *POOLING]
