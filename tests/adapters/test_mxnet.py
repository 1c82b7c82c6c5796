"""What is particular to the MXNet adapter: its import, its threads, and the faults of MXNet's own that it corrects.

Each fault has a witness: a test that MXNet still has it, so that the correction goes when the fault does.
"""

import os
import subprocess
import sys
import textwrap
import threading
from importlib.util import find_spec

import numpy as np
import pytest

from unimodule.errors import DtypeError, NotSupportedError

from .conftest import ROOT
from .harness import NAMES, load

needs_mxnet = pytest.mark.skipif(
    "mxnet" not in NAMES or find_spec("mxnet") is None, reason="mxnet is not installed, or not selected"
)

if "mxnet" not in NAMES:
    pytest.skip("mxnet is not selected", allow_module_level=True)


@pytest.fixture(scope="module")
def backend():
    return load("mxnet")


@pytest.fixture(scope="module")
def mx(backend):
    from unimodule_mxnet.loading import mx

    return mx


def put(backend, values, dtype="float64"):
    return backend.from_numpy(np.asarray(values), dtype, "cpu")


def weighted(backend, fn, *values, dtype="float64"):
    """The value of ``fn`` and the gradients of its sum weighted with 1, 2, 3, ..."""
    tensors = [put(backend, v, dtype) for v in values]
    weight = None

    def loss(leaves):
        nonlocal weight
        y = fn(*leaves)
        shape = backend.shape(y)
        weight = put(backend, np.arange(1.0, 1 + np.prod(shape)).reshape(shape), dtype)
        return backend.functions["sum"](backend.functions["multiply"](y, weight)), y

    _, y, gradients = backend.value_and_grad(loss, tensors)
    return backend.to_numpy(y), [backend.to_numpy(g) for g in gradients]


def in_a_process(code, **environment):
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


# ---------------------------------------------------------------------- importing it
def test_metadata_needs_no_mxnet():
    in_a_process(
        "import sys, unimodule_mxnet; assert unimodule_mxnet.INFO.name == 'mxnet' and 'mxnet' not in sys.modules"
    )


@needs_mxnet
def test_import_leaves_nothing_patched():
    in_a_process(
        """
        import ctypes, os, sys, warnings
        import numpy as np, numpy.testing, numpy.random, numpy.fft, numpy.linalg

        def handler():
            action = ctypes.create_string_buffer(1024)
            ctypes.CDLL(None).sigaction(11, None, action)
            return action.raw[:8]

        def snapshot():
            names = {k: id(v) for k, v in vars(np).items()}
            modules = {k: id(v) for k, v in sys.modules.items() if k.partition(".")[0] in ("numpy", "distutils")}
            return names, modules, list(sys.meta_path), dict(os.environ), handler(), __import__

        before = snapshot()
        import unimodule_mxnet.loading
        after = snapshot()
        assert "mxnet" in sys.modules
        added = {k for k in after[0].keys() - before[0].keys() if not isinstance(getattr(np, k), type(np))}
        assert not added and before[0].items() <= after[0].items(), added
        assert before[1].items() <= after[1].items()
        assert not any(k.startswith("distutils") for k in after[1].keys() - before[1].keys())
        assert before[2:] == after[2:]
        """
    )


@needs_mxnet
def test_an_mxnet_that_is_imported_already_is_taken_as_it_is():
    in_a_process(
        """
        import sys, numpy as np
        from unimodule_mxnet.loading import _import
        mx = _import()                      # stands for a user's own way of importing it
        mx.nd.ones(3).wait_to_read()        # the engine runs
        from unimodule_mxnet.adapter import MXNetBackend
        backend = MXNetBackend()
        x = backend.from_numpy(np.ones(()), "float32", "cpu")
        assert type(x) is mx.np.ndarray and backend.item(x) == 1
        """
    )


def test_errors_surface_at_the_call(backend):
    x, y = put(backend, np.ones((2, 3))), put(backend, np.ones((4, 5)))
    with pytest.raises(Exception, match="Error"):
        backend.functions["matmul"](x, y)


# ---------------------------------------------------------------------- tensors and scalars
def test_legacy_arrays_are_no_tensors(backend, mx):
    assert not backend.is_tensor(mx.nd.ones(3))
    assert backend.is_tensor(mx.nd.ones(3).as_np_ndarray())


