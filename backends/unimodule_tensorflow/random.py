"""Random numbers: TensorFlow's Philox, with a state of our own.

The state is a pair of variables, so that a compiled function draws anew each time it runs, and ``seed`` reaches it. The
bits are the same eagerly and in a graph; XLA has a Philox of its own. ``tf.random.set_seed``, which belongs to the user,
is left alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._tools import dims, scalar, vector

_PHILOX = 1
_lock = threading.Lock()
_state: tuple[Any, Any] | None = None


def _variables() -> tuple[Any, Any]:
    """Philox's key, which is the seed, and its counter, whose high word counts the draws."""
    global _state
    if _state is None:
        with _lock:
            if _state is None:
                fresh = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
                with tf.init_scope(), tf.device("/CPU:0"):
                    key = tf.Variable(tf.constant([fresh], tf.uint64), trainable=False)
                    _state = key, tf.Variable(tf.constant([0, 0], tf.uint64), trainable=False)
    return _state


def seed(value: int) -> None:
    """Start the sequence that belongs to ``value``."""
    key, counter = _variables()
    with tf.init_scope(), tf.device("/CPU:0"):
        key.assign(tf.constant([value % 2**64], tf.uint64))
        counter.assign(tf.constant([0, 0], tf.uint64))


def uniform(shape: Sequence[Any], dtype: Any) -> Tensor:
    """Fresh numbers in [0, 1) on the current device."""
    key, counter = _variables()
    with tf.device("/CPU:0"):
        step = tf.constant([0, 1], tf.uint64)
        raw.AssignAddVariableOp(resource=counter.handle, value=step)
        now = raw.ReadVariableOp(resource=counter.handle, dtype=tf.uint64)
        root = raw.ReadVariableOp(resource=key.handle, dtype=tf.uint64)
    return raw.StatelessRandomUniformV2(shape=vector(shape), key=root, counter=now, alg=_PHILOX, dtype=dtype)


def random_uniform(shape: Sequence[int], dtype: str, device: str) -> Tensor:
    with tf.device(f"/{device.upper()}" if ":" in device else "/CPU:0"):
        return uniform(shape, tf.as_dtype(dtype))


def dropout(x: Tensor, p: float) -> Tensor:
    # Always float32: a half has too few values to hit a probability.
    kept = raw.GreaterEqual(x=uniform(dims(x), tf.float32), y=tf.constant(p, tf.float32))
    scaled = raw.Mul(x=x, y=scalar(1 / (1 - p), x))
    return raw.SelectV2(condition=kept, t=scaled, e=scalar(0.0, x))


FUNCTIONS: dict[str, Callable[..., Any]] = {"random_uniform": random_uniform, "dropout": dropout}
