"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ._checks import check_not_negative
from .foreach import Foreach
from .optimizer import Optimizer, Result, Scalars, Slots


class RMSprop(Optimizer):
    """RMSprop: steps scaled by the root of a running average of squared gradients.

    With g the gradient plus ``weight_decay`` times the parameter p:
    v <- alpha * v + (1 - alpha) * g^2; d = g / (sqrt(v) + eps); p <- p - lr * d.
    With ``centered``, a <- a + (1 - alpha) * (g - a) and sqrt(v - a^2) takes the place of sqrt(v). With ``momentum``,
    b <- momentum * b + d and p <- p - lr * b.

    Args:
        params: handles, or groups of them.
        lr: learning rate, >= 0.
        alpha: decay rate of the average, >= 0.
        eps: added to the denominator, >= 0.
        weight_decay: L2 penalty, >= 0.
        momentum: factor of the buffer b, >= 0; 0 keeps none.
        centered: take the gradient's mean off, so that v - a^2 is its variance.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.RMSprop``; Hinton's lecture notes, 2012; Graves 2013 (centred).

    Example:
        >>> import unimodule as um
        >>> um.optim.RMSprop(um.nn.Linear(2, 1).parameters()).param_groups[0]["alpha"]
        0.99
    """

    slots: ClassVar[tuple[str, ...]] = ("square_avg", "momentum_buffer", "grad_avg")
    flags: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize", "momentum", "centered")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Nothing is negative."""
        check_not_negative(options, ("lr", "alpha", "eps", "weight_decay", "momentum"))

    def slots_of(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The average of squares, and what ``momentum`` and ``centered`` need."""
        wanted = {"square_avg": True, "momentum_buffer": options["momentum"], "grad_avg": options["centered"]}
        return tuple(name for name in self.slots if wanted[name])

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The options."""
        own = {name: float(options[name]) for name in ("lr", "alpha", "eps", "weight_decay", "momentum")}
        return {**own, "rate": 1.0 - options["alpha"]}

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
        v = do.addcmul_(do.scale_(slots["square_avg"], n["alpha"]), g, g, n["rate"])
        new = {"square_avg": v}
        if on["centered"]:
            a = new["grad_avg"] = do.lerp_(slots["grad_avg"], g, n["rate"])
            root = do.sqrt_(do.addcmul(v, a, a, -1.0))
        else:
            root = do.sqrt(v)
        root = do.shift_(root, n["eps"])
        if not on["momentum"]:
            return do.addcdiv_(values, g, root, -n["lr"]), new
        b = do.addcdiv_(do.scale_(slots["momentum_buffer"], n["momentum"]), g, root, 1.0)
        return do.add_(values, b, -n["lr"]), {**new, "momentum_buffer": b}
