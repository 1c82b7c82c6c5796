"""Small nets of every kind, and what compiled and eager calls of them are compared with."""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import unimodule as um
from unimodule import nn, ops, registry
from unimodule.backend import Backend

Array = np.ndarray[Any, Any]


def _chapter() -> Any:
    path = Path(__file__).resolve().parents[2] / "examples" / "chapter.py"
    spec = importlib.util.spec_from_file_location("unimodule_chapter", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


chapter = _chapter()
READS_VALUES = ("FixedHiddenMLP", "FancyMLP", "chimera")
"""Models of the chapter with Python control flow on values."""


class CNN(nn.Module):
    """Convolution, normalisation with running statistics, dropout, pooling."""

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(p)
        )
        self.head = nn.Linear(4 * 9, 3)

    def forward(self, x: Any) -> Any:
        return self.head(ops.reshape(self.body(x), (x.shape[0], -1)))


class Recurrent(nn.Module):
    """An LSTM, the last output of which is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        outputs, (hidden, cell) = self.lstm(x)
        return self.head(outputs[:, -1]), hidden, cell


class Counter(nn.Module):
    """Counts how often its Python code runs, in a list that is not looked into."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.runs: list[int] = []

    def forward(self, x: Any) -> Any:
        self.runs.append(1)
        return self.inner(x)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def normed() -> nn.Module:
    """The smallest net with buffers."""
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP": (mlp, (3,)),
    "CNN": (CNN, (2, 6, 6)),
    "LSTM": (Recurrent, (5, 3)),
    "Transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), (5, 8)),
    **{
        f"chapter: {name}": (build, (chapter.FEATURES,))
        for name, build in chapter.MODELS.items()
        if name not in READS_VALUES
    },
}


def options(backend: str) -> dict[str, Any]:
    """What makes compiling quick: on PyTorch a program without generated code (see ``test_compile_native``)."""
    return {"backend": "aot_eager"} if backend == "torch" else {}


def compiles(backend: str) -> bool:
    """Whether a backend has a compiler at all."""
    return type(registry.get_backend(backend)).compile is not Backend.compile


def data(shape: tuple[int, ...], rows: int = 2, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, *shape)).astype("float32")


def tensor(array: Array, backend: str) -> Any:
    return ops.asarray(array, backend=backend)


def loss_of(net: nn.Module, x: Any) -> Any:
    """A scalar in which every output has a part, with random weights: sums of a normalised output would cancel."""
    result = net(x)
    total = None
    for i, out in enumerate(result if isinstance(result, tuple) else (result,)):
        weight = np.random.default_rng(i).uniform(0.5, 1.5, ops.shape(out)).astype(ops.dtype(out))
        term = ops.sum(ops.multiply(ops.square(out) + out, weight))
        total = term if total is None else total + term
    return total


def host(tree: Any) -> Any:
    """Nested outputs as NumPy arrays."""
    if isinstance(tree, dict):
        return {k: host(v) for k, v in tree.items()}
    if isinstance(tree, tuple | list):
        return [host(v) for v in tree]
    return um.to_numpy(tree) if registry.find_backend(tree) is not None else copy.copy(tree)


def assert_close(got: Any, want: Any, what: str = "", tolerance: float = 2e-5) -> None:
    """The same structure and shapes, and values within a tolerance relative to the largest of a tensor."""
    got, want = host(got), host(want)
    if isinstance(want, dict):
        assert list(got) == list(want), what
        for key in want:
            assert_close(got[key], want[key], f"{what} {key}", tolerance)
    elif isinstance(want, list):
        assert isinstance(got, list) and len(got) == len(want), what
        for i, (a, b) in enumerate(zip(got, want, strict=True)):
            assert_close(a, b, f"{what} {i}", tolerance)
    elif isinstance(want, np.ndarray):
        assert (got.shape, got.dtype) == (want.shape, want.dtype), what
        scale = max(1.0, float(np.abs(want).max(initial=0.0)))
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale, err_msg=what)
    else:
        assert got == want, what


def assert_same_state(net: nn.Module, other: nn.Module) -> None:
    assert_close(net.state_dict(), other.state_dict(), "state")


def assert_no_tracer(net: nn.Module) -> None:
    """Every value in the net is a tensor of its own."""
    backend = registry.get_backend(net.backend)
    for name, variable in net.named_variables():
        assert backend.outlives_trace(variable.data), name
    for module in net.modules():
        for name, variable in module._variables.items():
            assert module.__dict__[name] is variable.data, name


def step(net: nn.Module, gradients: dict[str, Any], rate: float = 0.1) -> None:
    """Plain gradient descent."""
    for name, parameter in net.named_parameters():
        parameter.data = um.to_numpy(parameter.data) - rate * um.to_numpy(gradients[name])
