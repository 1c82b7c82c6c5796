"""value_and_grad and grad: what becomes of buffers."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, registry

from .models import Affine, Counting, assert_plain, batch, values


@pytest.fixture(autouse=True)
def _here(backend):
    with um.use_backend(backend):
        yield


def total(net, x):
    return ops.sum(net(x))


def assert_close(got, want, rtol=1e-5):
    np.testing.assert_allclose(um.to_numpy(got), want, rtol=rtol, atol=1e-6)


def test_buffers_change_as_in_a_plain_call(backend):
    plain, watched = Counting().to(backend), Counting().to(backend)
    x = batch(3, 2)
    for _ in range(3):
        plain(x)
        um.value_and_grad(total)(watched, x)
    for name, array in values(plain).items():
        np.testing.assert_array_equal(values(watched)[name], array, err_msg=name)
    assert watched.parameter("calls").item() == 3


def test_buffers_of_nets_that_are_not_differentiated_change_too(backend):
    net, x = Counting().to(backend), ops.asarray(batch(3, 2), backend=backend)
    um.grad(total, argnums=1)(net, x)
    assert net.parameter("calls").item() == 1
    um.grad(lambda x, *, net: total(net, x))(x, net=net)
    assert net.parameter("calls").item() == 2
    assert_plain(net)


def test_buffers_of_a_net_in_a_closure_change_without_a_tape(backend):
    net, x = Counting().to(backend), ops.asarray(batch(3, 2), backend=backend)
    g = um.grad(lambda x: total(net, x))(x)
    assert_close(g, np.broadcast_to([20, 300], (3, 2)))
    assert net.parameter("calls").item() == 1
    assert_close(net.total, batch(3, 2).sum(axis=0))
    assert_plain(net)
    if backend == "torch":
        assert not net.total.requires_grad


def test_under_a_compilers_trace_a_buffer_is_refused(every_backend):
    jax = pytest.importorskip("jax")
    net = Counting().to("jax")
    with pytest.raises(
        um.ModuleError, match=r"'total' was assigned while the framework traces.*um\.functional_call"
    ):
        jax.jit(net)(np.ones((1, 2), "float32"))
    assert net.parameter("calls").item() == 0
    assert_plain(net)


def test_buffers_after_an_error(backend):
    class Fails(Counting):
        def forward(self, x):
            super().forward(x)
            raise KeyError("inside")

    net = Fails().to(backend)
    with pytest.raises(KeyError, match="inside"):
        um.grad(total)(net, np.ones((1, 2), "float32"))
    assert_plain(net)


def test_no_tracer_stays(backend):
    net = nn.Sequential(Counting(), Affine(2, 2)).to(backend)
    (loss, y), grads = um.value_and_grad(lambda net, x: (lambda y: (ops.sum(y), y))(net(x)), has_aux=True)(
        net, batch(2, 2)
    )
    assert_plain(net)
    adapter = registry.get_backend(backend)
    for tensor in (loss, y, *grads.values()):
        assert adapter.is_concrete(tensor) and adapter.outlives_trace(tensor)
    if backend == "torch":
        assert not loss.requires_grad and not y.requires_grad
        assert all(p.data.grad is None for p in net.parameters())
        assert not net[0].total.requires_grad
    net(batch(2, 2))
    gc.collect()


class Fading(nn.Module):
    """Uses a buffer, and assigns it afterwards."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Buffer(np.full(3, 2.0, "float32"))

    def forward(self, x):
        y = x * self.scale
        self.scale = self.scale * 0.5
        return y


def test_a_buffer_may_be_assigned_after_it_was_used(backend):
    net = Fading().to(backend)
    x = np.ones((2, 3), "float32")
    for factor in (2.0, 1.0):
        _, slope = um.value_and_grad(lambda net, x: ops.sum(net(x)), argnums=1)(net, x)
        np.testing.assert_array_equal(um.to_numpy(slope), np.full((2, 3), factor, "float32"))
    np.testing.assert_array_equal(um.to_numpy(net.scale), 0.5)
