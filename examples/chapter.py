"""Layers, blocks and modules: the models of a textbook chapter, each written once for every framework.

They show all that a module may do: nest, loop over children, hold constants, use a layer twice, branch and loop on values.

    python examples/chapter.py                      # on the default backend
    python examples/chapter.py --backend jax
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import unimodule as um
from unimodule import Tensor, init, nn, ops

FEATURES = 20


# ---------------------------------------------------------------------- the two-layer perceptron as a Sequential
def sequential_from_arguments() -> nn.Sequential:
    """Modules as arguments."""
    return nn.Sequential(nn.LazyLinear(256), nn.ReLU(), nn.LazyLinear(10))


def sequential_from_list() -> nn.Sequential:
    """A list, in which plain functions may stand beside modules."""
    return nn.Sequential([nn.LazyLinear(256), ops.relu, nn.LazyLinear(10)])


def sequential_by_adding() -> nn.Sequential:
    """An empty container that grows."""
    net = nn.Sequential()
    net.add(nn.LazyLinear(256))
    net.add(nn.ReLU())
    net.add(nn.LazyLinear(10))
    return net


# ---------------------------------------------------------------------- custom modules
class MLP(nn.Module):
    """The same perceptron with a forward of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.LazyLinear(256)
        self.out = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(ops.relu(self.hidden(x)))


class MySequential(nn.Module):
    """What Sequential does, by hand: register each module under its number, then call them in that order."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        for index, module in enumerate(modules):
            self.add_module(str(index), module)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.children():
            x = module(x)
        return x


def my_sequential() -> MySequential:
    """The perceptron in the container above."""
    return MySequential(nn.LazyLinear(256), nn.ReLU(), nn.LazyLinear(10))


class FixedHiddenMLP(nn.Module):
    """A random weight that is never trained, a layer that is used twice, and a loop that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.rand_weight = nn.Constant(init.uniform(), shape=(FEATURES, FEATURES))
        self.linear = nn.LazyLinear(FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        x = ops.relu(x @ self.rand_weight + 1)
        x = self.linear(x)  # the same layer again: both uses share its parameters
        while ops.sum(ops.abs(x)) > 1:
            x = x / 2
        return ops.sum(x)


def norm(x: Tensor) -> Tensor:
    """The Euclidean norm of all elements."""
    return ops.sqrt(ops.sum(x * x))


class FancyMLP(nn.Module):
    """As above with a branch, and norms that are read out as Python numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.rand_weight = nn.Constant(init.uniform(), shape=(FEATURES, FEATURES))
        self.linear = nn.LazyLinear(FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        x = ops.relu(self.linear(x))
        x = ops.relu(x @ self.rand_weight + 1)
        x = ops.relu(self.linear(x))
        while ops.item(norm(x)) > 1:
            x = x / 2
        if ops.item(norm(x)) < 0.8:
            x = x * 10
        return ops.sum(x)


class NestMLP(nn.Module):
    """A container inside a module."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LazyLinear(64), nn.ReLU(), nn.LazyLinear(32), nn.ReLU())
        self.linear = nn.LazyLinear(16)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.net(x))


def chimera() -> nn.Sequential:
    """Modules of all kinds inside one another."""
    return nn.Sequential(NestMLP(), nn.LazyLinear(FEATURES), FixedHiddenMLP())


# ---------------------------------------------------------------------- the chapter's exercises
def parallel() -> nn.Sequential:
    """Two nets side by side on one input, their outputs concatenated, as a part of a larger net."""
    return nn.Sequential(nn.Parallel(NestMLP(), sequential_from_list(), axis=-1), nn.LazyLinear(4))


def repeated() -> nn.Sequential:
    """Several instances of one block from a factory: same plan, parameters of their own."""

    def block() -> nn.Sequential:
        return nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Tanh())

    return nn.repeat(block, 3).append(nn.LazyLinear(2))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "sequential from arguments": sequential_from_arguments,
    "sequential from a list": sequential_from_list,
    "sequential by adding": sequential_by_adding,
    "custom MLP": MLP,
    "hand-written sequential": my_sequential,
    "FixedHiddenMLP": FixedHiddenMLP,
    "FancyMLP": FancyMLP,
    "NestMLP": NestMLP,
    "chimera": chimera,
    "parallel": parallel,
    "repeated": repeated,
}


def inputs() -> np.ndarray[Any, Any]:
    """Two examples of 20 features each, in [0, 1)."""
    return np.random.default_rng(0).uniform(size=(2, FEATURES)).astype("float32")


def loss_fn(net: nn.Module, x: Tensor) -> Tensor:
    """A scalar of any model's output, for its gradients."""
    return ops.sum(ops.square(net(x)))


def main() -> int:
    """Show each model on one backend."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [b.name for b in um.backends() if b.installed]
    parser.add_argument("--backend", choices=names, default=um.current_backend())
    backend = parser.parse_args().backend
    x = inputs()
    for name, build in MODELS.items():
        net = build().initialize(seed=0).to(backend)
        loss, gradients = um.value_and_grad(loss_fn)(net, x)
        print(f"\n{name}, on {net.backend}\n{net}")
        print(f"output {np.array2string(um.to_numpy(net(x)), precision=4)}")
        print(f"loss {ops.item(loss):.6f}; gradients of {', '.join(gradients)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
