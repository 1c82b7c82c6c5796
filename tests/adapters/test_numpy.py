"""What is particular to the NumPy reference: autograd's tape behind our own gradients, 0-d arrays, 16-bit floats."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
from autograd import grad

from unimodule import ops
from unimodule.registry import get_backend

adapter = get_backend("numpy")


def gradient(fn, *values):
    return adapter.value_and_grad(lambda v: (fn(*v), None), list(values))[2]


def test_results_are_arrays_of_the_tensors_dtype():
    """NumPy 1.x gives scalars for 0-d arrays, and float64 where one meets a Python number."""
    x = np.asarray(2.0, np.float32)
    for out in (
        ops.add(x, 1),
        ops.divide(1.0, x),
        ops.pow(x, 2.5),
        ops.exp(x),
        ops.sum(x),
        ops.maximum(x, 3),
    ):
        assert type(out) is np.ndarray and out.dtype == np.float32
    (g,) = gradient(lambda x: ops.multiply(ops.divide(x, 3), 2.5), x)
    assert g.dtype == np.float32 and g.shape == ()


def test_native_operators_are_on_the_tape():
    x = np.asarray([1.0, 2.0], np.float32)
    (g,) = gradient(lambda x: (x @ x) / 2 + (-x * 3)[0] + abs(x[1]) ** 2, x)
    assert g.dtype == np.float32
    np.testing.assert_allclose(g, [1.0 - 3.0, 2.0 + 4.0])


def test_autograds_own_grad_goes_through_ops():
    x = np.asarray([1.0, 2.0])
    np.testing.assert_allclose(grad(lambda x: ops.sum(ops.pow(x, 3)))(x), [3.0, 12.0])


@pytest.mark.parametrize(
    ("fn", "second"),
    [
        (lambda x: ops.sum(ops.exp(x)), np.exp),
        (lambda x: ops.sum(ops.tanh(x)), lambda x: -2 * np.tanh(x) / np.cosh(x) ** 2),
        (lambda x: ops.sum(ops.divide(1.0, x)), lambda x: 2 / x**3),
        (lambda x: ops.sum(ops.pow(x, 3)), lambda x: 6 * x),
        (lambda x: ops.sum(ops.erf(x)), lambda x: -4 / np.sqrt(np.pi) * x * np.exp(-x * x)),
    ],
)
def test_second_derivatives(fn, second):
    x = np.asarray([0.5, -1.5, 2.0])
    (got,) = gradient(lambda x: ops.sum(gradient(fn, x)[0]), x)
    np.testing.assert_allclose(got, second(x), rtol=1e-12)


@pytest.mark.parametrize("op", [ops.prod, lambda x: ops.sum(ops.cumulative_prod(x, axis=0))])
def test_second_derivatives_of_products_with_zeros(op):
    x, step = np.asarray([2.0, 0.0, 3.0, 0.0]), 1e-6
    (got,) = gradient(lambda x: ops.sum(ops.multiply(gradient(op, x)[0], np.arange(1.0, 5))), x)
    for k in range(4):
        up, down = x.copy(), x.copy()
        up[k] += step
        down[k] -= step
        want = ((gradient(op, up)[0] - gradient(op, down)[0]) * np.arange(1.0, 5)).sum() / (2 * step)
        assert got[k] == pytest.approx(want, abs=1e-7)


def test_nothing_of_the_tape_comes_out():
    x = np.ones(2)
    loss, aux, _ = adapter.value_and_grad(
        lambda v: (ops.sum(v[0]), {"a": [v[0], (ops.exp(v[0]), 3)], "b": None}), [x]
    )
    found = [loss, aux["a"][0], aux["a"][1][0]]
    assert all(type(t) is np.ndarray for t in found)
    assert aux["a"][1][1] == 3 and aux["b"] is None


def test_an_error_inside_leaves_the_tape_usable():
    x = np.ones(2)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            adapter.value_and_grad(lambda v: (1 / 0, None), [x])
    np.testing.assert_array_equal(gradient(ops.sum, x)[0], [1.0, 1.0])
    from autograd.tracer import trace_stack

    assert trace_stack.top == -1


def test_threads_do_not_mix():
    """autograd counts its traces for the whole process."""
    wrong = []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=5)
        for _ in range(30):
            (g,) = gradient(lambda x: ops.sum(gradient(lambda y: ops.sum(ops.pow(y, 3)), x)[0]), x)
            if not np.allclose(g, 6 * x):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_are_computed_in_more(dtype):
    x = adapter.from_numpy(np.full(4096, 1.0), dtype, "cpu")
    assert ops.item(ops.sum(x)) == 4096.0  # bfloat16 alone stops at 256
    (g,) = gradient(lambda x: ops.sum(ops.multiply(x, x)), x[:3])
    assert ops.dtype(g) == dtype and ops.to_numpy(g).astype(float).tolist() == [2.0, 2.0, 2.0]
    nan_last = ops.argsort(adapter.from_numpy(np.array([1.0, np.nan, 0.0]), dtype, "cpu"))
    assert nan_last.tolist() == [2, 0, 1]


def test_no_warnings_for_infinities():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = np.array([0.0, -1.0, 1e300])
        for fn in (ops.log, ops.sqrt, ops.reciprocal, ops.exp, ops.square, ops.acosh):
            gradient(lambda x, fn=fn: ops.sum(fn(x)), x)


def test_uniform_never_reaches_one():
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        x = adapter.functions["random_uniform"]((20000,), dtype, "cpu")
        assert ops.dtype(x) == dtype and float(x.max()) < 1.0 and float(x.min()) >= 0.0


def test_a_variable_owns_its_memory():
    x = np.ones(2)
    v = adapter.variable(x, trainable=True)
    x[:] = 5
    assert v.tolist() == [1.0, 1.0]
    assert adapter.is_tensor(np.float32(1)) and not adapter.is_tensor(1.0)


def test_a_forward_may_ask_for_the_number_of_one_element_under_a_gradient():
    def fn(x):
        y = ops.sum(x * x)
        return y / (int(y) - 3) if float(y) > 1 and bool(y > 1) else y

    assert gradient(fn, np.array([1.0, 2.0]))[0].tolist() == [1.0, 2.0]
