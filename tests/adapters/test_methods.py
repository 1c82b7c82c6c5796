"""What an adapter answers for beside its ops: dtypes, devices, data, variables, gradients, random state.

Run and select as ``test_contract.py`` says. What depends on no oracle runs without torch, too.
"""

import re
import threading

import numpy as np
import pytest

from unimodule import dtypes
from unimodule.errors import DtypeError, IntegerRangeError, NotSupportedError, OutOfRangeError

from .harness import NAMES, load


@pytest.fixture(params=NAMES)
def backend(request):
    return load(request.param)


@pytest.fixture
def op(backend):
    return backend.functions


def put(backend, values, dtype="float32"):
    return backend.from_numpy(np.asarray(values), dtype, "cpu")


def variable(backend, values, trainable=True):
    return backend.variable(put(backend, values), trainable=trainable)


def get(backend, x):
    return backend.to_numpy(x).tolist()


# ---------------------------------------------------------------------- what it is, dtypes, devices
def test_version_and_info(backend):
    assert re.match(r"\d+\.\d+", backend.version())
    assert backend.info.name and backend.info.framework in backend.info.module_roots
    assert backend.float_dtypes <= set(dtypes.FLOATING) and "float32" in backend.float_dtypes


def test_is_tensor(backend):
    assert backend.is_tensor(put(backend, [1.0]))
    assert backend.is_tensor(variable(backend, [1.0])) and backend.is_tensor(variable(backend, [1.0], False))
    for other in (1.0, [1.0], None, "x", np.float32):
        assert not backend.is_tensor(other)


def test_devices(backend):
    found = backend.devices()
    assert found == ["cpu", *[f"gpu:{i}" for i in range(len(found) - 1)]]
    x = put(backend, [[1.0, 2.0]])
    assert backend.device(x) == backend.device(variable(backend, [1.0])) == "cpu"
    for device in found:
        moved = backend.to_device(x, device)
        assert backend.device(moved) == device and get(backend, moved) == [[1.0, 2.0]]
        assert backend.device(backend.from_numpy(np.ones(2), "float32", device)) == device


@pytest.mark.parametrize("dtype", dtypes.ALL)
def test_every_dtype_is_carried_exactly_or_refused(backend, dtype):
    values = np.array([[0, 1, 100]]).astype(dtypes.to_numpy_dtype(dtype))
    try:
        x = backend.from_numpy(values, dtype, "cpu")
    except DtypeError as error:
        assert dtype in str(error)
        assert dtype not in backend.float_dtypes or "float64" in dtype
        return
    narrowed = {"int64": "int32", "uint64": "uint32"}
    assert backend.dtype(x) in (dtype, narrowed.get(dtype))
    out = backend.to_numpy(x)
    assert out.dtype.name == backend.dtype(x) and np.array_equal(out, values)


def test_bfloat16_rounds_to_even_once(backend):
    if "bfloat16" not in backend.float_dtypes:
        pytest.skip("declared: no bfloat16")
    import ml_dtypes

    values = np.array([1.00390625, 1.01171875, 1.0 + 2**-8 + 2**-30, 3e38, np.nan, -0.0])
    out = backend.to_numpy(backend.from_numpy(values, "bfloat16", "cpu"))
    want = values.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(out.astype(np.float32), want.astype(np.float32))


def test_integers_beyond_32_bits_are_kept_or_refused(backend):
    values = np.array([2**40 + 1, -(2**40)])
    try:
        x = backend.from_numpy(values, "int64", "cpu")
    except IntegerRangeError:
        return
    assert np.array_equal(backend.to_numpy(x), values)


# ---------------------------------------------------------------------- data in and out
def test_from_numpy_copies(backend):
    source = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    x = backend.from_numpy(source, "float32", "cpu")
    source[:] = 0
    assert get(backend, x) == [[1.0, 2.0], [3.0, 4.0]]


def test_from_numpy_takes_any_memory_layout(backend):
    base = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    frozen = base.copy()
    frozen.flags.writeable = False
    layouts = [base.T, base[::-1, ::2], np.asfortranarray(base), base.astype(">f4"), frozen, base[:0]]
    layouts += [np.array(2.5), np.broadcast_to(np.float32(3), (2, 2))]
    for array in layouts:
        x = backend.from_numpy(array, "float32", "cpu")
        assert backend.shape(x) == array.shape and type(backend.shape(x)) is tuple
        np.testing.assert_array_equal(backend.to_numpy(x), array)


