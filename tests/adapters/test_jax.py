"""What is particular to JAX: 32 and 64 bits, tracers, donation, devices, and that no global setting changes.

What needs another configuration than this process has runs in a process of its own.
"""

import numpy as np
import pytest

from unimodule.errors import DeviceError, DtypeError, ShapeError

from .harness import NAMES, load
from .jax_alone import put, run_alone

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.skipif("jax" not in NAMES, reason="jax is not selected")


@pytest.fixture
def backend():
    return load("jax")


@pytest.fixture
def op(backend):
    return backend.functions


# ---------------------------------------------------------------------- 32 and 64 bits
def test_with_64_bits_everything_is_as_wide_as_it_says():
    run_alone(
        """
        x = put([1.0, 3.0, 2.0], "float64")
        assert backend.dtype(x) == "float64" and backend.dtype(put([2**40], "int64")) == "int64"
        for name in ("argmax", "argmin", "argsort"):
            kwargs = {"axis": -1} if name == "argsort" else {}
            assert backend.dtype(op[name](x, **kwargs)) == "int64", name
        pooled = op["max_pool_with_indices"](put(np.ones((1, 1, 4))), (2,), (2,), (0,), (1,), False)
        assert [backend.dtype(t) for t in pooled] == ["float32", "int64"]
        assert backend.dtype(op["random_uniform"]((2,), "float64", "cpu")) == "float64"
        assert backend.dtype(op["astype"](put([1.0]), "float64")) == "float64"
        assert backend.item(op["astype"](put([2.0**40], "float64"), "int64")) == 2**40
        y = put([1.0, 2.0])
        for name in ("add", "multiply", "pow", "divide", "maximum"):
            assert backend.dtype(op[name](y, 1.5)) == "float32", name
        for p in (0.1, 0.5):
            assert backend.dtype(op["dropout"](y, p)) == "float32"
        """,
        JAX_ENABLE_X64="1",
    )


def test_without_64_bits_nothing_is_narrowed_silently():
    run_alone(
        """
        from unimodule.errors import DtypeError, IntegerRangeError
        def refused(error, call, *words):
            try:
                call()
            except error as caught:
                assert all(word in str(caught) for word in words), caught
            else:
                raise AssertionError(f"not refused: {words}")
        x = put([1.0, 3.0, 2.0])
        refused(DtypeError, lambda: put([1.0], "float64"), "float64", "jax_enable_x64")
        refused(DtypeError, lambda: op["astype"](x, "float64"), "jax_enable_x64")
        refused(DtypeError, lambda: op["random_uniform"]((2,), "float64", "cpu"), "jax_enable_x64")
        for value, dtype in [(2**31, "int64"), (-2**31 - 1, "int64"), (2**32, "uint64")]:
            refused(IntegerRangeError, lambda: put([value], dtype), str(value))
        refused(IntegerRangeError, lambda: op["astype"](put([3e9]), "int64"), "3000000000")
        refused(IntegerRangeError, lambda: op["astype"](put([2**32 - 1], "uint32"), "int64"))
        refused(IntegerRangeError, lambda: op["astype"](put([-1.0]), "uint64"))
        assert backend.dtype(put([2**31 - 1, -2**31], "int64")) == "int32"
        assert backend.to_numpy(op["astype"](put([1.75, -1.75]), "int64")).tolist() == [1, -1]
        assert backend.dtype(op["argmax"](x)) == backend.dtype(op["argsort"](x)) == "int32"
        assert backend.dtype(put(np.arange(3.0), "float32")) == "float32"  # NumPy's float64 as data is fine
        """,
        JAX_ENABLE_X64="0",
    )


def test_no_global_setting_is_changed():
    run_alone(
        """
        look = lambda: {name: getattr(jax.config, name, None) for name in jax.config.values}
        before = look()
        fresh = JaxBackend()
        fresh.seed(3)
        x = put(np.ones((2, 3)))
        fresh.value_and_grad(lambda v: (op["sum"](op["matmul"](v[0], v[1])), None), [x, put(np.ones((3, 2)))])
        op["dropout"](x, 0.5)
        with fresh.full_precision():
            assert jax.config.jax_default_matmul_precision == "highest"
            op["matmul"](x, put(np.ones((3, 2))))
        after = look()
        assert before == after, {k: (v, after[k]) for k, v in before.items() if v != after[k]}
        """
    )


