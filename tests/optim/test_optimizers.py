"""SGD and Adam against the real torch.optim in float64, and what every optimiser does with groups, state and errors."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim

SGD_OPTIONS = [
    {"lr": 0.1},
    {"lr": 0.05, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.02},
    {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    {"lr": 0.002, "momentum": 0.5, "maximize": True},  # gently: its loss has no maximum
]
ADAM_OPTIONS = [
    {"lr": 0.02},
    {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.05},
    {"lr": 0.02, "amsgrad": True},
    {"lr": 0.002, "maximize": True, "weight_decay": 0.1},
]
CASES = [("SGD", o) for o in SGD_OPTIONS] + [("Adam", o) for o in ADAM_OPTIONS]
STEPS = 50


def make_net(backend: str) -> nn.Module:
    net = nn.Sequential(nn.Linear(5, 7), ops.tanh, nn.Linear(7, 3))
    return net.initialize(seed=3).to(backend)


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(4, 5)).astype("float32"), rng.normal(size=(4, 3)).astype("float32")) for _ in range(STEPS)]


def loss_fn(net, x, y):
    return nn.functional.mse_loss(net(x), y)


def reference(name: str, options: dict) -> dict[str, np.ndarray]:
    """The same run with torch.nn and torch.optim in float64."""
    torch = pytest.importorskip("torch", reason="torch.optim is the oracle")
    net = make_net("numpy")
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)).double()
    theirs.load_state_dict({k: torch.tensor(np.asarray(v)).double() for k, v in net.state_dict().items()})
    opt = getattr(torch.optim, name)(theirs.parameters(), **options)
    for x, y in batches():
        opt.zero_grad()
        torch.nn.functional.mse_loss(theirs(torch.tensor(x).double()), torch.tensor(y).double()).backward()
        opt.step()
    return {k: v.numpy() for k, v in theirs.state_dict().items()}


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)])
def test_fifty_steps_equal_torch_optim(backend, name, options):
    net = make_net(backend)
    opt = getattr(optim, name)(net.parameters(), **options)
    for x, y in batches():
        _, grads = um.value_and_grad(loss_fn)(net, x, y)
        opt.step(grads)
    for key, expected in reference(name, options).items():
        got = um.to_numpy(net.state_dict()[key])
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5 * max(1.0, np.abs(expected).max()), err_msg=key)


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)])
def test_fifty_steps_in_float64_equal_torch_optim(backend, has_float64, name, options):
    if not has_float64:
        pytest.skip(f"{backend} runs in 32 bits in this process; the 64-bit pass (UNIMODULE_TEST_X64=1) has this case")
    net = make_net("numpy").to(backend, dtype="float64")
    opt = getattr(optim, name)(net.parameters(), **options)
    for x, y in batches():
        _, grads = um.value_and_grad(loss_fn)(net, x.astype("float64"), y.astype("float64"))
        opt.step(grads)
    for key, expected in reference(name, options).items():
        np.testing.assert_allclose(um.to_numpy(net.state_dict()[key]), expected, rtol=1e-9, atol=1e-12, err_msg=key)


def one_step(net):
    x, y = batches()[0]
    return um.value_and_grad(loss_fn)(net, x, y)[1]


def test_groups_have_their_own_options(backend):
    net = make_net(backend)
    before = {k: um.to_numpy(v) for k, v in net.state_dict().items()}
    opt = optim.SGD([{"params": net[0].parameters(), "lr": 0.0}, {"params": net[2].parameters()}], lr=0.1)
    opt.step(one_step(net))
    after = {k: um.to_numpy(v) for k, v in net.state_dict().items()}
    assert np.array_equal(before["0.weight"], after["0.weight"])
    assert not np.array_equal(before["2.weight"], after["2.weight"])


def test_a_subnets_optimiser_finds_its_gradients_by_handle(backend):
    net = make_net(backend)
    handles = list(net[0].parameters())  # named "weight" and "bias" here, "0.weight" in the gradients
    before = um.to_numpy(net[0].weight)
    optim.SGD(handles, lr=0.1).step(one_step(net))
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
    grads = one_step(net)
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
    np.testing.assert_allclose(um.to_numpy(shared.bias), before - um.to_numpy(grads["0.bias"]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_state_dict_continues_the_run(backend, name):
    options = {"lr": 0.05, **({"momentum": 0.9} if name == "SGD" else {})}
    net = make_net(backend)
    opt = getattr(optim, name)(net.parameters(), **options)
    data = batches()
    for x, y in data[:3]:
        opt.step(um.value_and_grad(loss_fn)(net, x, y)[1])
    twin = net.clone()
    other = getattr(optim, name)(twin.parameters(), lr=0.0)
    other.load_state_dict(opt.state_dict())
    for n, o in ((net, opt), (twin, other)):
        for x, y in data[3:6]:
            o.step(um.value_and_grad(loss_fn)(n, x, y)[1])
    for key, value in net.state_dict().items():
        assert np.array_equal(um.to_numpy(value), um.to_numpy(twin.state_dict()[key])), key


def test_state_follows_the_net_to_another_backend(backend):
    net = make_net("numpy")
    opt = optim.Adam(net.parameters(), lr=0.05)
    stay, opt_stay = net.clone(), None
    opt_stay = optim.Adam(stay.parameters(), lr=0.05)
    for x, y in batches()[:3]:
        for n, o in ((net, opt), (stay, opt_stay)):
            o.step(um.value_and_grad(loss_fn)(n, x, y)[1])
    net.to(backend)
    for x, y in batches()[3:6]:
        for n, o in ((net, opt), (stay, opt_stay)):
            o.step(um.value_and_grad(loss_fn)(n, x, y)[1])
    for key, value in stay.state_dict().items():
        np.testing.assert_allclose(um.to_numpy(net.state_dict()[key]), um.to_numpy(value), rtol=1e-5, atol=1e-6)


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
        lambda: optim.Adam([{"params": handles, "momentum": 0.9}]),
        lambda: optim.Adam([{"params": handles}, {"params": handles}]),
    ):
        with pytest.raises(um.ArgumentError):
            make()
    opt = optim.SGD(handles, lr=0.1)
    with pytest.raises(um.ArgumentError, match="none of the gradients"):
        opt.step({"nothing": net[0].weight})
    with pytest.raises(um.ShapeError, match="0.weight"):
        opt.step({"0.weight": net[0].bias})
    with pytest.raises(um.StateDictError):
        opt.load_state_dict({"state": {}})
