"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ._checks import check_betas, check_not_negative
from .foreach import Foreach
from .optimizer import Optimizer, Result, Scalars, Slots


class RAdam(Optimizer):
    """RAdam: Adam that waits with its adaptive step until the variance estimate can be trusted.

    With g the gradient plus ``weight_decay`` times the parameter p, at step t from 1:
    m <- m + (1 - beta1) * (g - m); v <- beta2 * v + (1 - beta2) * g^2;
    rho = r - 2 t beta2^t / (1 - beta2^t) where r = 2 / (1 - beta2) - 1. If rho > 5,
    p <- p - lr / (1 - beta1^t) * m * sqrt(1 - beta2^t) / (sqrt(v) + eps)
    * sqrt((rho - 4) (rho - 2) r / ((r - 4) (r - 2) rho)), else p <- p - lr / (1 - beta1^t) * m.

    Args:
        params: handles, or groups of them.
        lr: learning rate, >= 0.
        betas: decay rates of m and v, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: L2 penalty, or the decay of the parameters themselves, >= 0.
        decoupled_weight_decay: p <- (1 - lr * weight_decay) * p in place of the penalty.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.RAdam``; Liu et al. 2020.

    Example:
        >>> import unimodule as um
        >>> um.optim.RAdam(um.nn.Linear(2, 1).parameters()).param_groups[0]["decoupled_weight_decay"]
        False
    """

    slots: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    flags: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize", "decoupled_weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """lr, eps and weight decay are not negative; both betas are in [0, 1)."""
        check_not_negative(options, ("lr", "eps", "weight_decay"))
        check_betas(options)

    def switches(self, options: Mapping[str, Any], scalars: Scalars) -> dict[str, bool]:
        """The options', and whether the step is adaptive yet."""
        rho, _ = _lengths(options, scalars["step"])
        return {**super().switches(options, scalars), "adaptive": rho > 5}

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The rates, and the step size of this step."""
        (beta1, beta2), lr, step = options["betas"], options["lr"], scalars["step"]
        rho, limit = _lengths(options, step)
        step_size = lr / (1 - beta1**step)
        if rho > 5:
            rectification = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
            step_size *= (rectification * (1 - beta2**step)) ** 0.5
        return {
            "weight_decay": float(options["weight_decay"]),
            "shrink": 1 - lr * options["weight_decay"],
            "beta2": float(beta2),
            "rate1": 1.0 - beta1,
            "rate2": 1.0 - beta2,
            "eps": float(options["eps"]),
            "step_size": step_size,
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
        if on["weight_decay"] and on["decoupled_weight_decay"]:
            values = do.scale_(values, n["shrink"])
        elif on["weight_decay"]:
            g = do.add(g, values, n["weight_decay"])
        m = do.lerp_(slots["exp_avg"], g, n["rate1"])
        v = do.addcmul_(do.scale_(slots["exp_avg_sq"], n["beta2"]), g, g, n["rate2"])
        new = {"exp_avg": m, "exp_avg_sq": v}
        if not on["adaptive"]:
            return do.add_(values, m, -n["step_size"]), new
        return do.addcdiv_(values, m, do.shift_(do.sqrt(v), n["eps"]), -n["step_size"]), new


def _lengths(options: Mapping[str, Any], step: float) -> tuple[float, float]:
    """How many gradients the variance estimate stands for at this step, and in the limit."""
    beta2 = options["betas"][1]
    limit = 2 / (1 - beta2) - 1
    return limit - 2 * step * beta2**step / (1 - beta2**step), limit
