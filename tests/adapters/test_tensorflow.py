"""What is particular to the TensorFlow adapter: variables, graphs, devices, and the faults of kernels it works around."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from unimodule.errors import DeviceError

from .conftest import ROOT
from .harness import NAMES, load

if "tensorflow" not in NAMES:
    pytest.skip("tensorflow is not selected", allow_module_level=True)
tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def backend():
    return load("tensorflow")


@pytest.fixture
def op(backend):
    return backend.functions


def put(backend, values, dtype="float32"):
    return backend.from_numpy(np.asarray(values), dtype, "cpu")


def variable(backend, values, dtype="float32", trainable=True):
    return backend.variable(put(backend, values, dtype), trainable=trainable)


def graph(fn, jit=False):
    return tf.function(fn, autograph=False, jit_compile=jit)


def in_a_process(code, **environment):
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


# ---------------------------------------------------------------------- importing it
def test_metadata_needs_no_tensorflow():
    in_a_process(
        "import sys, unimodule_tensorflow as u; assert u.INFO.name and 'tensorflow' not in sys.modules"
    )


@pytest.mark.slow
def test_import_is_quiet():
    done = in_a_process(
        "from unimodule_tensorflow.adapter import TensorFlowBackend", TF_ENABLE_ONEDNN_OPTS="1"
    )
    assert "oneDNN" not in done.stderr and "absl" not in done.stderr


# ---------------------------------------------------------------------- variables
def test_variables_are_variables(backend):
    for trainable in (True, False):
        v = variable(backend, [1.0], trainable=trainable)
        assert isinstance(v, tf.Variable) and v.trainable is trainable and backend.is_tensor(v)


def test_set_trainable_keeps_the_variable_and_tapes_obey(backend):
    v = variable(backend, [2.0])
    for trainable in (False, True):
        assert backend.set_trainable(v, trainable) is v and v.trainable is trainable
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(v * v)
        assert (tape.gradient(loss, v) is not None) is trainable
        assert len(tape.watched_variables()) == trainable


def test_assign_is_seen_by_a_graph(backend, op):
    v = variable(backend, [1.0])
    double = graph(lambda: op["multiply"](v, 2.0))
    assert double().numpy() == [2.0]
    assert backend.assign(v, put(backend, [5.0])) is v
    assert double().numpy() == [10.0]


def test_what_functions_return_does_not_change_with_the_variable(backend, op):
    v = variable(backend, [1.0, 2.0])
    kept = [op["getitem"](v, ()), op["astype"](v, "float32"), op["concat"]([v]), op["pad"](v, ((0, 0),))]
    kept += [op["pow"](v, 1), op["stop_gradient"](v), op["clip"](v, None, None), op["reshape"](v, (2,))]
    backend.assign(v, put(backend, [7.0, 7.0]))
    for out in kept:
        assert not isinstance(out, tf.Variable) and out.numpy().tolist() == [1.0, 2.0]


def test_portable_operators_on_variables(backend):
    v, x = variable(backend, [[1.0, -2.0], [3.0, 4.0]]), put(backend, [[1.0, 0.0], [0.0, 2.0]])
    a, b = backend.to_numpy(v), backend.to_numpy(x)
    for left, right, na, nb in [(v, x, a, b), (x, v, b, a), (v, v, a, a), (v, 2.0, a, 2.0), (3.0, v, 3.0, a)]:
        for fn in (lambda p, q: p + q, lambda p, q: p - q, lambda p, q: p * q, lambda p, q: p < q):
            np.testing.assert_array_equal(fn(left, right).numpy(), fn(na, nb))
        np.testing.assert_array_equal((left == right).numpy(), na == nb)
    np.testing.assert_array_equal((v @ x).numpy(), a @ b)
    np.testing.assert_array_equal((v / 2.0).numpy(), a / 2)
    np.testing.assert_array_equal((v**2).numpy(), a**2)
    np.testing.assert_array_equal(abs(-v).numpy(), abs(a))
    np.testing.assert_array_equal(v[None, 1:, ..., 0].numpy(), a[None, 1:, ..., 0])
    assert float(v[0, 0]) == 1.0 and bool(v[0, 0] > 0)


# ---------------------------------------------------------------------- gradients
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_gradients_of_gathers_are_dense(backend, op, live, compiled):
    make = variable if live else put
    weight, indices = make(backend, np.ones((4, 2))), put(backend, [[1, 3], [1, 1]], "int64")

    def step():
        return backend.value_and_grad(lambda v: (op["sum"](op["embedding"](indices, v[0])), None), [weight])[
            2
        ][0]

    gradient = graph(step)() if compiled else step()
    assert isinstance(gradient, tf.Tensor)
    assert gradient.numpy().tolist() == [[0.0, 0.0], [3.0, 3.0], [0.0, 0.0], [1.0, 1.0]]


def test_one_tensor_given_twice_is_two_values(backend, op):
    x = put(backend, [3.0])
    _, _, (a, b) = backend.value_and_grad(
        lambda v: (op["sum"](op["multiply"](op["multiply"](v[0], v[0]), v[1])), None), [x, x]
    )
    assert (a.numpy(), b.numpy()) == ([18.0], [9.0])


def test_the_users_own_tape_works(backend, op):
    weight = variable(backend, np.eye(2))
    with tf.GradientTape() as tape:
        loss = op["sum"](op["relu"](op["linear"](put(backend, [[1.0, -1.0]]), weight, None)))
    assert tape.gradient(loss, weight).numpy().tolist() == [[1.0, -1.0], [0.0, 0.0]]


def third_derivative(backend, fn, x):
    def down(inner):
        def outer(values):
            _, _, (g,) = backend.value_and_grad(inner, values)
            return tf.reduce_sum(g), None

        return outer

    return backend.value_and_grad(down(down(fn)), [put(backend, x, "float64")])[2][0].numpy().tolist()


def test_derivatives_of_powers_and_products_at_zero(backend, op):
    x = [0.0, 2.0]
    assert third_derivative(backend, lambda v: (op["sum"](op["pow"](v[0], 2)), None), x) == [0.0, 0.0]
    assert third_derivative(backend, lambda v: (op["sum"](op["pow"](v[0], 3)), None), x) == [6.0, 6.0]
    three = put(backend, [3.0, 3.0], "float64")
    assert third_derivative(backend, lambda v: (op["sum"](op["pow"](v[0], three)), None), x) == [6.0, 6.0]
    # d3/dx3 of prod(x) summed over all partial derivatives is that of (x1)(x2)(x3): 2 for each element.
    assert third_derivative(backend, lambda v: (op["prod"](v[0]), None), [0.0, 0.0, 5.0]) == [2.0, 2.0, 2.0]

    def last(v):
        return op["getitem"](op["cumulative_prod"](v[0], axis=0), (2,)), None

    assert third_derivative(backend, last, [0.0, 0.0, 5.0]) == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("stride", "dilation", "groups"), [((1, 1), (2, 1), 1), ((2, 3), (1, 2), 2), ((1, 1), (1, 1), 4)]
)
def test_convolutions_without_native_gradients_have_second_ones(backend, op, stride, dilation, groups):
    """<grad L, v> differentiated once more, against central differences."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 4 // groups, 2, 3))
    x = put(backend, rng.normal(size=(2, 4, 7, 9)), "float64")

    def loss(values):
        y = op["conv"](x, values[0], None, stride, ((1, 0), (0, 2)), dilation, groups)
        return op["sum"](op["multiply"](op["multiply"](y, y), y)), None

    def slope(values):
        return op["sum"](backend.value_and_grad(loss, values)[2][0]), None

    def at(shift):
        return backend.item(slope([put(backend, w + shift, "float64")])[0])

    _, _, (second,) = backend.value_and_grad(slope, [put(backend, w, "float64")])
    direction = rng.normal(size=w.shape)
    h = 1e-5
    want = (at(h * direction) - at(-h * direction)) / (2 * h)
    np.testing.assert_allclose((second.numpy() * direction).sum(), want, rtol=1e-6)