def test_from_numpy_casts(backend):
    assert get(backend, put(backend, [1.75, -2.0], "float32")) == [1.75, -2.0]
    assert get(backend, put(backend, [True, False], "float32")) == [1.0, 0.0]
    assert get(backend, put(backend, [0, 2], "bool")) == [False, True]
    assert backend.dtype(put(backend, np.array([1.5]), "float32")) == "float32"


def test_to_numpy_copies(backend):
    for x in (put(backend, [1.0, 2.0]), variable(backend, [1.0, 2.0])):
        out = backend.to_numpy(x)
        assert type(out) is np.ndarray
        out[:] = 7
        assert get(backend, x) == [1.0, 2.0]
    assert backend.to_numpy(put(backend, 2.0)).shape == ()


def test_item(backend):
    for value, dtype, kind in [(2.5, "float32", float), (3, "int32", int), (True, "bool", bool)]:
        item = backend.item(put(backend, value, dtype))
        assert item == value and type(item) is kind
    assert backend.item(put(backend, [[2.5]])) == 2.5


def test_is_concrete(backend):
    assert backend.is_concrete(put(backend, [1.0])) and backend.is_concrete(variable(backend, [1.0]))


# ---------------------------------------------------------------------- variables
@pytest.mark.parametrize("trainable", [True, False])
def test_variable_owns_its_memory_and_can_be_assigned(backend, op, trainable):
    source = put(backend, [1.0, 2.0])
    v = backend.variable(source, trainable=trainable)
    assert get(backend, v) == [1.0, 2.0] and backend.dtype(v) == "float32"
    v = backend.assign(v, put(backend, [3.0, 4.0]))
    assert get(backend, v) == [3.0, 4.0] and get(backend, source) == [1.0, 2.0]
    v = backend.assign(v, op["add"](v, v))
    assert get(backend, v) == [6.0, 8.0]
    assert get(backend, op["multiply"](v, 2.0)) == [12.0, 16.0]


def test_assigned_value_is_not_shared(backend):
    v, value = variable(backend, [0.0, 0.0]), put(backend, [1.0, 2.0])
    v = backend.assign(v, value)
    v = backend.assign(v, put(backend, [5.0, 5.0]))
    assert get(backend, value) == [1.0, 2.0] and get(backend, v) == [5.0, 5.0]


@pytest.mark.parametrize("dtype", ["int64", "bool", "int32"])
def test_buffers_of_integers(backend, dtype):
    v = backend.variable(put(backend, [0, 1], dtype), trainable=False)
    v = backend.assign(v, put(backend, [1, 1], dtype))
    assert get(backend, v) == [1, 1]


def test_set_trainable_keeps_the_value(backend, op):
    for first in (True, False):
        v = variable(backend, [1.0, 2.0], first)
        v = backend.set_trainable(v, not first)
        v = backend.set_trainable(v, True)
        assert get(backend, v) == [1.0, 2.0]
        _, _, (g,) = backend.value_and_grad(lambda vs: (op["sum"](op["multiply"](vs[0], vs[0])), None), [v])
        assert get(backend, g) == [2.0, 4.0]


# ---------------------------------------------------------------------- gradients
def test_value_and_grad(backend, op):
    calls = []

    def fn(values):
        calls.append(len(values))
        a, b, _ = values
        product = op["multiply"](a, b)
        return op["sum"](product), {"product": product, "list": [a, (b, 3, None)], "text": "aux"}

    values = [variable(backend, [1.0, 2.0]), put(backend, [3.0, 5.0]), variable(backend, [[7.0]])]
    loss, aux, gradients = backend.value_and_grad(fn, values)
    assert calls == [3]
    assert backend.shape(loss) == () and backend.item(loss) == 13.0
    assert [get(backend, g) for g in gradients] == [[3.0, 5.0], [1.0, 2.0], [[0.0]]]
    assert [backend.dtype(g) for g in gradients] == ["float32"] * 3
    assert get(backend, aux["product"]) == [3.0, 10.0] and aux["text"] == "aux"
    assert get(backend, aux["list"][1][0]) == [3.0, 5.0] and aux["list"][1][1:] == (3, None)
    for tensor in [loss, aux["product"], aux["list"][0], *gradients]:
        assert backend.is_tensor(tensor) and backend.is_concrete(tensor)
        assert not getattr(tensor, "requires_grad", False) or tensor is values[0]
    again = backend.value_and_grad(fn, values)[2]
    assert get(backend, again[0]) == [3.0, 5.0], "a second call must not add to the first"
    assert all(getattr(v, "grad", None) is None for v in values if hasattr(v, "requires_grad"))


