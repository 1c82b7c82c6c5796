"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ._checks import check_not_negative
from .foreach import Foreach
from .optimizer import Optimizer, Result, Scalars, Slots


class Adagrad(Optimizer):
    """Adagrad: steps scaled by the root of the sum of all squared gradients so far.

    With g the gradient plus ``weight_decay`` times the parameter p, at step t from 1, and a sum s that starts at
    ``initial_accumulator_value``: s <- s + g^2; p <- p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps).

    Args:
        params: handles, or groups of them.
        lr: learning rate, >= 0.
        lr_decay: how fast the learning rate falls, >= 0.
        weight_decay: L2 penalty, >= 0.
        initial_accumulator_value: what the sum starts from, >= 0. A group may have its own; in PyTorch the first one
            counts for all.
        eps: added to the denominator, >= 0.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.Adagrad``; Duchi et al. 2011.

    Example:
        >>> import unimodule as um
        >>> um.optim.Adagrad(um.nn.Linear(2, 1).parameters()).param_groups[0]["eps"]
        1e-10
    """

    slots: ClassVar[tuple[str, ...]] = ("sum",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Nothing is negative."""
        check_not_negative(options, ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"))

    def initial(self, slot: str, options: Mapping[str, Any]) -> float:
        """What the sum starts from."""
        return float(options["initial_accumulator_value"])

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The options, and the learning rate of this step."""
        return {
            "weight_decay": float(options["weight_decay"]),
            "eps": float(options["eps"]),
            "lr": options["lr"] / (1 + (scalars["step"] - 1) * options["lr_decay"]),
        }

    @staticmethod
    def update(
        do: Foreach,
        on: Mapping[str, bool],
        values: list[Tensor],
        gradients: list[Tensor],
        slots: Slots,
        n: Mapping[str, Any],
    ) -> Result:
        """See the class."""
        g = do.negative(gradients) if on["maximize"] else gradients
        if on["weight_decay"]:
            g = do.add(g, values, n["weight_decay"])
        s = do.addcmul_(slots["sum"], g, g, 1.0)
        return do.addcdiv_(values, g, do.shift_(do.sqrt(s), n["eps"]), -n["lr"]), {"sum": s}
