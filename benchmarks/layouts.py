"""What channels first cost on TensorFlow's CPU kernels: native NCHW beside native NHWC, without unimodule.

    python benchmarks/layouts.py
    python benchmarks/layouts.py --seconds 10

A 3 x 3 convolution, its gradients, and a 2 x 2 max pooling, each a ``tf.function`` on tensors that are in its layout already.
Turns of CPU time are compared, one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from processes import ONE_THREAD
from timing import Timing

SHAPES = ((8, 3, 16, 32), (8, 16, 32, 16), (8, 64, 64, 28))
"""Batch, channels in and out, height and width: the convolutions of the CNN of ``cases.py``, and a wider one."""


def calls(layout: str, x: Any, kernel: Any) -> dict[str, Callable[[], Any]]:
    """The three of them."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def forward(x: Any) -> Any:
        return tf.nn.conv2d(x, kernel, 1, "SAME", data_format=layout)

    @tf.function(autograph=False)
    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            loss = tf.reduce_sum(tf.square(tf.nn.conv2d(x, kernel, 1, "SAME", data_format=layout)))
        return tape.gradient(loss, [x, kernel])

    @tf.function(autograph=False)
    def pool(x: Any) -> Any:
        return tf.nn.max_pool2d(x, 2, 2, "VALID", data_format=layout)

    return {
        "convolution": lambda: forward(x),
        "its gradients": lambda: gradient(x),
        "max pooling": lambda: pool(x),
    }


def in_turns(first: Callable[[], Any], second: Callable[[], Any], seconds: float) -> tuple[Timing, Timing]:
    """CPU seconds of a call, in turns of 20 ms."""
    turns: tuple[list[float], list[float]] = ([], [])
    counts = []
    for call in (first, second):
        for _ in range(3):
            call()
        start = time.process_time()
        call()
        counts.append(max(1, int(0.02 / max(time.process_time() - start, 1e-5))))
    end = time.process_time() + seconds
    while time.process_time() < end:
        for call, count, found in zip((first, second), counts, turns, strict=True):
            start = time.process_time()
            for _ in range(count):
                call()
            found.append((time.process_time() - start) / count)
    return Timing(turns[0]), Timing(turns[1])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="for each line (default: 4)")
    seconds = parser.parse_args().seconds
    os.environ.update(ONE_THREAD)
    import tensorflow as tf

    rng = np.random.default_rng(0)
    print(f"tensorflow {tf.__version__}; CPU time; ratio: median of turns (and quartiles)")
    for n, width, out, side in SHAPES:
        x = tf.constant(rng.normal(size=(n, width, side, side)).astype("float32"))
        kernel = tf.constant(rng.normal(size=(3, 3, width, out)).astype("float32"))
        ours, theirs = calls("NCHW", x, kernel), calls("NHWC", tf.transpose(x, (0, 2, 3, 1)), kernel)
        for what in ours:
            first, last = in_turns(ours[what], theirs[what], seconds)
            r = first.ratio(last)
            print(
                f"({n}, {width}, {side}, {side}) to {out}, {what:14}NCHW {first.low * 1e6:8.0f} us"
                f"{'NHWC':>6} {last.low * 1e6:8.0f} us   {r.median:.2f} ({r.lower:.2f}-{r.upper:.2f})"
            )


if __name__ == "__main__":
    main()
