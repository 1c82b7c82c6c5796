"""TensorFlow: gradients that differ."""

from __future__ import annotations

import math

import numpy as np

from .model import Kind
from .native import refuses, tf_derivative, tf_gradients
from .rows import Rows

ROWS = Rows("tensorflow", ">=2.18,<2.22")


@ROWS.row(
    "maximum-gradient-at-ties",
    "ops.maximum",
    Kind.CHOICE,
    "the first of two equal operands gets the whole gradient, of maximum and of minimum",
    "they share it",
    link="https://github.com/tensorflow/swift-apis/issues/479",
)
def _maximum() -> bool:
    import tensorflow as tf

    return all(
        [g.item() for g in tf_gradients(fn, [1.0], [1.0])] == [1.0, 0.0] for fn in (tf.maximum, tf.minimum)
    )


@ROWS.row(
    "power-gradient-at-zero",
    "ops.pow",
    Kind.BUG,
    "x ** y has the gradient NaN for x where both are 0",
    "0",
)
def _power() -> bool:
    import tensorflow as tf

    return math.isnan(tf_gradients(tf.pow, [0.0], [0.0])[0][0])


@ROWS.row(
    "power-gradient-of-negative-base",
    "ops.pow",
    Kind.CHOICE,
    "x ** y has the gradient 0 for y where x is negative",
    "NaN: there is no logarithm",
)
def _power_negative() -> bool:
    import tensorflow as tf

    return bool(tf_gradients(tf.pow, [-2.0], [2.0])[1][0] == 0.0)


@ROWS.row(
    "square-third-derivative-at-zero",
    "ops.pow",
    Kind.BUG,
    "the third derivative of x ** 2 at 0 is NaN: it comes to 0 * 0 ** -1",
    "0",
)
def _square() -> bool:
    return math.isnan(tf_derivative(lambda x: x**2, [0.0], 3)[0])


@ROWS.row(
    "cumprod-gradient-at-zero",
    "ops.cumulative_prod",
    Kind.BUG,
    "cumprod's gradient divides by x: 0 where x is 0",
    "the products of the others",
    link="https://github.com/tensorflow/tensorflow/issues/119430",
)
def _cumprod() -> bool:
    import tensorflow as tf

    return bool(tf_gradients(tf.math.cumprod, [0.0, 2.0, 3.0])[0][0] == 0.0)  # 1 + 2 + 6


@ROWS.row(
    "prod-second-derivative-at-zero",
    "ops.prod",
    Kind.BUG,
    "the second derivative of a product is wrong where an element is 0: its gradient is made with cumprod's",
    "for x y z the sum of the second derivatives for x is y + z",
    link="https://github.com/tensorflow/tensorflow/issues/61117",
)
def _prod() -> bool:
    import tensorflow as tf

    return bool(tf_derivative(tf.reduce_prod, [0.0, 2.0, 3.0], 2)[0] != 5.0)


@ROWS.row(
    "moments-second-derivative",
    "ops.var",
    Kind.BUG,
    "tf.nn.moments stops the gradient at the mean that the variance is formed with: right once, wrong twice",
    "the sum of the second derivatives of a variance is 0",
)
def _moments() -> bool:
    import tensorflow as tf

    return bool(np.abs(tf_derivative(lambda x: tf.nn.moments(x, [0])[1], [1.0, 2.0, 4.0], 2)).max() > 0.1)


@ROWS.row(
    "max-pool3d-gradient-at-ties",
    "nn.MaxPool3d",
    Kind.BUG,
    "max_pool3d gives the whole gradient to each of the largest (max_pool2d to the first)",
    "to the first",
)
def _max_pool3d() -> bool:
    import tensorflow as tf

    (gradient,) = tf_gradients(
        lambda x: tf.nn.max_pool3d(x, 2, 2, "VALID"), np.ones((1, 2, 2, 2, 1), np.float32)
    )
    return bool(gradient.sum() == 8.0)


@ROWS.row(
    "selu-gradient-at-zero",
    "nn.SELU",
    Kind.CHOICE,
    "selu has the slope of its right side at 0: 1.0507",
    "that of its left side, as elu in PyTorch: 1.7581",
)
def _selu() -> bool:
    import tensorflow as tf

    return bool(tf_gradients(tf.nn.selu, [0.0])[0][0] < 1.1)


@ROWS.row(
    "atan2-gradient-at-origin",
    "ops.atan2",
    Kind.CHOICE,
    "NaN for both operands",
    "0 for both",
)
def _atan2() -> bool:
    import tensorflow as tf

    return all(math.isnan(g[0]) for g in tf_gradients(tf.atan2, [0.0], [0.0]))


@ROWS.row(
    "grouped-convolution-gradient",
    "nn.Conv2d",
    Kind.UNSUPPORTED,
    "on CPU a convolution with groups, or dilation, has no gradient in float64 (nor in float32 without oneDNN)",
    "gradients for input, weight and bias",
    link="https://github.com/tensorflow/tensorflow/issues/51825",
)
def _grouped() -> bool:
    import tensorflow as tf

    def gradients() -> object:
        x, w = np.ones((1, 5, 5, 4)), np.ones((2, 2, 2, 4))
        return tf_gradients(lambda x, w: tf.nn.conv2d(x, w, 1, "VALID"), x, w, dtype="float64")

    return refuses(gradients, "grouped")


@ROWS.row(
    "dilated-convolution-gradient",
    "nn.Conv2d",
    Kind.UNSUPPORTED,
    "on CPU a dilated convolution has no gradient in float64",
    "gradients for input, weight and bias",
)
def _dilated() -> bool:
    import tensorflow as tf

    def conv(x: object, w: object) -> object:
        return tf.raw_ops.Conv2D(input=x, filter=w, strides=[1] * 4, padding="VALID", dilations=[1, 2, 1, 1])

    return refuses(
        lambda: tf_gradients(conv, np.ones((1, 5, 5, 1)), np.ones((2, 2, 1, 1)), dtype="float64"), "dilat"
    )


@ROWS.row(
    "gradient-of-gather",
    "ops.take",
    Kind.CHOICE,
    "the gradient of a gather is no tensor but IndexedSlices, with repeated rows",
    "a tensor of the shape of what was gathered from",
)
def _gather() -> bool:
    import tensorflow as tf

    table = tf.Variable(tf.ones((3, 2)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.gather(table, [1, 1]))
    return isinstance(tape.gradient(loss, table), tf.IndexedSlices)


@ROWS.row(
    "recompute-grad-of-closures",
    "um.checkpoint",
    Kind.BUG,
    "tf.recompute_grad gives no gradient to tensors that the function closes over",
    "they get theirs",
)
def _recompute() -> bool:
    import tensorflow as tf

    x, w = tf.constant([3.0]), tf.constant([2.0])
    with tf.GradientTape() as tape:
        tape.watch([x, w])
        y = tf.recompute_grad(lambda x: x * w)(x)
    return tape.gradient(y, w) is None