def test_missing_dtypes_are_refused(backend):
    for dtype in ("bfloat16", "int16", "uint16", "uint32", "uint64"):
        with pytest.raises(DtypeError, match=dtype):
            backend.from_numpy(np.zeros(2), dtype, "cpu")
        with pytest.raises(
            DtypeError, match=dtype
        ):  # found by the conformance suite: a native error came out
            backend.functions["astype"](put(backend, [1.0]), dtype)


def test_scalars_reach_float64_exactly(backend):
    rng = np.random.default_rng(0)
    scalars = [0.1, 1 / 3, 1e-320, 5e-324, 1.7e308, np.inf, 1e22 + 2**30, *rng.normal(size=200)]
    scalars += list(rng.normal(size=200) * 10.0 ** rng.integers(-300, 300, 200))
    zero, one = put(backend, 0.0), put(backend, 1.0)
    for scalar in map(float, scalars):
        assert backend.item(backend.functions["add"](zero, scalar)) == scalar
        assert backend.item(backend.functions["multiply"](scalar, one)) == scalar
        assert backend.item(backend.functions["equal"](put(backend, scalar), scalar))


def test_scalars_are_read_inexactly_by_mxnet_itself(mx):
    rng = np.random.default_rng(0)
    zero = mx.np.zeros((1,), dtype="float64")
    assert any((zero + float(s)).item() != s for s in rng.normal(size=500))


