"""Values and gradients through GradientTape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unimodule.backend import Tensor

from ._framework import tf
from ._tools import custom_gradient, dims
from .devices import beside


def value_and_grad(
    fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
) -> tuple[Tensor, Any, list[Tensor]]:
    """``Backend.value_and_grad``. Variables are passed on live; other tensors as fresh leaves, so that what else in
    ``fn`` refers to them counts as constant. Tapes nest.
    """
    leaves = [v if isinstance(v, tf.Variable) else tf.identity(v) for v in values]
    with beside(leaves):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(leaves)
            loss, aux = fn(list(leaves))
        gradients = tape.gradient(loss, leaves, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, aux, [dense(g, v) for g, v in zip(gradients, leaves, strict=True)]


def watch(x: Tensor, note: Callable[[Tensor], None]) -> Tensor:
    """See ``Backend.watch_gradient``."""

    def run(value: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        def backward(gradient: Tensor) -> Tensor:
            note(dense(gradient, value))
            return gradient

        return tf.identity(value), backward

    return custom_gradient(run)(x)


def dense(gradient: Any, like: Tensor) -> Tensor:
    """A gradient as a tensor: that of a gather comes as slices, repeats and all."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, dims(like)[0])


__all__ = ["dense", "value_and_grad", "watch"]
