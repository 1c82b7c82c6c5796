"""More modules that specs are made of: control flow, in Python and in ``ops``, and expressions of tensors.

They use unimodule only, so that a script can hold their source.
"""

from __future__ import annotations

from typing import Any

from unimodule import nn, ops

Tensor = Any


class WhileNorm(nn.Module):
    """Halves its input until the sum of magnitudes is small: a Python loop on values."""

    def __init__(self, limit: float = 1.2345) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        steps = 0
        while steps < 30 and ops.sum(ops.abs(x)) > self.limit:
            x = x / 2
            steps += 1
        return x


class IfPositive(nn.Module):
    """One of two modules, chosen by a Python ``if`` on the input's sum."""

    def __init__(self, then: nn.Module, otherwise: nn.Module, limit: float = 0.1234) -> None:
        super().__init__()
        self.then, self.otherwise = then, otherwise
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        if ops.sum(x) > self.limit:
            return self.then(x)
        return self.otherwise(x)


class Cond(nn.Module):
    """One of two modules, chosen by ``ops.cond`` on the input's sum."""

    def __init__(self, then: nn.Module, otherwise: nn.Module, limit: float = 0.1234) -> None:
        super().__init__()
        self.then, self.otherwise = then, otherwise
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        return ops.cond(ops.sum(x) > self.limit, self.then, self.otherwise, x)


class While(nn.Module):
    """Runs a module on its own output while the sum of magnitudes is large: ``ops.while_loop``."""

    def __init__(self, body: nn.Module, limit: float = 0.7654, max_iters: int = 3) -> None:
        super().__init__()
        self.body = body
        self.limit, self.max_iters = limit, max_iters

    def forward(self, x: Tensor) -> Tensor:
        return ops.while_loop(
            lambda value: ops.sum(ops.abs(value)) > self.limit,
            lambda value: ops.tanh(self.body(value)) * 0.5,
            x,
            self.max_iters,
        )


class Fori(nn.Module):
    """Runs a module on its own output from ``lower`` to ``upper``, scaled by the counter: ``ops.fori_loop``."""

    def __init__(self, body: nn.Module, lower: int = 0, upper: int = 3) -> None:
        super().__init__()
        self.body = body
        self.lower, self.upper = lower, upper

    def forward(self, x: Tensor) -> Tensor:
        def step(i: Any, value: Tensor) -> Tensor:
            factor = ops.astype(ops.asarray(i, like=x), ops.dtype(x)) + 1.0
            return ops.tanh(self.body(value) * factor)

        return ops.fori_loop(self.lower, self.upper, step, x)


class Scan(nn.Module):
    """A recurrence over the first axis, h = tanh(h / 2 + body(x_t)): ``ops.scan``. Returns (last h, all h)."""

    def __init__(self, body: nn.Module, reverse: bool = False) -> None:
        super().__init__()
        self.body = body
        self.reverse = reverse

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        def step(h: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
            h = ops.tanh(h * 0.5 + self.body(row))
            return h, h

        first: tuple[Tensor, Tensor] = ops.scan(step, x[0] * 0.25, x, reverse=self.reverse)
        return first


class Map(nn.Module):
    """A module on each part along the first axis: ``ops.map``."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return ops.map(lambda row: self.body(row) + ops.mean(row), x)


class Expression(nn.Module):
    """What can be written with the operators of tensors; ``kind`` is one of ``KINDS``."""

    KINDS = (
        "affine",
        "ratio",
        "power",
        "reverse",
        "gate",
        "product",
        "index",
        "last",
        "slice",
        "newaxis",
    )

    def __init__(self, kind: str = "affine") -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kind
        if kind == "affine":
            return -x * 2.0 + 1.5
        if kind == "ratio":
            return x / (abs(x) + 1.0)
        if kind == "power":
            return (x**2 + 1.0) ** 0.5
        if kind == "reverse":
            return (1.0 - x) * (0.5 + x) / (x * x + 2.0) - 3.0 / (x**2 + 1.0)
        if kind == "gate":
            return ops.where(x > 0.25, x, x * 0.1) + ops.astype(x <= 0.75, ops.dtype(x))
        if kind == "product":  # (..., n) -> (..., n): a Gram matrix of the last axis
            row = x[..., None]
            return (row @ (x[..., None, :] / (1.0 + ops.max(ops.abs(x)))))[..., 0] + x
        if kind == "index":
            return x[0]
        if kind == "last":
            return x[..., -1]
        if kind == "slice":
            return x[..., 1:]
        return x[:, None]


__all__ = ["Cond", "Expression", "Fori", "IfPositive", "Map", "Scan", "While", "WhileNorm"]