# ---------------------------------------------------------------------- tracers
def test_is_concrete_under_each_transformation(backend, op):
    seen = {}

    def look(name):
        def fn(x):
            seen[name] = backend.is_concrete(x)
            assert not backend.outlives_trace(x)
            assert backend.is_tensor(x) and backend.dtype(x) == "float32" and backend.device(x)
            return op["sum"](x)

        return fn

    x = put(backend, [1.0, 2.0])
    jax.jit(look("jit"))(x)
    jax.vmap(look("vmap"))(put(backend, [[1.0], [2.0]]))
    jax.grad(look("grad"))(x)
    jax.jit(jax.grad(look("jit of grad")))(x)
    assert seen == {"jit": False, "vmap": False, "grad": True, "jit of grad": False}


def test_values_can_be_read_inside_an_eager_gradient(backend, op):
    def fn(values):
        x = values[0]
        assert backend.to_numpy(x).tolist() == [3.0, -4.0]
        total = op["sum"](op["abs"](x))
        assert backend.item(total) == 7.0 and backend.device(total) == "cpu"
        while bool(op["less"](1.0, op["sum"](op["abs"](x)))):
            x = op["divide"](x, 2.0)
        return op["sum"](x), None

    _, _, (g,) = backend.value_and_grad(fn, [put(backend, [3.0, -4.0])])
    assert backend.to_numpy(g).tolist() == [0.125, 0.125]


def test_reading_a_value_under_jit_is_jaxs_own_error(backend):
    for read in (backend.item, backend.to_numpy):
        with pytest.raises((jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)):
            jax.jit(read)(put(backend, 1.0))


def test_from_numpy_and_variable_outlive_the_trace_they_are_made_in(backend, op):
    kept = []

    def fn(x):
        kept.append(put(backend, [1.0, 2.0]))
        kept.append(backend.variable(kept[0], trainable=True))
        return op["sum"](op["multiply"](x, kept[1]))

    x = put(backend, [3.0, 4.0])
    assert backend.item(jax.jit(fn)(x)) == 11.0
    assert backend.to_numpy(jax.grad(fn)(x)).tolist() == [1.0, 2.0]
    for tensor in kept:
        assert not isinstance(tensor, jax.core.Tracer) and backend.to_numpy(tensor).tolist() == [1.0, 2.0]


def test_no_tracer_leaves_value_and_grad(backend, op):
    def fn(values):
        x = values[0]
        return op["sum"](x), {"b": op["exp"](x), "a": (x, None, "text", 3, [x]), "kept": op["floor"](x)}

    with jax.checking_leaks():
        loss, aux, gradients = backend.value_and_grad(fn, [put(backend, [1.0])])
    assert list(aux) == ["b", "a", "kept"] and aux["a"][1:4] == (None, "text", 3)
    for leaf in jax.tree_util.tree_leaves((loss, aux, gradients)):
        assert not isinstance(leaf, jax.core.Tracer)


def test_aux_keeps_its_classes(backend, op):
    import collections

    Point = collections.namedtuple("Point", "x y")
    start = collections.OrderedDict([("z", 1), (2, "two")])

    def fn(values):
        ordered = start.copy()
        ordered["t"] = values[0]
        return op["sum"](values[0]), (Point(values[0], 1.5), ordered, collections.defaultdict(list, a=[]))

    _, (point, ordered, default), _ = backend.value_and_grad(fn, [put(backend, [1.0])])
    assert type(point) is Point and point.y == 1.5 and backend.is_concrete(point.x)
    assert type(ordered) is collections.OrderedDict and list(ordered) == ["z", 2, "t"]
    assert type(default) is collections.defaultdict and default["new"] == []


def test_value_and_grad_under_jit(backend, op):
    def step(x):
        loss, aux, (g,) = backend.value_and_grad(lambda v: (op["sum"](op["pow"](v[0], 3)), v[0]), [x])
        return loss, aux, g

    _, aux, g = jax.jit(step)(put(backend, [2.0]))
    assert backend.item(aux) == 2.0 and backend.item(g) == 12.0


