"""What ``block.*`` stands for, written again with PyTorch's own modules and operators.

The attributes have the names that they have in ``blocks``, so that the states have the same keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Tensor = Any


class Block(nn.Module):
    """A module that is written as a function of itself and the inputs."""

    def __init__(self, run: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self.run(self, *inputs)


def _combined(how: str, left: Tensor, right: Tensor) -> Tensor:
    """As ``ops`` promotes, which knows no difference between 0-d tensors and others; PyTorch lets the others decide."""
    dtype = torch.promote_types(left.dtype, right.dtype)
    left, right = left.to(dtype), right.to(dtype)
    return left + right if how == "add" else left * right if how == "multiply" else left - right


def _pick(module: nn.Module, *path: int) -> Block:
    def run(self: Block, *inputs: Tensor) -> Any:
        out = self.module(*inputs)
        for index in path:
            out = out[index]
        return out

    return Block(run, module=module)


def _shared(body: nn.Module, times: int = 2) -> Block:
    def run(self: Block, x: Tensor) -> Tensor:
        for _ in range(times):
            x = self.body(x)
        return x

    return Block(run, body=body)


def _tied(first: nn.Module, second: nn.Module) -> Block:
    second.weight = first.weight
    return Block(lambda self, x: self.second(torch.tanh(self.first(x))), first=first, second=second)


def _listed(*modules: nn.Module) -> Block:
    return Block(lambda self, x: nn.Sequential(*self.steps)(x), steps=nn.ModuleList(modules))


def _named(*modules: nn.Module) -> Block:
    routes = nn.ModuleDict({f"route{i}": module for i, module in enumerate(modules)})
    return Block(lambda self, x: sum(route(x) for route in self.routes.values()), routes=routes)


def _repeated(features: int, times: int) -> Block:
    layers = nn.ModuleList(nn.Linear(features, features) for _ in range(times))

    def run(self: Block, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x

    return Block(run, layers=layers)


def _with_parameter(scale: Tensor, shift: Tensor, frozen: bool = False) -> Block:
    parts = {"scale": nn.Parameter(scale), "shift": nn.Parameter(shift, requires_grad=not frozen)}
    return Block(lambda self, x: torch.addcmul(self.shift.expand_as(x * self.scale), x, self.scale), **parts)


def _with_constant(value: Tensor, how: str = "add") -> Block:
    def run(self: Block, x: Tensor) -> Tensor:
        if how == "add":
            return torch.add(x, self.value)
        return torch.mul(x, self.value) if how == "multiply" else torch.matmul(x, self.value)

    block = Block(run)
    block.register_buffer("value", value)
    return block


def _with_buffer(features: int, persistent: bool = True) -> Block:
    def run(self: Block, x: Tensor) -> Tensor:
        mean = self.mean
        if self.training:
            batch = x.detach().reshape(-1, features).mean(0)
            self.mean = torch.lerp(mean, batch, 0.25)
            self.steps = self.steps + 1
        return x - mean

    block = Block(run)
    block.register_buffer("mean", torch.full((features,), 0.5, dtype=torch.float64), persistent=persistent)
    block.register_buffer("steps", torch.zeros((), dtype=torch.int64))
    return block


def _mixture(*weights: Tensor) -> Block:
    parts = {
        "weights": nn.ParameterList([nn.Parameter(w.clone()) for w in weights]),
        "shifts": nn.ParameterDict({"shift": nn.Parameter(weights[0].clone())}),
    }
    return Block(lambda self, x: sum(x * w for w in self.weights) + self.shifts["shift"], **parts)


# ---------------------------------------------------------------------- control flow
def _while_norm(limit: float = 1.2345) -> Block:
    def run(self: Block, x: Tensor) -> Tensor:
        for _ in range(30):
            if not x.abs().sum() > limit:
                break
            x = x / 2
        return x

    return Block(run)


def _branching(then: nn.Module, otherwise: nn.Module, limit: float = 0.1234) -> Block:
    return Block(
        lambda self, x: (self.then if x.sum() > limit else self.otherwise)(x), then=then, otherwise=otherwise
    )


def _while(body: nn.Module, limit: float = 0.7654, max_iters: int = 3) -> Block:
    def run(self: Block, x: Tensor) -> Tensor:
        for _ in range(max_iters):
            if x.abs().sum() <= limit:
                break
            x = torch.tanh(self.body(x)) / 2
        return x

    return Block(run, body=body)


def _fori(body: nn.Module, lower: int = 0, upper: int = 3) -> Block:
    def run(self: Block, x: Tensor) -> Tensor:
        for i in range(lower, upper):
            x = torch.tanh(self.body(x) * (i + 1))
        return x

    return Block(run, body=body)


def _scan(body: nn.Module, reverse: bool = False) -> Block:
    def run(self: Block, x: Tensor) -> tuple[Tensor, Tensor]:
        h, rows = x[0] / 4, {}
        for i in reversed(range(len(x))) if reverse else range(len(x)):
            h = rows[i] = torch.tanh(h / 2 + self.body(x[i]))
        return h, torch.stack([rows[i] for i in range(len(x))])

    return Block(run, body=body)


def _map(body: nn.Module) -> Block:
    return Block(lambda self, x: torch.stack([self.body(row) + row.mean() for row in x.unbind(0)]), body=body)


EXPRESSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "affine": lambda x: 1.5 - 2 * x,
    "ratio": lambda x: x / (1 + x.abs()),
    "power": lambda x: torch.sqrt(x.square() + 1),
    "reverse": lambda x: (1 - x) * (x + 0.5) / (x.square() + 2) - 3 / (x.square() + 1),
    "gate": lambda x: torch.where(x > 0.25, x, x / 10) + (x <= 0.75).to(x.dtype),
    "product": lambda x: x * (x[..., :1] / (1 + x.abs().max())) + x,
    "index": lambda x: x.select(0, 0),
    "last": lambda x: x.select(-1, -1),
    "slice": lambda x: x.narrow(-1, 1, x.shape[-1] - 1),
    "newaxis": lambda x: x.unsqueeze(1),
}

BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "Pick": _pick,
    "Residual": lambda body: Block(lambda self, x: x + self.body(x), body=body),
    "Branch": lambda left, right, how="add": Block(
        lambda self, x: _combined(how, self.left(x), self.right(x)), left=left, right=right
    ),
    "Outputs": lambda *modules: Block(
        lambda self, x: {"outputs": [net(x) for net in self.nets], "total": x.sum()},
        nets=nn.ModuleList(modules),
    ),
    "Shared": _shared,
    "Tied": _tied,
    "Listed": _listed,
    "Named": _named,
    "Repeated": _repeated,
    "WithParameter": _with_parameter,
    "WithConstant": _with_constant,
    "WithBuffer": _with_buffer,
    "Mixture": _mixture,
    "WhileNorm": _while_norm,
    "IfPositive": _branching,
    "Cond": _branching,
    "While": _while,
    "Fori": _fori,
    "Scan": _scan,
    "Map": _map,
    "Expression": lambda kind="affine": Block(lambda self, x: EXPRESSIONS[kind](x)),
    "Shaped": lambda: Block(lambda self, x: x * (x.numel() + x.ndim)),
    "Typed": lambda: Block(lambda self, x: x + 1),
    "Placed": lambda: Block(lambda self, x: 2 * x),
    "Converted": lambda: Block(lambda self, x: x * x.detach()),
    "Item": lambda: Block(lambda self, x: x * x.sum().item()),
    "HostSum": lambda: Block(lambda self, x: x + x.abs().sum().item()),
}
"""Name of a block -> what makes the same of PyTorch."""

__all__ = ["BLOCKS", "Block"]
