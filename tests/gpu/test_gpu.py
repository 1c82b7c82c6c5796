"""Placement, forward, gradients, training and moves on a GPU, for every adapter. Skipped where a backend has none.

The oracle is the float64 NumPy reference; products run in full float32 (TF32 off), as the declared semantics say.
"""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim
from unimodule.registry import get_backend

pytestmark = pytest.mark.gpu

DEVICE = "gpu:0"
X = np.random.default_rng(0).normal(size=(4, 3, 12, 12)).astype("float32")
Y = np.array([0, 2, 1, 2])


@pytest.fixture
def gpu_backend(backend):
    adapter = get_backend(backend)
    if DEVICE not in adapter.devices():
        pytest.skip(f"backend {backend!r} has no GPU here: {adapter.devices()}")
    with adapter.full_precision():
        yield backend


def make_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, (3, 2), stride=(2, 1), padding=(1, 0)),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.LazyLinear(16),
        nn.LayerNorm(16),
        nn.GELU(),
        nn.Linear(16, 3),
    ).initialize(seed=1)


def loss_fn(net, x, y):
    return nn.functional.cross_entropy(net(x), y)


def everything_on(net: nn.Module, device: str) -> bool:
    adapter = get_backend(net.backend)
    return net.device == device and all(adapter.device(v.data) == device for _, v in net.named_variables())


def reference():
    net = make_net().to("numpy", dtype="float64")
    loss, grads = um.value_and_grad(loss_fn)(net, X.astype("float64"), Y)
    return net, float(loss), {k: um.to_numpy(g) for k, g in grads.items()}


def test_placement_forward_and_gradients(gpu_backend):
    net = make_net().to(gpu_backend, device="gpu")
    loss, grads = um.value_and_grad(loss_fn)(net, X, Y)
    adapter = get_backend(gpu_backend)
    assert everything_on(net, DEVICE)
    assert adapter.device(loss) == DEVICE
    expected_net, expected_loss, expected = reference()
    assert abs(ops.item(loss) - expected_loss) < 1e-5 * max(1.0, abs(expected_loss))
    scale = max(np.abs(g).max() for g in expected.values())
    for name, gradient in grads.items():
        assert adapter.device(gradient) == DEVICE, name
        np.testing.assert_allclose(
            um.to_numpy(gradient), expected[name], rtol=0, atol=2e-5 * scale, err_msg=name
        )
    for name, value in expected_net.state_dict().items():
        np.testing.assert_allclose(
            um.to_numpy(net.state_dict()[name]), value, rtol=1e-5, atol=1e-5, err_msg=name
        )


def test_training_stays_on_the_gpu(gpu_backend):
    net = make_net().to(gpu_backend, device=DEVICE)
    opt = optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        loss, grads = um.value_and_grad(loss_fn)(net, X, Y)
        opt.step(grads)
        losses.append(ops.item(loss))
    assert everything_on(net, DEVICE)
    assert losses[-1] < 0.5 * losses[0]


def test_moves_keep_every_value(gpu_backend):
    net = make_net().to(gpu_backend)
    net(X)
    before = {k: um.to_numpy(v) for k, v in net.state_dict().items()}
    for device in (DEVICE, "cpu", DEVICE):
        net.to(device=device)
        assert everything_on(net, device)
    net.to("numpy").to(gpu_backend, device="gpu:0")
    assert everything_on(net, DEVICE)
    for name, value in net.state_dict().items():
        assert np.array_equal(before[name], um.to_numpy(value)), name


def test_a_native_input_on_the_gpu_binds_the_net_there(gpu_backend):
    x = ops.asarray(X, backend=gpu_backend, device=DEVICE)
    net = make_net()
    net(x)
    assert net.backend == gpu_backend
    assert everything_on(net, DEVICE)


def test_creation_and_conversion_place_where_told(gpu_backend):
    adapter = get_backend(gpu_backend)
    x = ops.zeros((2, 3), backend=gpu_backend, device=DEVICE)
    assert adapter.device(x) == DEVICE
    assert adapter.device(ops.ones_like(x)) == DEVICE
    assert adapter.device(um.convert(x, gpu_backend, device="cpu")) == "cpu"
    assert adapter.device(um.convert(np.ones(3, "float32"), gpu_backend, device=DEVICE)) == DEVICE


def test_two_devices_in_one_call_are_an_error_of_ours(gpu_backend):
    net = nn.Linear(3, 2).to(gpu_backend, device=DEVICE)
    here = ops.asarray(np.ones((1, 3), "float32"), backend=gpu_backend, device="cpu")
    with pytest.raises(um.DeviceError, match="gpu:0"):
        net(here)


def test_a_gpu_that_is_not_there_is_refused_before_any_work(gpu_backend):
    net = make_net().to(gpu_backend)
    with pytest.raises(um.DeviceError, match="gpu:99"):
        net.to(device="gpu:99")
    assert everything_on(net, "cpu")
