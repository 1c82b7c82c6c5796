"""Makes ``sample_report.json``, which tests of readers and drawers of reports use: all four frameworks, a fault in one.

    python -m tests.comparison.sample

A layer norm deep inside has another epsilon on JAX, so that reports have a layer that parts; two places never answered.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

import unimodule as um
from unimodule import nn, ops
from unimodule.comparison import Report
from unimodule.comparison.records import CRASHED, TIMEOUT, BackendRow

PATH = Path(__file__).with_name("sample_report.json")


class Norm(nn.Module):
    """Layer norm over channels, with another epsilon on one backend."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(np.ones((channels, 1, 1)))

    def forward(self, x: Any) -> Any:
        eps = 1e-3 if um.backend_of(x) == "jax" else 1e-5
        centred = x - ops.mean(x, axis=1, keepdims=True)
        variance = ops.mean(centred * centred, axis=1, keepdims=True)
        return centred / ops.sqrt(variance + eps) * self.weight


class Block(nn.Module):
    """A convolution with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = Norm(channels)

    def forward(self, x: Any) -> Any:
        return x + ops.relu(self.norm(self.conv(x)))


def sample() -> Report:
    um.seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Sequential(nn.ReLU(), *(Block(8) for _ in range(3))),
        nn.Conv2d(8, 3, 1),
    )
    x = np.random.default_rng(0).normal(size=(2, 3, 16, 24)).astype("float32")
    target = np.zeros_like(x)
    backends = ["torch", "tensorflow", "jax", "mxnet"]
    report = um.compare(net, x, backends=backends, loss=nn.MSELoss(), target=target, steps=2, repeats=7)
    lost = (
        BackendRow(
            "torch-2.9", "torch", CRASHED, "the worker ended with SIGSEGV", interpreter="/env/bin/python"
        ),
        BackendRow("jax-0.5", "jax", TIMEOUT, "no answer within 60 s", interpreter="/old/bin/python"),
    )
    return dataclasses.replace(report, rows=report.rows + lost)


if __name__ == "__main__":
    sample().save(PATH)
