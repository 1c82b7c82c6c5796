"""An optimiser's state: it continues a run, here and in torch.optim, follows its net, and is refused where it does not fit."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import optim

from .cases import (
    OPTIONS,
    double,
    gradients,
    make_net,
    make_optimizer,
    their_net,
    their_optimizer,
    their_steps,
)
from .cases import torch as torch  # a fixture

RICHEST = {name: max(sets, key=len) for name, sets in OPTIONS.items()}


def weights(net) -> dict[str, np.ndarray]:
    return {k: um.to_numpy(v) for k, v in net.state_dict().items()}


def assert_same(net, expected, **tolerance):
    for key, value in expected.items():
        np.testing.assert_allclose(um.to_numpy(net.state_dict()[key]), value, err_msg=key, **tolerance)


@pytest.mark.parametrize("name", OPTIONS)
def test_state_dict_continues_the_run(backend, name):
    net = make_net(backend)
    opt = make_optimizer(name, net, RICHEST[name])
    for i in range(3):
        opt.step(gradients(net, i))
    twin = net.clone()
    other = getattr(optim, name)(twin.parameters())
    other.load_state_dict(opt.state_dict())
    for n, o in ((net, opt), (twin, other)):
        for i in range(3, 6):
            o.step(gradients(n, i))
    assert_same(twin, weights(net), rtol=0, atol=0)


def test_a_state_dict_is_a_snapshot(backend):
    net = make_net(backend)
    opt = optim.Adam(net.parameters(), lr=0.05)
    opt.step(gradients(net))
    state, before = opt.state_dict(), weights(net)
    copies = {name: um.to_numpy(state["state"][0][name]) for name in ("exp_avg", "exp_avg_sq")}
    opt.step(gradients(net, 1))
    after = weights(net)
    for name, value in copies.items():
        assert np.array_equal(um.to_numpy(state["state"][0][name]), value), name
    for handle in net.parameters():
        handle.data = before[handle.name]
    opt.load_state_dict(state)
    opt.step(gradients(net, 1))
    assert_same(net, after, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "Lion"])
def test_torch_optim_goes_on_from_our_state(torch, name):
    """On PyTorch's tensors as they are; from any other backend they have to be converted first."""
    if not um.registry.installed("torch"):
        pytest.skip("needs the adapter for PyTorch")
    net = make_net("numpy").to("torch", dtype="float64")
    ours = make_optimizer(name, net, RICHEST[name])
    for i in range(3):
        ours.step(gradients(net, i))
    theirs = their_net(torch, net)
    with double(torch):
        opt = their_optimizer(torch, name, theirs, {})
        opt.load_state_dict(ours.state_dict())
        their_steps(torch, theirs, opt, 3, 6)
    for i in range(3, 6):
        ours.step(gradients(net, i))
    assert_same(net, {k: v.numpy() for k, v in theirs.state_dict().items()}, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "Lion"])
def test_we_go_on_from_the_state_of_torch_optim(backend, torch, name):
    net = make_net("numpy")
    theirs = their_net(torch, net)
    opt = their_optimizer(torch, name, theirs, RICHEST[name])
    their_steps(torch, theirs, opt, 0, 3)
    net.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    net.to(backend)
    ours = getattr(optim, name)(net.parameters())
    ours.load_state_dict(opt.state_dict())
    their_steps(torch, theirs, opt, 3, 6)
    for i in range(3, 6):
        ours.step(gradients(net, i))
    assert_same(net, {k: v.detach().numpy() for k, v in theirs.state_dict().items()}, rtol=0, atol=2e-6)


def test_state_follows_the_net_to_another_backend(backend):
    for name in ("Adam", "NAdam"):
        net, stay = make_net("numpy"), make_net("numpy")
        runs = [(n, make_optimizer(name, n, {"lr": 0.05})) for n in (net, stay)]
        for n, o in runs:
            for i in range(3):
                o.step(gradients(n, i))
        net.to(backend)
        for n, o in runs:
            for i in range(3, 6):
                o.step(gradients(n, i))
        assert_same(net, weights(stay), rtol=1e-5, atol=1e-6)


def test_scalars_stand_under_pytorchs_names():
    net = make_net("numpy")
    opt = optim.NAdam(net.parameters(), betas=(0.5, 0.9), momentum_decay=0.0)
    opt.step(gradients(net))
    opt.step(gradients(net))
    entry = opt.state_dict()["state"][0]
    assert set(entry) == {"step", "mu_product", "exp_avg", "exp_avg_sq"}
    assert entry["step"] == 2 and entry["mu_product"] == pytest.approx(0.0625)
    assert set(opt.state_dict()["param_groups"][0]) == {
        "params", "lr", "betas", "eps", "weight_decay", "momentum_decay", "decoupled_weight_decay", "maximize"
    }  # fmt: skip


def test_a_state_that_does_not_fit_is_refused():
    net = make_net("numpy")
    opt = optim.Adam(net.parameters())
    opt.step(gradients(net))
    good = opt.state_dict()
    of_sgd = optim.SGD(net.parameters(), momentum=0.9)
    of_sgd.step(gradients(net))

    def changed(**entries):
        state = {i: dict(entry) for i, entry in good["state"].items()}
        state[0].update(entries)
        return {**good, "state": state}

    without = changed()
    del without["state"][0]["exp_avg"]
    for bad, what in (
        ({"state": {}}, "param_groups"),
        ({"state": {}, "param_groups": []}, "sizes"),
        (of_sgd.state_dict(), "momentum_buffer"),
        (without, "lacks exp_avg"),
        (changed(exp_avg=np.zeros(3)), "shape"),
        (changed(exp_avg="zeros"), "tensor"),
        ({**good, "param_groups": [{**good["param_groups"][0], "lr": -1.0}]}, "lr"),
    ):
        with pytest.raises(um.StateDictError, match=what):
            opt.load_state_dict(bad)
        assert opt.param_groups[0]["lr"] == 1e-3
        assert np.array_equal(opt.state_dict()["state"][0]["exp_avg"], good["state"][0]["exp_avg"])
