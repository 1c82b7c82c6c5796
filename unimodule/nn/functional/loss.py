"""Losses under the names, argument orders and defaults of torch.nn.functional.

``size_average`` and ``reduce`` are PyTorch's retired way to say ``reduction``; they are honoured where given. Formulas,
shapes and errors are documented with the ops of the same names.
"""

from __future__ import annotations

import warnings

from ... import ops
from ...backend import Tensor


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the retired arguments ask for, or ``reduction`` where they are not given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        chosen = "none"
    else:
        chosen = "sum" if size_average is False else "mean"
    warnings.warn(
        f"size_average and reduce are retired; write reduction={chosen!r}", DeprecationWarning, stacklevel=3
    )
    return chosen


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of softmax(input) with class indices, or with probabilities of classes.

    Args:
        input: scores (N, C), (N, C, d1, ...) or (C,).
        target: class indices (N,), (N, d1, ...) or (), or probabilities of ``input``'s shape.
        weight: (C,), the weight of each class.
        size_average, reduce: retired, see ``reduction``.
        ignore_index: target cases that count for nothing.
        reduction: "mean" (weighted), "sum" or "none".
        label_smoothing: in [0, 1].

    Raises:
        ShapeError, DtypeError, ArgumentError, OutOfRangeError: the arguments do not fit.

    Example:
        >>> import numpy as np, unimodule as um
        >>> round(um.ops.item(um.nn.functional.cross_entropy(np.zeros((2, 4)), np.array([0, 3]))), 4)
        1.3863
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-weight[y] * input[y] for each case of class y; arguments as ``cross_entropy``, ``input`` log-probabilities."""
    return ops.nll_loss(
        input, target, weight, ignore_index, legacy_reduction(size_average, reduce, reduction)
    )


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2, reduced."""
    return ops.mse_loss(input, target, legacy_reduction(size_average, reduce, reduction), weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """abs(input - target), reduced."""
    return ops.l1_loss(input, target, legacy_reduction(size_average, reduce, reduction), weight)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Squared up to a distance of ``delta``, linear beyond, reduced."""
    return ops.huber_loss(input, target, reduction, delta, weight)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Squared over 2 ``beta`` up to a distance of ``beta``, linear beyond, reduced."""
    return ops.smooth_l1_loss(input, target, legacy_reduction(size_average, reduce, reduction), beta)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of probabilities with targets in [0, 1], reduced."""
    return ops.binary_cross_entropy(input, target, weight, legacy_reduction(size_average, reduce, reduction))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Cross entropy of sigmoid(input) with targets in [0, 1], reduced."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.binary_cross_entropy_with_logits(input, target, weight, reduction, pos_weight)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input), reduced; "batchmean" is the divergence's definition."""
    return ops.kl_div(input, target, legacy_reduction(size_average, reduce, reduction), log_target)


__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]