def test_gradient_of_a_constant_is_zero(backend, op):
    constant = put(backend, 4.0)
    loss, _, gradients = backend.value_and_grad(lambda v: (constant, None), [variable(backend, [1.0, 2.0])])
    assert backend.item(loss) == 4.0 and get(backend, gradients[0]) == [0.0, 0.0]
    loss, aux, gradients = backend.value_and_grad(lambda v: (op["add"](constant, 1.0), constant), [])
    assert backend.item(loss) == 5.0 and gradients == [] and backend.item(aux) == 4.0


def test_gradient_adds_up_over_uses_and_values_that_are_one(backend, op):
    v = variable(backend, [3.0])
    _, _, (g,) = backend.value_and_grad(
        lambda vs: (op["sum"](op["multiply"](vs[0], op["exp"](vs[0]))), None), [v]
    )
    np.testing.assert_allclose(backend.to_numpy(g), 4 * np.exp(3.0), rtol=1e-5)


def test_stop_gradient_cuts(backend, op):
    def fn(values):
        return op["sum"](op["multiply"](op["stop_gradient"](values[0]), values[0])), None

    _, _, (g,) = backend.value_and_grad(fn, [variable(backend, [3.0, -2.0])])
    assert get(backend, g) == [3.0, -2.0]


def test_an_error_inside_leaves_nothing_behind(backend, op):
    v = variable(backend, [2.0])

    def broken(values):
        op["multiply"](values[0], values[0])
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        backend.value_and_grad(broken, [v])
    _, _, (g,) = backend.value_and_grad(lambda vs: (op["sum"](op["multiply"](vs[0], vs[0])), None), [v])
    assert get(backend, g) == [4.0] and not getattr(g, "requires_grad", False)


@pytest.mark.parametrize("live", [True, False])
def test_nested_gradients(backend, op, live):
    """d/dx sum((d/dx sum(x^3))^2) = 36 x^3."""

    def cube(values):
        x = values[0]
        return op["sum"](op["multiply"](op["multiply"](x, x), x)), None

    def outer(values):
        _, _, (g,) = backend.value_and_grad(cube, values)
        return op["sum"](op["multiply"](g, g)), None

    x = variable(backend, [1.0, -2.0]) if live else put(backend, [1.0, -2.0])
    try:
        loss, _, (g,) = backend.value_and_grad(outer, [x])
    except NotSupportedError:
        pytest.skip("declared: no gradients of gradients")
    assert backend.item(loss) == 9.0 + 144.0
    np.testing.assert_allclose(backend.to_numpy(g), [36.0, -288.0], rtol=1e-5)
    assert backend.is_concrete(g) and not getattr(g, "requires_grad", False)


def test_inner_gradient_of_a_value_made_by_the_outer_call(backend, op):
    """x -> y = 2 x; inner: f(y) = sum(y^2 * x), df/dy = 2 y x, with x held; outer gradient of sum(4 x^2)."""

    def outer(values):
        x = values[0]
        y = op["multiply"](x, 2.0)
        side = op["multiply"](y, y)  # made from y outside: a constant to the inner call

        def inner(inside):
            return op["sum"](op["add"](op["multiply"](op["multiply"](inside[0], inside[0]), x), side)), None

        _, _, (g,) = backend.value_and_grad(inner, [y])
        return op["sum"](g), g

    try:
        _, aux, (g,) = backend.value_and_grad(outer, [variable(backend, [1.0, 3.0])])
    except NotSupportedError:
        pytest.skip("declared: no gradients of gradients")
    assert get(backend, aux) == [4.0, 36.0]
    np.testing.assert_allclose(backend.to_numpy(g), [8.0, 24.0], rtol=1e-5)


def test_gradients_in_threads(backend, op):
    failures = []

    def work(seed):
        try:
            values = np.random.default_rng(seed).normal(size=4).astype(np.float32)
            v = variable(backend, values)
            for _ in range(5):
                _, _, (g,) = backend.value_and_grad(
                    lambda vs: (op["sum"](op["multiply"](vs[0], vs[0])), None), [v]
                )
                np.testing.assert_allclose(backend.to_numpy(g), 2 * values, rtol=1e-6)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


# ---------------------------------------------------------------------- indices
@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_check_indices(backend, dtype):
    backend.check_indices(put(backend, [[0, 4], [2, 3]], dtype), 5)
    backend.check_indices(put(backend, [-5, 4], dtype), 5, -5)
    backend.check_indices(put(backend, np.zeros((0, 2)), dtype), 0)
    backend.check_indices(put(backend, 4, dtype), 5)
    for bad, low, word in [([0, 5], 0, "5"), ([-1, 0], 0, "-1"), ([-6], -5, "-6"), (7, 0, "7")]:
        with pytest.raises(
            OutOfRangeError, match=f"index {word} is out of range: expected {low} <= index < 5"
        ):
            backend.check_indices(put(backend, bad, dtype), 5, low)


