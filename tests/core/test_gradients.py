"""value_and_grad and grad."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import NotSupportedError

from .models import MLP, Affine, Counting, SharedHandle, assert_plain, batch, values


@pytest.fixture(autouse=True)
def _here(backend):
    with um.use_backend(backend):
        yield


def total(net, x):
    return ops.sum(net(x))


def assert_close(got, want, rtol=1e-5):
    np.testing.assert_allclose(um.to_numpy(got), want, rtol=rtol, atol=1e-6)


# ---------------------------------------------------------------------- values
def test_value_and_gradient_of_a_net(backend):
    net = Affine(3, 2).to(backend)
    x = batch()
    loss, grads = um.value_and_grad(lambda net, x: ops.sum(net(x) ** 2))(net, x)
    w, b = (um.to_numpy(net.parameter(n).data).astype("float64") for n in ("weight", "bias"))
    y = x @ w + b
    assert_close(loss, np.sum(y**2))
    assert list(grads) == ["weight", "bias"]
    assert_close(grads["weight"], 2 * x.T @ y)
    assert_close(grads["bias"], 2 * y.sum(axis=0))
    assert all(um.backend_of(g) == backend for g in grads.values())
    assert dict(net.named_parameters()) == grads.parameters
    assert um.to_numpy(loss).shape == ()


def test_gradients_agree_with_differences(backend):
    net = MLP().to(backend)
    x = batch()
    grads = um.grad(total)(net, x)
    state = values(net)
    reference = MLP().to("numpy", dtype="float64")
    step = 1e-6
    for name, array in state.items():
        for index in np.ndindex(array.shape):
            out = []
            for sign in (1, -1):
                moved = {n: a.astype("float64") for n, a in state.items()}
                moved[name][index] += sign * step
                reference.load_state_dict(moved)
                out.append(reference(x.astype("float64")).sum())
            assert abs(um.to_numpy(grads[name])[index] - (out[0] - out[1]) / (2 * step)) < 1e-4


def test_grad_is_the_second_half(backend):
    net = MLP().to(backend)
    _, both = um.value_and_grad(total)(net, batch())
    only = um.grad(total)(net, batch())
    assert list(both) == list(only)
    for name in both:
        np.testing.assert_array_equal(um.to_numpy(both[name]), um.to_numpy(only[name]))


def test_of_a_tensor(backend):
    x = ops.asarray(np.array([1.0, -2.0], "float32"), backend=backend)
    loss, g = um.value_and_grad(lambda x: ops.sum(x**3))(x)
    assert ops.item(loss) == -7
    assert_close(g, [3, 12])
    assert_close(um.grad(lambda x: ops.sum(x * x))(np.array([1.0, 2.0], "float32")), [2, 4])


def test_of_nested_structures(backend):
    a, b = (ops.asarray(np.array([v], "float32"), backend=backend) for v in (2.0, 3.0))
    tree = {"a": a, "rest": [b, (a,)], "none": None}
    g = um.grad(lambda t: ops.sum(t["a"] * t["rest"][0] + t["rest"][1][0]))(tree)
    assert list(g) == ["a", "rest", "none"] and g["none"] is None and isinstance(g["rest"][1], tuple)
    assert [float(um.to_numpy(v)[0]) for v in (g["a"], g["rest"][0], g["rest"][1][0])] == [3, 2, 1]


def test_argnums(backend):
    net = Affine(2, 1).to(backend)
    x = ops.asarray(np.ones((1, 2), "float32"), backend=backend)

    def fn(scale, net, x):
        return ops.sum(net(x)) * scale

    loss, (gx, gnet) = um.value_and_grad(fn, argnums=(2, 1))(2.0, net, x)
    assert_close(gx, 2 * um.to_numpy(net.weight).T)
    assert_close(gnet["weight"], [[2], [2]])
    assert list(um.grad(fn, argnums=1)(2.0, net, x)) == ["weight", "bias"]
    (only,) = um.grad(fn, argnums=[1])(2.0, net, x)
    assert list(only) == ["weight", "bias"]
    assert_close(loss, 2 * um.to_numpy(net(x))[0, 0])


def test_two_nets(backend):
    first, second = Affine(3, 3).to(backend), Affine(3, 1).to(backend)

    def fn(nets, x):
        return ops.sum(nets[1](nets[0](x)))

    g0, g1 = um.grad(fn)([first, second], batch())
    assert list(g0) == list(g1) == ["weight", "bias"]
    assert_close(g1["bias"], [2])
    h0, h1 = um.grad(lambda a, b, x: fn([a, b], x), argnums=(0, 1))(first, second, batch())
    np.testing.assert_array_equal(um.to_numpy(h0["weight"]), um.to_numpy(g0["weight"]))
    np.testing.assert_array_equal(um.to_numpy(h1["weight"]), um.to_numpy(g1["weight"]))


def test_one_net_twice(backend):
    net = Affine(2, 1).to(backend)
    a, b = um.grad(lambda a, b, x: ops.sum(a(x)) + 2 * ops.sum(b(x)), argnums=(0, 1))(
        net, net, np.ones((1, 2), "float32")
    )
    assert_close(a["bias"], [3])
    assert_close(b["bias"], [3])


def test_aux(backend):
    net = Affine(3, 2).to(backend)
    (loss, aux), grads = um.value_and_grad(
        lambda net, x: (total(net, x), {"y": net(x), "n": 3}), has_aux=True
    )(net, batch())
    assert aux["n"] == 3 and list(grads) == ["weight", "bias"]
    assert_close(aux["y"], um.to_numpy(net(batch())))
    assert_close(loss, um.to_numpy(aux["y"]).sum())
    g, aux = um.grad(lambda net, x: (total(net, x), "aux"), has_aux=True)(net, batch())
    assert aux == "aux" and list(g) == ["weight", "bias"]


def test_keyword_arguments(backend):
    net = Affine(3, 2).to(backend)
    loss, _ = um.value_and_grad(lambda net, *, x, by: total(net, x) * by)(net, x=batch(), by=2.0)
    assert_close(loss, 2 * um.to_numpy(net(batch())).sum(), 1e-4)


def test_an_inner_module_escapes_into_no_gradient(backend):
    net = MLP().to(backend)
    grads = um.grad(lambda layer, x: total(layer, x))(net.hidden, batch())
    assert list(grads) == ["weight", "bias"]


class Hides(nn.Module):
    """Calls its layer through a closure, which a clone cannot follow."""

    def __init__(self):
        super().__init__()
        layer = Affine(3, 2)
        self.layer = layer
        self.run = lambda x: layer(x)

    def forward(self, x):
        return self.run(x)


def test_a_closure_gets_right_gradients_or_an_error_never_zeros(backend):
    def uses(net):
        yield lambda: um.grad(lambda _, x: total(net, x))(net, batch())
        yield lambda: um.grad(total)(hides, batch())

    net, hides = Affine(3, 2).to(backend), Hides().to(backend)
    for use in uses(net):
        try:
            grads = use()
        except um.ModuleError as error:
            assert "Affine itself was called" in str(error)
        else:
            np.testing.assert_allclose(um.to_numpy(list(grads.values())[1]), [2, 2])
    with pytest.raises(um.ModuleError, match="Affine itself was called"):
        um.functional_call(hides, {"layer.bias": ops.zeros((2,), backend=backend)}, batch())
    assert type(net._accepts) is set and net._watchers == 0  # fast again
    np.testing.assert_array_equal(um.to_numpy(hides(batch())).shape, (2, 2))


def test_a_net_in_a_closure_is_fine_where_nothing_is_asked_of_it(backend):
    net = Counting().to(backend).eval()
    x = ops.asarray(batch(2, 2), backend=backend)
    frozen = Affine(2, 2).to(backend)
    assert_close(um.grad(lambda x: total(frozen, x))(x), np.ones((2, 2)) @ um.to_numpy(frozen.weight).T, 1e-4)
    grads = um.grad(lambda net, x: total(net, frozen(x)))(net, x)
    assert list(grads) == ["weight"]


# ---------------------------------------------------------------------- which parameters
def test_zeros_for_what_took_no_part(backend):
    class Partly(MLP):
        def forward(self, x):
            return self.hidden(x)

    net = Partly().to(backend)
    grads = um.grad(total)(net, batch())
    assert list(grads) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    for name in ("out.weight", "out.bias"):
        np.testing.assert_array_equal(
            um.to_numpy(grads[name]), np.zeros(dict(net.named_parameters())[name].shape)
        )
    x = ops.asarray(batch(), backend=backend)
    assert_close(um.grad(lambda x, y: ops.sum(y))(x, x * 1), np.zeros((2, 3)))


def test_frozen_parameters_are_left_out_and_pass_gradients_on(backend):
    net = MLP().to(backend)
    net.out.requires_grad_(False)
    grads = um.grad(total)(net, batch())
    assert list(grads) == ["hidden.weight", "hidden.bias"]
    assert np.any(um.to_numpy(grads["hidden.bias"]) != 0)
    net.requires_grad_(False)
    loss, grads = um.value_and_grad(total)(net, batch())
    assert grads == {} and np.isfinite(ops.item(loss))
    x = ops.asarray(batch(), backend=backend)
    assert np.any(um.to_numpy(um.grad(total, argnums=1)(net, x)) != 0)


def test_a_loss_that_is_constant(backend):
    net = Affine(3, 2).to(backend)
    loss, grads = um.value_and_grad(lambda net, x: ops.sum(x))(net, batch())
    assert_close(loss, batch().sum())
    np.testing.assert_array_equal(um.to_numpy(grads["weight"]), np.zeros((3, 2)))


def test_stop_gradient(backend):
    net = Affine(2, 2).to(backend)
    grads = um.grad(lambda net, x: ops.sum(um.stop_gradient(net(x)) * net(x)))(
        net, np.ones((1, 2), "float32")
    )
    assert_close(grads["bias"], um.to_numpy(net(np.ones((1, 2), "float32")))[0])


# ---------------------------------------------------------------------- inputs
def test_unbound_and_lazy_nets(backend):
    net = MLP(None)
    loss, grads = um.value_and_grad(total)(net, batch())
    assert net.backend == backend and um.to_numpy(grads["hidden.weight"]).shape == (3, 4)
    assert_close(loss, um.to_numpy(net(batch())).sum())
    assert_plain(net)
    lazy = nn.Sequential(Affine(None, 2), Counting()).to(backend)
    um.grad(total)(lazy, batch())
    assert lazy[1].parameter("calls").item() == 1
    native = MLP(None)
    if backend != "numpy":
        um.grad(total)(native, ops.asarray(batch(), backend=backend))
        assert native.backend == backend


def test_float64_numpy_beside_a_float32_net(backend):
    net = Affine(3, 2).to(backend)
    loss, grads = um.value_and_grad(total)(net, batch(dtype="float64"))
    assert um.to_numpy(loss).dtype == np.float32
    assert {um.to_numpy(g).dtype.name for g in grads.values()} == {"float32"}


def test_in_float64(backend, has_float64):
    if not has_float64:
        return
    net = Affine(3, 2).to(backend, dtype="float64")
    loss, grads = um.value_and_grad(total)(net, batch(dtype="float64"))
    assert um.to_numpy(loss).dtype == um.to_numpy(grads["weight"]).dtype == np.float64
    np.testing.assert_allclose(
        um.to_numpy(grads["weight"])[:, 0], batch(dtype="float64").sum(axis=0), rtol=1e-14
    )


def test_integer_inputs(backend):
    net = Affine(3, 2).to(backend)
    labels = np.array([1, 0])
    loss, _ = um.value_and_grad(lambda net, x, y: ops.sum(ops.take_along_axis(net(x), y[:, None], axis=1)))(
        net, batch(), labels
    )
    y = um.to_numpy(net(batch()))
    assert_close(loss, y[[0, 1], labels].sum())


def test_it_is_an_ordinary_function(backend):
    def loss_of_net(net, x):
        """Says what it does."""
        return total(net, x)

    for transformed in (um.value_and_grad(loss_of_net), um.grad(loss_of_net)):
        assert transformed.__name__ == "loss_of_net" and transformed.__doc__ == "Says what it does."


# ---------------------------------------------------------------------- nesting, threads
def test_gradients_of_gradients(backend):
    x = ops.asarray(np.array(2.0, "float32"), backend=backend)
    try:
        second = um.grad(lambda x: um.grad(lambda x: x * x * x)(x))(x)
    except NotSupportedError as error:
        assert backend in str(error)
        return
    assert_close(second, 12)


def test_a_gradient_penalty(backend):
    net = Affine(2, 1).to(backend)
    x = ops.asarray(np.ones((1, 2), "float32"), backend=backend)

    def penalty(net, x):
        return ops.sum(um.grad(lambda x, net: ops.sum(net(x) ** 2))(x, net) ** 2)

    try:
        grads = um.grad(penalty)(net, x)
    except NotSupportedError:
        return
    w, b = um.to_numpy(net.weight).astype("float64"), um.to_numpy(net.bias).astype("float64")
    y = float((np.ones((1, 2)) @ w + b)[0, 0])
    # penalty = 4 y^2 |w|^2
    assert_close(grads["bias"], [8 * y * (w**2).sum()], 1e-4)
    assert_close(grads["weight"], 8 * y * (w**2).sum() + 8 * y**2 * w, 1e-4)


def test_in_threads(backend):
    net = Affine(3, 2).to(backend)
    want = um.to_numpy(um.grad(total)(net, batch())["weight"])
    wrong = []

    def work():
        for _ in range(10):
            if not np.array_equal(um.to_numpy(um.grad(total)(net, batch())["weight"]), want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and net.backend == backend


def test_ties_inside_and_their_optimiser(backend):
    net = SharedHandle().to(backend)
    optimiser = um.optim.SGD(net.parameters(), lr=0.5)
    before = um.to_numpy(net.first.weight)
    grads = um.grad(total)(net, batch())
    optimiser.step(grads)
    assert_close(net.first.weight, before - 0.5 * um.to_numpy(grads["first.weight"]))
    assert net.second.weight is net.first.weight


# ---------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("fn", "error", "match"),
    [
        (lambda net, x: net(x), um.ShapeError, r"scalar, got shape \(2, 2\)"),
        (lambda net, x: ops.sum(ops.astype(net(x), "int32")), um.DtypeError, "float, got int"),
        (lambda net, x: 3.0, um.DtypeError, "scalar .* tensor, got float"),
        (lambda net, x: None, um.DtypeError, "got NoneType"),
        (lambda net, x: (total(net, x), 1), um.DtypeError, "got tuple"),
    ],
)
def test_a_loss_is_a_floating_scalar(backend, fn, error, match):
    net = Affine(3, 2).to(backend)
    with pytest.raises(error, match=match):
        um.value_and_grad(fn)(net, batch())
    assert_plain(net)


@pytest.mark.parametrize("argnums", [-1, (), (0, 0), "0", 1.0, True, None])
def test_malformed_argnums(argnums):
    with pytest.raises(um.ArgumentError, match="argnums expected"):
        um.grad(total, argnums=argnums)


def test_argnums_beyond_the_arguments(backend):
    with pytest.raises(um.ArgumentError, match="argnums=2 but the function was called with 2"):
        um.grad(total, argnums=2)(Affine(3, 2), batch())


@pytest.mark.parametrize("target", [3.0, "x", [1.0]])
def test_what_cannot_be_differentiated(target):
    with pytest.raises(um.ArgumentError, match="cannot differentiate with respect to a"):
        um.grad(lambda t: ops.sum(t))(target)


def test_integers_cannot_be_differentiated(backend):
    with pytest.raises(um.DtypeError, match="floating tensor, got int"):
        um.grad(lambda x: ops.sum(x * 1.0))(ops.asarray(np.arange(3), backend=backend))


def test_two_backends(backend, every_backend):
    for other in every_backend:
        if other == backend or "numpy" in (other, backend):
            continue
        with pytest.raises(um.BackendMismatchError, match="met in one call"):
            um.grad(total)(Affine(3, 2).to(backend), ops.asarray(batch(), backend=other))
