"""What passes: sums of many terms as kernels have them, and numbers too small for a dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from autograd.tracer import getval

import unimodule as um
from unimodule import nn, ops
from unimodule.comparison import Report
from unimodule.comparison.tolerance import SMALLEST, furthest

X = np.random.default_rng(3).normal(size=(4, 6)).astype("float32")


def quick(net: Any, *inputs: Any, **options: Any) -> Report:
    return um.compare(net, *inputs, **{"modes": "eager", "repeats": 0, **options})


class Small(nn.Module):
    """Scales down in two steps, of which neither leaves the normal numbers."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Any) -> Any:
        return ops.multiply(ops.multiply(x, self.step), self.step)


def flushing(right: Callable[..., Any], x: Any, y: Any) -> Any:
    found = right(x, y)
    return found * (np.abs(getval(found)) >= SMALLEST["float32"]).astype("float32")


def test_a_backend_may_flush_subnormal_numbers(plant: Any) -> None:
    name = plant(multiply=flushing)
    report = quick(Small(1e-20), X, backends=[name, "numpy"])
    (one,) = (t for t in report.row(name).modes[0].tensors if t.kind == "output")
    assert one.absolute is not None and 1e-41 < one.absolute < SMALLEST["float32"]
    assert one.conditioned is not None and one.conditioned < 16
    assert report.ok, report
    assert all(record.verdict == "agrees" for record in report.row(name).layers)


@pytest.mark.parametrize(("step", "ok"), [(1e-19, True), (1e-17, False)])
def test_an_error_of_a_small_number_passes_below_the_smallest(plant: Any, step: float, ok: bool) -> None:
    name = plant(multiply=lambda right, x, y: right(x, y) * np.float32(1.001))
    report = quick(Small(step), X, backends=[name])
    assert report.ok is ok and (report.row(name).first("forward") is None) is ok, report


def test_a_gradient_that_is_a_long_sum(backend: str) -> None:
    """That of the bias is of 50,176 terms, which some kernels sum one after the other."""
    x = np.random.default_rng(0).normal(size=(64, 1, 28, 28)).astype("float32")
    um.seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Tanh())
    report = quick(net, x, backends=[backend], loss=lambda y: ops.mean(ops.square(y)))
    assert report.ok, report


def test_the_furthest_of_many() -> None:
    x = np.zeros(100_000, "float32")
    y = np.zeros(100_000)
    y[70_000] = -3.0
    assert furthest(x, y) == (3.0, True)
    x[5], y[99_999] = np.inf, np.nan
    assert furthest(x, y) == (3.0, False)
    assert furthest(x[:0], y[:0]) == (0.0, True)
    assert furthest(np.asarray(True), np.asarray(False)) == (1.0, True)


def test_parameters_without_axes(backend: str) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(np.array(1.5, "float32"))

        def forward(self, x: Any) -> Any:
            return ops.multiply(x, self.scale)

    report = quick(Scaled(), X, backends=[backend], steps=2)
    assert report.ok, report
