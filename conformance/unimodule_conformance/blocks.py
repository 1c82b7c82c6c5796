"""Modules that specs are made of beside ``nn``'s own: what users write themselves.

They use unimodule only, so that a script can hold their source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unimodule import nn, ops

from .specs import In

Tensor = Any


@dataclass(frozen=True)
class Own:
    """Stands in the arguments of an ``Apply`` for one of its Constants."""

    name: str


class Apply(nn.Module):
    """Call a function, or another module, with the arguments that a spec says.

    Args:
        function: what is called.
        args, kwargs: its arguments. ``In(i)`` stands for input i, also inside tuples and dicts; NumPy arrays become
            Constants of this module.
    """

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.function = function
        self.held = 0
        self.args = self._keep(args)
        self.kwargs = self._keep(kwargs)

    def _keep(self, value: Any) -> Any:
        """``value`` with a name in place of each array, which becomes a Constant of that name."""
        if isinstance(value, np.ndarray):
            name = f"constant_{self.held}"
            self.held += 1
            setattr(self, name, nn.Constant(value))
            return Own(name)
        if isinstance(value, (tuple, list)):
            return tuple(self._keep(item) for item in value)
        if isinstance(value, dict):
            return {key: self._keep(item) for key, item in value.items()}
        return value

    def _fill(self, value: Any, inputs: tuple[Tensor, ...]) -> Any:
        if isinstance(value, In):
            return inputs[value.index]
        if isinstance(value, Own):
            return getattr(self, value.name)
        if isinstance(value, tuple):
            return tuple(self._fill(item, inputs) for item in value)
        if isinstance(value, dict):
            return {key: self._fill(item, inputs) for key, item in value.items()}
        return value

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*self._fill(self.args, inputs), **self._fill(self.kwargs, inputs))


class Pick(nn.Module):
    """One of the things that a module returns: the one at ``path``, taken index by index."""

    def __init__(self, module: nn.Module, *path: int) -> None:
        super().__init__()
        self.module = module
        self.path = path

    def forward(self, *inputs: Tensor) -> Tensor:
        out = self.module(*inputs)
        for index in self.path:
            out = out[index]
        return out


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Branch(nn.Module):
    """Two modules on one input, their outputs added, multiplied or subtracted."""

    def __init__(self, left: nn.Module, right: nn.Module, how: str = "add") -> None:
        super().__init__()
        self.left, self.right = left, right
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.left(x), self.right(x)
        if self.how == "add":
            return ops.add(left, right)
        return ops.multiply(left, right) if self.how == "multiply" else ops.subtract(left, right)


class Outputs(nn.Module):
    """Several modules on one input; returns a dict of what they return, and the input's own sum."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.nets = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> dict[str, Any]:
        return {"outputs": [net(x) for net in self.nets], "total": ops.sum(x)}


class Shared(nn.Module):
    """The same module, ``times`` times: its parameters are used, and their gradients summed, as often."""

    def __init__(self, body: nn.Module, times: int = 2) -> None:
        super().__init__()
        self.body = body
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.body(x)
        return x


class Tied(nn.Module):
    """Two layers of the same sizes that hold one weight: ``second.weight is first.weight``."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second
        second.weight = first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(ops.tanh(self.first(x)))


class Listed(nn.Module):
    """Modules in an ``nn.ModuleList``, run one after the other by a loop in ``forward``."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.steps = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


class Named(nn.Module):
    """Modules in an ``nn.ModuleDict``, whose outputs for one input are summed."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.routes = nn.ModuleDict({f"route{i}": module for i, module in enumerate(modules)})

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = 0.0
        for name in self.routes:
            total = self.routes[name](x) + total
        return total


class Repeated(nn.Module):
    """``nn.repeat``: as many Linear layers of ``features`` as ``times`` says, with tanh between."""

    def __init__(self, features: int, times: int) -> None:
        super().__init__()
        self.layers = nn.repeat(lambda: nn.Linear(features, features), times)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = ops.tanh(layer(x))
        return x


class WithParameter(nn.Module):
    """scale * x + shift, with parameters of its own; the shift may be frozen."""

    def __init__(self, scale: Any, shift: Any, frozen: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(scale)
        self.shift = nn.Parameter(shift, requires_grad=not frozen)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class WithConstant(nn.Module):
    """A Constant that the input is added to, multiplied with, or (the last axis) multiplied by as a matrix."""

    def __init__(self, value: Any, how: str = "add") -> None:
        super().__init__()
        self.value = nn.Constant(value)
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "add":
            return x + self.value
        if self.how == "multiply":
            return x * self.value
        if len(x.shape) == 1:
            return ops.matmul(x, self.value)  # not every framework has the operator for vectors
        return x @ self.value


class WithBuffer(nn.Module):
    """Subtracts a running mean over all axes but the last, which is moved by a quarter in each training step, and counts.

    The mean used is the one before the step, so that the second step shows whether the first was kept.
    """

    mean: Any
    steps: Any

    def __init__(self, features: int, persistent: bool = True) -> None:
        super().__init__()
        self.mean = nn.Buffer(np.full((features,), 0.5, "float32"), persistent=persistent)
        self.steps = nn.Buffer(np.zeros((), "int64"))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - self.mean  # before the buffer is assigned: what was read of it may change then
        if self.training:
            axes = tuple(range(len(x.shape) - 1))
            batch = ops.mean(ops.stop_gradient(x), axis=axes) if axes else ops.stop_gradient(x)
            self.mean = self.mean * 0.75 + batch * 0.25
            self.steps = ops.add(self.steps, 1)
        return centred


class Mixture(nn.Module):
    """Sum of w_i x + v over the weights of an ``nn.ParameterList``, with v from an ``nn.ParameterDict``."""

    def __init__(self, *weights: Any) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(weight) for weight in weights])
        self.shifts = nn.ParameterDict({"shift": nn.Parameter(weights[0])})

    def forward(self, x: Tensor) -> Tensor:
        total = x * self.weights[0]
        for weight in list(self.weights)[1:]:
            total = total + x * weight
        return total + self.shifts["shift"]


__all__ = [
    "Apply",
    "Branch",
    "Listed",
    "Mixture",
    "Named",
    "Outputs",
    "Pick",
    "Repeated",
    "Residual",
    "Shared",
    "Tied",
    "WithBuffer",
    "WithConstant",
    "WithParameter",
]
