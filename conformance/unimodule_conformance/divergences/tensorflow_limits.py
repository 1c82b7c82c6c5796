"""TensorFlow: what is missing, and behaviour around state and devices that differs."""

from __future__ import annotations

import functools

from .model import Kind
from .native import refuses
from .rows import Rows

ROWS = Rows("tensorflow", ">=2.18,<2.22")


# ---------------------------------------------------------------------- what is missing
@ROWS.row(
    "channels-first-convolution",
    "nn.Conv2d",
    Kind.UNSUPPORTED,
    "on CPU a convolution with channels first is an error in float64 (and in float32 without oneDNN)",
    "channels come first",
)
def _channels() -> bool:
    import tensorflow as tf

    x, w = tf.zeros((1, 3, 6, 5), tf.float64), tf.ones((3, 2, 3, 4), tf.float64)
    return refuses(lambda: tf.nn.conv2d(x, w, 1, "VALID", data_format="NCHW"), "NHWC")


@ROWS.row(
    "dilated-conv3d",
    "nn.Conv3d",
    Kind.UNSUPPORTED,
    "on CPU a dilated Conv3D is an error in float64",
    "dilation along each axis",
)
def _conv3d() -> bool:
    import tensorflow as tf

    x, w = tf.ones((1, 5, 5, 5, 1), tf.float64), tf.ones((2, 2, 2, 1, 1), tf.float64)
    return refuses(
        lambda: tf.raw_ops.Conv3D(
            input=x, filter=w, strides=[1] * 5, padding="VALID", dilations=[1, 2, 2, 2, 1]
        ),
        "dilated",
    )


@ROWS.row(
    "pooling-of-float64-volumes",
    "nn.MaxPool3d",
    Kind.UNSUPPORTED,
    "max_pool3d and avg_pool3d refuse float64",
    "they pool it",
)
def _pool3d() -> bool:
    import tensorflow as tf

    x = tf.ones((1, 2, 2, 2, 1), tf.float64)
    pools = (tf.nn.max_pool3d, tf.nn.avg_pool3d)
    return all(refuses(functools.partial(pool, x, 2, 2, "VALID")) for pool in pools)


@ROWS.row(
    "strides-beside-dilation",
    "nn.Conv2d",
    Kind.UNSUPPORTED,
    "tf.nn.convolution takes no stride above 1 beside a dilation above 1",
    "both at once",
)
def _stride() -> bool:
    import tensorflow as tf

    x, w = tf.ones((1, 9, 9, 4)), tf.ones((2, 2, 4, 4))
    return refuses(lambda: tf.nn.convolution(x, w, 2, "VALID", dilations=2), "strides > 1")


@ROWS.row(
    "gather-with-negative-index",
    "ops.take",
    Kind.CHOICE,
    "a negative index is out of range",
    "it counts from the end",
)
def _negative() -> bool:
    import tensorflow as tf

    return refuses(lambda: tf.gather(tf.constant([1.0, 2.0]), [-1]), "not in")


@ROWS.row(
    "gather-out-of-range-in-xla",
    "ops.take",
    Kind.CHOICE,
    "with jit_compile an index out of range reads the last element",
    "IndexError where indices can be checked; documented where a compiler runs",
    corrected=False,
)
def _xla() -> bool:
    import tensorflow as tf

    gather = tf.function(lambda i: tf.gather(tf.constant([1.0, 2.0]), i), jit_compile=True)
    return bool(gather(tf.constant([5])).numpy().item() == 2.0)


# ---------------------------------------------------------------------- state and devices
@ROWS.row(
    "missing-device",
    "um.nn.Module.to",
    Kind.CHOICE,
    "where a GPU is asked for that is not there, TensorFlow computes on the CPU and says nothing",
    "DeviceError before any work",
)
def _device() -> bool:
    import tensorflow as tf

    with tf.device("/GPU:97"):
        return "GPU:97" not in tf.ones(1).device


@ROWS.row(
    "cast-of-a-variable",
    "ops.astype",
    Kind.CHOICE,
    "a cast to the dtype that a variable has returns the variable, whose value may change",
    "a tensor of its own",
)
def _cast() -> bool:
    import tensorflow as tf

    return isinstance(tf.cast(tf.Variable([1.0]), tf.float32), tf.Variable)


@ROWS.row(
    "rebound-variable-in-a-graph",
    "um.compile",
    Kind.CHOICE,
    "a tf.function goes on with the variable that it was traced with after another took its place",
    "a compiled net sees every change of its state",
)
def _rebound() -> bool:
    import tensorflow as tf

    held = [tf.Variable([1.0])]
    fn = tf.function(lambda: held[0] * 1.0)
    fn()
    held[0] = tf.Variable([5.0])
    return float(fn()[0]) == 1.0