def test_integers_beyond_doubles(backend):
    ops = backend.functions
    big = np.array([2**62 + 1, -(2**53) - 1, 7, -7, -(2**63)])
    x = put(backend, big, "int64")
    np.testing.assert_array_equal(backend.to_numpy(ops["abs"](x))[:4], np.abs(big)[:4])
    for divisor in (10, -3, 2**40 + 1):
        np.testing.assert_array_equal(backend.to_numpy(ops["floor_divide"](x, divisor)), big // divisor)
        np.testing.assert_array_equal(backend.to_numpy(ops["remainder"](x, divisor)), big % divisor)
    (
        backend.to_numpy(ops["floor_divide"](x, -1)),
        backend.to_numpy(ops["floor_divide"](x, 0)),
    )  # no trap of the CPU's
    assert backend.item(ops["pow"](put(backend, 3, "int64"), 39)) == 3**39
    assert backend.item(ops["add"](put(backend, 1, "int64"), 2**62)) == 2**62 + 1
    assert not backend.item(ops["equal"](put(backend, 2**53, "int64"), 2**53 + 1))
    np.testing.assert_array_equal(
        backend.to_numpy(
            ops["matmul"](put(backend, [[2**53 + 1, 1]], "int64"), put(backend, [[1], [1]], "int64"))
        ),
        [[2**53 + 2]],
    )


# ---------------------------------------------------------------------- faults of MXNet's, corrected
def test_sum_of_infinity(backend, mx):
    assert backend.item(backend.functions["sum"](put(backend, [1.0, np.inf, -2.0]))) == np.inf
    assert np.isnan(mx.np.array([1.0, np.inf, -2.0]).sum().item())


@pytest.mark.parametrize("n", [1, 7, 1024, 2049, 5000, 1_000_003])
def test_long_sums(backend, n):
    x = np.random.default_rng(n).normal(size=n) + 1
    for dtype, tolerance in [("float32", 1e-6), ("float64", 1e-13)]:
        tensor = put(backend, x, dtype)
        exact = backend.to_numpy(tensor).astype("float64").sum()
        assert backend.item(backend.functions["sum"](tensor)) == pytest.approx(exact, rel=tolerance)
        _, _, (gradient,) = backend.value_and_grad(lambda v: (backend.functions["sum"](v[0]), None), [tensor])
        assert (backend.to_numpy(gradient) == 1).all()


def test_gradient_beside_no_elements_is_zero(backend):
    _, gradients = weighted(backend, backend.functions["add"], np.zeros((0, 3)), np.ones(3))
    np.testing.assert_array_equal(gradients[1], np.zeros(3))


@pytest.mark.parametrize(("shape", "axis"), [((2, 0), 0), ((0, 3), 1), ((2, 0, 3), (0, 2))])
def test_sum_of_integers_beside_no_elements(backend, shape, axis):
    x = np.zeros(shape, "int64")
    y = backend.functions["sum"](backend.from_numpy(x, "int64", "cpu"), axis=axis, keepdims=True)
    assert backend.to_numpy(y).shape == x.sum(axis, keepdims=True).shape and backend.dtype(y) == "int64"


@pytest.mark.parametrize("shape", [(2, 1, 2, 1, 2, 1), (1, 2, 1, 1, 2, 1, 2), (1, 1, 2, 1, 1, 2, 1, 2)])
def test_broadcasting_axes_in_turns(backend, mx, shape):
    x = np.arange(8.0, dtype="float32").reshape(shape)
    wide = tuple(3 if n == 1 else n for n in shape)
    with pytest.raises(mx.MXNetError):
        mx.np.broadcast_to(mx.np.array(x), wide).asnumpy()
    op = backend.functions

    def fn(values):
        y = op["broadcast_to"](values[0], wide)
        return op["sum"](op["multiply"](y, y)), y

    _, y, (gradient,) = backend.value_and_grad(fn, [backend.from_numpy(x, "float32", "cpu")])
    np.testing.assert_array_equal(backend.to_numpy(y), np.broadcast_to(x, wide))
    np.testing.assert_array_equal(backend.to_numpy(gradient), 2 * x * (y.size // x.size))


def test_prod_with_zero(backend, mx):
    _, (gradient,) = weighted(backend, backend.functions["prod"], [0.0, 2.0, 3.0])
    np.testing.assert_array_equal(gradient, [6, 0, 0])
    x = mx.np.array([0.0, 2.0, 3.0])
    x.attach_grad()
    with mx.autograd.record():
        y = x.prod()
    y.backward()
    assert np.isnan(x.grad.asnumpy()).any()


def test_matmul_gradient_of_broadcast_batches(backend, mx):
    rng = np.random.default_rng(3)
    a, b, w = (
        rng.normal(size=(5, 1, 2, 3)),
        rng.normal(size=(4, 3, 2)),
        np.arange(1.0, 81).reshape(5, 4, 2, 2),
    )
    want = np.matmul(w, np.swapaxes(b, -1, -2)).sum(1, keepdims=True)
    _, gradients = weighted(backend, backend.functions["matmul"], a, b)
    np.testing.assert_allclose(gradients[0], want, rtol=1e-12)
    x, y = put(backend, a), put(backend, b)
    x.attach_grad()
    with mx.autograd.record():
        loss = (mx.np.matmul(x, y) * put(backend, w)).sum()
    loss.backward()
    assert not np.allclose(x.grad.asnumpy(), want)


def test_max_pool_under_a_tape_in_predict_mode(backend, mx):
    x = put(backend, np.random.default_rng(0).normal(size=(1, 2, 6, 6)), "float32")
    x.attach_grad()
    with mx.autograd.record(train_mode=False):
        y = backend.functions["max_pool"](x, (2, 2), (2, 2), (0, 0), (1, 1), False).sum()
    y.backward()
    assert x.grad.sum().item() == 18 and set(x.grad.asnumpy().ravel()) == {0.0, 1.0}


def test_transposed_convolution_with_a_weight_that_is_computed(backend):
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(3, 2, 2, 3))
    ops = backend.functions

    def fn(x, w):
        return ops["conv_transpose"](x, ops["multiply"](w, 2.0), None, (2, 1), (1, 0), (1, 0), (1, 1), 1)

    y32, g32 = weighted(backend, fn, x, w, dtype="float32")
    y64, g64 = weighted(backend, fn, x, w)
    for a, b in zip([y32, *g32], [y64, *g64], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_spreads_nan(backend, dtype):
    row = np.ones((2, 50))
    row[0, 20] = np.nan
    y = backend.to_numpy(backend.functions["softmax"](put(backend, row, dtype), -1))
    assert np.isnan(y[0]).all() and not np.isnan(y[1]).any()


def test_train_mode_switches_nothing_on(backend):
    """Under the tape of value_and_grad, batch_norm goes by the statistics given, and nothing is dropped."""
    x = np.random.default_rng(0).normal(size=(4, 3)) + 5
    ones, zeros = np.ones(3), np.zeros(3)
    y, _ = weighted(
        backend,
        lambda x: backend.functions["batch_norm"](
            x, put(backend, zeros), put(backend, ones), None, None, 0.0
        ),
        x,
    )
    np.testing.assert_allclose(y, x)


def test_uniform_stays_below_one(backend, mx):
    for kind in ("float16", "float32", "float64"):
        x = backend.to_numpy(backend.functions["random_uniform"]((1000, 1000), kind, "cpu"))
        assert x.min() >= 0 and x.max() < 1


# ---------------------------------------------------------------------- gradients and threads
def test_gradients_of_gradients_are_refused(backend, mx):
    x = put(backend, [1.0, 2.0])
    with mx.autograd.record(), pytest.raises(NotSupportedError, match="gradients of gradients"):
        backend.value_and_grad(lambda v: (v[0].sum(), None), [x])
    assert not mx.autograd.is_recording()


def test_the_tape_leaves_no_trace(backend, mx):
    x = put(backend, [1.0, 2.0])
    with pytest.raises(ZeroDivisionError):
        backend.value_and_grad(lambda v: 1 / 0, [x])
    assert not mx.autograd.is_recording() and not mx.autograd.is_training()
    assert x.grad is None
    _, aux, _ = backend.value_and_grad(lambda v: (v[0].sum(), {"a": [v[0] * 2]}), [x])
    with pytest.raises(mx.MXNetError):
        aux["a"][0].sum().backward()


def test_users_may_attach_gradients(backend, mx):
    variable = backend.variable(put(backend, [1.0, 2.0]), trainable=True)
    assert variable.grad is None  # no memory until somebody asks
    variable.attach_grad()
    with mx.autograd.record():
        loss = (backend.functions["multiply"](variable, variable)).sum()
    loss.backward()
    np.testing.assert_array_equal(variable.grad.asnumpy(), [2, 4])


def test_scalars_and_nothing_in_new_threads(backend):
    results = []

    def work():
        x = put(backend, np.zeros((0, 3)))
        results.append((backend.shape(backend.functions["exp"](x)), backend.item(put(backend, 2.0) / 2)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [((0, 3), 1.0)]


def test_a_constant_shared_by_threads(backend):
    ops = backend.functions
    rng = np.random.default_rng(0)
    host = rng.normal(size=(8, 8))
    constant = put(backend, host)
    want, wrong = np.ones((8, 8)) @ host.T, []

    def work():
        for _ in range(50):
            w = put(backend, rng.normal(size=(8, 8)))
            try:
                _, _, (g,) = backend.value_and_grad(
                    lambda v: (ops["sum"](ops["matmul"](v[0], constant)), None), [w]
                )
                wrong.extend([] if np.allclose(backend.to_numpy(g), want) else [g])
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_seed_reaches_other_threads(backend):
    def draw():
        out = []
        thread = threading.Thread(
            target=lambda: out.append(
                backend.to_numpy(backend.functions["random_uniform"]((4,), "float32", "cpu"))
            )
        )
        thread.start()
        thread.join()
        return out[0]

    backend.seed(7)
    here = backend.to_numpy(backend.functions["random_uniform"]((4,), "float32", "cpu"))
    first, second = draw(), draw()
    backend.seed(7)  # one sequence for all threads
    np.testing.assert_array_equal(draw(), here)
    np.testing.assert_array_equal(draw(), first)
    np.testing.assert_array_equal(draw(), second)
    assert (first != second).any() and (first != here).any()
    for seed in (0, -1, 2**40, 2**70):
        backend.seed(seed)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_bias_has_its_gradient_where_the_weight_has_none(backend, mx, compiled):
    import unimodule as um

    x, w, b = put(backend, [[1.0, 2.0]], "float32"), put(backend, [[3.0, 4.0]], "float32"), mx.np.ones((1,))
    grad = um.grad(lambda b, x, w: um.ops.sum(um.ops.linear(x, w, b)))
    assert backend.to_numpy((um.compile(grad) if compiled else grad)(b, x, w)).tolist() == [1.0]
    b.attach_grad()
    b.grad[:] = 7
    with mx.autograd.record():
        loss = mx.npx.fully_connected(x, w, b, num_hidden=1).sum()
    loss.backward()
    assert b.grad.item() != 1.0, "MXNet's own is right now"
