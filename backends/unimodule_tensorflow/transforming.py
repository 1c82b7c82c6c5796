"""Batching and rematerialisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unimodule.backend import Tensor

from . import random
from ._framework import tf

Flat = Callable[[list[Tensor]], list[Tensor]]

_DRAWS = 2**16  # that one function may make for a slice


def vmap(fn: Flat, values: list[Tensor], axes: list[int]) -> list[Tensor]:
    moved = [_to_front(tf.convert_to_tensor(x), axis) for x, axis in zip(values, axes, strict=True)]
    # Slices draw their numbers in parts of the sequence that do not meet: a draw is far shorter than 2^40 blocks.
    parts = np.zeros((moved[0].shape[0], 2), np.uint64)
    parts[:, 0] = np.arange(len(parts), dtype=np.uint64) << np.uint64(40)
    starts = random.advance(_DRAWS) + tf.constant(parts)

    failures: list[Exception] = []

    @tf.autograph.experimental.do_not_convert
    def run(slices: tuple[Tensor, list[Tensor]]) -> list[Tensor]:
        try:
            with random.drawing_from(slices[0]):
                return [tf.identity(x) for x in fn(list(slices[1]))]
        except Exception as error:
            failures.append(error)
            raise

    try:
        return list(tf.vectorized_map(run, (starts, moved), warn=False))
    except Exception:
        if failures:  # as it is, not in an error of TensorFlow's
            raise failures[0] from None
        raise


def _to_front(x: Tensor, axis: int) -> Tensor:
    return tf.transpose(x, [axis, *(i for i in range(x.shape.rank) if i != axis)]) if axis else x


def checkpoint(fn: Flat, values: list[Tensor]) -> list[Tensor]:
    """``tf.recompute_grad`` gives no gradients to tensors that ``fn`` closes over, and draws another dropout mask when it
    computes again. So ``fn`` becomes a graph: its captures are known, and its random numbers start from an input.
    """
    inputs = [tf.convert_to_tensor(v) for v in values]
    draws = 0

    def traced(start: Tensor, *tensors: Tensor) -> list[Tensor]:
        nonlocal draws
        with random.drawing_from(start) as stream:
            out = [tf.convert_to_tensor(x) for x in fn(list(tensors))]
        draws = stream.count
        return out

    specs = [tf.TensorSpec(x.shape, x.dtype) for x in inputs]
    graph = tf.function(traced, autograph=False).get_concrete_function(random.STATE_SPEC, *specs)
    start = random.advance(draws)
    captured = [x for x in graph.captured_inputs if x.dtype != tf.resource]
    floating = [x.dtype.is_floating for x in (*inputs, *captured)]
    sources = [x for x, is_float in zip((*inputs, *captured), floating, strict=True) if is_float]

    @tf.custom_gradient
    def run(*_: Tensor) -> tuple[list[Tensor], Callable[..., Any]]:
        out = graph(start, *inputs)

        def backward(*gradients: Tensor, variables: Any = ()) -> Any:
            watched = [*sources, *variables]
            # Not before the gradients are there, or a graph would compute it right away and keep it after all.
            with tf.control_dependencies([g for g in gradients if g is not None]), tf.GradientTape() as tape:
                tape.watch(watched)
                again = graph(start, *inputs)
            pairs = [(y, g) for y, g in zip(again, gradients, strict=True) if y.dtype.is_floating]
            found = tape.gradient([y for y, _ in pairs], watched, [g for _, g in pairs])
            of_inputs = iter(found)
            result = [next(of_inputs) if is_float else None for is_float in floating]
            return (result, list(of_inputs)) if variables else result

        return out, backward

    return list(run(*inputs, *captured))
