"""Compiled steps of nets with branches and loops on values: the parameters are those of the eager step.

The batch needs no gradient and the parameters are closed over, so each step of a loop depends on them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops

from .cases import assert_close, everything, options


def _while(net: Any, x: Any) -> Any:
    return ops.while_loop(lambda y: ops.sum(ops.abs(y)) > 0.01, lambda y: ops.tanh(net(y)) * 0.5, x, 3)


def _while_of_two(net: Any, x: Any) -> Any:
    """The sum depends on the parameters through the value beside it."""
    value, total = ops.while_loop(
        lambda state: ops.sum(ops.abs(state[0])) > 0.01,
        lambda state: (ops.tanh(net(state[0])), state[1] + state[0] * state[0]),
        (x, x * 0),
        3,
    )
    return total + value


def _fori(net: Any, x: Any) -> Any:
    return ops.fori_loop(0, 3, lambda i, y: ops.tanh(net(y)), x)


def _cond(net: Any, x: Any) -> Any:
    return ops.cond(ops.sum(x) > 0, lambda y: ops.tanh(net(net(y))), lambda y: net(y) * 2, x)


def _scan(net: Any, x: Any) -> Any:
    def step(state: Any, row: Any) -> tuple[Any, Any]:
        state = ops.tanh(net(state + row))
        return state, state * 2

    return ops.scan(step, x[0] * 0, x)[1]


def _checkpoint(net: Any, x: Any) -> Any:
    return um.checkpoint(lambda net, y: ops.tanh(net(ops.tanh(net(y)))))(net, x)


MISSING = {_cond: ("mxnet",), _checkpoint: ("mxnet", "numpy")}
"""MXNet's compiler has no branches."""


class Flow(nn.Module):
    """A layer inside control flow."""

    def __init__(self, flow: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.body = nn.Linear(3, 3)
        self.flow = flow

    def forward(self, x: Any) -> Any:
        return self.flow(self.body, x)


@pytest.mark.parametrize("flow", [_while, _while_of_two, _fori, _cond, _scan, _checkpoint])
def test_compiled_steps_through_control_flow_are_the_eager_ones(backend, flow):
    if backend in MISSING.get(flow, ()):
        pytest.skip(f"backend {backend!r} declares that it cannot")
    rng = np.random.default_rng(24)
    x, target = rng.normal(size=(2, 2, 3)).astype("float32")
    found = []
    for compile in (True, False):
        net = Flow(flow).initialize(seed=1).to(backend)
        rule = um.optim.SGD(net.parameters(), lr=0.3)
        more = options(backend) if compile else {}
        step = um.train_step(net, nn.MSELoss(), rule, compile=compile, **more)
        for _ in range(2):
            step(x, target)
        found.append(everything(net, rule))
    assert_close(*found)
