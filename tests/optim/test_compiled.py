"""Every optimiser in a compiled training step: fifty of them equal the real torch.optim, while the learning rate falls."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim

from .cases import INTRICATE, batches, make_net, make_optimizer, reference
from .cases import torch as torch  # a fixture

GAMMA = 0.98
TOLERANCE = {"float32": {"rtol": 0, "atol": 2e-5}, "float64": {"rtol": 1e-9, "atol": 1e-12}}


@pytest.mark.parametrize("name", INTRICATE)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_fifty_compiled_steps_equal_torch_optim(backend, has_float64, torch, dtype, name):
    if dtype == "float64" and not has_float64:
        pytest.skip(
            f"{backend} runs in 32 bits in this process; the 64-bit pass (UNIMODULE_TEST_X64=1) has this case"
        )
    traced = []

    def tanh(x):
        traced.append(None)
        return ops.tanh(x)

    net = make_net("numpy", tanh).to(backend, dtype=dtype)  # the weights are float32 numbers in both
    opt = make_optimizer(name, net, INTRICATE[name])
    schedule = optim.lr_scheduler.ExponentialLR(opt, GAMMA)
    # Inductor has tests of its own: it takes the same graph, and a minute to compile all of these.
    compiler = {"backend": "aot_eager"} if backend == "torch" else {}
    step = um.train_step(net, nn.MSELoss(), opt, **compiler)
    for x, y in batches():
        step(x.astype(dtype), y.astype(dtype))
        schedule.step()
    for key, expected in reference(torch, name, INTRICATE[name], GAMMA).items():
        got = um.to_numpy(net.state_dict()[key])
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, err_msg=key, **TOLERANCE[dtype])
    programs = 2 if name == "RAdam" else 1  # which waits before it adapts
    assert len(traced) == (len(batches()) if backend == "numpy" else programs)
