"""The nets that compiled calls and training steps are measured on, and what every contender has: weights, batch, loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Call = Callable[[], Any]

CASES = ("MLP, 2", "MLP, 256", "CNN, 8", "Transformer, 8")
HEADS, WIDTH, FAR, LENGTH = 4, 64, 128, 16
LR = 1e-6
"""So small that no contender runs into denormals, however long it trains."""
BETAS, EPS = (0.9, 0.999), 1e-8


@dataclasses.dataclass(frozen=True)
class Case:
    """One net with its batch, as NumPy arrays.

    Attributes:
        kind: "MLP", "CNN" or "Transformer".
        weights: the parameters by name, as PyTorch has them.
        x, y: inputs, and targets for training: labels, or for the Transformer an array like its output.
    """

    kind: str
    weights: dict[str, Array]
    x: Array
    y: Array


@dataclasses.dataclass
class Hand:
    """What was written by hand on one backend.

    Attributes:
        forward: contenders for a compiled call, by name; the first is the one to measure by.
        gradient: contenders for ``sum(net(x) ** 2)`` with its gradients, which they return as ``(loss, gradients)``.
        steps: contenders for a training step, which return the loss.
        wait: called with a result, where the framework computes in the background.
    """

    forward: dict[str, Call]
    gradient: dict[str, Call]
    steps: dict[str, Call]
    wait: Callable[[Any], Any] = lambda result: None


def our_net(kind: str) -> Any:
    """The neutral net."""
    from unimodule import nn

    if kind == "MLP":
        return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
    if kind == "CNN":
        convolutions = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        convolutions += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(32 * 64, 10))
    return nn.TransformerEncoderLayer(WIDTH, HEADS, FAR, dropout=0.0, batch_first=True)


def make(name: str) -> Case:
    """The case of that name: "MLP, 256"."""
    import unimodule as um

    kind, rows = name.split(", ")
    shapes = {"MLP": (20,), "CNN": (3, 32, 32), "Transformer": (LENGTH, WIDTH)}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(int(rows), *shapes[kind])).astype("float32")
    y = rng.normal(size=x.shape).astype("float32") if kind == "Transformer" else rng.integers(0, 10, len(x))
    net = our_net(kind).initialize(seed=0)
    return Case(kind, {k: um.to_numpy(v).astype("float32") for k, v in net.state_dict().items()}, x, y)


def ours(case: Case, backend: str) -> Hand:
    """The same in unimodule."""
    import unimodule as um
    from unimodule import nn, ops, optim

    x, y = ops.asarray(case.x, backend=backend), ops.asarray(case.y, backend=backend)

    def net() -> Any:
        new = our_net(case.kind).to(backend)
        new.load_state_dict(case.weights)
        return new

    def step(**options: Any) -> Call:
        criterion = nn.MSELoss() if case.kind == "Transformer" else nn.CrossEntropyLoss()
        own = net()
        train = um.train_step(own, criterion, optim.Adam(own.parameters(), lr=LR), **options)
        return lambda: train(x, y)

    plain = net()
    fast = um.compile(plain)
    gradient = um.compile(um.value_and_grad(lambda net, x: ops.sum(ops.square(net(x)))))
    steps = {"unimodule": step(), "unimodule, eager": step(compile=False)}
    if backend == "jax":
        steps["unimodule, donated"] = step(donate=True)
    return Hand({"unimodule": lambda: fast(x)}, {"unimodule": lambda: gradient(plain, x)}, steps)