# ---------------------------------------------------------------------- random state
def _draws(backend):
    """What dropout, or where it is composed, its source draws."""
    x = put(backend, np.ones((64, 32)))
    if backend.function("dropout"):
        return lambda: backend.to_numpy(backend.functions["dropout"](x, 0.25))
    uniform = backend.function("random_uniform")
    if uniform is None:
        pytest.skip("draws its randomness from the default composition")
    return lambda: backend.to_numpy(uniform((64, 32), "float32", "cpu"))


def test_seed_repeats_the_draws(backend):
    draw = _draws(backend)
    backend.seed(7)
    first, second = draw(), draw()
    assert not np.array_equal(first, second)
    backend.seed(7)
    assert np.array_equal(draw(), first) and np.array_equal(draw(), second)
    backend.seed(8)
    assert not np.array_equal(draw(), first)


@pytest.mark.parametrize("p", [0.25, 0.8])
def test_dropout(backend, op, p):
    if backend.function("dropout") is None:
        pytest.skip("left to the default composition")
    backend.seed(0)
    x = variable(backend, np.full((100, 200), 2.0))

    def fn(values):
        y = op["dropout"](values[0], p)
        return op["sum"](y), y

    _, y, (gradient,) = backend.value_and_grad(fn, [x])
    kept = backend.to_numpy(y)
    assert backend.dtype(y) == "float32"
    np.testing.assert_allclose(np.unique(kept), [0.0, 2.0 / (1 - p)], rtol=1e-6)
    assert abs((kept == 0).mean() - p) < 5 * (p * (1 - p) / kept.size) ** 0.5
    np.testing.assert_allclose(backend.to_numpy(gradient), kept / 2.0, rtol=1e-6)


def test_dropout_between_recurrent_layers(backend, op):
    if backend.function("gru") is None:
        pytest.skip("left to the default composition")
    rng = np.random.default_rng(0)
    x, h = put(backend, rng.normal(size=(5, 2, 3))), put(backend, np.zeros((2, 2, 4)))
    shapes = [[(12, 3), (12, 4), (12,), (12,)], [(12, 4), (12, 4), (12,), (12,)]]
    weights = [(*(put(backend, rng.normal(size=s)) for s in row), None) for row in shapes]

    def run(dropout):
        return backend.to_numpy(op["gru"](x, h, weights, 2, False, dropout)[0])

    try:
        backend.seed(3)
        first, second = run(0.5), run(0.5)
        backend.seed(3)
        assert np.array_equal(run(0.5), first)
    except NotSupportedError:
        pytest.skip("declared: no dropout between layers")
    assert not np.array_equal(first, second)
    assert np.array_equal(run(0.0), run(0.0)) and not np.allclose(run(0.0), first)


def test_random_uniform(backend, op):
    if backend.function("random_uniform") is None:
        pytest.skip("left to the default composition")
    backend.seed(0)
    for dtype in sorted(backend.float_dtypes):
        try:
            put(backend, [1.0], dtype)
        except DtypeError:
            continue
        x = op["random_uniform"]((50, 100), dtype, "cpu")
        assert backend.dtype(x) == dtype and backend.shape(x) == (50, 100) and backend.device(x) == "cpu"
        values = backend.to_numpy(x).astype(np.float64)
        assert values.min() >= 0 and values.max() < 1
        assert abs(values.mean() - 0.5) < 5 * (1 / 12 / 5000) ** 0.5 + (0.005 if "16" in dtype else 0)
    assert backend.shape(op["random_uniform"]((), "float32", "cpu")) == ()


# ---------------------------------------------------------------------- defaults
def test_accelerate_keeps_the_meaning(backend, op):
    fast = backend.accelerate(lambda p, g, lr: op["subtract"](p, op["multiply"](g, lr)))
    p, g = variable(backend, [1.0, 2.0]), put(backend, [0.5, 0.25])
    for lr in (0.5, 0.25):
        out = fast(p, g, lr)
        assert get(backend, out) == [1.0 - 0.5 * lr, 2.0 - 0.25 * lr]


def test_full_precision_is_a_block(backend, op):
    x = put(backend, np.eye(2))
    with backend.full_precision():
        assert get(backend, op["matmul"](x, x)) == [[1.0, 0.0], [0.0, 1.0]]
    assert get(backend, op["matmul"](x, x)) == [[1.0, 0.0], [0.0, 1.0]]
