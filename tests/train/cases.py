"""Nets, batches and comparisons for the training steps."""

from __future__ import annotations

from typing import Any

import numpy as np

import unimodule as um
from unimodule import nn, ops, optim

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
}


class Counted(nn.Module):
    """Counts how often Python runs its forward, in an object that clones share."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self._runs: Any = Runs()

    def forward(self, x: Any) -> Any:
        self._runs.count += 1
        return self.net(x)


class Runs:
    count = 0


def mlp(backend: str, dtype: str | None = None) -> Counted:
    """No bias before the batch norm: its gradient would be nothing but rounding, which Adam blows up."""
    layers = nn.Sequential(
        nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)
    )
    return Counted(layers).initialize(seed=3).to(backend, dtype=dtype)


def batches(count: int = 5, rows: int = 6) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(rows, 5)).astype("float32"), rng.integers(0, 3, rows)) for _ in range(count)]


def options(backend: str) -> dict[str, str]:
    """A compiler that is quick to compile; inductor has a test of its own."""
    return {"backend": "aot_eager"} if backend == "torch" else {}


def make_step(net: nn.Module, opt: optim.Optimizer, **kwargs: Any) -> Any:
    """A step on cross-entropy, compiled unless told otherwise."""
    return um.train_step(net, nn.CrossEntropyLoss(), opt, **options(net.backend or ""), **kwargs)


def plain_step(net: nn.Module, opt: optim.Optimizer, clip: Any = lambda grads: grads) -> Any:
    """The loop that one writes by hand."""
    loss_fn = um.value_and_grad(lambda net, x, y: nn.functional.cross_entropy(net(x), y))

    def step(x: Any, y: Any) -> Any:
        loss, grads = loss_fn(net, x, y)
        opt.step(clip(grads))
        return loss

    return step


def number(loss: Any) -> float:
    return float(ops.item(loss))


def everything(net: nn.Module, opt: optim.Optimizer) -> dict[str, np.ndarray]:
    """All state of a net and an optimiser on the host."""
    state = {name: um.to_numpy(value) for name, value in net.state_dict().items()}
    for index, entry in opt.state_dict()["state"].items():
        for name, value in entry.items():
            state[f"{index} {name}"] = np.asarray(value if np.isscalar(value) else um.to_numpy(value))
    return state


def assert_close(
    found: dict[str, np.ndarray], expected: dict[str, np.ndarray], atol: float = 2e-6, rtol: float = 2e-5
) -> None:
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=atol, err_msg=name)
