"""MXNet 1.9.1: gradients that differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .model import Kind
from .native import NAN, mx_array, mx_gradients, mxnet, refuses
from .rows import Rows

ROWS = Rows("mxnet", "==1.9.1")


@ROWS.row(
    "where-gradient",
    "ops.where",
    Kind.BUG,
    "where(c, x, scalar) gives its gradient to the elements that were not chosen: the mask is inverted",
    "the elements of x where c holds",
    link="https://github.com/apache/mxnet/issues/17893",
)
def _where() -> bool:
    np_ = mxnet().np
    (gradient,) = mx_gradients(lambda x: np_.where(np_.array([True, False]), x, 0.0), [1.0, 2.0])
    return bool(gradient.tolist() == [0.0, 2.0])


@ROWS.row(
    "max-pool-gradient-in-predict-mode",
    "nn.MaxPool2d",
    Kind.BUG,
    "max pooling recorded with train_mode=False has no workspace, and its gradient goes to the wrong elements",
    "the gradient goes to the largest element of each window",
)
def _max_pool_predict() -> bool:
    npx, x = mxnet().npx, np.arange(16.0).reshape(1, 1, 4, 4)

    def pool(x: object) -> object:
        return npx.pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")

    (gradient,) = mx_gradients(pool, x, train=False)
    return bool(gradient[0, 0, 1::2, 1::2].ravel().tolist() != [1.0, 2.0, 3.0, 4.0])


@ROWS.row(
    "prod-gradient-at-zero",
    "ops.prod",
    Kind.BUG,
    "the gradient of a product is the product divided by the element: NaN where that is 0",
    "the product of the others",
)
def _prod() -> bool:
    (gradient,) = mx_gradients(lambda x: x.prod(), [0.0, 2.0, 3.0])
    return math.isnan(gradient[0])


@ROWS.row(
    "var-gradient",
    "ops.var",
    Kind.BUG,
    "var and std have a gradient of zeros",
    "2 (x - mean) / n for var",
)
def _var() -> bool:
    np_ = mxnet().np
    found = [mx_gradients(fn, [1.0, 2.0, 4.0])[0] for fn in (np_.var, np_.std)]
    return not any(gradient.any() for gradient in found)


@ROWS.row(
    "max-gradient-at-ties",
    "ops.max",
    Kind.CHOICE,
    "each of the largest elements gets the whole gradient",
    "they share it",
    link="https://github.com/apache/mxnet/issues/18563",
)
def _max_ties() -> bool:
    (gradient,) = mx_gradients(lambda x: x.max(), [1.0, 2.0, 2.0])
    return bool(gradient.tolist() == [0.0, 1.0, 1.0])


@ROWS.row(
    "max-gradient-of-nan",
    "ops.max",
    Kind.BUG,
    "where the maximum is NaN no element gets a gradient",
    "the NaN gets it",
)
def _max_nan() -> bool:
    (gradient,) = mx_gradients(lambda x: x.max(), [1.0, NAN, 2.0])
    return not gradient.any()


@ROWS.row(
    "maximum-gradient-at-ties",
    "ops.maximum",
    Kind.CHOICE,
    "the first of two equal operands gets the whole gradient",
    "they share it",
)
def _maximum_ties() -> bool:
    np_ = mxnet().np
    first, second = mx_gradients(np_.maximum, [1.0], [1.0])
    return (first.item(), second.item()) == (1.0, 0.0)


@ROWS.row(
    "power-gradient-at-zero",
    "ops.pow",
    Kind.BUG,
    "x ** y has the gradient NaN for x where both are 0, and -inf or NaN for y where x is 0",
    "0 in both places",
)
def _power() -> bool:
    np_ = mxnet().np
    base, exponent = mx_gradients(np_.power, [0.0, 0.0], [0.0, 2.0])
    return math.isnan(base[0]) and not np.isfinite(exponent).any()


@ROWS.row(
    "power-gradient-of-scalar-zero",
    "ops.pow",
    Kind.BUG,
    "x ** 0 has the gradient NaN where x is 0",
    "0",
)
def _power_scalar() -> bool:
    (gradient,) = mx_gradients(lambda x: x**0, [0.0, 1.0])
    return math.isnan(gradient[0])


@ROWS.row(
    "erf-gradient-precision",
    "ops.erf",
    Kind.PRECISION,
    "float64's gradient is computed with 2 / sqrt(pi) in float32: off by 3e-8",
    "2 / sqrt(pi) exp(-x^2) in float64",
)
def _erf() -> bool:
    npx = mxnet().npx
    (gradient,) = mx_gradients(npx.erf, [0.5], dtype="float64")
    return bool(abs(gradient[0] - 2 / math.sqrt(math.pi) * math.exp(-0.25)) > 1e-9)


@ROWS.row(
    "selu-gradient",
    "nn.SELU",
    Kind.BUG,
    "the gradient of selu is computed from its output without the scale: wrong for negative x",
    "1.0507 * 1.6733 * exp(x) for x <= 0",
)
def _selu() -> bool:
    npx = mxnet().npx
    (gradient,) = mx_gradients(lambda x: npx.leaky_relu(x, act_type="selu"), [-1.0])
    return bool(abs(gradient[0] - 1.7580993 * math.exp(-1.0)) > 1e-3)


@ROWS.row(
    "cast-gradient",
    "ops.astype",
    Kind.CHOICE,
    "a gradient passes through a cast to an integer and back, as if nothing had been rounded",
    "an integer tensor has no gradient",
)
def _cast() -> bool:
    (gradient,) = mx_gradients(lambda x: x.astype("int32").astype("float32"), [1.5])
    return bool(gradient[0] == 1.0)


@ROWS.row(
    "matmul-gradient-of-broadcast-batches",
    "ops.matmul",
    Kind.BUG,
    "where a batch axis of size 1 stands before others, matmul's gradient is summed over the wrong axes",
    "the gradient of a broadcast operand is the sum over the axes along which it was broadcast",
)
def _matmul() -> bool:
    return _wrong_product(mxnet().np.matmul)


def _wrong_product(multiply: Callable[[Any, Any], Any]) -> bool:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 1, 2, 3)), rng.normal(size=(4, 3, 2))
    found, _ = mx_gradients(multiply, a, b, dtype="float64")
    weight = np.arange(1.0, 81).reshape(5, 4, 2, 2)
    return not np.allclose(found, np.matmul(weight, np.swapaxes(b, -1, -2)).sum(1, keepdims=True))


@ROWS.row(
    "operator-at-gradient-of-broadcast-batches",
    "ops.matmul",
    Kind.BUG,
    "a @ b, the operator, has matmul's wrong gradient where batches of different rank broadcast",
    "as ops.matmul, which is to be used for such batches: operators of MXNet's arrays are MXNet's own",
    corrected=False,
)
def _operator_at() -> bool:
    return _wrong_product(lambda a, b: a @ b)


@ROWS.row(
    "rot90-gradient",
    "ops.flip",
    Kind.BUG,
    "rot90 has the gradient of a turn by 90 degrees in the wrong direction",
    "the gradient is turned back",
)
def _rot90() -> bool:
    np_ = mxnet().np
    (gradient,) = mx_gradients(np_.rot90, np.arange(4.0).reshape(2, 2))
    return bool(gradient.tolist() != np.rot90([[1.0, 2.0], [3.0, 4.0]], -1).tolist())


@ROWS.row(
    "log-softmax-gradient-precision",
    "ops.log_softmax",
    Kind.PRECISION,
    "oneDNN's float32 kernel loses several times what MXNet's own (temperature=1) does in the gradient",
    "a few roundings of the largest gradient",
)
def _log_softmax() -> bool:
    npx, rng = mxnet().npx, np.random.default_rng(0)
    x = rng.normal(size=(4, 50)).astype("float32")
    weight = np.arange(1.0, 201).reshape(4, 50)
    share = np.exp(x.astype("float64")) / np.exp(x.astype("float64")).sum(-1, keepdims=True)
    want = weight - share * weight.sum(-1, keepdims=True)
    error = [
        np.abs(mx_gradients(lambda x, more=more: npx.log_softmax(x, axis=-1, **more), x)[0] - want).max()
        for more in ({}, {"temperature": 1.0})
    ]
    return bool(error[0] > 2 * error[1])


@ROWS.row(
    "gradient-beside-nothing",
    "ops.add",
    Kind.BUG,
    "where a result has no elements, the gradient of an operand that has some is left as it was in memory",
    "zeros",
)
def _empty() -> bool:
    mx = mxnet()
    nothing, some = mx.np.zeros((0, 3)), mx_array([1.0, 2.0, 3.0])
    some.attach_grad()
    some.grad[:] = 7
    with mx.autograd.record():
        loss = (nothing + some).sum()
    loss.backward()
    return bool(some.grad.asnumpy().tolist() == [7.0, 7.0, 7.0])


@ROWS.row(
    "atan2-gradient-at-origin",
    "ops.atan2",
    Kind.CHOICE,
    "NaN for both operands",
    "0 for both",
)
def _atan2() -> bool:
    np_ = mxnet().np
    found = mx_gradients(np_.arctan2, [0.0], [0.0])
    return all(math.isnan(gradient[0]) for gradient in found)


@ROWS.row(
    "batch-norm-gradient-of-statistics",
    "F.batch_norm",
    Kind.CHOICE,
    "batch_norm with given statistics gives them a gradient of zeros",
    "mean and variance are inputs as any other",
)
def _batch_norm() -> bool:
    npx = mxnet().npx
    mx = mxnet()
    x, mean, var = mx_array([[1.0], [2.0]]), mx_array([0.5]), mx_array([2.0])
    for tensor in (x, mean, var):
        tensor.attach_grad()
    one, zero = mx_array([1.0]), mx_array([0.0])
    with mx.autograd.record():
        loss = npx.batch_norm(x, one, zero, mean, var, eps=1e-3, fix_gamma=False, use_global_stats=True).sum()
    loss.backward()
    return bool(x.grad.asnumpy().any()) and not (mean.grad.asnumpy().any() or var.grad.asnumpy().any())


@ROWS.row(
    "bias-beside-a-frozen-weight",
    "nn.Linear",
    Kind.BUG,
    "oneDNN's float32 fully_connected writes no gradient for its bias where the weight takes none",
    "the sum over the rows",
)
def _bias() -> bool:
    mx = mxnet()
    bias = mx_array([1.0])
    bias.attach_grad()
    bias.grad[:] = 7
    with mx.autograd.record():
        loss = mx.npx.fully_connected(
            mx_array([[1.0, 2.0]]), mx_array([[3.0, 4.0]]), bias, num_hidden=1
        ).sum()
    loss.backward()
    return bool(bias.grad.item() != 1.0)


@ROWS.row(
    "gradient-of-unused",
    "um.value_and_grad",
    Kind.CHOICE,
    "autograd.grad for a variable that took no part is an error",
    "zeros",
)
def _unused() -> bool:
    mx = mxnet()
    x, y = mx_array([1.0]), mx_array([1.0])
    for tensor in (x, y):
        tensor.attach_grad()
    with mx.autograd.record():
        loss = (x * x).sum()
    return refuses(lambda: mx.autograd.grad(loss, [x, y])[1], "Cannot differentiate")


@ROWS.row(
    "second-derivatives",
    "um.value_and_grad",
    Kind.UNSUPPORTED,
    "most operators have no second derivative: a sum has none, a power has none",
    "gradients of gradients, or NotSupportedError",
    corrected=False,
)
def _second() -> bool:
    mx = mxnet()
    x = mx_array([2.0])
    x.attach_grad()

    def twice() -> object:
        with mx.autograd.record():
            inner = mx.autograd.grad((x**3).sum(), [x], create_graph=True)[0]
        inner.backward()
        return x.grad

    return refuses(twice, "FGradient")
