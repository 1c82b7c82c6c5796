"""The native compilers' own options, and what becomes of a compiled net where one cannot run."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pytest

import unimodule as um
from unimodule import ops
from unimodule.errors import ArgumentError

from .models import CNN, assert_close, data, loss_of, mlp, normed, options, tensor


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what inductor has to say is not ours
def test_torch_generates_code():
    torch = pytest.importorskip("torch")
    if not any(shutil.which(name) for name in ("g++", "c++", "clang++", "cl")):
        pytest.skip("no C++ compiler")
    net = CNN().initialize(seed=0).to("torch")
    other, x = net.clone(), tensor(data((2, 6, 6), 3), "torch")
    fast = um.compile(net, mode="default")
    for _ in range(2):
        assert_close(fast(x), other(x))
        assert_close(um.value_and_grad(loss_of)(fast, x), um.value_and_grad(loss_of)(other, x))
        assert_close(net.state_dict(), other.state_dict())
    with torch.no_grad():
        assert_close(fast(x), other(x))


@pytest.mark.slow
@pytest.mark.parametrize("mode", [None, "default"])
@pytest.mark.filterwarnings("ignore")
def test_torch_generates_code_for_branches_beside_convolutions(mode):
    torch = pytest.importorskip("torch")
    if not any(shutil.which(name) for name in ("g++", "c++", "clang++", "cl")):
        pytest.skip("no C++ compiler")

    def fn(x, w):
        y = ops.cond(ops.sum(x) > 0, ops.sin, ops.cos, x)
        return ops.conv(y, w, None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)

    x, w = torch.ones(2, 2, 3, 4, requires_grad=True), torch.ones(2, 2, 1, 1, requires_grad=True)
    fast = um.compile(fn, mode=mode)
    for sign in (1, -1):
        got, want = (f(sign * x, w) for f in (fast, fn))
        assert_close(got, want)
        assert_close(torch.autograd.grad(got.sum(), (x, w)), torch.autograd.grad(want.sum(), (x, w)))


@pytest.mark.parametrize("inference", [True, False])
def test_torch_first_called_without_gradients(inference):
    torch = pytest.importorskip("torch")
    net = mlp().requires_grad_(False).to("torch")
    fast, x = um.compile(net, **options("torch")), tensor(data((3,)), "torch")
    with torch.inference_mode() if inference else torch.no_grad():
        fast(x)
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(fast(x).sum(), x)
    (want,) = torch.autograd.grad(net(x).sum(), x)
    assert_close(slope, want)


def test_torch_native_backward():
    torch = pytest.importorskip("torch")
    net = normed().to("torch")
    fast, x = um.compile(net, **options("torch")), tensor(data((3,)), "torch")
    for _ in range(2):
        fast(x).sum().backward()
        assert all(p.data.grad is not None for p in net.parameters())
        assert not any(b.data.requires_grad for b in net.buffers())
    loss, gradients = um.compile(um.value_and_grad(loss_of), **options("torch"))(net, x)
    assert not loss.requires_grad and not any(g.requires_grad for g in gradients.values())
    assert isinstance(torch.tensor(0.0), torch.Tensor)


def test_torch_without_a_cpp_compiler_runs_eagerly_and_says_so_once(monkeypatch):
    pytest.importorskip("torch")
    from unimodule_torch import compiling

    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    monkeypatch.setattr(compiling, "_told", False)
    net = normed().to("torch")
    other, x = net.clone(), tensor(data((3,)), "torch")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fast, run = um.compile(net), um.compile(um.value_and_grad(loss_of))
        for _ in range(2):
            assert_close(fast(x), other(x))
            assert_close(run(net, x), um.value_and_grad(loss_of)(other, x))
    assert [str(w.message) for w in seen if "C++ compiler" in str(w.message)] and len(seen) == 1


def test_tensorflow_with_xla():
    pytest.importorskip("tensorflow")
    net = normed().to("tensorflow")
    other, x = net.clone(), tensor(data((3,)), "tensorflow")
    fast = um.compile(net, jit_compile=True)
    for _ in range(2):
        assert_close(fast(x), other(x))
        assert_close(um.value_and_grad(loss_of)(fast, x), um.value_and_grad(loss_of)(other, x))


def test_jax_options():
    jax = pytest.importorskip("jax")
    net, x = mlp().to("jax"), tensor(data((3,)), "jax")
    assert_close(um.compile(net, inline=True)(x), net(x))
    with pytest.raises(ArgumentError, match="donate_argnums"):
        um.compile(net, donate_argnums=0)(x)
    fast = um.compile(net)
    fast(x)
    assert_close(jax.jit(fast)(x), net(x))
    want = um.value_and_grad(lambda x, net: loss_of(net, x))(x, net)[1]
    assert_close(jax.grad(lambda x: loss_of(fast, x))(x), want)


def test_jax_donates_what_it_is_told_to():
    jax = pytest.importorskip("jax")
    from unimodule_jax import compiling

    first, second = jax.numpy.ones(3), jax.numpy.ones(3)
    run = compiling.compile(lambda tensors: [tensors[0] + tensors[1]], donate=[1])
    np.testing.assert_array_equal(np.asarray(run([first, second])[0]), 2 * np.ones(3))
    assert second.is_deleted() and not first.is_deleted()


def test_called_in_the_users_own_compiled_function():
    tf = pytest.importorskip("tensorflow")
    net = normed().eval().to("tensorflow")
    fast, x = um.compile(net), tensor(data((3,)), "tensorflow")
    fast(x)
    fast(x)
    assert_close(tf.function(lambda x: fast(x), autograph=False)(x), net(x))
