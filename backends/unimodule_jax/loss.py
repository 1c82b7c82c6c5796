"""Losses, each as one compiled function: composed, every one of their dozen ops would be a dispatch of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ._jit import Array, jit


def _reduce(loss: Array, reduction: str) -> Array:
    return loss if reduction == "none" else jnp.mean(loss) if reduction == "mean" else jnp.sum(loss)


def _class_axis(input: Array) -> int:
    return 0 if input.ndim == 1 else 1


def _along_classes(weight: Array, input: Array) -> Array:
    return weight.reshape(-1, *(1,) * (input.ndim - _class_axis(input) - 1))


def _of_classes(
    scores: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str, smoothing: float
) -> Array:
    axis = _class_axis(scores)
    valid = target != ignore_index
    index = jnp.where(valid, target, 0)
    picked = jnp.take_along_axis(scores, jnp.expand_dims(index, axis), axis).squeeze(axis)
    share = valid.astype(scores.dtype) if weight is None else jnp.where(valid, weight[index], 0)
    hard = -jnp.where(valid, picked, 0) * share

    def finish(loss: Array) -> Array:
        return jnp.sum(loss) / jnp.sum(share) if reduction == "mean" else _reduce(loss, reduction)

    if not smoothing:
        return finish(hard)
    weighted = scores if weight is None else scores * _along_classes(weight, scores)
    spread = jnp.where(valid, -jnp.sum(weighted, axis), 0)
    return smoothing / scores.shape[axis] * finish(spread) + (1 - smoothing) * finish(hard)


@jit("ignore_index", "reduction")
def nll_loss(input: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str) -> Array:
    return _of_classes(input, target, weight, ignore_index, reduction, 0.0)


@jit("ignore_index", "reduction", "label_smoothing")
def cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Array:
    scores = jax.nn.log_softmax(input, _class_axis(input))
    return _of_classes(scores, target, weight, ignore_index, reduction, label_smoothing)


@jit("reduction", "label_smoothing")
def soft_cross_entropy(
    input: Array, target: Array, weight: Array | None, reduction: str, label_smoothing: float
) -> Array:
    axis = _class_axis(input)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[axis]
    scores = jax.nn.log_softmax(input, axis)
    if weight is not None:
        scores = scores * _along_classes(weight, input)
    return _reduce(-jnp.sum(scores * target, axis), reduction)


@jit("reduction")
def mse_loss(input: Array, target: Array, reduction: str) -> Array:
    return _reduce(jnp.square(input - target), reduction)


@jit("reduction")
def binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: Array | None, pos_weight: Array | None, reduction: str
) -> Array:
    hit = jax.nn.log_sigmoid(input)
    if pos_weight is not None:
        hit = hit * ((pos_weight - 1) * target + 1)
    loss = (1 - target) * input - hit
    return _reduce(loss if weight is None else loss * weight, reduction)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "nll_loss": nll_loss,
    "cross_entropy": cross_entropy,
    "soft_cross_entropy": soft_cross_entropy,
    "mse_loss": mse_loss,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
}
