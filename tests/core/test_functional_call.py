"""functional_call: a net as a pure function of its state."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops

from .models import MLP, Affine, Counting, SharedHandle, SharedModule, assert_same_state, batch, values


def native(state, backend):
    return {name: ops.asarray(array, backend=backend) for name, array in state.items()}


def test_uses_the_given_state_and_leaves_the_net(backend):
    net = MLP().to(backend)
    before, objects = values(net), {n: v.data for n, v in net.named_variables()}
    state = native({name: array * 2 for name, array in before.items()}, backend)
    y, new = um.functional_call(net, state, batch())
    other = net.clone()
    other.load_state_dict(state)
    np.testing.assert_array_equal(um.to_numpy(y), um.to_numpy(other(batch())))
    assert list(new) == list(state) and all(new[n] is state[n] for n in state)
    assert_same_state(before, values(net))
    assert all(v.data is objects[n] for n, v in net.named_variables())


def test_names_left_out_keep_the_nets_values(backend):
    net = MLP().to(backend)
    y, new = um.functional_call(net, {}, batch())
    np.testing.assert_array_equal(um.to_numpy(y), um.to_numpy(net(batch())))
    assert new == {}
    zero = native({"out.weight": np.zeros((4, 2), "float32")}, backend)
    y, new = um.functional_call(net, zero, batch())
    np.testing.assert_allclose(um.to_numpy(y), np.broadcast_to(um.to_numpy(net.out.bias), (2, 2)))
    assert list(new) == ["out.weight"]


def test_changed_buffers_come_back(backend):
    net = nn.Sequential(Counting()).to(backend)
    state = net.state_dict()
    x = batch(4, 2)
    for step in (1, 2):
        _, state = um.functional_call(net, state, x)
        assert ops.item(state["0.calls"]) == step
        np.testing.assert_allclose(um.to_numpy(state["0.total"]), step * x.sum(axis=0), rtol=1e-6)
    assert net[0].parameter("calls").item() == 0
    _, new = um.functional_call(net, {}, x)
    assert sorted(new) == ["0.calls", "0.total"]


@pytest.mark.parametrize("build", [SharedHandle, SharedModule])
@pytest.mark.parametrize("name", ["first.weight", "second.weight"])
def test_ties_hold_inside(backend, build, name):
    net = build().to(backend)
    state = native({name: np.eye(3, dtype="float32"), "first.bias": np.zeros(3, "float32")}, backend)
    y, _ = um.functional_call(net, state, batch())
    bias = um.to_numpy(net.second.bias) if build is SharedHandle else 0
    np.testing.assert_allclose(um.to_numpy(y), batch() + bias, rtol=1e-6)


def test_arguments_pass_through(backend):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter([1.0])

        def forward(self, x, *, scale):
            return x * self.w * scale

    net = Two().to(backend)
    y, _ = um.functional_call(net, {}, np.ones(1), scale=3.0)
    np.testing.assert_array_equal(um.to_numpy(y), [3])


def test_on_an_unbound_or_lazy_net(backend):
    state = native(values(MLP().to("numpy")), backend)
    net = MLP()
    with um.use_backend(backend):  # which NumPy arrays would not tell
        y, _ = um.functional_call(net, state, batch())
    assert um.backend_of(y) == backend and net.backend == backend
    lazy = MLP(None).to(backend)
    y2, _ = um.functional_call(lazy, state, batch())
    np.testing.assert_array_equal(um.to_numpy(y), um.to_numpy(y2))
    lazy = MLP(None).to(backend)
    y, _ = um.functional_call(lazy, {}, batch())
    np.testing.assert_array_equal(um.to_numpy(y), um.to_numpy(lazy(batch())))


def test_numpy_state(backend):
    net = MLP().to(backend)
    state = {name: np.zeros_like(array) for name, array in values(net).items()}
    y, _ = um.functional_call(net, state, batch())
    assert um.backend_of(y) == backend
    np.testing.assert_array_equal(um.to_numpy(y), np.zeros((2, 2)))


def test_errors(backend, every_backend):
    net = MLP().to(backend)
    before = values(net)
    x = batch()
    with pytest.raises(um.StateDictError, match=r"MLP has no hidden\.wieght"):
        um.functional_call(net, native({"hidden.wieght": np.ones(1, "float32")}, backend), x)
    with pytest.raises(um.ShapeError, match=r"hidden.bias expected shape \(4,\), got \(3,\)"):
        um.functional_call(net, native({"hidden.bias": np.ones(3, "float32")}, backend), x)
    with pytest.raises(um.ArgumentError, match="expected a Module, got function"):
        um.functional_call(lambda x: x, {}, x)
    for other in every_backend:
        if other not in (backend, "numpy") and backend != "numpy":
            with pytest.raises(um.BackendMismatchError, match=other):
                um.functional_call(net, native({"hidden.bias": np.ones(4, "float32")}, other), x)
    assert_same_state(before, values(net))


def test_an_error_inside_leaves_the_net(backend):
    class Fails(Counting):
        def forward(self, x):
            super().forward(x)
            raise KeyError("inside")

    net = Fails().to(backend)
    with pytest.raises(KeyError, match="inside"):
        um.functional_call(net, {}, np.ones((1, 2), "float32"))
    assert net.parameter("calls").item() == 0


def test_modules_may_be_swapped_and_called_by_name_inside(backend):
    class Chooses(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleDict({"a": Affine(3, 2), "b": Affine(3, 2)})

        def forward(self, x, which):
            return self.layers[which](x)

    net = Chooses().to(backend)
    zero = native(
        {"layers.b.weight": np.zeros((3, 2), "float32"), "layers.b.bias": np.zeros(2, "float32")}, backend
    )
    np.testing.assert_array_equal(
        um.to_numpy(um.functional_call(net, zero, batch(), "b")[0]), np.zeros((2, 2))
    )
    np.testing.assert_array_equal(
        um.to_numpy(um.functional_call(net, zero, batch(), "a")[0]), um.to_numpy(net(batch(), "a"))
    )


def test_threads_do_not_disturb_each_other(backend):
    net = Counting().to(backend)
    x = np.ones((1, 2), "float32")
    wrong = []

    def work(factor):
        state = native({"weight": np.full(2, factor, "float32")}, backend)
        want = np.array([[10.0, 100.0]]) * factor + 1
        for _ in range(20):
            y, _ = um.functional_call(net, state, x)
            if not np.array_equal(um.to_numpy(y), want):
                wrong.append(factor)

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert net.parameter("calls").item() == 0


def test_under_the_frameworks_own_transformation(backend):
    net = Affine(3, 2).to(backend)
    state = net.state_dict()
    want = batch().astype("float64").sum(axis=0)[:, None] * np.ones((1, 2))
    x = ops.asarray(batch(), backend=backend)
    if backend == "jax":
        import jax

        got = jax.jit(jax.grad(lambda s: um.functional_call(net, s, x)[0].sum()))(state)["weight"]
    elif backend == "torch":
        import torch

        got = torch.func.grad(lambda s: um.functional_call(net, s, x)[0].sum())(state)["weight"]
    elif backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(state)
            y = ops.sum(um.functional_call(net, state, x)[0])
        got = tape.gradient(y, state)["weight"]
    elif backend == "mxnet":
        import mxnet as mx

        net.weight.attach_grad()
        with mx.autograd.record():
            y = um.functional_call(net, {}, x)[0].sum()
        y.backward()
        got = net.weight.grad
    else:
        with um.use_backend("numpy"):
            got = um.grad(lambda s: ops.sum(um.functional_call(net, s, x)[0]))(state)["weight"]
    np.testing.assert_allclose(um.to_numpy(got), want, rtol=1e-5)


@pytest.mark.parametrize("outer", ["compile", "value_and_grad", "functional_call"])
def test_on_a_lazy_net_inside_another_transformation(backend, outer):
    """The clone that the outer one made, too, learns what the inner one's clone found out."""

    class Calls(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.LazyLinear(4), nn.Tanh())

        def forward(self, x):
            return ops.sum(um.functional_call(self.body, {}, x)[0])

    net, x = Calls().initialize(seed=0).to(backend), batch()
    options = {"backend": "aot_eager"} if backend == "torch" else {}  # quick to compile
    found = {
        "compile": lambda: um.compile(lambda net, x: net(x), **options)(net, x),
        "value_and_grad": lambda: um.value_and_grad(lambda net, x: net(x))(net, x)[0],
        "functional_call": lambda: um.functional_call(net, {}, x)[0],
    }[outer]()
    np.testing.assert_allclose(um.to_numpy(found), um.to_numpy(net(x)), rtol=1e-5)
    assert net.body[0].weight.shape == (4, np.shape(x)[-1])
