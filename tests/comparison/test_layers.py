"""Where they part: a fault in one module is traced to that very module, forward and in the gradient, on every backend."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops
from unimodule.comparison import Report

X = np.random.default_rng(3).normal(size=(4, 6)).astype("float32")


def quick(net: Any, *inputs: Any, **options: Any) -> Report:
    return um.compare(net, *inputs, **{"modes": "eager", "repeats": 0, **options})


def partings(report: Report, label: str) -> list[tuple[str, str]]:
    return [(parting.direction, parting.path) for parting in report.row(label).partings]


def plant_in(module: nn.Module, backend: str, fault: Any) -> None:
    """Have one module compute something else on one backend in float32 (the reference is in float64)."""
    kind = type(module)

    def forward(self: Any, x: Any) -> Any:
        if um.backend_of(x) == backend and ops.dtype(x) == "float32":
            return fault(self, x)
        return kind.forward(self, x)

    module.__class__ = type("Faulty", (kind,), {"forward": forward})


def vit() -> nn.Module:
    path = Path(__file__).parents[2] / "examples" / "vit.py"
    spec = importlib.util.spec_from_file_location("example_vit", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    um.seed(0)
    net: nn.Module = module.ViT(size=16, patch=4, width=16, heads=2, layers=3)
    return net


IMAGES = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype("float32")


def wrong_epsilon(self: Any, x: Any) -> Any:
    return nn.functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, 1e-5)


def wrong_axis(self: Any, x: Any) -> Any:
    mean = ops.mean(x, axis=1, keepdims=True)
    return (x - mean) / ops.sqrt(ops.var(x, axis=1, keepdims=True) + self.eps) * self.weight + self.bias


def wrong_padding(self: Any, x: Any) -> Any:
    shifted = ops.pad(x, ((0, 0), (0, 0), (1, 0), (1, 0)))[:, :, :-1, :-1]
    return nn.functional.conv2d(shifted, self.weight, self.bias, stride=4)


def wrong_gelu(self: Any, x: Any) -> Any:
    return nn.functional.gelu(x, approximate="tanh")


def wrong_gradient(self: Any, x: Any) -> Any:
    y = nn.functional.gelu(x)
    return y + (y - ops.stop_gradient(y)) * 1e-3


FAULTS = {
    "epsilon": ("blocks.2.norm2", wrong_epsilon, ["forward", "gradient"]),
    "axis": ("blocks.1.norm1", wrong_axis, ["forward", "gradient"]),
    "padding": ("patches", wrong_padding, ["forward", "gradient"]),
    "approximation": ("blocks.0.mlp.1", wrong_gelu, ["forward", "gradient"]),
    "gradient": ("blocks.2.mlp.1", wrong_gradient, ["gradient"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_deep_inside_is_traced_to_its_module(backend: str, fault: str) -> None:
    path, function, directions = FAULTS[fault]
    net = vit()
    plant_in(net.get_submodule(path), backend, function)
    report = quick(net, IMAGES, backends=[backend])
    assert not report.ok
    assert partings(report, backend) == [(direction, path) for direction in directions], report
    for direction in directions:
        first = report.row(backend).first(direction)
        assert first is not None and first.type == "Faulty" and first.detail
    assert f"{backend} parts from the reference" in str(report) and path in str(report)


def test_no_fault_no_parting(backend: str) -> None:
    report = quick(vit(), IMAGES, backends=[backend])
    assert report.ok, report
    assert all(r.verdict == "agrees" for r in report.row(backend).layers)
    paths = {(r.path, r.direction) for r in report.row(backend).layers}
    assert {("blocks.2.mlp.2", "forward"), ("blocks.0.attention.out_proj", "gradient")} <= paths


# ---------------------------------------------------------------------- what is whose
class Glue(nn.Module):
    """The fault is in this module's own code, between the modules inside."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Any) -> Any:
        h = self.first(x)
        if um.backend_of(x) == "planted":
            h = h * 1.001
        return self.second(ops.tanh(h)) + x


def test_code_between_modules_is_told_from_the_modules(plant: Any) -> None:
    name = plant()
    report = quick(nn.Sequential(nn.Linear(6, 6), Glue(), nn.Linear(6, 2)), X, backends=[name])
    assert partings(report, name) == [("forward", "1"), ("gradient", "1")]
    first = report.row(name).first("forward")
    assert first is not None and "what it gives to module 1 inside" in first.detail


class Shared(nn.Module):
    """A layer used twice, a weight used by two layers, and one used by a module that it is not in."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.tied = nn.Linear(6, 6)
        self.tied.weight = self.layer.parameter("weight")
        self.other = nn.Linear(6, 6)

    def forward(self, x: Any) -> Any:
        x = self.tied(ops.tanh(self.layer(ops.tanh(self.layer(x)))))
        return nn.functional.linear(self.other(x), self.other.weight)


def test_what_is_used_twice(backend: str) -> None:
    report = quick(Shared(), X, backends=[backend])
    assert report.ok, report
    calls = [(r.path, r.call) for r in report.row(backend).layers if r.direction == "forward"]
    assert calls == [("layer", 0), ("layer", 1), ("tied", 0), ("other", 0), ("", 0)]


def test_a_fault_in_a_layer_that_is_used_twice(plant: Any) -> None:
    from autograd.tracer import getval

    def half(right: Any, x: Any, w: Any) -> Any:
        return right(x, np.asarray(getval(w)))  # the weight gets no gradient

    name = plant(matmul=half)
    report = quick(Shared(), X, backends=[name])
    assert {path for _, path in partings(report, name)} <= {"layer", "other", "tied", ""}
    assert ("gradient", "layer") in partings(report, name)
    (parting,) = [p for p in report.row(name).partings if p.path == "layer"]
    assert "layer.weight" in parting.detail and "3 calls together" in parting.detail


class Loops(nn.Module):
    """How often the layer is called depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Any) -> Any:
        for _ in range(3 if um.backend_of(x) == "planted" else 2):
            x = self.layer(x)
        return x


def test_another_path_through_the_code_is_told(plant: Any) -> None:
    name = plant()
    report = quick(nn.Sequential(Loops()), X, backends=[name])
    assert not report.ok
    first = report.row(name).first("forward")
    assert first is not None and first.path == "0"


def test_a_net_that_stops_half_way_shows_how_far_it_came(plant: Any) -> None:
    def broken(right: Any, x: Any) -> Any:
        raise RuntimeError("out of order")

    name = plant(tanh=broken)
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Tanh(), nn.Linear(6, 2))
    row = quick(net, X, backends=[name]).row(name)
    assert row.status == "failed" and [r.path for r in row.layers if r.direction == "forward"] == ["0", "1"]


def test_a_backend_that_cannot_watch_gradients(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from . import planted

    monkeypatch.delattr(planted.Planted, "watch_gradient")
    name = plant(tanh=lambda right, x: right(x) * np.float32(1.001))
    report = quick(nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2)), X, backends=[name])
    assert partings(report, name) == [("forward", "1")]
    assert "gradients were not watched" in report.row(name).notes[0]


def test_layers_may_be_left_out() -> None:
    report = quick(nn.Linear(6, 2), X, backends=["numpy"], layers=False)
    assert report.ok and report.row("numpy").layers == ()
