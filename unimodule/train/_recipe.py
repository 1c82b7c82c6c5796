"""What a training step computes, eager and compiled alike: the loss, and what becomes of its gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..backend import Tensor
from ..nn.module import Module
from ..optim import clip_grad_norm, clip_grad_value
from ..transforms.gradient import value_and_grad
from ._precision import in_mixed_precision

Gradient = dict[int, Tensor]
"""Tensors by the id of the parameter's handle."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The same for all steps.

    Attributes:
        loss: a function of the net's output and the target, where the loss is not a module.
        accumulate: how many calls make up one update.
        clip_norm: limit of the gradients' common norm, or None.
        clip_value: limit of each element, or None.
        low: the low dtype of mixed precision, or None.
    """

    loss: Callable[..., Any] | None
    accumulate: int
    clip_norm: float | None
    clip_value: float | None
    low: str | None = None

    def objective(self, nets: Sequence[Module], batch: Sequence[Any]) -> Tensor:
        """``loss(net(*inputs), target)`` of a batch ``(*inputs, target)``."""
        *inputs, target = batch
        loss: Callable[..., Any] = nets[1] if self.loss is None else self.loss
        return loss(nets[0](*inputs), target)

    def gradients(
        self, nets: Sequence[Module], batch: Sequence[Any], scale: Tensor | None = None
    ) -> tuple[Tensor, Gradient]:
        """The loss of a batch, and its gradients, multiplied by ``scale``."""

        def objective(nets: Sequence[Module], batch: Sequence[Any]) -> Tensor:
            if self.low is None:
                return self.objective(nets, batch)
            return in_mixed_precision(self.objective, nets, batch, self.low)

        def scaled(nets: Sequence[Module], batch: Sequence[Any]) -> tuple[Tensor, Tensor]:
            loss = objective(nets, batch)
            return ops.multiply(loss, scale), loss

        if scale is None:
            loss, found = value_and_grad(objective)(list(nets), batch)
        else:
            (_, loss), found = value_and_grad(scaled, has_aux=True)(list(nets), batch)
        return loss, {id(p): part[name] for part in found for name, p in part.parameters.items()}

    def finish(self, gradients: list[Tensor], scale: Tensor | None = None) -> list[Tensor]:
        """The gradients that the update takes: the mean over the accumulated batches, without the scale, clipped."""
        if self.accumulate > 1:
            gradients = [ops.divide(g, float(self.accumulate)) for g in gradients]
        if scale is not None:
            inverse = ops.divide(1.0, scale)
            gradients = [ops.multiply(g, ops.astype(inverse, ops.dtype(g))) for g in gradients]
        if self.clip_value is not None:
            gradients = clip_grad_value(gradients, self.clip_value)
        if self.clip_norm is not None:
            gradients = clip_grad_norm(gradients, self.clip_norm)[0]
        return gradients


def all_finite(gradients: Sequence[Tensor]) -> Tensor:
    """Whether no element of the gradients is infinite or NaN: a bool tensor without axes."""
    return ops.all(ops.stack([ops.all(ops.isfinite(g)) for g in gradients]))


def accumulated(sums: Gradient, gradients: Gradient) -> Gradient:
    """The gradients, added to the sums of those before; a parameter thawed in between has none yet."""
    return {key: g if key not in sums else ops.add(sums[key], g) for key, g in gradients.items()}
