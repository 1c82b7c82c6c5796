"""um.vmap and um.checkpoint on every backend: values and gradients of the plain loop and the plain call, eager and compiled;
nets, closures, nesting, random numbers, buffers, errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ArgumentError, ModuleError, NotSupportedError, ShapeError

VMAP = ("torch", "jax", "tensorflow", "numpy")
CHECKPOINT = ("torch", "jax", "tensorflow")
OPTIONS: dict[str, dict[str, Any]] = {"torch": {"backend": "aot_eager"}}
RANDOM = np.random.default_rng(0)
X, W = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(3, 3))


@pytest.fixture(autouse=True)
def default_backend(request):
    """NumPy arrays are data, which goes to the default backend."""
    with um.use_backend(request.getfixturevalue("backend")):
        yield


@pytest.fixture(params=["eager", "compiled"])
def wrap(request, backend):
    """What a function is wrapped in."""
    return (lambda f: f) if request.param == "eager" else lambda f: um.compile(f, **OPTIONS.get(backend, {}))


@pytest.fixture
def mapping(backend):
    if backend not in VMAP:
        with pytest.raises(NotSupportedError, match=r"ops\.map"):
            um.vmap(ops.exp)(put(X, backend))
        pytest.skip(f"{backend} has no vmap, and says so")


@pytest.fixture
def recomputing(backend):
    if backend not in CHECKPOINT:
        with pytest.raises(NotSupportedError, match="checkpoint"):
            um.checkpoint(ops.exp)(put(X, backend))
        pytest.skip(f"{backend} has no checkpoint, and says so")


def put(array: Any, backend: str, dtype: str = "float32") -> Any:
    return ops.asarray(np.asarray(array), dtype=dtype, backend=backend)


def close(got: Any, expected: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(ops.to_numpy(got), ops.to_numpy(expected), rtol=tolerance, atol=tolerance)


class Net(nn.Module):
    def __init__(self, norm: bool = False):
        super().__init__()
        self.hidden = nn.Linear(3, 5)
        self.norm = nn.BatchNorm1d(5) if norm else nn.Identity()
        self.out = nn.Linear(5, 2)

    def forward(self, x):
        return self.out(ops.tanh(self.norm(self.hidden(x))))


# ---------------------------------------------------------------------- vmap
@pytest.mark.usefixtures("mapping")
def test_values_and_gradients_of_a_loop(backend, wrap):
    x, w = put(X, backend), put(W, backend)

    def one(row, w):
        return {"y": ops.matmul(ops.sin(row), w), "s": (ops.sum(row * row),)}

    def batched(x, w):
        out = um.vmap(one, in_axes=(0, None))(x, w)
        return ops.sum(out["y"] * out["s"][0][:, None])

    def loop(x, w):
        out = [one(row, w) for row in ops.unstack(x)]
        return sum(ops.sum(o["y"] * o["s"][0]) for o in out)

    got = wrap(um.value_and_grad(batched, argnums=(0, 1)))(x, w)
    expected = um.value_and_grad(loop, argnums=(0, 1))(x, w)
    close(got[0], expected[0])
    for g, e in zip(got[1], expected[1], strict=True):
        close(g, e)


@pytest.mark.usefixtures("mapping")
def test_axes(backend):
    x, w = put(X, backend), put(W, backend)
    assert ops.shape(um.vmap(lambda c: c * 2, in_axes=1)(x)) == (3, 4)
    assert ops.shape(um.vmap(lambda c: c * 2, in_axes=-1, out_axes=-1)(x)) == (4, 3)
    out = um.vmap(
        lambda d: (d["a"] + ops.sum(d["b"]), d["a"]), in_axes=({"a": 0, "b": None},), out_axes=(0, 1)
    )({"a": x, "b": w})
    assert [ops.shape(t) for t in out] == [(4, 3), (3, 4)]
    close(out[0], X + W.sum())
    close(um.vmap(lambda a, b: a * b)(x, b=x), X * X)
    close(
        um.vmap(um.vmap(lambda a, b: a * b, in_axes=(0, None)), in_axes=(None, 0))(x[0], x[:, 0]),
        np.outer(X[:, 0], X[0]),
    )
    close(
        um.vmap(lambda a: w, in_axes=0)(x), np.broadcast_to(W, (4, 3, 3))
    )  # what does not depend on the slice


@pytest.mark.usefixtures("mapping")
def test_nets(backend, wrap):
    net = Net().to(backend)
    x = put(X, backend)
    expected = net(x)
    close(wrap(lambda net, x: um.vmap(lambda net, row: net(row))(net, x))(net, x), expected)
    close(um.vmap(net)(x), expected)
    close(um.vmap(lambda row: net(row))(x), expected)
    lazy = nn.LazyLinear(2)
    assert ops.shape(um.vmap(lazy)(x)) == (4, 2)


@pytest.mark.usefixtures("mapping")
def test_a_gradient_for_each_example(backend, wrap):
    net = Net().to(backend)
    x = put(X, backend)
    gradient = um.grad(lambda net, row: ops.sum(ops.square(net(row))))
    each = wrap(lambda net, x: um.vmap(gradient, in_axes=(None, 0))(net, x))(net, x)
    for i in range(4):
        for name, g in gradient(net, x[i]).items():
            close(each[name][i], g)


@pytest.mark.usefixtures("mapping")
def test_control_flow_on_mapped_values(backend):
    x = put(X, backend)
    out = um.vmap(lambda row: ops.cond(ops.sum(row) > 0, lambda r: r * 2, lambda r: -r, row))(x)
    close(out, np.where(X.sum(1, keepdims=True) > 0, X * 2, -X))
    close(um.vmap(lambda row: ops.fori_loop(0, 3, lambda i, r: r * 2, row))(x), X * 8)


@pytest.mark.usefixtures("mapping")
def test_random_numbers_differ_between_slices(backend, wrap):
    fn = wrap(lambda x: um.vmap(lambda row: ops.dropout(row, 0.5))(x))
    masks = [ops.to_numpy(fn(put(np.ones((4, 64)), backend))) for _ in range(2)]
    assert len({row.tobytes() for mask in masks for row in mask}) == 8


@pytest.mark.usefixtures("mapping")
def test_vmap_errors(backend):
    x = put(X, backend)
    with pytest.raises(ShapeError):
        um.vmap(lambda a, b: a)(x, x[:2])
    with pytest.raises(ShapeError):
        um.vmap(lambda a: a, in_axes=2)(x)
    for axes in (None, (0, 0), 1.0, ({"a": 0},)):
        with pytest.raises(ArgumentError):
            um.vmap(lambda a: a, in_axes=axes)((x,) if isinstance(axes, tuple) and len(axes) == 1 else x)
    with pytest.raises(ArgumentError):
        um.vmap(lambda a: a, out_axes=None)(x)
    net = Net(norm=True).to(backend)
    with pytest.raises(ModuleError, match="running_mean"):
        um.vmap(lambda net, rows: net(rows), in_axes=(None, 0))(net, put(X[None], backend))
    net.eval()
    close(um.vmap(lambda net, rows: net(rows), in_axes=(None, 0))(net, put(X[None], backend))[0], net(x))


# ---------------------------------------------------------------------- checkpoint
@pytest.mark.usefixtures("recomputing")
def test_nets_parameters_and_buffers(backend, wrap):
    nets = [Net(norm=True).to(backend) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    x = put(X, backend)
    plain = um.value_and_grad(lambda net, x: ops.sum(ops.square(net(x))), argnums=(0, 1))
    saving = um.value_and_grad(lambda net, x: ops.sum(ops.square(um.checkpoint(net)(x))), argnums=(0, 1))
    (expected, wanted), (got, found) = plain(nets[0], x), wrap(saving)(nets[1], x)
    close(got, expected)
    close(found[1], wanted[1], 1e-4)
    for name in wanted[0]:
        close(found[0][name], wanted[0][name], 1e-4)
    for name, value in nets[0].state_dict().items():
        close(nets[1].state_dict()[name], value)
    assert int(ops.item(nets[1].norm.num_batches_tracked)) == 1


@pytest.mark.usefixtures("recomputing")
def test_closures_have_gradients(backend, wrap):
    x, w = put(X, backend), put(W, backend)
    net = Net().to(backend)

    def loss(net, x, w, save):
        def inner(x):
            return ops.sum(net(ops.sin(x @ w))), {"n": 3, "i": ops.argmax(x[0])}

        value, rest = (um.checkpoint(inner) if save else inner)(x)
        assert rest["n"] == 3
        return value

    expected = um.grad(lambda *a: loss(*a, False), argnums=(0, 1, 2))(net, x, w)
    got = wrap(um.grad(lambda *a: loss(*a, True), argnums=(0, 1, 2)))(net, x, w)
    close(got[1], expected[1])
    close(got[2], expected[2])
    for name, g in expected[0].items():
        close(got[0][name], g)


@pytest.mark.usefixtures("recomputing")
def test_the_same_mask_both_times(backend, wrap):
    def loss(x):
        y = um.checkpoint(lambda x: ops.dropout(x, 0.5) * ops.dropout(x, 0.2))(x)
        return ops.sum(y), y

    fn = wrap(um.value_and_grad(loss, has_aux=True))
    x = put(np.ones(256), backend)
    masks = []
    for _ in range(2):
        (_, y), g = fn(x)
        close(g, 2 * ops.to_numpy(y))  # y = m x², of which the mask is the same
        masks.append(ops.to_numpy(y).tobytes())
    assert masks[0] != masks[1]


@pytest.mark.usefixtures("recomputing")
def test_it_computes_twice(backend):
    calls = []

    def inner(x):
        calls.append(1)
        return ops.exp(x)

    x = put(X, backend)
    um.grad(lambda x: ops.sum(um.checkpoint(inner)(x)))(x)
    if backend == "torch":  # the others run a trace again, not the Python
        assert len(calls) == 2
    close(um.checkpoint(inner)(x), np.exp(X))
