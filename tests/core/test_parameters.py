"""Parameter, Constant and Buffer: what they are made of, their handles, ties, setting values."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import init, nn

from .models import MLP, Affine, Counting, SharedHandle, SharedModule, batch


# ---------------------------------------------------------------------- making them
@pytest.mark.parametrize("kind", [nn.Parameter, nn.Constant, nn.Buffer])
def test_made_of_arrays_lists_numbers_and_initialisers(kind):
    source = np.ones((2, 3))
    made = kind(source)
    source[:] = 5  # the variable has a copy
    assert made.shape == (2, 3) and made.dtype == "float32"
    np.testing.assert_array_equal(made.numpy(), np.ones((2, 3)))
    assert kind([[1.0, 2.0]]).shape == (1, 2)
    assert kind(3.0).shape == () and kind(3.0).item() == 3.0
    assert kind(init.zeros(), shape=4).shape == (4,)
    assert kind(init.zeros(), shape=[2, None]).shape == (2, None)
    assert kind(np.ones(2), dtype="float64").dtype == "float64"


def test_made_of_a_native_tensor(backend):
    x = um.ops.asarray(np.array([1.0, 2.0], "float32"), backend=backend)
    np.testing.assert_array_equal(nn.Parameter(x).numpy(), [1, 2])


def test_dtypes_of_integers():
    assert nn.Buffer(np.arange(3)).dtype == "int64"
    assert nn.Constant(np.arange(3, dtype="int32")).dtype == "int32"
    assert nn.Constant([True, False]).dtype == "bool"
    with pytest.raises(um.DtypeError, match="Parameter expected a floating dtype, got int64"):
        nn.Parameter([1, 2])


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: nn.Parameter(init.zeros()), um.ArgumentError, "needs a shape"),
        (lambda: nn.Parameter(init.zeros(), shape=(2, -1)), um.ShapeError, "non-negative integers"),
        (lambda: nn.Parameter(init.zeros(), shape=(2.0,)), um.ShapeError, "non-negative integers"),
        (lambda: nn.Parameter(init.zeros(), shape="23"), um.ShapeError, "non-negative integers"),
        (
            lambda: nn.Parameter(np.ones(3), shape=(2,)),
            um.ShapeError,
            r"shape \(2,\) beside an array of shape \(3,\)",
        ),
        (lambda: nn.Parameter("hello"), um.DtypeError, "Parameter expected numbers, got str"),
        (lambda: nn.Parameter(None), um.DtypeError, "Parameter expected numbers, got NoneType"),
        (lambda: nn.Buffer(np.array([1 + 2j])), um.DtypeError, "complex128"),
        (lambda: nn.Parameter([1.0], dtype="int32"), um.DtypeError, "floating dtype, got int32"),
        (lambda: nn.Parameter([1.0], dtype="float33"), um.DtypeError, "float33"),
    ],
)
def test_what_cannot_be_made(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_no_value_before_there_is_a_shape_or_a_net():
    handle = nn.Parameter(init.ones(), shape=(None, 2))
    assert not handle.has_value and not handle.shape_known and handle.backend is None
    for read in (lambda: handle.data, handle.numpy, handle.item):
        with pytest.raises(um.UninitializedError, match="no value yet"):
            read()


# ---------------------------------------------------------------------- handles
def test_handles_describe_the_live_tensor(backend):
    net = MLP().to(backend)
    handle = dict(net.named_parameters())["out.weight"]
    assert (handle.name, handle.shape, handle.dtype, handle.requires_grad) == (
        "out.weight",
        (4, 2),
        "float32",
        True,
    )
    assert handle.backend == backend and handle.kind == "parameter"
    assert handle.data is net.out.weight


def test_setting_data_reaches_the_module(backend):
    net = Affine(3, 2).to(backend)
    handle = net.parameter("weight")
    for number, value in enumerate(
        [
            np.full((3, 2), 0.0),
            [[1.0] * 2] * 3,
            um.ops.asarray(np.full((3, 2), 2.0, "float32"), backend=backend),
            um.ops.asarray(np.full((3, 2), 3.0, "float32"), backend="numpy"),
            um.ops.asarray(np.full((3, 2), 4, "int32"), backend=backend),
            nn.Parameter(np.full((3, 2), 5.0)),
        ]
    ):
        handle.data = value
        assert um.backend_of(net.weight) == backend and net.weight is handle.data
        assert handle.dtype == "float32" and um.to_numpy(net.weight).dtype == np.float32
        np.testing.assert_array_equal(um.to_numpy(net.weight), np.full((3, 2), number))


def test_setting_data_of_another_shape(backend):
    net = Affine(3, 2).to(backend)
    before = net.parameter("bias").numpy()
    with pytest.raises(um.ShapeError, match=r"expected shape \(2,\), got \(3,\)"):
        net.parameter("bias").data = np.zeros(3)
    with pytest.raises(um.ShapeError, match=r"got \(\)"):
        net.parameter("bias").data = 0.0
    np.testing.assert_array_equal(net.parameter("bias").numpy(), before)


def test_setting_data_before_binding_keeps_full_precision():
    net = Affine(1, 1)
    net.parameter("weight").data = [[1 / 3]]
    net.to("numpy", dtype="float64")
    assert net.weight[0, 0] == 1 / 3


def test_setting_data_gives_a_lazy_parameter_its_shape(backend):
    net = Affine(None, 2)
    net.parameter("weight").data = np.ones((3, 2))
    assert net.parameter("weight").shape == (3, 2)
    net.to(backend)
    with um.use_backend(backend):
        np.testing.assert_allclose(
            um.to_numpy(net(np.ones((1, 3), "float32"))), 3 + net.parameter("bias").numpy()[None], rtol=1e-6
        )


def test_numpy_is_a_copy(backend):
    net = Affine(3, 2).to(backend)
    host = net.parameter("bias").numpy()
    host[:] = 100
    assert not np.any(um.to_numpy(net.bias) == 100)


def test_values_given_stay_the_callers(backend):
    mine = np.ones(2, "float32")
    net = nn.Module()
    net.w = nn.Parameter(mine)
    net.to(backend)
    net.parameter("w").data = mine
    mine[:] = 7
    np.testing.assert_array_equal(um.to_numpy(net.w), [1, 1])


def test_shape_can_be_completed_once():
    handle = nn.Parameter(init.ones(), shape=(None, 2))
    handle.shape = (3, 2)
    handle.shape = (3, 2)
    for wrong in ((4, 2), (3, 2, 1), (3, None)):
        with pytest.raises(um.ShapeError):
            handle.shape = wrong


# ---------------------------------------------------------------------- kinds
def test_a_constant_takes_no_part_in_training(backend):
    net = Counting().to(backend)
    _, grads = um.value_and_grad(lambda net, x: um.ops.sum(net(x)))(net, np.ones((1, 2), "float32"))
    assert list(grads) == ["weight"]
    np.testing.assert_array_equal(um.to_numpy(net.scale), [10, 100])
    constant = next(net.constants())
    constant.data = [1.0, 2.0]
    np.testing.assert_array_equal(um.to_numpy(net.scale), [1, 2])


def test_an_initialised_constant_is_drawn_once(backend):
    class Random(nn.Module):
        def __init__(self):
            super().__init__()
            self.fixed = nn.Constant(init.uniform(), shape=(20, 20))
            self.weight = nn.Parameter(init.uniform(), shape=(2,))

        def forward(self, x):
            return x

    net = Random().to(backend)
    fixed, weight = um.to_numpy(net.fixed), um.to_numpy(net.weight)
    net.initialize(seed=3)
    np.testing.assert_array_equal(um.to_numpy(net.fixed), fixed)
    assert not np.array_equal(um.to_numpy(net.weight), weight)


def test_buffers_change_in_forward_and_are_reset(backend):
    net = Counting().to(backend)
    x = batch(4, 2)
    net(x), net(x)
    assert net.parameter("calls").item() == 2
    np.testing.assert_allclose(um.to_numpy(net.total), 2 * x.sum(axis=0), rtol=1e-6)
    net.initialize(seed=0)
    assert net.parameter("calls").item() == 0
    np.testing.assert_array_equal(um.to_numpy(net.total), [0, 0])
    np.testing.assert_array_equal(um.to_numpy(net.weight), [2, 3])  # was given as an array


def test_a_buffer_keeps_its_shape(backend):
    net = Counting().to(backend)
    with pytest.raises(um.ShapeError, match=r"'total' expected shape \(2,\), got \(3,\)"):
        net.total = um.ops.zeros((3,), backend=backend)
    net.total = np.array([5.0, 6.0])
    assert um.backend_of(net.total) == backend
    np.testing.assert_array_equal(um.to_numpy(net.total), [5, 6])


def test_a_buffer_keeps_its_dtype(backend):
    net = Counting().to(backend)
    net.total = um.ops.astype(net.total + 3, "int32")
    assert um.to_numpy(net.total).dtype == np.float32
    np.testing.assert_array_equal(um.to_numpy(net.total), [3, 3])
    with pytest.raises(um.DtypeError, match="'calls' expected dtype int64, got float32"):
        net.calls = net.total[0]
    assert net.parameter("calls").item() == 0


def test_integers_beside_a_float_net(backend):
    net = nn.Module()
    net.table = nn.Constant(np.array([3, 1, 2], "int32"))
    net.count = nn.Buffer(np.array(2**31 - 1))
    net.mask = nn.Buffer(np.array([True, False]))
    net.to(backend, dtype="float32")
    assert [v.dtype for _, v in net.named_variables()] == ["int32", "int64", "bool"]
    np.testing.assert_array_equal(um.to_numpy(net.table), [3, 1, 2])
    assert net.parameter("count").item() == 2**31 - 1
    np.testing.assert_array_equal(um.to_numpy(net.mask), [True, False])


def test_a_fixed_dtype_stays(adapter, backend, has_float64):
    other = "float16" if "float16" in adapter.float_dtypes else "float64"
    assert other == "float16" or has_float64
    net = nn.Module()
    net.a = nn.Parameter([1.0], dtype="float32")
    net.b = nn.Parameter([1.0])
    net.to(backend, dtype=other)
    assert [p.dtype for p in net.parameters()] == ["float32", other]
    assert [um.to_numpy(net.a).dtype.name, um.to_numpy(net.b).dtype.name] == ["float32", other]


# ---------------------------------------------------------------------- requires_grad
def test_requires_grad_of_one(backend):
    net = Affine(3, 2).to(backend)
    net.parameter("bias").requires_grad = False
    grads = um.grad(lambda net, x: um.ops.sum(net(x)))(net, batch())
    assert list(grads) == ["weight"]
    net.parameter("bias").requires_grad = True
    grads = um.grad(lambda net, x: um.ops.sum(net(x)))(net, batch())
    assert list(grads) == ["weight", "bias"]
    net.parameter("bias").data = np.zeros(2)
    assert list(um.grad(lambda net, x: um.ops.sum(net(x)))(net, batch())) == ["weight", "bias"]


# ---------------------------------------------------------------------- ties
@pytest.mark.parametrize("build", [SharedHandle, SharedModule])
def test_ties_stay_ties(backend, build):
    net = build().to(backend)
    assert net.second.weight is net.first.weight
    listed = [n for n, _ in net.named_parameters()]
    assert "first.weight" in listed and "second.weight" not in listed
    state = net.state_dict()
    assert {"first.weight", "second.weight"} <= set(state)
    np.testing.assert_array_equal(um.to_numpy(state["first.weight"]), um.to_numpy(state["second.weight"]))
    net.second.parameter("weight").data = np.eye(3)
    np.testing.assert_array_equal(um.to_numpy(net.first.weight), np.eye(3))


@pytest.mark.parametrize("build", [SharedHandle, SharedModule])
@pytest.mark.parametrize("how", ["clone", "to", "initialize", "load"])
def test_ties_survive(backend, build, how):
    net = build().to("numpy").clone()
    if how == "clone":
        net = net.to(backend).clone()
    elif how == "to":
        net = net.to(backend, dtype="float32")
    elif how == "initialize":
        net = net.to(backend).initialize(seed=1)
    else:
        net = build().to(backend)
        net.load_state_dict(build().to("numpy").state_dict())
    assert net.second.weight is net.first.weight
    assert net.second.parameter("weight") is net.first.parameter("weight")
    net.first.parameter("weight").data = np.zeros((3, 3))
    np.testing.assert_array_equal(um.to_numpy(net.second.weight), np.zeros((3, 3)))


@pytest.mark.parametrize("build", [SharedHandle, SharedModule])
def test_gradients_of_tied_parameters_add_up(backend, build):
    net = build().to(backend)
    x = batch(2, 3)
    _, grads = um.value_and_grad(lambda net, x: um.ops.sum(net(x)))(net, x)
    assert "first.weight" in grads and "second.weight" not in grads
    w, b = um.to_numpy(net.first.weight).astype("float64"), um.to_numpy(net.first.bias).astype("float64")
    ones, hidden = np.ones((2, 3)), x.astype("float64") @ w + b
    want = x.astype("float64").T @ (ones @ w.T) + hidden.T @ ones
    np.testing.assert_allclose(um.to_numpy(grads["first.weight"]), want, rtol=1e-4, atol=1e-5)


def test_tying_after_binding(backend):
    net = nn.ModuleList([Affine(3, 3), Affine(3, 3)]).to(backend)
    net[1].weight = net[0].parameter("weight")
    assert net[1].weight is net[0].weight
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_a_handle_is_not_taken_from_a_net_on_another_backend(backend):
    first = Affine(3, 3).to(backend)
    for name in ("numpy", backend):
        second = Affine(3, 3).to(name)
        if name == backend:
            second.weight = first.parameter("weight")
            assert second.weight is first.weight
            continue
        with pytest.raises(
            um.BackendMismatchError, match=f"Affine.weight is on '{name}'.*holds on '{backend}'"
        ):
            second.weight = first.parameter("weight")
        assert um.backend_of(first.weight) == backend and um.backend_of(second.weight) == name
