"""um.get_rng_state and set_rng_state: what follows a restored state is what followed it before, eager and compiled."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim
from unimodule.registry import get_backend

X = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
Y = np.arange(16) % 3


def options(backend: str) -> dict[str, str]:
    return {"backend": "aot_eager"} if backend == "torch" else {}


@pytest.fixture(autouse=True)
def _back_to_native():
    yield
    um.seed(0, portable=False)


def make_net(backend: str) -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 3)).initialize(seed=0).to(backend)


def draws(backend: str, net: Any, fast: Any) -> list[np.ndarray]:
    """Some of all that is random: masks, eager and compiled, uniform numbers and initial values."""
    found = [um.to_numpy(net(X)), um.to_numpy(fast(X)), um.to_numpy(fast(X)), um.to_numpy(net(X))]
    found.append(um.to_numpy(ops.random_uniform((5,), backend=backend)))
    found.append(um.to_numpy(nn.Linear(3, 2).to(backend).weight))
    return found


@pytest.mark.parametrize("portable", [False, True])
def test_what_follows_is_the_same(backend, portable):
    um.seed(1, portable=portable)
    net = make_net(backend)
    fast = um.compile(net, **options(backend))
    draws(backend, net, fast)
    state = um.get_rng_state()
    first, second = draws(backend, net, fast), draws(backend, net, fast)
    for restored in (state, pickle.loads(pickle.dumps(state))):
        um.set_rng_state(restored)
        for again in (first, second):
            for a, b in zip(again, draws(backend, net, fast), strict=True):
                np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first, second, strict=True))


def test_reading_the_state_changes_nothing(backend):
    um.seed(5)
    net = make_net(backend)
    um.to_numpy(net(X))
    state = um.get_rng_state()
    first = um.to_numpy(net(X))
    um.set_rng_state(state)
    um.get_rng_state()
    np.testing.assert_array_equal(um.to_numpy(net(X)), first)


def test_a_state_as_json(backend):
    um.seed(2)
    net = make_net(backend)
    um.to_numpy(net(X))

    def plain(value: Any) -> Any:
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

    text = json.dumps(um.get_rng_state(), default=plain)
    first = um.to_numpy(net(X))
    um.set_rng_state(json.loads(text))
    np.testing.assert_array_equal(um.to_numpy(net(X)), first)


@pytest.mark.filterwarnings("ignore")  # what inductor has to say is not ours
@pytest.mark.parametrize("compiled", [False, True])
def test_training_continues_as_it_would_have(backend, compiled):
    um.seed(3)
    net = make_net(backend)
    opt = optim.SGD(net.parameters(), lr=0.1)
    step = um.train_step(net, nn.CrossEntropyLoss(), opt, compile=compiled)
    for _ in range(2):
        step(X, Y)
    weights, state = net.state_dict(), um.get_rng_state()
    weights = {name: um.to_numpy(value).copy() for name, value in weights.items()}
    first = [float(ops.item(step(X, Y))) for _ in range(3)]
    net.load_state_dict(weights)
    um.set_rng_state(state)
    assert [float(ops.item(step(X, Y))) for _ in range(3)] == first
    assert len(set(first)) == 3


CHILD = """
import json, sys
import numpy as np, unimodule as um
from unimodule import nn
um.set_rng_state(json.loads(sys.stdin.read()))
x = np.ones((4, 6), "float32")
print(json.dumps([um.to_numpy(nn.Dropout(0.5).to(sys.argv[1])(x)).tolist() for _ in range(2)]))
"""


def test_in_another_process_whose_framework_is_imported_later(backend):
    um.seed(4)
    layer = nn.Dropout(0.5).to(backend)
    x = np.ones((4, 6), "float32")
    um.to_numpy(layer(x))
    state = um.get_rng_state()
    state["backends"] = {backend: state["backends"][backend]}
    expected = [um.to_numpy(layer(x)).tolist() for _ in range(2)]
    text = json.dumps(state, default=lambda value: value.tolist())
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, backend],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == expected


def test_a_backend_that_was_not_in_use_starts_from_the_seed(backend):
    um.seed(9)
    state = um.get_rng_state()
    first = um.to_numpy(nn.Dropout(0.5).to(backend)(X))
    del state["backends"][backend]
    um.set_rng_state(state)
    np.testing.assert_array_equal(um.to_numpy(nn.Dropout(0.5).to(backend)(X)), first)


def test_refuses_what_is_no_state(backend):
    good = um.get_rng_state()
    for bad in ({}, None, {**good, "version": 99}, {**good, "portable": {}}, {**good, "backends": [1]}):
        with pytest.raises(um.ArgumentError, match="set_rng_state"):
            um.set_rng_state(bad)
    adapter = get_backend(backend)
    for bad in ({}, {"cpu": "x"}, {"key": [1, 2, 3], "kind": "?", "count": 0, "counter": 1, "state": 4}):
        with pytest.raises(um.ArgumentError, match=backend):
            adapter.set_rng_state(bad)
