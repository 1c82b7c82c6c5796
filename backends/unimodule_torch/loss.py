"""Losses, by PyTorch's fused kernels. Not binary_cross_entropy: its bound on the slope is rounded to float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from unimodule.backend import Tensor


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> Tensor:
    return F.nll_loss(input, target.long(), weight, ignore_index=ignore_index, reduction=reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    return F.cross_entropy(
        input,
        target.long(),
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    return F.cross_entropy(input, target, weight, reduction=reduction, label_smoothing=label_smoothing)


def _of_one_shape(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """PyTorch warns of tensors that broadcast; the core has done so already, in its own words."""

    def kernel(input: Tensor, target: Tensor, reduction: str, *options: Any) -> Tensor:
        if input.shape != target.shape:
            input, target = torch.broadcast_tensors(input, target)
        return loss(input, target, reduction, *options)

    return kernel


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Tensor:
    return F.binary_cross_entropy_with_logits(
        input, target, weight, reduction=reduction, pos_weight=pos_weight
    )


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "nll_loss": nll_loss,
    "cross_entropy": cross_entropy,
    "soft_cross_entropy": soft_cross_entropy,
    "mse_loss": _of_one_shape(lambda x, y, reduction: F.mse_loss(x, y, reduction=reduction)),
    "l1_loss": _of_one_shape(lambda x, y, reduction: F.l1_loss(x, y, reduction=reduction)),
    "huber_loss": _of_one_shape(lambda x, y, reduction, delta: F.huber_loss(x, y, reduction, delta)),
    "smooth_l1_loss": _of_one_shape(
        lambda x, y, reduction, beta: F.smooth_l1_loss(x, y, reduction=reduction, beta=beta)
    ),
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
}
