"""TensorFlow: values that differ."""

from __future__ import annotations

import math

import numpy as np

from .model import Kind
from .native import INF, NAN, refuses
from .rows import Rows

ROWS = Rows("tensorflow", ">=2.18,<2.22")


# ---------------------------------------------------------------------- NaN and infinity
@ROWS.row(
    "softmax-of-nan",
    "ops.softmax",
    Kind.BUG,
    "oneDNN's float32 softmax keeps a NaN where it stood (float64's spreads it)",
    "the whole slice is NaN",
)
def _softmax() -> bool:
    import tensorflow as tf

    single = tf.nn.softmax(tf.constant([[NAN, 1.0, 2.0]])).numpy()
    return bool(np.isfinite(single[0, 1:]).all())


@ROWS.row(
    "max-pool-of-nan",
    "nn.MaxPool2d",
    Kind.BUG,
    "max pooling passes over NaN",
    "it gives NaN",
    link="https://github.com/tensorflow/tensorflow/issues/125965",
)
def _max_pool_nan() -> bool:
    import tensorflow as tf

    x = tf.constant([[[[1.0], [NAN]], [[0.0], [-1.0]]]])
    return bool(tf.nn.max_pool2d(x, 2, 2, "VALID").numpy().item() == 1.0)


@ROWS.row(
    "max-pool-of-minus-infinity",
    "nn.MaxPool2d",
    Kind.BUG,
    "a window of nothing but -infinity gives the lowest finite number",
    "-infinity",
)
def _max_pool_infinity() -> bool:
    import tensorflow as tf

    x = tf.fill((1, 2, 2, 1), tf.constant(-INF))
    return math.isfinite(tf.nn.max_pool2d(x, 2, 2, "VALID").numpy().item())


@ROWS.row("argmax-of-nan", "ops.argmax", Kind.CHOICE, "argmax and argmin never choose a NaN", "the first NaN")
def _argmax() -> bool:
    import tensorflow as tf

    x = tf.constant([1.0, NAN, 3.0])
    return (int(tf.argmax(x)), int(tf.argmin(x))) != (1, 1)


@ROWS.row(
    "sort-of-nan",
    "ops.sort",
    Kind.BUG,
    "with NaN in it, a sorted tensor is not sorted: 3, 2, NaN, 1, NaN, 0",
    "NaN at the end",
)
def _sort() -> bool:
    import tensorflow as tf

    x = tf.constant([2.0, NAN, 1.0, 3.0, NAN, 0.0])
    return bool(np.isfinite(tf.sort(x, direction="DESCENDING").numpy()[3:]).any())


@ROWS.row(
    "erf-of-infinity", "ops.erf", Kind.BUG, "float64's erf is NaN at infinity", "1", versions=">=2.21,<2.22"
)
def _erf() -> bool:
    import tensorflow as tf

    return math.isnan(tf.math.erf(tf.constant(INF, tf.float64)).numpy())


# ---------------------------------------------------------------------- digits
@ROWS.row(
    "floor-divide-rounds-first",
    "ops.floor_divide",
    Kind.BUG,
    "1 // 0.1 is 10: the quotient is rounded to 10 before the floor is taken",
    "9, as in Python: 0.1 is a little more than a tenth",
)
def _floor_divide() -> bool:
    import tensorflow as tf

    return float(tf.math.floordiv(tf.constant(1.0, tf.float64), tf.constant(0.1, tf.float64))) == 10.0


@ROWS.row(
    "floor-divide-by-infinity",
    "ops.floor_divide",
    Kind.CHOICE,
    "-3 // infinity is -0",
    "-1, as in Python",
)
def _floor_infinity() -> bool:
    import tensorflow as tf

    return float(tf.math.floordiv(tf.constant(-3.0), tf.constant(INF))) == 0.0


@ROWS.row(
    "leaky-relu-slope-precision",
    "ops.leaky_relu",
    Kind.PRECISION,
    "the slope is taken in float32, for float64 tensors too",
    "float64 throughout",
)
def _leaky() -> bool:
    import tensorflow as tf

    return bool(abs(tf.nn.leaky_relu(tf.constant([-1.0], tf.float64), 0.1).numpy()[0] + 0.1) > 1e-10)


@ROWS.row(
    "elu-near-zero",
    "F.elu",
    Kind.PRECISION,
    "elu and selu subtract 1 from the exponential: of 7 digits 3 are left at -6.5e-5, and none at -1e-7",
    "all digits, as expm1 has them",
)
def _elu() -> bool:
    import tensorflow as tf

    x = tf.constant([-6.5e-5])
    return bool(abs(tf.nn.elu(x) / tf.math.expm1(x) - 1).numpy()[0] > 1e-5)


