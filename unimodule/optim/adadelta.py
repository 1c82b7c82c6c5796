"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ._checks import check_not_negative, check_range
from .foreach import Foreach
from .optimizer import Optimizer, Result, Scalars, Slots


class Adadelta(Optimizer):
    """Adadelta: steps in the units of the parameters, from running averages of squared gradients and squared steps.

    With g the gradient plus ``weight_decay`` times the parameter p:
    v <- rho * v + (1 - rho) * g^2; d = sqrt(u + eps) / sqrt(v + eps) * g; u <- rho * u + (1 - rho) * d^2; p <- p - lr * d.

    Args:
        params: handles, or groups of them.
        lr: factor of the step, >= 0.
        rho: decay rate of both averages, in [0, 1].
        eps: added under both roots, >= 0.
        weight_decay: L2 penalty, >= 0.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.Adadelta``; Zeiler 2012.

    Example:
        >>> import unimodule as um
        >>> um.optim.Adadelta(um.nn.Linear(2, 1).parameters()).param_groups[0]["rho"]
        0.9
    """

    slots: ClassVar[tuple[str, ...]] = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """lr, eps and weight decay are not negative; rho is in [0, 1]."""
        check_not_negative(options, ("lr", "eps", "weight_decay"))
        check_range("rho", options["rho"], 0.0, 1.0)

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The options."""
        own = {name: float(options[name]) for name in ("lr", "rho", "eps", "weight_decay")}
        return {**own, "rate": 1.0 - options["rho"]}

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
        v, u = slots["square_avg"], slots["acc_delta"]
        v = do.addcmul_(do.scale_(v, n["rho"]), g, g, n["rate"])
        d = do.divide_(do.sqrt_(do.shift(u, n["eps"])), do.sqrt_(do.shift(v, n["eps"])))
        d = do.multiply_(d, g)
        u = do.addcmul_(do.scale_(u, n["rho"]), d, d, n["rate"])
        return do.add_(values, d, -n["lr"]), {"square_avg": v, "acc_delta": u}
