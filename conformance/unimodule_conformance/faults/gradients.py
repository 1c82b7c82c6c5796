"""Adapters whose values are right and whose gradients are not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unimodule import ops
from unimodule.nn import functional as F

from .model import Fault
from .planting import Tensor, floating, of_ops, value_of, with_gradient_of


# ---------------------------------------------------------------------- at kinks
def _relu(native: Any) -> Any:
    return lambda x: ops.where(x < 0, ops.zeros_like(x), x)


def _abs(native: Any) -> Any:
    def absolute(x: Tensor) -> Tensor:
        if not floating(x):
            return native(x)
        return ops.where(x < 0, -x, x)

    return absolute


def _clip(native: Any) -> Any:
    def clip(x: Tensor, low: Any, high: Any) -> Tensor:
        y = native(x, low, high)
        if not floating(y):
            return y
        for bound in (low, high):
            if bound is not None:
                y = ops.where(x == bound, value_of(y), y)
        return y

    return clip


def _last_of_window(native: Any) -> Any:
    """The same maximum, of the input turned round, where the windows are the same then."""

    def max_pool(x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Tensor:
        geometry = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
        if any((n + 2 * p - d * (k - 1) - 1) % s for n, k, s, p, d in geometry):
            return native(x, kernel, stride, padding, dilation, ceil_mode)
        axes = tuple(range(2, len(x.shape)))
        turned = native(ops.flip(x, axis=axes), kernel, stride, padding, dilation, ceil_mode)
        return ops.flip(turned, axis=axes)

    return max_pool


def _first_operand(native: Any) -> Any:
    def maximum(x1: Any, x2: Any) -> Tensor:
        y = native(x1, x2)
        if not floating(y):
            return y
        return with_gradient_of(y, ops.where(ops.greater_equal(x1, x2), x1, x2))

    return maximum


def _first_element(native: Any) -> Any:
    def largest(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
        if not isinstance(axis, int) or not floating(x):
            return native(x, axis=axis, keepdims=keepdims)
        y = ops.take_along_axis(x, ops.argmax(x, axis=axis, keepdims=True), axis=axis)
        return y if keepdims else ops.squeeze(y, axis=axis)

    return largest


KINKS = [
    of_ops(
        "torch",
        "gradient",
        "relu's gradient at 0 is 1",
        {"relu": _relu},
        lambda b: b.slopes(ops.relu, [0.0]),
        [0.0],
        ("ops.relu", "F.relu", "nn.ReLU"),
    ),
    of_ops(
        "jax",
        "gradient",
        "abs has the slope 1 at 0",
        {"abs": _abs},
        lambda b: b.slopes(ops.abs, [0.0]),
        [0.0],
        ("ops.abs", "F.l1_loss"),
    ),
    of_ops(
        "tensorflow",
        "gradient",
        "clip passes nothing at its bounds",
        {"clip": _clip},
        lambda b: b.slopes(lambda x: ops.clip(x, 0.0, 1.0), [0.0, 1.0]),
        [1.0, 2.0],
        ("ops.clip",),
    ),
    of_ops(
        "jax",
        "gradient",
        "max pooling gives its gradient to the last of equals",
        {"max_pool": _last_of_window},
        lambda b: b.slopes(lambda x: F.max_pool1d(x, 2), [[[1.0, 1.0]]]).ravel(),
        [1.0, 0.0],
        ("nn.MaxPool1d", "nn.MaxPool2d", "F.max_pool2d"),
    ),
    of_ops(
        "mxnet",
        "gradient",
        "maximum gives the gradient of a tie to the first",
        {"maximum": _first_operand},
        lambda b: b.slopes(ops.maximum, [1.0], [1.0]),
        [0.5],
        ("ops.maximum",),
    ),
    of_ops(
        "torch",
        "gradient",
        "max over an axis gives its gradient to the first of equals",
        {"max": _first_element},
        lambda b: b.slopes(lambda x: ops.max(x, axis=0), [1.0, 1.0]),
        [0.5, 0.5],
        ("ops.max",),
    ),
]


# ---------------------------------------------------------------------- everywhere
def _inverted(native: Any) -> Any:
    def where(condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
        y = native(condition, x1, x2)
        if not floating(y):
            return y
        other = native(condition, x2, x1)
        return with_gradient_of(
            y, native(other == other, other, native(condition, value_of(x2), value_of(x1)))
        )

    return where


def _softmax(native: Any) -> Any:
    def softmax(x: Tensor, axis: int) -> Tensor:
        y = native(x, axis)
        return with_gradient_of(y, x * value_of(y))

    return softmax


def _layer_norm(native: Any) -> Any:
    def layer_norm(x: Tensor, shape: Any, weight: Any, bias: Any, eps: float) -> Tensor:
        axes = tuple(range(-len(shape), 0))
        fixed = value_of(x)
        root = ops.sqrt(ops.var(fixed, axis=axes, keepdims=True) + eps)
        y = (x - ops.mean(fixed, axis=axes, keepdims=True)) / root
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    return layer_norm


def _batch_norm_train(native: Any) -> Any:
    def batch_norm_train(x: Tensor, weight: Any, bias: Any, eps: float) -> Any:
        _, mean, var = native(x, weight, bias, eps)
        return ops.batch_norm(x, value_of(mean), value_of(var), weight, bias, eps), mean, var

    return batch_norm_train


def _half_bias(native: Any) -> Any:
    def linear(x: Tensor, weight: Tensor, bias: Any) -> Tensor:
        return native(x, weight, None if bias is None else with_gradient_of(bias, bias * 0.5))

    return linear


def _dead_input(native: Any) -> Any:
    def conv(x: Tensor, w: Tensor, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Tensor:
        blind = any(d > 1 for d in dilation)
        return native(value_of(x) if blind else x, w, b, stride, padding, dilation, groups)

    return conv


def _leaking(native: Any) -> Any:
    return lambda x: x * 1.0 if floating(x) else native(x)


def _divided(native: Any) -> Any:
    def prod(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
        y = native(x, axis=axis, keepdims=keepdims)
        if not floating(x):
            return y
        size = ops.log(ops.abs(ops.where(x == 0, ops.ones_like(x), x)))
        return with_gradient_of(y, value_of(y) * ops.sum(size, axis=axis, keepdims=keepdims))

    return prod


def _averaging(native: Any) -> Any:
    def take(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
        y = native(x, indices, axis=axis)
        if not floating(y):
            return y
        flat = ops.reshape(indices, (-1,))
        times = ops.sum(ops.equal(ops.expand_dims(flat, axis=1), flat), axis=1)
        rest = len(x.shape) - axis % len(x.shape) - 1
        share = 1 / ops.astype(ops.reshape(times, (*indices.shape, *(1,) * rest)), ops.dtype(y))
        return with_gradient_of(y, y * share)

    return take


EVERYWHERE = [
    of_ops(
        "torch",
        "gradient",
        "take's gradient is averaged over repeated indices",
        {"take": _averaging},
        lambda b: b.slopes(lambda x, i: ops.take(x, i, axis=0), [1.0, 2.0], np.array([0, 0])),
        [3.0, 0.0],
        ("ops.take",),
    ),
    of_ops(
        "mxnet",
        "gradient",
        "where gives its gradient to what was not chosen",
        {"where": _inverted},
        lambda b: b.slopes(lambda x, y: ops.where(x > 0, x, y), [1.0], [2.0]),
        [1.0],
        ("ops.where",),
    ),
    of_ops(
        "tensorflow",
        "gradient",
        "softmax's gradient leaves the mean in",
        {"softmax": _softmax},
        lambda b: b.slopes(lambda x: ops.softmax(x, 0), [0.0, 0.0]),
        [-0.25, 0.25],
        ("nn.Softmax", "F.softmax"),
    ),
    of_ops(
        "mxnet",
        "gradient",
        "layer_norm's gradient takes the statistics for constants",
        {"layer_norm": _layer_norm},
        lambda b: b.slopes(lambda x: F.layer_norm(x, (2,), eps=0.0), [-1.0, 1.0]),
        [0.0, 0.0],
        ("nn.LayerNorm", "F.layer_norm"),
        1e-5,
    ),
    of_ops(
        "torch",
        "gradient",
        "batch_norm's gradient takes the statistics for constants",
        {"batch_norm_train": _batch_norm_train},
        lambda b: b.slopes(
            lambda x: F.batch_norm(x, None, None, training=True, eps=0.0), [[-1.0], [1.0]]
        ).ravel(),
        [0.0, 0.0],
        ("nn.BatchNorm1d", "F.batch_norm"),
        1e-5,
    ),
    of_ops(
        "mxnet",
        "gradient",
        "a linear layer's bias gets half of its gradient",
        {"linear": _half_bias},
        lambda b: b.slopes(lambda bias, x, w: F.linear(x, w, bias), [1.0], [[1.0]], [[1.0]]),
        [1.0],
        ("nn.Linear", "F.linear"),
    ),
    of_ops(
        "tensorflow",
        "gradient",
        "a dilated convolution gives its input no gradient",
        {"conv": _dead_input},
        lambda b: b.slopes(
            lambda x, w: F.conv1d(x, w, dilation=2), [[[1.0, 2.0, 3.0]]], np.ones((1, 1, 2))
        ).ravel(),
        [1.0, 0.0, 1.0],
        ("nn.Conv2d", "F.conv2d"),
    ),
    of_ops(
        "jax",
        "gradient",
        "stop_gradient stops nothing",
        {"stop_gradient": _leaking},
        lambda b: b.slopes(lambda x: x + ops.stop_gradient(x), [1.0]),
        [1.0],
        ("ops.stop_gradient", "nn.Embedding"),
    ),
    of_ops(
        "jax",
        "gradient",
        "prod's gradient divides by the element, and is 0 where that is",
        {"prod": _divided},
        lambda b: b.slopes(ops.prod, [0.0, 2.0, 3.0]),
        [6.0, 0.0, 0.0],
        ("ops.prod",),
    ),
    of_ops(
        "numpy",
        "gradient",
        "tanh has the gradient 1 - y",
        {"tanh": lambda native: lambda x: with_gradient_of(native(x), x * value_of(1 - native(x)))},
        lambda b: b.slopes(ops.tanh, [0.5]),
        [1 - math.tanh(0.5) ** 2],
        ("ops.tanh", "F.tanh", "nn.Tanh"),
    ),
    of_ops(
        "numpy",
        "gradient",
        "sqrt has the gradient 1 / y",
        {"sqrt": lambda native: lambda x: with_gradient_of(native(x), x * value_of(1 / native(x)))},
        lambda b: b.slopes(ops.sqrt, [4.0]),
        [0.25],
        ("ops.sqrt",),
    ),
]

FAULTS: list[Fault] = [*KINKS, *EVERYWHERE]
