"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ..errors import ArgumentError
from ._checks import check_not_negative
from .foreach import Foreach
from .optimizer import Optimizer, Result, Scalars, Slots


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, Nesterov momentum and weight decay.

    With g the gradient plus ``weight_decay`` times the parameter p, and a buffer b that starts as g:
    b <- momentum * b + (1 - dampening) * g; then p <- p - lr * b, or p - lr * (g + momentum * b) with ``nesterov``.

    Args:
        params: handles, or groups of them.
        lr: learning rate, >= 0.
        momentum: factor of the buffer, >= 0; 0 keeps none.
        dampening: what is taken off the new gradient in the buffer.
        weight_decay: L2 penalty, >= 0.
        nesterov: look ahead; needs momentum > 0 and dampening 0.
        maximize: go up instead of down.

    Raises:
        ArgumentError: an option is out of range.

    Source: PyTorch ``torch.optim.SGD``; Sutskever et al. 2013.

    Example:
        >>> import numpy as np, unimodule as um
        >>> net = um.nn.Linear(2, 1).to("numpy")
        >>> opt = um.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        >>> loss, grads = um.value_and_grad(lambda net, x: um.ops.sum(net(x)))(net, np.ones((3, 2), "float32"))
        >>> opt.step(grads)
    """

    slots: ClassVar[tuple[str, ...]] = ("momentum_buffer",)
    flags: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize", "momentum", "nesterov")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Learning rate, momentum and weight decay are not negative; Nesterov needs momentum and no dampening."""
        check_not_negative(options, ("lr", "momentum", "weight_decay"))
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ArgumentError("nesterov needs momentum > 0 and dampening 0")

    def slots_of(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The momentum buffer, where there is momentum."""
        return self.slots if options["momentum"] else ()

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The options; a buffer of zeros takes the whole of its first gradient."""
        return {
            "lr": float(options["lr"]),
            "weight_decay": float(options["weight_decay"]),
            "momentum": float(options["momentum"]),
            "gain": 1.0 if fresh else 1.0 - options["dampening"],
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
        if not on["momentum"]:
            return do.add_(values, g, -n["lr"]), {}
        b = do.add_(do.scale_(slots["momentum_buffer"], n["momentum"]), g, n["gain"])
        step = do.add(g, b, n["momentum"]) if on["nesterov"] else b
        return do.add_(values, step, -n["lr"]), {"momentum_buffer": b}
