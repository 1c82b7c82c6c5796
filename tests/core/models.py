"""Small nets that use nothing but the base class, so that a fault in a layer does not show up here."""

from __future__ import annotations

from typing import Any

import numpy as np

import unimodule as um
from unimodule import init, nn, ops, registry


class Affine(nn.Module):
    """y = x @ weight + bias."""

    def __init__(self, inputs: int | None, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(init.normal(), shape=(inputs, outputs))
        self.bias = nn.Parameter(init.uniform(-1.0, 1.0), shape=(outputs,))

    def infer_shapes(self, x: Any) -> None:
        handle = self.parameter("weight")
        handle.shape = (x.shape[-1], handle.shape[1])

    def forward(self, x: Any) -> Any:
        return x @ self.weight + self.bias


class MLP(nn.Module):
    def __init__(self, inputs: int | None = 3, hidden: int = 4, outputs: int = 2) -> None:
        super().__init__()
        self.hidden = Affine(inputs, hidden)
        self.out = Affine(None if inputs is None else hidden, outputs)

    def forward(self, x: Any) -> Any:
        return self.out(ops.tanh(self.hidden(x)))


class Counting(nn.Module):
    """Adds to its buffers on every call, scales by a constant, and has a frozen parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter([2.0, 3.0])
        self.frozen = nn.Parameter([1.0, 1.0], requires_grad=False)
        self.scale = nn.Constant([10.0, 100.0])
        self.total = nn.Buffer([0.0, 0.0])
        self.calls = nn.Buffer(0)

    def forward(self, x: Any) -> Any:
        y = x * self.weight * self.scale + self.frozen
        self.total = self.total + ops.sum(x, axis=0)
        self.calls = self.calls + 1
        return y


class SharedHandle(nn.Module):
    """One parameter under two names, tied before there is a backend."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Affine(3, 3)
        self.second = Affine(3, 3)
        self.second.weight = self.first.parameter("weight")

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x))


class SharedModule(nn.Module):
    """One module under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Affine(3, 3)
        self.second = self.first

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x))


def values(net: nn.Module) -> dict[str, np.ndarray]:
    """The state of a net on the host."""
    return {name: np.asarray(um.to_numpy(tensor)) for name, tensor in net.state_dict().items()}


def assert_same_state(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    """Same names in the same order, same values to the last bit."""
    assert list(left) == list(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def batch(rows: int = 2, columns: int = 3, dtype: str = "float32") -> np.ndarray:
    return (np.arange(rows * columns).reshape(rows, columns) / 7 - 0.3).astype(dtype)


def assert_plain(net: nn.Module) -> None:
    """Every tensor of the net is an ordinary one: no tracer, nothing that holds on to a tape."""
    adapter = registry.get_backend(str(net.backend))
    for _, handle in net.named_variables():
        assert adapter.is_concrete(handle.data) and adapter.outlives_trace(handle.data)
        assert np.all(np.isfinite(handle.numpy()))
    for module in net.modules():
        for name, handle in module._variables.items():
            assert module.__dict__[name] is handle.data
        assert not module._functional