@pytest.mark.parametrize(
    ("loss", "error", "text"),
    [
        (lambda op, x: x, ShapeError, r"scalar, got shape \(2,\)"),
        (lambda op, x: op["argmax"](x), DtypeError, "floating tensor, got int"),
        (lambda op, x: 3.0, DtypeError, "got float"),
        (lambda op, x: None, DtypeError, "got NoneType"),
    ],
)
def test_a_loss_must_be_a_floating_scalar(backend, op, loss, error, text):
    with pytest.raises(error, match=text):
        backend.value_and_grad(lambda v: (loss(op, v[0]), None), [put(backend, [1.0, 2.0])])


def test_gradients_are_for_float_tensors(backend):
    with pytest.raises(DtypeError, match="int32"):
        backend.value_and_grad(lambda v: (v[0], None), [put(backend, 1, "int32")])


# ---------------------------------------------------------------------- ownership
def test_donating_a_variable_leaves_its_source_alone(backend):
    source = put(backend, np.ones(1000))
    v = backend.variable(source, trainable=True)
    updated = jax.jit(lambda x: x + 1, donate_argnums=0)(v)
    assert v.is_deleted() and not source.is_deleted()
    assert backend.to_numpy(updated)[0] == 2.0 and backend.to_numpy(source)[0] == 1.0


# ---------------------------------------------------------------------- compilation
def test_indexing_in_a_loop_compiles_once(backend, op):
    from unimodule_jax import indexing

    x = put(backend, np.arange(50.0).reshape(25, 2))
    op["getitem"](x, (0,))
    before = indexing._slice.compiled._cache_size()
    assert [backend.to_numpy(op["getitem"](x, (i,)))[0] for i in range(-25, 25)] == [*range(0, 50, 2)] * 2
    assert indexing._slice.compiled._cache_size() == before


def test_a_scalar_operand_is_not_compiled_in(backend, op):
    from unimodule_jax import elementwise

    x, scalars = put(backend, [1.0, 2.0]), (0.25, 1.5, -2.5)
    op["pow"](x, 0.5)
    before = elementwise._power.compiled._cache_size()
    powers = [backend.to_numpy(op["pow"](x, s)) for s in scalars]
    assert elementwise._power.compiled._cache_size() == before
    np.testing.assert_allclose(powers, [np.power([1.0, 2.0], s) for s in scalars], rtol=1e-6)


def test_an_index_that_could_not_be_checked_reads_nan(backend, op):
    x = put(backend, [1.0, 2.0])
    take = jax.jit(lambda i: op["take"](x, i, axis=0))
    out = backend.to_numpy(take(put(backend, [0, 7], "int32")))
    assert out[0] == 1.0 and np.isnan(out[1])


def test_narrow_indices_reach_long_axes(backend, op):
    x = put(backend, np.arange(200.0))
    assert backend.to_numpy(op["take"](x, put(backend, [-1, 100], "int8"), axis=0)).tolist() == [199.0, 100.0]


def test_cumulative_sums_of_16_bits_do_not_drift(backend, op):
    x = put(backend, np.full(4096, 0.1), "float16")
    want = 4096 * float(np.float16(0.1))
    assert abs(float(backend.to_numpy(op["cumulative_sum"](x, axis=0))[-1]) - want) < 0.5


# ---------------------------------------------------------------------- overrides beyond the contract's tables
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_equals_pytorchs(backend, op, nonlinearity):
    torch = pytest.importorskip("torch")
    net = torch.nn.RNN(3, 4, 2, nonlinearity=nonlinearity, bidirectional=True)
    x, h0 = torch.randn(5, 2, 3), torch.randn(4, 2, 4)
    y, h = net(x, h0)
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [
        (*(put(backend, net.state_dict()[f"{kind}_l{k}{side}"].numpy()) for kind in kinds), None)
        for k in range(2)
        for side in ("", "_reverse")
    ]
    out = op["rnn"](put(backend, x.numpy()), put(backend, h0.numpy()), weights, 2, True, 0.0, nonlinearity)
    for got, want in zip(out, (y, h), strict=True):
        np.testing.assert_allclose(backend.to_numpy(got), want.detach().numpy(), rtol=1e-4, atol=1e-6)
    first = op["rnn_layer"](
        put(backend, x.numpy()), put(backend, h0[0].numpy()), *weights[0][:4], nonlinearity, False
    )
    assert backend.shape(first[0]) == (5, 2, 4) and backend.shape(first[1]) == (2, 4)


