"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ._checks import check_betas, check_not_negative
from .foreach import Foreach
from .optimizer import Optimizer, Result, Scalars, Slots


class Adam(Optimizer):
    """Adam: steps scaled by running estimates of the gradient's mean and uncentred variance.

    With g the gradient plus ``weight_decay`` times the parameter p, at step t from 1:
    m <- m + (1 - beta1) * (g - m); v <- beta2 * v + (1 - beta2) * g^2;
    p <- p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
    With ``amsgrad`` the largest v so far takes the place of v in the denominator.

    Args:
        params: handles, or groups of them.
        lr: learning rate, >= 0.
        betas: decay rates of m and v, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: L2 penalty, >= 0.
        amsgrad: keep the largest v.
        maximize: go up instead of down.
        decoupled_weight_decay: take the weight decay off the parameter, as ``AdamW`` does.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.Adam``; Kingma and Ba 2014; Reddi et al. 2018 (AMSGrad).

    Example:
        >>> import unimodule as um
        >>> net = um.nn.Linear(2, 1).to("numpy")
        >>> um.optim.Adam(net.parameters(), lr=1e-2).param_groups[0]["betas"]
        (0.9, 0.999)
    """

    slots: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    flags: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize", "amsgrad", "decoupled_weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """lr, eps and weight decay are not negative; both betas are in [0, 1)."""
        check_not_negative(options, ("lr", "eps", "weight_decay"))
        check_betas(options)

    def slots_of(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The two moments, and the largest second one with ``amsgrad``."""
        return self.slots if options["amsgrad"] else self.slots[:2]

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The rates, and the bias corrections of this step."""
        (beta1, beta2), lr, step = options["betas"], options["lr"], scalars["step"]
        return {
            "weight_decay": float(options["weight_decay"]),
            "shrink": 1 - lr * options["weight_decay"],
            "beta2": float(beta2),
            "rate1": 1.0 - beta1,
            "rate2": 1.0 - beta2,
            "eps": float(options["eps"]),
            "step_size": lr / (1 - beta1**step),
            "correction": (1 - beta2**step) ** -0.5,
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
        if on["amsgrad"]:
            v = new["max_exp_avg_sq"] = do.maximum_(slots["max_exp_avg_sq"], v)
        root = do.shift_(do.scale_(do.sqrt(v), n["correction"]), n["eps"])
        return do.addcdiv_(values, m, root, -n["step_size"]), new


class AdamW(Adam):
    """Adam with decoupled weight decay: p <- (1 - lr * weight_decay) * p before Adam's step, whose g is the plain gradient.

    Args:
        params: handles, or groups of them.
        lr: learning rate, >= 0.
        betas: decay rates of m and v, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: how fast parameters shrink, >= 0.
        amsgrad: keep the largest v.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.AdamW``; Loshchilov and Hutter 2019.

    Example:
        >>> import unimodule as um
        >>> um.optim.AdamW(um.nn.Linear(2, 1).parameters()).param_groups[0]["weight_decay"]
        0.01
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )

    def switches(self, options: Mapping[str, Any], scalars: Scalars) -> dict[str, bool]:
        """Adam's; the decay stays decoupled whatever state is loaded."""
        return {**super().switches(options, scalars), "decoupled_weight_decay": True}
