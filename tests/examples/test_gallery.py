"""The gallery: each model's command names what is there, and the model agrees on every backend, eager and compiled."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn
from unimodule.cli._sources import read_inputs, read_net
from unimodule.cli.compare import compare as command

ROOT = Path(__file__).resolve().parents[2]

SMALLER: dict[str, tuple[str, dict[str, Any], str]] = {
    "lenet": ("LeNet", {}, "2,1,28,28"),
    "resnet18": ("ResNet18", {"width": 2, "classes": 3}, "4,3,40,40"),
    "lstm_lm": ("LSTMLM", {"tokens": 16, "width": 8, "layers": 1}, "2,5:int64:0..15"),
    "transformer_encoder": (
        "TextClassifier",
        {"tokens": 16, "width": 8, "heads": 2, "layers": 1},
        "2,5:int64:0..15",
    ),
    "gpt": ("GPT", {"tokens": 16, "width": 8, "heads": 2, "layers": 1}, "2,5:int64:0..15"),
    "vit": ("ViT", {"size": 16, "width": 8, "heads": 2, "layers": 1, "classes": 3}, "2,3,16,16"),
}
"""Example -> class, sizes and input that compare in seconds."""


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(name: str) -> tuple[nn.Module, np.ndarray]:
    kind, sizes, spec = SMALLER[name]
    um.seed(0)
    (x,) = read_inputs((spec,), seed=0)
    return getattr(example(name), kind)(**sizes), x


@pytest.mark.parametrize("name", SMALLER)
def test_the_command_in_the_docstring(name: str) -> None:
    (line,) = [text.strip() for text in example(name).__doc__.splitlines() if "unimodule compare" in text]
    _, _, source, *options = shlex.split(line)
    assert source.startswith(f"examples/{name}.py:")
    context = command.make_context("compare", [source, *options])
    net = read_net(str(ROOT / source)).eval()
    inputs = read_inputs(context.params["inputs"], seed=0)
    assert np.isfinite(net.to("numpy")(*inputs)).all()


@pytest.mark.parametrize("name", SMALLER)
def test_every_backend_agrees(backend: str, name: str) -> None:
    net, x = made(name)
    report = um.compare(net, x, backends=[backend], modes="eager", repeats=0, train=name == "resnet18")
    assert report.ok, report
    assert {r.verdict for r in report.row(backend).layers} == {"agrees"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLER)
def test_every_backend_agrees_compiled(backend: str, name: str) -> None:
    net, x = made(name)
    report = um.compare(net, x, backends=[backend], modes="compiled", repeats=0, train=name == "resnet18")
    assert report.ok, report


def test_the_real_resnet_is_the_known_one() -> None:
    net = example("resnet18").ResNet18()
    assert sum(int(np.prod(p.shape)) for p in net.parameters()) == 11_689_512