# ---------------------------------------------------------------------- graphs
def test_symbolic_tensors(backend):
    v = variable(backend, [1.0])
    seen = []

    @graph
    def fn(x):
        seen.append((backend.is_tensor(x), backend.is_concrete(x), backend.is_concrete(v), backend.device(x)))
        made = backend.from_numpy(np.ones(2), "float32", "cpu")
        seen.append(backend.is_concrete(made) and backend.to_numpy(made).tolist())
        if not kept:  # as a lazy layer does
            kept.append(backend.variable(made, trainable=True))
        return x + kept[0]

    kept = []
    assert fn(put(backend, [1.0, 2.0])).numpy().tolist() == [2.0, 3.0]
    assert seen[:2] == [(True, False, False, backend.devices()[-1]), [1.0, 1.0]]
    assert kept[0].numpy().tolist() == [1.0, 1.0], "a variable made while tracing outlives the trace"


@pytest.mark.parametrize("jit", [False, True])
def test_dropout_in_a_graph_draws_anew_and_follows_the_seed(backend, op, jit):
    x = put(backend, np.ones((16, 16)))
    fn = graph(lambda: op["dropout"](x, 0.5), jit)
    fn()
    backend.seed(3)
    first, second = fn().numpy(), fn().numpy()
    assert not np.array_equal(first, second)
    backend.seed(3)
    if not jit:  # XLA has a Philox of its own
        assert np.array_equal(op["dropout"](x, 0.5).numpy(), first)
        assert np.array_equal(fn().numpy(), second)
    else:
        assert np.array_equal(fn().numpy(), first) and np.array_equal(fn().numpy(), second)


