"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ._checks import check_betas, check_not_negative
from .foreach import Foreach
from .optimizer import Optimizer, Result, Scalars, Slots


class Adamax(Optimizer):
    """Adamax: Adam with the infinity norm of past gradients in place of their variance.

    With g the gradient plus ``weight_decay`` times the parameter p, at step t from 1:
    m <- m + (1 - beta1) * (g - m); u <- max(beta2 * u, |g| + eps); p <- p - lr / (1 - beta1^t) * m / u.

    Args:
        params: handles, or groups of them.
        lr: learning rate, >= 0.
        betas: decay rates of m and u, each in [0, 1).
        eps: added to the gradient's size, >= 0.
        weight_decay: L2 penalty, >= 0.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.Adamax``; Kingma and Ba 2014, section 7.

    Example:
        >>> import unimodule as um
        >>> um.optim.Adamax(um.nn.Linear(2, 1).parameters()).param_groups[0]["lr"]
        0.002
    """

    slots: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """lr, eps and weight decay are not negative; both betas are in [0, 1)."""
        check_not_negative(options, ("lr", "eps", "weight_decay"))
        check_betas(options)

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The rates, and the step size with the bias correction of this step."""
        beta1, beta2 = options["betas"]
        return {
            "weight_decay": float(options["weight_decay"]),
            "rate1": 1.0 - beta1,
            "beta2": float(beta2),
            "eps": float(options["eps"]),
            "step_size": options["lr"] / (1 - beta1 ** scalars["step"]),
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
        m = do.lerp_(slots["exp_avg"], g, n["rate1"])
        u = do.maximum_(do.scale_(slots["exp_inf"], n["beta2"]), do.shift_(do.abs(g), n["eps"]))
        return do.addcdiv_(values, m, u, -n["step_size"]), {"exp_avg": m, "exp_inf": u}
