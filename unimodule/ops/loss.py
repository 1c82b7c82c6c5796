"""Losses of classification.

Class scores have the classes on axis 1: (N, C), (N, C, d1, d2, ...), or (C,) for one unbatched case. Every loss returns
one value for each case and reduces it last, in the way PyTorch does: a weighted mean divides by the sum of the weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes, ops
from ..backend import Backend, Tensor
from ..errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError
from ._dispatch import call, declare, expect_tensor, gather

REDUCTIONS = ("none", "mean", "sum")


def check_reduction(name: str, reduction: str, known: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise ``ArgumentError`` unless ``reduction`` is one of ``known``."""
    if reduction not in known:
        raise ArgumentError(f"{name} expected a reduction among {', '.join(known)}, got {reduction!r}")


def reduce(loss: Tensor, reduction: str) -> Tensor:
    """Mean, sum, or the losses themselves."""
    if reduction == "none":
        return loss
    return ops.mean(loss) if reduction == "mean" else ops.sum(loss)


# ---------------------------------------------------------------------- what an adapter may override
def nll_loss_(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> Tensor:
    """What an adapter may override of ``nll_loss``; targets are class indices in range, or ``ignore_index``."""
    valid, safe = _valid(target, ignore_index)
    loss = ops.where(valid, ops.negative(_pick(input, safe)), 0)
    if weight is None and reduction != "mean":
        return reduce(loss, reduction)
    shares = _shares(loss, weight, valid, safe)
    if weight is not None:
        loss = ops.multiply(loss, shares)
    if reduction == "mean":
        return ops.divide(ops.sum(loss), ops.sum(shares))
    return reduce(loss, reduction)


def cross_entropy_(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """What an adapter may override of ``cross_entropy`` with class indices; they are as ``nll_loss``'s."""
    axis = _class_axis(input)
    scores = ops.log_softmax(input, axis)
    hard = nll_loss_(scores, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    valid, safe = _valid(target, ignore_index)
    spread = ops.negative(ops.sum(_weighted(scores, weight, axis), axis=axis))
    spread = ops.where(valid, spread, 0)
    if reduction == "mean":
        soft = ops.divide(ops.sum(spread), ops.sum(_shares(spread, weight, valid, safe)))
    else:
        soft = reduce(spread, reduction)
    classes = input.shape[axis]
    return ops.add(ops.multiply(soft, label_smoothing / classes), ops.multiply(hard, 1.0 - label_smoothing))


def soft_cross_entropy_(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    """What an adapter may override of ``cross_entropy`` with class probabilities."""
    axis = _class_axis(input)
    classes = input.shape[axis]
    if label_smoothing:
        target = ops.add(ops.multiply(target, 1.0 - label_smoothing), label_smoothing / classes)
    scores = _weighted(ops.log_softmax(input, axis), weight, axis)
    # PyTorch's mean is over the cases whatever their weights are.
    return reduce(ops.negative(ops.sum(ops.multiply(scores, target), axis=axis)), reduction)


for _default in (nll_loss_, cross_entropy_, soft_cross_entropy_):
    declare(_default)


# ---------------------------------------------------------------------- parts of the formulas
def _class_axis(input: Tensor) -> int:
    return 0 if len(input.shape) == 1 else 1


def _valid(target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Which targets count, and the targets with a harmless index in place of the others."""
    valid = ops.not_equal(target, ignore_index)
    return valid, ops.where(valid, target, 0)


def _pick(input: Tensor, index: Tensor) -> Tensor:
    """The score of each case's own class: input[n, index[n, ...], ...]."""
    axis = _class_axis(input)
    index = ops.expand_dims(index, axis=axis)
    # The indices are known to be in range: straight to the backend's function.
    picked = call(expect_tensor("nll_loss", input), "take_along_axis", input, index, axis=axis)
    return ops.squeeze(picked, axis=axis)


def _shares(like: Tensor, weight: Tensor | None, valid: Tensor, index: Tensor) -> Tensor:
    """The weight of each case: its class's, 1 where classes have none, 0 where it does not count."""
    if weight is None:
        return ops.astype(valid, dtypes.canonical(like.dtype))
    return ops.where(valid, call(expect_tensor("nll_loss", weight), "take", weight, index, axis=0), 0)


def _weighted(scores: Tensor, weight: Tensor | None, axis: int) -> Tensor:
    if weight is None:
        return scores
    return ops.multiply(scores, ops.reshape(weight, (-1, *(1,) * (len(scores.shape) - axis - 1))))


# ---------------------------------------------------------------------- what users call
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood: -weight[y] * input[y] for each case of class y.

    Args:
        input: log-probabilities (N, C), (N, C, d1, ...) or (C,).
        target: integers in [0, C), or ``ignore_index``: (N,), (N, d1, ...) or ().
        weight: (C,), the weight of each class.
        ignore_index: cases of this target count for nothing.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: the sum divided by the sum of the weights of the cases that
            count; NaN where none does.

    Returns:
        (), or the shape of ``target`` without reduction.

    Raises:
        ShapeError, DtypeError, ArgumentError: the arguments do not fit.
        OutOfRangeError: a target is no class (eagerly, on the CPU).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.ops.nll_loss(np.array([[-0.5, -1.0]]), np.array([1])))
        1.0
    """
    check_reduction("nll_loss", reduction)
    backend, (input, target, weight) = gather("nll_loss", input, target, weight, same_dtype=(0, 2))
    target = _class_indices("nll_loss", backend, input, target, weight, ignore_index)
    return call(backend, "nll_loss", input, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of softmax(input) with classes, or with probabilities of classes.

    For a target class y it is ``nll_loss(log_softmax(input), y)``; for probabilities p of ``input``'s shape, minus the
    sum over classes of weight * p * log_softmax(input), and "mean" divides by the number of cases. Label smoothing
    mixes the target with the uniform distribution over the classes.

    Args:
        input: scores (N, C), (N, C, d1, ...) or (C,), of a float dtype.
        target: integers in [0, C) of shape (N,), (N, d1, ...) or (), or floats of ``input``'s shape.
        weight: (C,), the weight of each class.
        ignore_index: target cases that count for nothing; only with class indices.
        reduction: as for ``nll_loss``.
        label_smoothing: in [0, 1].

    Returns:
        (), or one value for each case without reduction.

    Raises:
        ShapeError, DtypeError, ArgumentError: the arguments do not fit.
        OutOfRangeError: a target is no class (eagerly, on the CPU).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> float(ops.cross_entropy(np.log([[0.25, 0.75]]), np.asarray([0])).round(4))
        1.3863
    """
    check_reduction("cross_entropy", reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"cross_entropy expected 0 <= label_smoothing <= 1, got {label_smoothing}")
    backend, (input, target, weight) = gather("cross_entropy", input, target, weight, same_dtype=(0, 2))
    if backend.shape(input) != backend.shape(target):
        target = _class_indices("cross_entropy", backend, input, target, weight, ignore_index)
        return call(backend, "cross_entropy", input, target, weight, ignore_index, reduction, label_smoothing)
    _check_scores("cross_entropy", backend, input, weight)
    if not dtypes.is_floating(backend.dtype(target)):
        raise DtypeError(
            f"cross_entropy expected class probabilities of a float dtype in a target of the input's shape, got "
            f"{backend.dtype(target)}"
        )
    if ignore_index >= 0:
        raise ArgumentError(
            f"cross_entropy takes no ignore_index with class probabilities, got {ignore_index}"
        )
    if (wanted := backend.dtype(input)) != backend.dtype(target):
        target = ops.astype(target, wanted)
    return call(backend, "soft_cross_entropy", input, target, weight, reduction, label_smoothing)


# ---------------------------------------------------------------------- what a wrong call is told
def _check_scores(name: str, backend: Backend, input: Tensor, weight: Tensor | None) -> None:
    shape, dtype = backend.shape(input), backend.dtype(input)
    if not shape:
        raise ShapeError(f"{name} expected input (N, C, ...) or (C,), got a scalar")
    if not dtypes.is_floating(dtype):
        raise DtypeError(f"{name} expected input of a float dtype, got {dtype}")
    classes = shape[_class_axis(input)]
    if weight is not None and backend.shape(weight) != (classes,):
        raise ShapeError(
            f"{name} expected weight ({classes},) for input {shape}, got {backend.shape(weight)}"
        )


def _class_indices(
    name: str, backend: Backend, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> Tensor:
    """The target, once it is known to fit."""
    _check_scores(name, backend, input, weight)
    shape, got, dtype = backend.shape(input), backend.shape(target), backend.dtype(target)
    wanted = () if len(shape) == 1 else (shape[0], *shape[2:])
    if got != wanted:
        raise ShapeError(f"{name} expected target {wanted} for input {shape}, got {got}")
    if not dtypes.is_integer(dtype):
        raise DtypeError(f"{name} expected target of an integer dtype (class indices), got {dtype}")
    if backend.is_concrete(target) and backend.device(target) == "cpu":
        _check_range(name, backend.to_numpy(target), shape[_class_axis(input)], ignore_index)
    # A narrow dtype may not hold ignore_index.
    return target if dtype in ("int64", "int32") else ops.astype(target, dtypes.DEFAULT_INT)


def _check_range(name: str, target: np.ndarray[Any, Any], classes: int, ignore_index: int) -> None:
    target = target.astype(np.int64)
    wrong = target[((target < 0) | (target >= classes)) & (target != ignore_index)]
    if wrong.size:
        raise OutOfRangeError(
            f"{name} expected every target to be in [0, {classes}) or ignore_index {ignore_index}, got {wrong[0]}"
        )


__all__ = ["cross_entropy", "nll_loss"]
