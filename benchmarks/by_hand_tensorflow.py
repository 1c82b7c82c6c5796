"""TensorFlow by hand: ``tf.function`` of functions that read ``tf.Variable`` s, with Adam's fused kernel for a training step.

Convolutions stand in two layouts: channels first, as everywhere here, and channels last, TensorFlow's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from cases import BETAS, EPS, HEADS, LR, Call, Case, Hand

Params = dict[str, Any]


def function(kind: str, layout: str = "NCHW") -> Callable[[Params, Any], Any]:
    import tensorflow as tf

    def linear(x: Any, weight: Any, bias: Any) -> Any:
        flat = tf.reshape(x, (-1, x.shape[-1]))
        y = tf.nn.bias_add(tf.matmul(flat, weight, transpose_b=True), bias)
        return tf.reshape(y, (*x.shape[:-1], weight.shape[0]))

    def named(x: Any, p: Params, name: str) -> Any:
        return linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    def norm(x: Any, p: Params, name: str) -> Any:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, p[f"{name}.bias"], p[f"{name}.weight"], 1e-5)

    def mlp(p: Params, x: Any) -> Any:
        return named(tf.nn.relu(named(x, p, "0")), p, "2")

    def cnn(p: Params, x: Any) -> Any:
        options: dict[str, Any] = {"data_format": layout}
        for i in ("0", "3"):
            kernel = tf.transpose(p[f"{i}.weight"], (2, 3, 1, 0))
            x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME", **options), p[f"{i}.bias"], **options)
            x = tf.nn.max_pool2d(tf.nn.relu(x), 2, 2, "VALID", **options)
        if layout == "NHWC":
            x = tf.transpose(x, (0, 3, 1, 2))
        return named(tf.reshape(x, (x.shape[0], -1)), p, "7")

    def transformer(p: Params, x: Any) -> Any:
        n, length, width = x.shape
        qkv = linear(x, p["self_attn.in_proj_weight"], p["self_attn.in_proj_bias"])
        heads = (tf.reshape(t, (n, length, HEADS, -1)) for t in tf.split(qkv, 3, -1))
        q, k, v = (tf.transpose(t, (0, 2, 1, 3)) for t in heads)
        scores = tf.matmul(q, k, transpose_b=True) / np.sqrt(width // HEADS).astype("float32")
        mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), v), (0, 2, 1, 3))
        x = norm(x + named(tf.reshape(mixed, (n, length, width)), p, "self_attn.out_proj"), p, "norm1")
        return norm(x + named(tf.nn.relu(named(x, p, "linear1")), p, "linear2"), p, "norm2")

    return {"MLP": mlp, "CNN": cnn, "Transformer": transformer}[kind]


def by_hand(case: Case) -> Hand:
    import tensorflow as tf

    def variables() -> Params:
        return {name: tf.Variable(value) for name, value in case.weights.items()}

    def made(layout: str) -> tuple[Call, Call, Call]:
        """Forward, gradient and step."""
        x = tf.constant(case.x if layout == "NCHW" else case.x.transpose(0, 2, 3, 1))
        y, apply, p = tf.constant(case.y), function(case.kind, layout), variables()

        @tf.function(autograph=False)
        def forward(x: Any) -> Any:
            return apply(p, x)

        @tf.function(autograph=False)
        def gradient(x: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(apply(p, x)))
            return loss, tape.gradient(loss, p)

        own = variables()
        state = {name: [tf.Variable(tf.zeros_like(v)) for _ in range(2)] for name, v in own.items()}
        powers = [tf.Variable(1.0), tf.Variable(1.0)]

        @tf.function(autograph=False)
        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                out = apply(own, x)
                if case.kind == "Transformer":
                    loss = tf.reduce_mean(tf.math.squared_difference(out, y))
                else:
                    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, out))
            slopes = tape.gradient(loss, own)
            now = [power.assign(power * beta) for power, beta in zip(powers, BETAS, strict=True)]
            for name, (m, v) in state.items():
                tf.raw_ops.ResourceApplyAdam(
                    var=own[name].handle, m=m.handle, v=v.handle, beta1_power=now[0], beta2_power=now[1],
                    lr=LR, beta1=BETAS[0], beta2=BETAS[1], epsilon=EPS, grad=slopes[name],
                )  # fmt: skip
            return loss

        return lambda: forward(x), lambda: gradient(x), lambda: step(x, y)

    found = {"tf.function": made("NCHW")}
    if case.kind == "CNN":
        found["tf.function, channels last"] = made("NHWC")
    forward, gradient, steps = ({name: calls[i] for name, calls in found.items()} for i in range(3))
    return Hand(forward, gradient, steps)
