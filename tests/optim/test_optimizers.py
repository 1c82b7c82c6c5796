"""Every optimiser against the real torch.optim in float64, and what all have in common: groups, ties, frozen parameters."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim

from .cases import (
    CASES,
    FEW,
    OPTIONS,
    batches,
    gradients,
    loss_fn,
    make_net,
    make_optimizer,
    reference,
    their_net,
    their_optimizer,
    their_steps,
)
from .cases import torch as torch  # a fixture


@pytest.mark.parametrize(("name", "options"), FEW)
def test_fifty_steps_equal_torch_optim(backend, torch, name, options):
    net = make_net(backend)
    opt = make_optimizer(name, net, options)
    for x, y in batches():
        _, grads = um.value_and_grad(loss_fn)(net, x, y)
        opt.step(grads)
    for key, expected in reference(torch, name, options).items():
        got = um.to_numpy(net.state_dict()[key])
        assert got.dtype == np.float32
        np.testing.assert_allclose(
            got, expected, rtol=0, atol=2e-5 * max(1.0, np.abs(expected).max()), err_msg=key
        )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_fifty_steps_in_float64_equal_torch_optim(backend, has_float64, torch, name, options):
    if not has_float64:
        pytest.skip(
            f"{backend} runs in 32 bits in this process; the 64-bit pass (UNIMODULE_TEST_X64=1) has this case"
        )
    net = make_net("numpy").to(backend, dtype="float64")
    opt = make_optimizer(name, net, options)
    for x, y in batches():
        _, grads = um.value_and_grad(loss_fn)(net, x.astype("float64"), y.astype("float64"))
        opt.step(grads)
    for key, expected in reference(torch, name, options).items():
        np.testing.assert_allclose(
            um.to_numpy(net.state_dict()[key]), expected, rtol=1e-9, atol=1e-12, err_msg=key
        )


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "Lion"])
def test_signatures_are_torchs(torch, name):
    """The same names, order and defaults, but for how PyTorch runs a step."""
    running = {"foreach", "capturable", "differentiable", "fused"}
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    expected = {k: p.default for k, p in theirs.items() if k not in running}
    ours = inspect.signature(getattr(optim, name)).parameters
    assert {k: p.default for k, p in ours.items()} == expected
    positional = [
        k for k, p in theirs.items() if p.kind is p.POSITIONAL_OR_KEYWORD and k in ours and k != "maximize"
    ]
    assert [k for k, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == positional


def test_groups_have_their_own_options(backend):
    net = make_net(backend)
    before = {k: um.to_numpy(v) for k, v in net.state_dict().items()}
    opt = optim.SGD([{"params": net[0].parameters(), "lr": 0.0}, {"params": net[2].parameters()}], lr=0.1)
    opt.step(gradients(net))
    after = {k: um.to_numpy(v) for k, v in net.state_dict().items()}
    assert np.array_equal(before["0.weight"], after["0.weight"])
    assert not np.array_equal(before["2.weight"], after["2.weight"])


def test_a_subnets_optimiser_finds_its_gradients_by_handle(backend):
    net = make_net(backend)
    handles = list(net[0].parameters())  # named "weight" and "bias" here, "0.weight" in the gradients
    before = um.to_numpy(net[0].weight)
    optim.SGD(handles, lr=0.1).step(gradients(net))
    assert not np.array_equal(before, um.to_numpy(net[0].weight))


def test_frozen_parameters_and_constants_stay(backend):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(5, 3)
            self.scale = nn.Constant(np.full(3, 2.0))

        def forward(self, x):
            return self.linear(x) * self.scale

    net = Net().to(backend)
    opt = optim.Adam(net.parameters(), lr=0.1, weight_decay=0.5)
    net.linear.parameter("bias").requires_grad = False
    bias, weight = um.to_numpy(net.linear.bias), um.to_numpy(net.linear.weight)
    grads = gradients(net)
    assert set(grads) == {"linear.weight"}
    opt.step(grads)
    assert np.array_equal(bias, um.to_numpy(net.linear.bias))
    assert np.array_equal(um.to_numpy(net.scale), np.full(3, 2.0, "float32"))
    assert not np.array_equal(weight, um.to_numpy(net.linear.weight))


def test_tied_parameters_are_updated_once(backend):
    shared = nn.Linear(4, 4)
    net = nn.Sequential(shared, ops.tanh, shared).to(backend)
    assert len(list(net.parameters())) == 2
    before = um.to_numpy(shared.bias)
    grads = um.value_and_grad(lambda net, x: ops.sum(net(x)))(net, np.ones((1, 4), "float32"))[1]
    optim.SGD(net.parameters(), lr=1.0).step(grads)
    np.testing.assert_allclose(
        um.to_numpy(shared.bias), before - um.to_numpy(grads["0.bias"]), rtol=1e-6, atol=1e-6
    )


def test_options_may_change_between_steps(backend, torch):
    """Also those that a compiled rule knows by name only: another momentum, decay switched on, a smaller rate."""
    net = make_net("numpy")
    theirs = their_net(torch, net)
    net.to(backend)
    ours, reference = (
        make_optimizer("SGD", net, {"lr": 0.1, "dampening": 0.25}),
        their_optimizer(torch, "SGD", theirs, {"lr": 0.1, "dampening": 0.25}),
    )
    changes = [{}, {"lr": 0.05}, {"momentum": 0.9}, {"momentum": 0.5}, {"weight_decay": 0.1, "lr": 0.01}, {}]
    for i, change in enumerate(changes):
        ours.param_groups[0].update(change)
        reference.param_groups[0].update(change)
        ours.step(gradients(net, i))
        their_steps(torch, theirs, reference, i, i + 1)
    for key, expected in theirs.state_dict().items():
        np.testing.assert_allclose(
            um.to_numpy(net.state_dict()[key]), expected.numpy(), rtol=0, atol=2e-6, err_msg=key
        )


def test_parameters_that_join_later_count_their_own_steps(backend, torch):
    net = make_net("numpy")
    theirs = their_net(torch, net)
    net.to(backend)
    ours = optim.Adam(net.parameters(), lr=0.05)
    reference = torch.optim.Adam(theirs.parameters(), lr=0.05)
    for i in range(4):
        late = i < 2
        for handle, parameter in zip(net[0].parameters(), theirs[0].parameters(), strict=True):
            handle.requires_grad = not late
            parameter.requires_grad_(not late)
        ours.step(gradients(net, i))
        their_steps(torch, theirs, reference, i, i + 1)
    for key, expected in theirs.state_dict().items():
        np.testing.assert_allclose(
            um.to_numpy(net.state_dict()[key]), expected.numpy(), rtol=0, atol=2e-6, err_msg=key
        )


def test_a_step_leaves_the_gradients_alone(backend):
    net = make_net(backend)
    for name, sets in OPTIONS.items():
        grads = gradients(net)
        before = {k: um.to_numpy(v) for k, v in grads.items()}
        for options in sets:
            make_optimizer(name, net, options).step(grads)
        for key, value in before.items():
            assert np.array_equal(um.to_numpy(grads[key]), value), (name, key)


def test_bad_options_and_parameters_are_refused(backend):
    net = make_net(backend)
    handles = list(net.parameters())
    for make in (
        lambda: optim.SGD([], lr=0.1),
        lambda: optim.SGD(net, lr=0.1),
        lambda: optim.SGD([net[0].weight], lr=0.1),
        lambda: optim.SGD(handles, lr=-1.0),
        lambda: optim.SGD(handles, lr=0.1, nesterov=True),
        lambda: optim.Adam(handles, betas=(0.9, 1.0)),
        lambda: optim.Adam(handles, betas=0.9),
        lambda: optim.AdamW(handles, weight_decay=-0.1),
        lambda: optim.Adagrad(handles, initial_accumulator_value=-1.0),
        lambda: optim.RMSprop(handles, alpha=-0.1),
        lambda: optim.Adadelta(handles, rho=1.1),
        lambda: optim.Adamax(handles, eps=-1e-8),
        lambda: optim.NAdam(handles, momentum_decay=-1.0),
        lambda: optim.RAdam(handles, betas=(0.9,)),
        lambda: optim.Lion(handles, lr="fast"),
        lambda: optim.Adam([{"params": handles, "momentum": 0.9}]),
        lambda: optim.Adam([{"params": handles}, {"params": handles}]),
    ):
        with pytest.raises(um.ArgumentError):
            make()
    opt = optim.SGD(handles, lr=0.1)
    with pytest.raises(um.ArgumentError, match="none of the gradients"):
        opt.step({"nothing": net[0].weight})
    with pytest.raises(um.ShapeError, match=r"0\.weight"):
        opt.step({"0.weight": net[0].bias})
