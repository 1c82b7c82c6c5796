"""um.compile: outputs, gradients and buffers are those of eager calls."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn

from .models import (
    CNN,
    NETS,
    Counter,
    assert_close,
    assert_no_tracer,
    assert_same_state,
    compiles,
    data,
    loss_of,
    mlp,
    normed,
    options,
    step,
    tensor,
)


@pytest.mark.parametrize("name", NETS)
def test_equals_eager_in_outputs_gradients_and_buffers(backend, name):
    build, shape = NETS[name]
    net = build().initialize(seed=0).to(backend)
    net(data(shape))  # lazy layers get their shapes
    other = net.clone()
    fast = um.compile(net, **options(backend))
    gradients_of = um.value_and_grad(loss_of)
    compiled_gradients_of = um.compile(gradients_of, **options(backend))
    for training in (True, False):
        net.train(training)
        other.train(training)
        for rows in (2, 3):
            x = tensor(data(shape, rows, seed=rows), backend)
            for _ in range(2):
                assert_close(fast(x), other(x), "output")
                assert_same_state(net, other)
            want = gradients_of(other, x)
            assert_close(gradients_of(fast, x), want, "gradient through the net")
            assert_same_state(net, other)
            gradients_of(other, x)
            assert_close(compiled_gradients_of(net, x), want, "compiled gradient")
            assert_same_state(net, other)
            step(net, want[1])
            step(other, want[1])
    assert_no_tracer(net)
    assert_no_tracer(fast)


def test_sees_new_weights_a_loaded_state_and_set_data(backend):
    net = normed().initialize(seed=0).to(backend).eval()
    fast, x = um.compile(net, **options(backend)), tensor(data((3,)), backend)
    for _ in range(3):
        fast(x)
    net.load_state_dict(normed().initialize(seed=1).state_dict())
    assert_close(fast(x), net(x))
    net[0].parameter("weight").data = np.ones((4, 3))
    assert_close(fast(x), net(x))
    net[1].running_mean = net[1].running_mean + 1
    assert_close(fast(x), net(x))
    fast.initialize(seed=2)
    assert_close(fast(x), net(x))
    fast.load_state_dict(normed().initialize(seed=3).state_dict())
    assert_close(fast(x), net(x))
    assert_same_state(fast, net)


def test_works_where_only_the_compiled_net_is_kept(backend):
    fast = um.compile(mlp().to(backend), **options(backend))
    x = tensor(data((3,)), backend)
    before = um.to_numpy(fast(x))
    fast.load_state_dict({name: um.to_numpy(t) * 2 for name, t in fast.state_dict().items()})
    assert not np.allclose(um.to_numpy(fast(x)), before)
    fast.extra = nn.Parameter(np.zeros(2))
    assert "extra" in fast.state_dict()
    fast.load_state_dict({name: um.to_numpy(t) + 1 for name, t in fast.state_dict().items()})
    np.testing.assert_array_equal(um.to_numpy(fast.extra), np.ones(2))


def test_unbound_and_lazy_nets_and_numpy_inputs(backend):
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2)).initialize(seed=0)
    fast = um.compile(net, **options(backend))
    with um.use_backend(backend):
        y = fast(data((3,)))
    assert um.backend_of(y) == net.backend == backend
    assert_close(y, net(data((3,))))
    assert_close(fast(data((3,), 4)), net(data((3,), 4)))
    assert_close(fast(data((3,)).astype("float64")), net(data((3,)).astype("float64")))


def test_python_runs_once_for_a_signature(backend):
    net = Counter(normed()).to(backend)
    fast = um.compile(net, **options(backend))
    gradients_of = um.compile(um.value_and_grad(loss_of), **options(backend))
    expected = 0
    for training in (True, False):
        net.train(training)
        for rows in (2, 3):
            for x in (data((3,), rows), tensor(data((3,), rows), backend)):
                for _ in range(4):
                    fast(x)
                    gradients_of(net, x)
            expected += 2
    if compiles(backend):
        assert len(net.runs) == expected
        net.train()
        fast(data((3,), 2))
        gradients_of(net, data((3,), 3))
        assert len(net.runs) == expected


@pytest.mark.parametrize(
    "change", ["attribute", "private", "module", "freeze", "thaw", "mode", "dtype", "function"]
)
def test_respecialises_on_changes_of_the_net(backend, has_float64, change):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = mlp()
            self.factor, self._offset = 2.0, 0.0
            self.activation = um.ops.tanh

        def forward(self, x):
            return self.activation(self.inner(x) * self.factor + self._offset)

    if change == "dtype" and not has_float64:
        pytest.skip("one float dtype in this process")
    net = Scaled().initialize(seed=0).to(backend)
    if change == "thaw":
        net.requires_grad_(False)
    fast, gradients_of = um.compile(net, **options(backend)), um.value_and_grad(loss_of)
    compiled_gradients_of = um.compile(gradients_of, **options(backend))
    x = data((3,))
    for _ in range(3):
        before = um.to_numpy(fast(tensor(x, backend)))
        compiled_gradients_of(net, tensor(x, backend))
    match change:
        case "attribute":
            net.factor = -3.0
        case "private":
            net._offset = 1.0
        case "module":
            net.inner.add_module("last", nn.Tanh())
        case "freeze":
            net.inner[0].requires_grad_(False)
        case "thaw":
            net.requires_grad_(True)
        case "mode":
            fast.eval()
        case "dtype":
            net.to(dtype="float64")
            x = x.astype("float64")
        case "function":
            net.activation = um.ops.sin
    for _ in range(3):
        y = fast(tensor(x, backend))
        assert_close(y, net(tensor(x, backend)))
        want = gradients_of(net, tensor(x, backend))
        assert_close(compiled_gradients_of(net, tensor(x, backend)), want)
        assert_close(gradients_of(fast, tensor(x, backend)), want)
    if change in ("attribute", "private", "module", "function"):
        assert not np.allclose(um.to_numpy(y), before)


# ---------------------------------------------------------------------- random numbers
def test_dropout_draws_anew_and_follows_the_seed(backend):
    net = nn.Sequential(nn.Dropout(0.25)).to(backend)
    fast, x = um.compile(net, **options(backend)), tensor(np.ones((64, 64), "float32"), backend)
    um.seed(3)
    first = [um.to_numpy(fast(x)) for _ in range(4)]
    um.seed(3)
    again = [um.to_numpy(fast(x)) for _ in range(4)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
        assert set(np.round(np.unique(a), 5)) == {np.float32(0), np.round(np.float32(4 / 3), 5)}
        assert abs((a == 0).mean() - 0.25) < 0.04
    assert all(not np.array_equal(first[i], first[j]) for i in range(4) for j in range(i))
    np.testing.assert_array_equal(um.to_numpy(fast.eval()(x)), um.to_numpy(x))


def test_the_gradient_has_the_mask_of_its_output(backend):
    net = nn.Sequential(nn.Dropout(0.5)).to(backend)
    x = tensor(np.ones((8, 8), "float32"), backend)

    def loss(x, net):
        y = net(x)
        return um.ops.sum(y), y

    fast = um.compile(net, **options(backend))
    both = um.value_and_grad(loss, has_aux=True)
    for run in (both, um.compile(both, **options(backend))):
        for target in (net, fast):
            (_, y), gradient = run(x, target)
            np.testing.assert_array_equal(um.to_numpy(y), um.to_numpy(gradient))


def test_dropout_inside_a_trained_net(backend):
    net = CNN(p=0.5).initialize(seed=0).to(backend)
    fast, x = um.compile(net, **options(backend)), tensor(data((2, 6, 6), 4), backend)
    outputs = [um.to_numpy(fast(x)) for _ in range(60)]
    eager = [um.to_numpy(net(x)) for _ in range(60)]
    assert not np.array_equal(outputs[-1], outputs[-2])
    spread = np.std(eager, axis=0).max()
    assert np.abs(np.mean(outputs, axis=0) - np.mean(eager, axis=0)).max() < spread
