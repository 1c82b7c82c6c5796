"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ._checks import check_betas, check_not_negative
from .foreach import Foreach
from .optimizer import Optimizer, Result, Scalars, Slots


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov momentum, whose weight mu grows towards beta1.

    With g the gradient plus ``weight_decay`` times the parameter p, at step t from 1, where
    mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2) and M_t is the product of mu_1 to mu_t:
    m <- m + (1 - beta1) * (g - m); v <- beta2 * v + (1 - beta2) * g^2;
    p <- p - lr * (g * (1 - mu_t) / (1 - M_t) + m * mu_{t+1} / (1 - M_{t+1})) / (sqrt(v / (1 - beta2^t)) + eps).

    Args:
        params: handles, or groups of them.
        lr: learning rate, >= 0.
        betas: decay rates of m and v, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: L2 penalty, or the decay of the parameters themselves, >= 0.
        momentum_decay: how fast mu grows, >= 0.
        decoupled_weight_decay: p <- (1 - lr * weight_decay) * p in place of the penalty.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.NAdam``; Dozat 2016. PyTorch rounds the product of the mus to float32, unless its
        default dtype is float64; here it is a Python float.

    Example:
        >>> import unimodule as um
        >>> um.optim.NAdam(um.nn.Linear(2, 1).parameters()).param_groups[0]["momentum_decay"]
        0.004
    """

    slots: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    scalars: ClassVar[Mapping[str, float]] = {"mu_product": 1.0}
    flags: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize", "decoupled_weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """lr, eps and both decays are not negative; both betas are in [0, 1)."""
        check_not_negative(options, ("lr", "eps", "weight_decay", "momentum_decay"))
        check_betas(options)

    def advance(self, options: Mapping[str, Any], scalars: Scalars) -> Scalars:
        """One step more, and its mu in the product."""
        after = super().advance(options, scalars)
        return {**after, "mu_product": scalars["mu_product"] * _mu(options, after["step"])}

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The rates, and the weights of gradient and momentum in this step."""
        (beta1, beta2), lr, step = options["betas"], options["lr"], scalars["step"]
        mu, following = _mu(options, step), _mu(options, step + 1)
        return {
            "weight_decay": float(options["weight_decay"]),
            "shrink": 1 - lr * options["weight_decay"],
            "beta2": float(beta2),
            "rate1": 1.0 - beta1,
            "rate2": 1.0 - beta2,
            "eps": float(options["eps"]),
            "correction": (1 - beta2**step) ** -0.5,
            "of_gradient": lr * (1 - mu) / (1 - scalars["mu_product"]),
            "of_momentum": lr * following / (1 - scalars["mu_product"] * following),
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
        root = do.shift_(do.scale_(do.sqrt(v), n["correction"]), n["eps"])
        values = do.addcdiv_(values, g, root, -n["of_gradient"])
        return do.addcdiv_(values, m, root, -n["of_momentum"]), {"exp_avg": m, "exp_avg_sq": v}


def _mu(options: Mapping[str, Any], step: float) -> float:
    return float(options["betas"][0] * (1 - 0.5 * 0.96 ** (step * options["momentum_decay"])))
