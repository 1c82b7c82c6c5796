"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from ..backend import Tensor
from ..errors import ArgumentError
from .optimizer import Optimizer, Slots, check_range


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, Nesterov momentum and weight decay.

    With g the gradient plus ``weight_decay`` times the parameter p, and a buffer b that starts as g:
    b <- momentum * b + (1 - dampening) * g; then p <- p - lr * b, or p - lr * (g + momentum * b) with ``nesterov``.

    Args:
        parameters: handles, or groups of them.
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

    numeric: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                    "nesterov": nesterov, "maximize": maximize}
        super().__init__(parameters, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Learning rate, momentum and weight decay are not negative; Nesterov needs momentum and no dampening."""
        check_range("lr", options["lr"], 0.0)
        check_range("momentum", options["momentum"], 0.0)
        check_range("weight_decay", options["weight_decay"], 0.0)
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ArgumentError("nesterov needs momentum > 0 and dampening 0")

    def slots_of(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The momentum buffer, where there is momentum."""
        return ("momentum_buffer",) if options["momentum"] else ()

    def rule(self, options: Mapping[str, Any]) -> Callable[..., tuple[list[Tensor], Slots]]:
        """See the class."""
        momentum, dampening, nesterov = options["momentum"], options["dampening"], options["nesterov"]
        sign, first = (-1.0 if options["maximize"] else 1.0), options["first"]

        def update(
            values: list[Tensor], gradients: list[Tensor], slots: Slots, numbers: dict[str, float]
        ) -> tuple[list[Tensor], Slots]:
            new_values, buffers = [], []
            for i, (p, g) in enumerate(zip(values, gradients, strict=True)):
                g = g * sign + p * numbers["weight_decay"]
                if momentum:
                    b = g if first else slots["momentum_buffer"][i] * momentum + g * (1 - dampening)
                    buffers.append(b)
                    g = g + b * momentum if nesterov else b
                new_values.append(p - g * numbers["lr"])
            return new_values, ({"momentum_buffer": buffers} if momentum else {})

        return update
