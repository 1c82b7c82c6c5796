"""Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ..errors import ArgumentError
from .optimizer import Optimizer, Slots, check_range


class Adam(Optimizer):
    """Adam: steps scaled by running estimates of the gradient's mean and uncentred variance.

    With g the gradient plus ``weight_decay`` times the parameter p, at step t from 1:
    m <- m + (1 - beta1) * (g - m); v <- beta2 * v + (1 - beta2) * g^2;
    p <- p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
    With ``amsgrad`` the largest v so far takes the place of v in the denominator.

    Args:
        parameters: handles, or groups of them.
        lr: learning rate, >= 0.
        betas: decay rates of m and v, each in [0, 1).
        eps: added to the denominator, >= 0.
        weight_decay: L2 penalty, >= 0.
        amsgrad: keep the largest v.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.Adam``; Kingma and Ba 2014; Reddi et al. 2018 (AMSGrad).

    Example:
        >>> import unimodule as um
        >>> net = um.nn.Linear(2, 1).to("numpy")
        >>> um.optim.Adam(net.parameters(), lr=1e-2).param_groups[0]["betas"]
        (0.9, 0.999)
    """

    slots: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    numeric: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
                    "maximize": maximize}
        super().__init__(parameters, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """lr, eps and weight decay are not negative; both betas are in [0, 1)."""
        for name in ("lr", "eps", "weight_decay"):
            check_range(name, options[name], 0.0)
        if len(options["betas"]) != 2:
            raise ArgumentError(f"betas expected two numbers, got {options['betas']!r}")
        for beta in options["betas"]:
            check_range("each of betas", beta, 0.0, 1.0, open_high=True)

    def slots_of(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The two moments, and the largest second one with ``amsgrad``."""
        return (*self.slots, "max_exp_avg_sq") if options["amsgrad"] else self.slots

    def numbers(self, options: Mapping[str, Any], step: int) -> dict[str, float]:
        """The weight decay, the step size and the root of the second moment's bias correction."""
        beta1, beta2 = options["betas"]
        return {
            "weight_decay": float(options["weight_decay"]),
            "step_size": options["lr"] / (1 - beta1**step),
            "root_correction": (1 - beta2**step) ** 0.5,
        }

    def rule(self, options: Mapping[str, Any]) -> Callable[..., tuple[list[Tensor], Slots]]:
        """See the class."""
        from .. import ops

        (beta1, beta2), eps, amsgrad = options["betas"], options["eps"], options["amsgrad"]
        sign = -1.0 if options["maximize"] else 1.0

        def update(
            values: list[Tensor], gradients: list[Tensor], slots: Slots, numbers: dict[str, float]
        ) -> tuple[list[Tensor], Slots]:
            new_values: list[Tensor] = []
            new: Slots = {name: [] for name in slots}
            for i, (p, g) in enumerate(zip(values, gradients, strict=True)):
                g = g * sign + p * numbers["weight_decay"]
                m = slots["exp_avg"][i]
                m = m + (g - m) * (1 - beta1)
                v = slots["exp_avg_sq"][i] * beta2 + g * g * (1 - beta2)
                new["exp_avg"].append(m)
                new["exp_avg_sq"].append(v)
                if amsgrad:
                    v = ops.maximum(slots["max_exp_avg_sq"][i], v)
                    new["max_exp_avg_sq"].append(v)
                new_values.append(p - m / (ops.sqrt(v) / numbers["root_correction"] + eps) * numbers["step_size"])
            return new_values, new

        return update
