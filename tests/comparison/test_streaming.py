"""What is watched is streamed: sent as it comes, sent once, and not kept, however much there is of it."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, registry
from unimodule.comparison.recording import Recorder

X = np.random.default_rng(3).normal(size=(4, 6)).astype("float32")
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "streaming.py"


def test_nothing_is_kept(backend: str) -> None:
    """Each activation and gradient is sent as it comes; what was sent is not held."""
    sent: list[weakref.ref[np.ndarray]] = []
    most = 0

    def send(message: dict[str, Any], arrays: Any) -> None:
        nonlocal most
        sent.extend(weakref.ref(array) for array in arrays)
        most = max(most, sum(reference() is not None for reference in sent))

    adapter = registry.get_backend(backend)
    net = Recorder(adapter, send).attach(nn.Sequential(*(nn.Tanh() for _ in range(40))).to(backend))
    um.value_and_grad(lambda net, x: ops.sum(net(x)), argnums=(0, 1))(net, X)
    assert len(sent) > 80
    # NumPy's own tensors are arrays, and its tape holds them: the copies that are sent are others.
    assert most <= 3


def test_what_is_handed_on_is_sent_once(backend: str) -> None:
    messages: list[dict[str, Any]] = []
    adapter = registry.get_backend(backend)
    recorder = Recorder(adapter, lambda message, arrays: messages.append(message))
    net = recorder.attach(nn.Sequential(nn.Tanh(), nn.Tanh(), nn.Tanh()).to(backend))
    um.value_and_grad(lambda net, x: ops.sum(net(x)), argnums=(0, 1))(net, X)
    values = [m for m in messages if m["what"] == "value"]
    assert sum("number" in m for m in values) == 4 and sum("again" in m for m in values) == 4


def test_equal_gradients_are_sent_once(backend: str) -> None:
    """What comes back to a module's input comes back, the same, to the result of the module before it."""
    messages: list[dict[str, Any]] = []
    recorder = Recorder(registry.get_backend(backend), lambda message, arrays: messages.append(message))
    net = recorder.attach(nn.Sequential(nn.Tanh(), nn.Tanh(), nn.Tanh()).to(backend))
    um.value_and_grad(lambda net, x: ops.sum(net(x)), argnums=(0, 1))(net, X)
    slopes = [m for m in messages if m["what"] == "slope"]
    assert len(slopes) == 8 and sum("number" in m for m in slopes) == 4


def run(backend: str, way: str, *options: str) -> dict[str, Any]:
    """96 MiB of activations in a process of its own."""
    command = [sys.executable, str(SCRIPT), "--here", way, "--backends", backend, "--layers", "96", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.benchmark
def test_a_watched_run_takes_little_more_memory_than_a_bare_one(backend: str) -> None:
    streamed, bare = run(backend, "streamed"), run(backend, "bare")
    assert streamed["activations"] == bare["activations"] == 96 * 2**20
    # Kept values and gradients would be twice the activations. MXNet's tape holds what goes through a function of Python.
    room = 1.6 if backend == "mxnet" else 0.5
    assert streamed["peak"] - bare["peak"] < streamed["activations"] * room, (streamed, bare)


@pytest.mark.benchmark
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits of memory are kept elsewhere in other ways"
)
def test_activations_that_would_not_fit() -> None:
    """Under a limit of half the activations; what keeps them all runs into it."""
    assert "error" not in run("numpy", "streamed", "--limit", "0.046875")
    assert "error" in run("numpy", "kept", "--limit", "0.046875")
