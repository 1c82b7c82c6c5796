"""Binding and moving nets, first calls, lazy shapes, seeds."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import init, nn, ops, registry

from .models import MLP, Affine, Counting, SharedHandle, assert_same_state, batch, values


# ---------------------------------------------------------------------- to
def test_to_binds_in_place(backend):
    net = MLP()
    assert net.backend is None and net.device is None and net.dtype == "float32"
    assert net.to(backend) is net
    assert (net.backend, net.device, net.dtype) == (backend, "cpu", "float32")
    assert all(m.backend == backend for m in net.modules())
    assert all(um.backend_of(p.data) == backend for p in net.parameters())


def test_moving_between_backends_is_exact(backend, every_backend):
    net = nn.Sequential(Affine(2, 2), Counting(), SharedHandle()).initialize(seed=0).to(backend)
    net[1].parameter("calls").data = 7
    before = values(net)
    output = um.to_numpy(net[0](batch(2, 2)))
    for target in every_backend:
        moved = net.clone().to(target)
        assert moved.backend == target and net.backend == backend
        assert_same_state(before, values(moved))
        # Values move exactly; sums of products may round differently, by the size of their terms.
        np.testing.assert_allclose(
            um.to_numpy(moved[0](batch(2, 2))), output, rtol=0, atol=2**-22 * np.abs(output).max()
        )
        assert_same_state(before, values(moved.to(backend)))


def test_tensors_are_leaves_of_the_framework(backend):
    net = Counting().to(backend)
    kind = registry.get_backend(backend).info.module_roots
    assert type(net.weight).__module__.partition(".")[0] in kind
    if backend == "torch":
        torch = pytest.importorskip("torch")
        assert isinstance(net.weight, torch.nn.Parameter) and net.weight.is_leaf
        net(torch.ones(1, 2)).sum().backward()
        np.testing.assert_array_equal(net.weight.grad.numpy(), [10, 100])
        assert not net.scale.requires_grad and not net.total.requires_grad


def test_dtype(adapter, backend, has_float64):
    for name in sorted(adapter.float_dtypes):
        if name == "float64" and not has_float64:
            continue
        net = nn.Sequential(Affine(3, 2), Counting()).to(backend, dtype=name)
        assert net.dtype == name
        kinds = {n: v.dtype for n, v in net.named_variables()}
        assert kinds.pop("1.calls") == "int64"
        assert set(kinds.values()) == {name}
        assert um.to_numpy(net[0].weight).dtype.name == name
        assert um.to_numpy(net[1](batch(2, 2, "float64"))).dtype.name == name
        assert net.to(dtype="float32").dtype == "float32"
        assert um.to_numpy(net[0].weight).dtype == np.float32


def test_dtype_before_binding(backend, has_float64):
    net = MLP().to(dtype="float64" if has_float64 else "float32")
    assert net.backend is None and net.dtype == ("float64" if has_float64 else "float32")
    net.to(backend)
    assert um.to_numpy(net.hidden.weight).dtype.name == net.dtype


def test_widening_after_drawing_keeps_the_float32_values(backend, has_float64):
    if not has_float64:  # in a process that runs in 32 bits; test_float64_is_honoured_or_refused covers that
        return
    net = MLP().to(backend)
    before = values(net)
    for name, array in values(net.to(dtype="float64")).items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_dtype_must_be_floating(backend, dtype):
    with pytest.raises(um.DtypeError, match=f"expected a floating dtype, got {dtype}"):
        MLP().to(backend, dtype=dtype)


def test_a_dtype_that_a_backend_has_not(backend, adapter):
    net = MLP().to(backend)
    before = values(net)
    for dtype in {"float16", "bfloat16", "float64"} - adapter.float_dtypes:
        with pytest.raises(um.DtypeError, match=f"backend '{backend}' has no {dtype} nets"):
            net.to(dtype=dtype)
        assert net.dtype == "float32"
        assert_same_state(before, values(net))


def test_float64_is_honoured_or_refused(backend, has_float64):
    net = MLP().to(backend)
    before = values(net)
    if has_float64:
        assert um.to_numpy(net.to(dtype="float64").hidden.weight).dtype == np.float64
        return
    with pytest.raises(um.DtypeError, match="x64"):
        net.to(dtype="float64")
    assert net.dtype == "float32"
    assert_same_state(before, values(net))


# ---------------------------------------------------------------------- devices and backends that are not there
@pytest.mark.parametrize("device", ["gpu:99", "cuda:99", "cpu:1"])
def test_a_device_that_is_not_there(backend, device):
    net = MLP()
    with pytest.raises(um.DeviceError, match=f"backend '{backend}' has no device '{device}'; it has cpu"):
        net.to(backend, device=device)
    assert net.backend is None
    net.to(backend)
    before = {n: v.data for n, v in net.named_variables()}
    with pytest.raises(RuntimeError):
        net.to(device=device)
    assert all(v.data is before[n] for n, v in net.named_variables())


@pytest.mark.parametrize("device", ["tpu", "gpu:x", "", "gpu:-1", "cpu0"])
def test_a_malformed_device(backend, device):
    with pytest.raises(um.DeviceError, match="is not a device name; expected 'cpu', 'gpu' or 'gpu:N'"):
        MLP().to(backend, device=device)


def test_cpu_is_always_there(backend):
    assert MLP().to(backend, device="CPU").device == "cpu"
    assert MLP().to(backend, device="cpu:0").device == "cpu"
    with um.use_backend(backend):
        net = MLP().to(device="cpu")
    assert (net.backend, net.device) == (backend, "cpu")


def test_an_unknown_backend_changes_nothing(backend):
    net = MLP().to(backend)
    before = {n: v.data for n, v in net.named_variables()}
    with pytest.raises(um.UnknownBackendError, match="no backend is called 'tourch'"):
        net.to("tourch")
    assert net.backend == backend
    assert all(v.data is before[n] for n, v in net.named_variables())


def test_a_move_that_fails_half_way_changes_nothing(backend):
    def refuse(shape, rng):
        raise RuntimeError("no values today")

    net = MLP().to("numpy")
    before = {n: v.data for n, v in net.named_variables()}
    handle = nn.Parameter(refuse, shape=(2,))
    net.out.__dict__["_variables"]["late"] = handle  # past the check that draws it at once
    with pytest.raises(RuntimeError, match="no values today"):
        net.to(backend, dtype="float32" if backend != "numpy" else "float64")
    assert net.backend == "numpy" and net.dtype == "float32"
    assert all(v.data is before[n] for n, v in net.named_variables() if v is not handle)


# ---------------------------------------------------------------------- first calls
def test_an_unbound_net_binds_to_its_input(backend):
    net = MLP()
    y = net(ops.asarray(batch(), backend=backend))
    home = um.current_backend() if backend == "numpy" else backend  # NumPy arrays are data
    assert net.backend == home and um.backend_of(y) == home


def test_an_unbound_net_and_numpy_take_the_default(backend):
    net = MLP()
    with um.use_backend(backend):
        y = net(batch())
    assert net.backend == backend and um.backend_of(y) == backend


def test_numpy_inputs_take_the_nets_float_dtype(backend):
    net = MLP().to(backend)
    for dtype in ("float64", "float32"):
        assert um.to_numpy(net(batch(dtype=dtype))).dtype == np.float32


def test_other_numpy_inputs_keep_their_dtype(backend):
    seen = {}

    class Look(nn.Module):
        def forward(self, x, items, *, mask=None):
            seen.update(x=x, item=items[0], nested=items[1]["k"], mask=mask)
            return x

    Look().to(backend)(np.arange(3), [np.float32(2.0), {"k": np.ones(2)}], mask=np.array([True]))
    assert {k: um.backend_of(v) for k, v in seen.items()} == dict.fromkeys(seen, backend)
    kinds = {k: um.to_numpy(v).dtype.name for k, v in seen.items()}
    assert kinds["x"] in ("int64", "int32") and kinds["mask"] == "bool"
    assert kinds["item"] == kinds["nested"] == "float32"


def test_an_input_of_another_backend(backend, every_backend):
    others = [name for name in every_backend if name not in (backend, "numpy")]
    if backend == "numpy":
        others = [name for name in every_backend if name != "numpy"]
    for other in others:
        x = ops.asarray(batch(), backend=other)
        for call in (lambda net, x=x: net(x), lambda net, x=x: nn.Sequential(net).to(net.backend)(x)):
            with pytest.raises(
                um.BackendMismatchError,
                match=rf"bound to '{backend}'.*'{other}'.*net\.to\('{other}'\).*um\.convert",
            ):
                call(MLP().to(backend))
        assert um.backend_of(MLP().to(backend)(um.convert(x, backend))) == backend


def test_an_unbound_net_of_bound_modules_is_at_home_where_they_are(backend, every_backend):
    for use in (
        lambda net: net(batch()),
        lambda net: net.to(device="cpu"),
        lambda net: um.grad(lambda net, x: ops.sum(net(x)))(net, batch()),
        lambda net: um.functional_call(net, {}, batch()),
    ):
        inner = Affine(3, 2).to(backend)
        net = nn.Sequential(inner, ops.relu)
        for default in every_backend:
            with um.use_backend(default):
                use(net)
        assert inner.backend == net.backend == backend
    other = next((name for name in every_backend if name != backend), None)
    if other is None:
        return
    net = nn.Sequential(Affine(3, 2).to(backend), Affine(2, 2).to(other))
    with pytest.raises(um.BackendMismatchError, match=f"holds modules on .*{backend}"):
        net(batch())
    assert [m.backend for m in net] == [backend, other]
    assert um.to_numpy(net.to(other)(batch())).shape == (2, 2)


def test_calls_of_every_form(backend):
    class Two(nn.Module):
        def forward(self, x, y=None, *, scale=1.0):
            return (x if y is None else x + y) * scale

    class One(nn.Module):
        def forward(self, x):
            return x

    one, two = np.ones(2, "float32"), np.full(2, 2, "float32")
    net = Two().to(backend)
    for _ in range(2):  # the second time round, the types are known
        np.testing.assert_array_equal(um.to_numpy(net(one)), one)
        np.testing.assert_array_equal(um.to_numpy(net(one, two)), one + two)
        np.testing.assert_array_equal(um.to_numpy(net(x=one, y=two, scale=2)), 6 * one)
        np.testing.assert_array_equal(um.to_numpy(One().to(backend)(x=one)), one)
    for wrong in (
        lambda: net(),
        lambda: net(one, z=1),
        lambda: One().to(backend)(),
        lambda: One().to(backend)(one, one),
    ):
        with pytest.raises(TypeError, match=r"forward\(\)|Module\.__call__\(\)"):
            wrong()


def test_a_call_without_inputs(backend):
    class Source(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter([1.0, 2.0])

        def forward(self):
            return self.w * 2

    net = Source()
    with um.use_backend(backend):
        np.testing.assert_array_equal(um.to_numpy(net()), [2, 4])
    np.testing.assert_array_equal(um.to_numpy(net()), [2, 4])


def test_errors_name_the_module(backend):
    net = nn.Sequential(
        Affine(3, 4), nn.Sequential(ops.relu, nn.Function(lambda x: ops.reshape(x, (7,))))
    ).to(backend)
    with pytest.raises(um.ShapeError, match=r"Sequential\.1\.1 \(Function\)") as caught:
        net(batch())
    assert caught.value.module_path == "Sequential.1.1"


# ---------------------------------------------------------------------- lazy layers
def test_a_lazy_net_equals_the_same_net_with_shapes(backend):
    lazy, plain = MLP(None), MLP(3)
    um.seed(5)
    plain.to(backend)
    um.seed(5)
    lazy.to(backend)
    y = lazy(batch())
    assert_same_state(values(plain), values(lazy))
    np.testing.assert_array_equal(um.to_numpy(y), um.to_numpy(plain(batch())))


@pytest.mark.parametrize("order", ["initialize, call", "call, initialize", "initialize, to, call"])
def test_lazy_and_plain_draw_the_same_under_initialize(backend, order):
    nets = [MLP(None), MLP(3)]
    for net in nets:
        for step in order.split(", "):
            if step == "initialize":
                net.initialize(seed=11)
            elif step == "to":
                net.to(backend)
            else:
                with um.use_backend(backend):
                    net(batch())
    assert_same_state(values(nets[0]), values(nets[1]))


def test_a_lazy_net_is_partly_there_when_bound(backend):
    net = MLP(None).to(backend)
    handles = dict(net.named_parameters())
    assert handles["hidden.bias"].has_value and not handles["hidden.weight"].has_value
    assert handles["hidden.weight"].shape == (None, 4)
    with pytest.raises(um.UninitializedError, match=r"hidden\.weight"):
        net.state_dict()
    net(batch())
    assert handles["hidden.weight"].shape == (3, 4)
    assert net.hidden.weight is handles["hidden.weight"].data


def test_a_lazy_parameter_that_stays_unknown(backend):
    class Forgets(Affine):
        def infer_shapes(self, x):
            pass

    with pytest.raises(
        um.UninitializedError, match=r"Forgets\.weight has unknown shape \(None, 2\) after infer_shapes"
    ):
        Forgets(None, 2).to(backend)(batch())


def test_a_lazy_net_moves_and_copies_before_its_first_call(backend):
    net = MLP(None).to("numpy").clone().to(backend)
    assert net(batch()).shape[1] == 2
    assert net.backend == backend
    other = net.clone()
    np.testing.assert_array_equal(um.to_numpy(other(batch())), um.to_numpy(net(batch())))


def test_a_failed_first_call_leaves_the_net_usable(backend):
    net = nn.Sequential(
        Affine(None, 3), nn.Function(lambda x: ops.reshape(x, (1, 6)) if x.shape[0] == 2 else 1 / 0)
    ).to(backend)
    with pytest.raises(ZeroDivisionError):
        net(batch(3, 4))
    assert um.to_numpy(net(batch(2, 4))).shape == (1, 6)


# ---------------------------------------------------------------------- seeds
def test_one_seed_gives_one_net_on_every_backend(every_backend):
    states = []
    for name in every_backend:
        um.seed(3)
        states.append(values(MLP().to(name)))
        states.append(values(MLP().initialize(seed=9).to(name)))
        states.append(values(MLP().to(name).initialize(seed=9)))
    for i in range(3, len(states), 3):
        assert_same_state(states[0], states[i])
    for state in states[1::3] + states[2::3]:
        assert_same_state(states[1], state)
    assert not np.array_equal(states[0]["hidden.weight"], states[1]["hidden.weight"])


def test_two_nets_differ_and_the_seed_brings_them_back(backend):
    um.seed(1)
    first, second = values(MLP().to(backend)), values(MLP().to(backend))
    assert not np.array_equal(first["hidden.weight"], second["hidden.weight"])
    assert not np.array_equal(first["hidden.weight"].ravel()[:6], first["out.weight"].ravel()[:6])
    um.seed(1)
    assert_same_state(values(MLP().to(backend)), first)
    assert_same_state(values(MLP().to(backend)), second)


def test_initialize_draws_anew(backend):
    net = MLP().to(backend)
    before = values(net)
    assert net.initialize() is net
    assert not np.array_equal(values(net)["hidden.weight"], before["hidden.weight"])
    assert net.backend == backend


def test_a_parameter_is_drawn_from_its_place_in_the_net():
    net, larger = MLP().initialize(seed=2), nn.Sequential(MLP(), Affine(2, 2)).initialize(seed=2)
    assert_same_state(values(net), values(larger[0]))


def test_streams_of_um_seed_and_of_initialize_are_apart():
    um.seed(3)
    drawn = [values(MLP().to("numpy")) for _ in range(4)]
    for name, array in values(MLP().initialize(seed=3)).items():
        for other in drawn:
            assert not np.array_equal(array.ravel()[:2], other[name].ravel()[:2])
            assert not np.array_equal(array.ravel()[:2], other["hidden.weight"].ravel()[:2])


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True, None])
def test_a_seed_is_a_non_negative_integer(seed):
    with pytest.raises(um.ArgumentError, match="non-negative integer"):
        um.seed(seed)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True])
def test_so_is_that_of_initialize(seed):
    net = MLP().initialize(seed=0)
    before = values(net)
    with pytest.raises(um.ArgumentError, match="non-negative integer"):
        net.initialize(seed)
    assert_same_state(before, values(net))


def test_an_initialiser_of_the_wrong_shape(backend):
    net = nn.Module()
    net.w = nn.Parameter(lambda shape, rng: np.zeros(3), shape=(2,))
    with pytest.raises(um.ShapeError, match=r"'w'.*returned shape \(3,\), expected \(2,\)"):
        net.to(backend)
    assert net.backend is None


def test_an_initialiser_of_ones_own(backend):
    net = nn.Module()
    net.w = nn.Parameter(lambda shape, rng: rng.uniform(size=shape) + 5, shape=(2, 2))
    net.to(backend)
    assert np.all(um.to_numpy(net.w) >= 5)
    net.c = nn.Constant(init.constant(2.5), shape=(3,))
    np.testing.assert_array_equal(um.to_numpy(net.c), [2.5] * 3)