@ROWS.row(
    "mean-of-float16",
    "ops.mean",
    Kind.PRECISION,
    "the mean of 100,000 float16 numbers is NaN: their count does not fit a float16",
    "the mean, formed in float32",
)
def _mean() -> bool:
    import tensorflow as tf

    return not math.isfinite(float(tf.reduce_mean(tf.fill((100_000,), tf.constant(3.0, tf.float16)))))


@ROWS.row(
    "denormal-numbers",
    "ops.multiply",
    Kind.PRECISION,
    "denormal float32 numbers count as 0",
    "they are numbers (NumPy, PyTorch); the suite draws none",
    corrected=False,
)
def _denormal() -> bool:
    import tensorflow as tf

    return float(tf.constant(1e-40) * tf.constant(1.0)) == 0.0


# ---------------------------------------------------------------------- integers
@ROWS.row(
    "mean-of-integers",
    "ops.mean",
    Kind.CHOICE,
    "the mean of 1 and 2 as integers is 1",
    "1.5",
)
def _integer_mean() -> bool:
    import tensorflow as tf

    return int(tf.reduce_mean(tf.constant([1, 2]))) == 1


@ROWS.row(
    "sum-of-uint8",
    "ops.sum",
    Kind.CHOICE,
    "the sum of uint8 is uint8 and wraps around",
    "the default integer (array API)",
)
def _sum() -> bool:
    import tensorflow as tf

    return int(tf.reduce_sum(tf.constant([200, 100], tf.uint8))) == 44


@ROWS.row(
    "unsigned-integers",
    "ops.negative",
    Kind.UNSUPPORTED,
    "negative, sign and pow have no kernels for unsigned integers",
    "they wrap around",
)
def _unsigned() -> bool:
    import tensorflow as tf

    x = tf.constant([2], tf.uint8)
    return all(refuses(fn) for fn in (lambda: -x, lambda: tf.sign(x), lambda: tf.pow(x, x)))


@ROWS.row(
    "matmul-of-small-integers",
    "ops.matmul",
    Kind.UNSUPPORTED,
    "matrices of int8 or uint8 cannot be multiplied",
    "they can",
)
def _matmul() -> bool:
    import tensorflow as tf

    x = tf.constant([[1]], tf.uint8)
    return refuses(lambda: tf.raw_ops.MatMul(a=x, b=x))


@ROWS.row(
    "mixed-dtypes",
    "ops.add",
    Kind.CHOICE,
    "float32 + float64 is an error",
    "float64 (array API)",
)
def _mixed() -> bool:
    import tensorflow as tf

    return refuses(lambda: tf.constant(1.0) + tf.constant(1.0, tf.float64))


# ---------------------------------------------------------------------- nothing, and crossed bounds
@ROWS.row(
    "max-of-nothing",
    "ops.max",
    Kind.CHOICE,
    "the maximum of no elements is -infinity, of integers the lowest",
    "an error",
)
def _max() -> bool:
    import tensorflow as tf

    return bool(tf.reduce_max(tf.zeros((0,))).numpy() == -INF)


@ROWS.row(
    "convolution-to-one-column",
    "F.conv2d",
    Kind.BUG,
    "oneDNN's conv2d of several images of one channel loses cells where only columns have a stride and one column is left",
    "all cells of the result",
)
def _one_column() -> bool:
    import tensorflow as tf

    x = tf.ones((2, 2, 3, 1))
    return bool(tf.reduce_any(tf.nn.conv2d(x, tf.ones((1, 2, 1, 1)), (1, 2), "VALID") != 2))


@ROWS.row(
    "convolution-of-nothing",
    "nn.Conv2d",
    Kind.BUG,
    "oneDNN's convolution of an empty batch has the shape of its input",
    "the shape of a convolution: (0, 4, 4, 4)",
)
def _conv() -> bool:
    import tensorflow as tf

    return tuple(tf.nn.conv2d(tf.zeros((0, 6, 5, 3)), tf.ones((3, 2, 3, 4)), 1, "VALID").shape) == (
        0,
        6,
        5,
        3,
    )


@ROWS.row(
    "groups-that-nobody-asked-for",
    "nn.Conv2d",
    Kind.CHOICE,
    "conv2d takes any multiple of the channels that the filter is for, and reads groups out of it",
    "so many channels as the weight and its groups say, else a ShapeError",
)
def _groups() -> bool:
    import tensorflow as tf

    x, w = tf.ones((1, 3, 3, 4)), tf.ones((2, 2, 2, 2))
    return tuple(tf.nn.conv2d(x, w, 1, "VALID").shape) == (1, 2, 2, 2)


@ROWS.row(
    "clip-with-crossed-bounds",
    "ops.clip",
    Kind.CHOICE,
    "with the lower bound above the upper, clip_by_value gives the lower",
    "the upper, as NumPy and PyTorch",
)
def _clip() -> bool:
    import tensorflow as tf

    return float(tf.clip_by_value(tf.constant(0.5), 1.0, 0.0)) == 1.0
