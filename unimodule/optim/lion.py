"""Lion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ._checks import check_betas, check_not_negative
from .foreach import Foreach
from .optimizer import Optimizer, Result, Scalars, Slots


class Lion(Optimizer):
    """Lion: steps of one size, by the sign of a momentum that leans towards the newest gradient.

    With g the gradient: c = beta1 * m + (1 - beta1) * g; p <- p - lr * (sign(c) + weight_decay * p);
    m <- beta2 * m + (1 - beta2) * g.

    Args:
        params: handles, or groups of them.
        lr: learning rate, >= 0; three to ten times smaller than Adam's.
        betas: weight of the momentum in the step, and its decay rate, each in [0, 1).
        weight_decay: decoupled decay of the parameters, >= 0; three to ten times larger than AdamW's.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2. PyTorch has none.

    Example:
        >>> import unimodule as um
        >>> um.optim.Lion(um.nn.Linear(2, 1).parameters()).param_groups[0]["betas"]
        (0.9, 0.99)
    """

    slots: ClassVar[tuple[str, ...]] = ("exp_avg",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """lr and weight decay are not negative; both betas are in [0, 1)."""
        check_not_negative(options, ("lr", "weight_decay"))
        check_betas(options)

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The rates and the shrinking of this step."""
        beta1, beta2 = options["betas"]
        return {
            "lr": float(options["lr"]),
            "shrink": 1 - options["lr"] * options["weight_decay"],
            "rate1": 1.0 - beta1,
            "rate2": 1.0 - beta2,
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
            values = do.scale_(values, n["shrink"])
        step = do.sign(do.lerp(slots["exp_avg"], g, n["rate1"]))
        m = do.lerp_(slots["exp_avg"], g, n["rate2"])
        return do.add_(values, step, -n["lr"]), {"exp_avg": m}