def test_seed_leaves_tensorflows_own_state_alone(backend):
    tf.random.set_seed(1)
    want = [tf.random.uniform(()).numpy() for _ in range(2)]
    tf.random.set_seed(1)
    got = [tf.random.uniform(()).numpy()]
    backend.seed(5)
    got.append(tf.random.uniform(()).numpy())
    assert got == want
    backend.seed(-1), backend.seed(2**70)


def test_unknown_batch_size(backend, op):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 4, 8, 9)), variable(backend, rng.normal(size=(6, 2, 3, 2)))

    def net(x):
        y = op["conv"](x, w, None, (1, 2), ((1, 1), (0, 1)), (2, 1), 2)
        y = op["max_pool"](y, (2, 2), (2, 2), (1, 1), (1, 1), True)
        y = op["avg_pool"](y, (2, 1), (1, 1), (1, 0), False, False, None)
        y = op["group_norm"](y, 3, None, None, 1e-5)
        return op["linear"](y, op["reshape"](w, (6 * 2 * 3 * 2 // y.shape[-1], y.shape[-1])), None)

    def step(x):
        loss, _, gradients = backend.value_and_grad(
            lambda v: (
                op["sum"](op["square"](net(x))) if "square" in op else op["sum"](op["pow"](net(x), 2)),
                None,
            ),
            [w],
        )
        return loss, gradients[0]

    spec = tf.TensorSpec([None, 4, 8, 9], tf.float32)
    compiled = tf.function(step, autograph=False, input_signature=[spec])
    for n in (3, 2):
        for a, b in zip(compiled(put(backend, x[:n])), step(put(backend, x[:n])), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-4, atol=1e-4)


def test_accelerate_traces_once_for_many_learning_rates(backend, op):
    traces = []

    def rule(values, numbers):
        traces.append(1)
        return [op["multiply"](v, numbers["lr"]) for v in values]

    fast = backend.accelerate(rule)
    for dtype in ("float32", "float64"):
        values = [put(backend, [1.0, 2.0], dtype), put(backend, [[3.0]], dtype)]
        for lr in (0.1, 0.2, 0.3):
            out = fast(values, {"lr": lr})
            assert type(out) is list and out[0].dtype.name == dtype
            np.testing.assert_allclose(out[1].numpy(), [[3 * lr]], rtol=1e-6)
    assert len(traces) == 2


# ---------------------------------------------------------------------- devices and precision
def test_a_missing_device_is_an_error_not_the_cpu(backend):
    x = put(backend, [1.0])
    missing = f"gpu:{len(backend.devices())}"
    with pytest.raises((DeviceError, RuntimeError)):
        backend.to_device(x, missing)


@pytest.mark.slow
def test_results_stay_with_their_inputs():
    in_a_process(
        """
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from unimodule_tensorflow import devices
        with tf.device("/CPU:1"):
            x, v = tf.ones(3), tf.Variable([1.0])
        plain, kept = tf.add, devices.stay(lambda a, b: (tf.add(a, b), tf.add(b, a)))
        assert plain(x, x).device.endswith("CPU:0")
        for out in (*kept(x, x), *kept(tf.ones(1), v), *kept(1.0, x)):
            assert out.device.endswith("CPU:1"), out.device
        """
    )


@pytest.mark.gpu
def test_gpu_tensors_stay_on_it(backend, op):
    if len(backend.devices()) == 1:
        pytest.skip("TensorFlow sees no GPU")
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 4, 6, 6)), rng.normal(size=(4, 2, 3, 3))
    results = []
    for device in ("cpu", "gpu:0"):
        with backend.full_precision():
            a = backend.from_numpy(x, "float32", device)
            b = backend.variable(backend.from_numpy(w, "float32", device), trainable=True)

            def loss(values, a=a):
                y = op["conv"](a, values[0], None, (1, 1), ((1, 1), (1, 1)), (2, 1), 2)
                y = op["max_pool"](y, (2, 2), (2, 2), (0, 0), (1, 1), False)
                return op["sum"](op["remainder"](y, 0.7)), y

            total, y, (gradient,) = backend.value_and_grad(loss, [b])
        assert backend.device(y) == backend.device(gradient) == backend.device(total) == device
        results.append((y.numpy(), gradient.numpy()))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_full_precision_restores_the_switch(backend):
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    with backend.full_precision():
        assert not enabled()
    assert enabled() is before


# ---------------------------------------------------------------------- kernels that are wrong
@pytest.mark.parametrize("compiled", [False, True])
def test_softmax_spreads_nan(backend, op, compiled):
    fn = graph(lambda x: op["softmax"](x, -1)) if compiled else lambda x: op["softmax"](x, -1)
    out = fn(put(backend, [[np.nan, 1.0, 2.0], [0.0, np.inf, 1.0], [0.0, 0.0, -np.inf]])).numpy()
    assert np.isnan(out[:2]).all() and out[2].tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("alpha", [1.0, 1.7])
def test_elu_keeps_its_digits_near_zero(backend, op, alpha, compiled):
    """Found by the conformance suite: the kernel subtracts 1 from the exponential."""
    fn = graph(lambda x: op["elu"](x, alpha)) if compiled else lambda x: op["elu"](x, alpha)
    x = np.array([-1e-7, -6.5e-5, -0.03, -200.0, 0.0, 1e-7, 500.0, -np.inf, np.inf, np.nan], np.float32)
    wide = x.astype(np.float64)
    expected = np.where(x > 0, wide, alpha * np.expm1(np.minimum(wide, 0)))
    np.testing.assert_allclose(fn(put(backend, x)).numpy(), expected, rtol=3e-7)


@pytest.mark.parametrize("compiled", [False, True])
def test_max_pool_lets_nan_and_minus_infinity_through(backend, op, compiled):
    def pool(x):
        return op["max_pool"](x, (2,), (2,), (0,), (1,), False)

    x = put(backend, [[[1.0, np.nan, -np.inf, -np.inf, np.inf, 3.0, -np.inf, 5.0]]])
    np.testing.assert_array_equal(
        (graph(pool) if compiled else pool)(x).numpy(), [[[np.nan, -np.inf, np.inf, 5.0]]]
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_division_that_rounds_is_pythons(backend, op, dtype):
    a = put(backend, [1.0, -1e-7, 7.5, -7.5, 3.0, -3.0, 5.0], dtype)
    b = put(backend, [0.1, 1.0, -2.0, 2.0, np.inf, np.inf, 0.1], dtype)
    x, y = (t.numpy().astype(np.float64) for t in (a, b))
    quotient = op["floor_divide"](a, b).numpy().astype(np.float64)
    rest = op["remainder"](a, b).numpy().astype(np.float64)
    native = a.numpy().dtype.type
    np.testing.assert_array_equal(quotient, np.floor_divide(x, y))
    np.testing.assert_array_equal(rest, np.remainder(x, y).astype(native).astype(np.float64))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_convolution_reads_no_other_groups_out_of_too_many_channels(backend, op, rank):
    x, w = put(backend, np.ones((2, 4, *(4,) * rank))), put(backend, np.ones((2, 2, *(2,) * rank)))
    with pytest.raises(ValueError, match="do not fit with 1 groups"):
        op["conv"](x, w, None, (1,) * rank, ((0, 0),) * rank, (1,) * rank, 1)


def test_empty_batches_and_empty_sums(backend, op):
    empty, w, b = (
        put(backend, np.zeros((0, 3, 6, 5))),
        put(backend, np.ones((4, 3, 3, 2))),
        put(backend, np.ones(4)),
    )
    assert op["conv"](empty, w, b, (1, 1), ((0, 0), (0, 0)), (1, 1), 1).shape == (0, 4, 4, 4)
    x, v, c = put(backend, np.zeros((2, 0))), put(backend, np.zeros((3, 0))), put(backend, [1.0, 2.0, 3.0])
    assert graph(lambda: op["linear"](x, v, c))().numpy().tolist() == [[1.0, 2.0, 3.0]] * 2
    assert np.isnan(op["mean"](put(backend, np.zeros((0,)))).numpy())


def test_sixteen_bits_are_summed_in_thirty_two(backend, op):
    for dtype in ("float16", "bfloat16"):
        ones = put(backend, np.ones((3, 4096)), dtype)
        assert op["sum"](ones, axis=1).numpy().tolist() == [4096.0] * 3
        assert op["mean"](put(backend, np.full(100_000, 3.0), dtype)).numpy() == 3.0
        y, mean, var = op["batch_norm_train"](ones, None, None, 1e-5)
        assert {t.dtype.name for t in (y, mean, var)} == {dtype}


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint16"])
def test_integers_without_kernels_wrap_as_numpy_does(backend, op, dtype):
    a = np.array([[100, 3], [2, 50]], dtype)
    x = put(backend, a, dtype)
    np.testing.assert_array_equal(op["matmul"](x, x).numpy(), a @ a)
    np.testing.assert_array_equal(op["pow"](x, 3).numpy(), a ** np.array(3, dtype))
    np.testing.assert_array_equal(
        op["pow"](2, put(backend, a % 4, dtype)).numpy(), np.array(2, dtype) ** (a % 4)
    )
