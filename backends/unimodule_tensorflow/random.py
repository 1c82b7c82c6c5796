"""Random numbers: TensorFlow's Philox, with a state of our own.

The state is a pair of variables, so that a compiled function draws anew each time it runs, and ``seed`` reaches it. The
bits are the same eagerly and in a graph; XLA has a Philox of its own. ``tf.random.set_seed``, which belongs to the user,
is left alone.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from unimodule.backend import Tensor
from unimodule.errors import ArgumentError

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


def state() -> dict[str, Any]:
    """The key and the counter."""
    key, counter = _variables()
    return {"key": key.numpy(), "counter": counter.numpy()}


def restore(state: Mapping[str, Any]) -> None:
    """Go back to what ``state`` returned.

    Raises:
        ArgumentError: it is something else.
    """
    key, counter = _variables()
    try:
        values = [np.asarray(state[name], np.uint64) for name in ("key", "counter")]
        if [value.shape for value in values] != [(1,), (2,)]:
            raise ValueError("a key of one word and a counter of two")
    except (KeyError, TypeError, ValueError) as error:
        raise ArgumentError(f"not a state of backend 'tensorflow': {error}") from error
    with tf.init_scope(), tf.device("/CPU:0"):
        key.assign(tf.constant(values[0]))
        counter.assign(tf.constant(values[1]))


class Stream:
    """Draws that are numbered from a place in the sequence, for a computation that is to be repeated."""

    def __init__(self, start: Tensor) -> None:
        self.start = start
        self.count = 0


_given: contextvars.ContextVar[Stream | None] = contextvars.ContextVar(
    "unimodule_tensorflow_stream", default=None
)
STATE_SPEC = tf.TensorSpec((2,), tf.uint64)


@contextmanager
def drawing_from(start: Tensor) -> Iterator[Stream]:
    """Draw from a place in the sequence that ``advance`` gave, inside the block."""
    stream = Stream(start)
    token = _given.set(stream)
    try:
        yield stream
    finally:
        _given.reset(token)


def advance(draws: int) -> Tensor:
    """Set so many draws aside; returns where they start."""
    given = _given.get()
    if given is not None:
        with tf.device("/CPU:0"):
            start = given.start + tf.constant([0, given.count], tf.uint64)
        given.count += draws
        return start
    _, counter = _variables()
    with tf.device("/CPU:0"):
        start = raw.ReadVariableOp(resource=counter.handle, dtype=tf.uint64)
        if draws:
            raw.AssignAddVariableOp(resource=counter.handle, value=tf.constant([0, draws], tf.uint64))
    return start


def uniform(shape: Sequence[Any], dtype: Any) -> Tensor:
    """Fresh numbers in [0, 1) on the current device."""
    key, counter = _variables()
    given = _given.get()
    with tf.device("/CPU:0"):
        if given is not None:
            given.count += 1
            now = given.start + tf.constant([0, given.count], tf.uint64)
        else:
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