def test_clip_passes_the_gradient_at_its_bounds(backend, op):
    x = put(backend, [-2.0, -1.0, 0.5, 1.0, 3.0])
    low, high = put(backend, -1.0), put(backend, [1.0, 1.0, np.nan, 1.0, 1.0])
    _, y, (g,) = backend.value_and_grad(
        lambda v: (op["sum"](op["clip"](v[0], -1.0, 1.0)), op["clip"](v[0], low, high)), [x]
    )
    assert backend.to_numpy(g).tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    np.testing.assert_array_equal(backend.to_numpy(y), [-1.0, -1.0, np.nan, 1.0, 1.0])
    whole = op["clip"](put(backend, [1, 5, 9], "int32"), 2, None)
    assert backend.dtype(whole) == "int32" and backend.to_numpy(whole).tolist() == [2, 5, 9]


def test_mean_and_var(backend, op):
    data = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    x = put(backend, data)
    for axis in (None, 1, (0, -1)):
        for keepdims in (False, True):
            options = {"axis": axis, "keepdims": keepdims}
            np.testing.assert_allclose(
                backend.to_numpy(op["mean"](x, **options)), data.mean(**options), atol=1e-6
            )
            for correction in (0.0, 1.0):
                got = backend.to_numpy(op["var"](x, correction=correction, **options))
                np.testing.assert_allclose(got, data.var(ddof=int(correction), **options), rtol=1e-5)
    assert np.isnan(backend.item(op["mean"](put(backend, np.zeros(0)))))
    assert np.isnan(backend.item(op["var"](put(backend, [1.0]), correction=1.0)))
    assert backend.dtype(op["mean"](put(backend, np.full(9, 3e4), "float16"))) == "float16"
    assert backend.item(op["mean"](put(backend, np.full(9, 3e4), "float16"))) == 3e4


# ---------------------------------------------------------------------- devices
def test_devices_are_told_truly(backend):
    gpus = len(jax.local_devices(backend="gpu")) if jax.default_backend() == "gpu" else 0
    assert backend.devices() == ["cpu", *(f"gpu:{i}" for i in range(gpus))]
    for call in (
        lambda: backend.to_device(put(backend, 1.0), f"gpu:{gpus}"),
        lambda: backend.from_numpy(np.ones(2), "float32", f"gpu:{gpus}"),
    ):
        with pytest.raises(DeviceError, match=f"gpu:{gpus}"):
            call()


def test_committed_and_uncommitted_arrays(backend, op):
    free = jax.numpy.ones(2)
    bound = jax.device_put(free, jax.devices("cpu")[0])
    assert backend.device(bound) == "cpu"
    assert backend.device(free) == {"cpu": "cpu", "gpu": "gpu:0"}[jax.default_backend()]
    assert backend.item(op["sum"](free)) == backend.item(op["sum"](bound)) == 2.0
    assert backend.to_numpy(op["add"](backend.to_device(free, "cpu"), bound)).tolist() == [2.0, 2.0]


def test_sharded_arrays_meet_new_data():
    run_alone(
        """
        from jax.sharding import Mesh, NamedSharding, PartitionSpec
        assert len(jax.devices()) == 4 and backend.devices() == ["cpu"]
        mesh = Mesh(np.array(jax.devices()), ("batch",))
        x = jax.device_put(put(np.ones((8, 2))), NamedSharding(mesh, PartitionSpec("batch")))
        assert backend.device(x) == "cpu"
        out = op["linear"](x, put(np.ones((3, 2))), put(np.zeros(3)))
        assert len(out.devices()) == 4 and backend.to_numpy(out).sum() == 48
        assert backend.to_numpy(backend.variable(x, trainable=True)).shape == (8, 2)
        """,
        XLA_FLAGS="--xla_force_host_platform_device_count=4",
    )
