"""Running a function as a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._framework import tf


def accelerate(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``Backend.accelerate``: ``fn`` as a ``tf.function``. Floats go in as tensors of the dtype that they meet, or every
    new learning rate would be traced anew; where the tensors have several dtypes, ``fn`` runs as it is.
    """
    graph = tf.function(fn, autograph=False)

    def call(*args: Any) -> Any:
        leaves = tf.nest.flatten(args)
        floating = {
            x.dtype for x in leaves if isinstance(x, (tf.Tensor, tf.Variable)) and x.dtype.is_floating
        }
        if len(floating) != 1 or not tf.executing_eagerly():
            return fn(*args)
        (dtype,) = floating
        put = [tf.constant(x, dtype) if type(x) is float else x for x in leaves]
        return graph(*tf.nest.pack_sequence_as(args, put))

    return call


__all__ = ["accelerate"]
