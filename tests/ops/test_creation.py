"""New tensors, conversion, and what can be asked of a tensor."""

from __future__ import annotations

import numpy as np
import pytest

from unimodule import ops, registry
from unimodule.errors import ArgumentError, DeviceError, DtypeError, OutOfRangeError, ShapeError

from .harness import carried

COVERS = (
    "arange asarray convert device dtype empty eye full item linspace ones shape to_numpy zeros "
    "can_cast finfo iinfo isdtype result_type"  # these in test_promotion
).split()

MADE = {
    "zeros": (lambda **k: ops.zeros((2, 3), **k), np.zeros((2, 3)), "float32"),
    "zeros of an integer": (lambda **k: ops.zeros(3, **k), np.zeros(3), "float32"),
    "zeros of a dtype": (lambda **k: ops.zeros((2,), dtype=np.int32, **k), np.zeros(2), "int32"),
    "ones": (lambda **k: ops.ones([2], **k), np.ones(2), "float32"),
    "ones of bool": (lambda **k: ops.ones((), dtype=ops.bool, **k), np.array(True), "bool"),
    "empty": (lambda **k: ops.empty((2, 0), **k), np.zeros((2, 0)), "float32"),
    "full of an integer": (lambda **k: ops.full((2,), 7, **k), np.full(2, 7), "int64"),
    "full of a float": (lambda **k: ops.full((2,), 0.5, **k), np.full(2, 0.5), "float32"),
    "full of a bool": (lambda **k: ops.full((2,), True, **k), np.full(2, True), "bool"),
    "full of infinity": (lambda **k: ops.full((1,), -np.inf, **k), np.array([-np.inf]), "float32"),
    "arange": (lambda **k: ops.arange(4, **k), np.arange(4), "int64"),
    "arange from to by": (lambda **k: ops.arange(5, 0, -2, **k), np.arange(5, 0, -2), "int64"),
    "arange of floats": (lambda **k: ops.arange(0.0, 1.0, 0.25, **k), np.arange(0, 1, 0.25), "float32"),
    "arange of a dtype": (lambda **k: ops.arange(3, dtype="float32", **k), np.arange(3.0), "float32"),
    "arange of nothing": (lambda **k: ops.arange(3, 1, **k), np.arange(0), "int64"),
    "linspace": (lambda **k: ops.linspace(0, 1, 5, **k), np.linspace(0, 1, 5), "float32"),
    "linspace without its end": (
        lambda **k: ops.linspace(0, 1, 4, endpoint=False, **k),
        np.arange(4) / 4,
        "float32",
    ),
    "eye": (lambda **k: ops.eye(3, **k), np.eye(3), "float32"),
    "eye off the diagonal": (lambda **k: ops.eye(2, 4, k=1, dtype="int32", **k), np.eye(2, 4, 1), "int32"),
    "asarray of a float": (lambda **k: ops.asarray(0.5, **k), np.array(0.5), "float32"),
    "asarray of an integer": (lambda **k: ops.asarray(3, **k), np.array(3), "int64"),
    "asarray of a bool": (lambda **k: ops.asarray([True, False], **k), np.array([True, False]), "bool"),
    "asarray of lists": (
        lambda **k: ops.asarray([[1.0, 2.0], [3.0, 4.0]], **k),
        np.array([[1, 2], [3, 4.0]]),
        "float32",
    ),
    "asarray of float32": (lambda **k: ops.asarray(np.ones(2, np.float32), **k), np.ones(2), "float32"),
    "asarray of int8": (lambda **k: ops.asarray(np.ones(2, np.int8), **k), np.ones(2), "int8"),
}


@pytest.mark.parametrize("what", MADE)
@pytest.mark.parametrize("where", ["backend", "like", "current"])
def test_creation(backend, adapter, what, where):
    make, expected, dtype = MADE[what]
    if where == "current":
        with registry.use_backend(backend):
            out = make()
    else:
        like = adapter.from_numpy(np.zeros(1), "float32", "cpu")
        out = make(backend=backend, device="cpu") if where == "backend" else make(like=like)
    assert adapter.is_tensor(out)
    assert registry.backend_of(out) == backend
    assert (ops.shape(out), ops.dtype(out), ops.device(out)) == (
        expected.shape,
        carried(adapter, dtype),
        "cpu",
    )
    np.testing.assert_allclose(ops.to_numpy(out).astype(np.float64), expected.astype(np.float64), rtol=1e-6)


def test_wrong_arguments(backend):
    for error, call in [
        (ShapeError, lambda: ops.zeros((-1,), backend=backend)),
        (ShapeError, lambda: ops.ones((1.5,), backend=backend)),
        (ArgumentError, lambda: ops.arange(0, 1, 0, backend=backend)),
        (ArgumentError, lambda: ops.linspace(0, 1, -1, backend=backend)),
        (DeviceError, lambda: ops.zeros((1,), backend=backend, device="gpu:77")),
        (DtypeError, lambda: ops.zeros((1,), backend=backend, dtype="float31")),
        (DtypeError, lambda: ops.asarray("text", backend=backend)),
        (OutOfRangeError, lambda: ops.one_hot(ops.asarray([0], backend=backend), 0)),
    ]:
        with pytest.raises(error):
            call()


def test_asarray_of_a_tensor(backend, adapter):
    x = adapter.from_numpy(np.arange(3.0), "float32", "cpu")
    with registry.use_backend(backend):  # a NumPy array is data, and goes to the current backend
        assert ops.asarray(x) is x
        assert ops.asarray(x, dtype="float32", device="cpu") is x
        assert ops.asarray(x, copy=True) is not x
        assert ops.dtype(ops.asarray(x, dtype="int32")) == "int32"
        rows = ops.asarray([x, x])
    assert ops.shape(rows) == (2, 3) and registry.backend_of(rows) == backend


def test_asarray_does_not_round_on_the_way(backend, has_float64):
    if not has_float64:
        pytest.skip("float64 is off in this process")
    for number in (0.1, [0.1], [[0.1]]):
        assert ops.item(ops.asarray(number, dtype="float64", backend=backend)) == 0.1


def test_copies_keep_the_gradient(adapter):
    x = adapter.from_numpy(np.arange(3.0), "float32", "cpu")
    _, _, (gradient,) = adapter.value_and_grad(
        lambda v: (ops.sum(ops.asarray(v[0], copy=True, like=v[0])), None), [x]
    )
    assert ops.to_numpy(gradient).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool", "float16", "int64"])
def test_conversion_between_backends(backend, adapter, dtype):
    host = np.array([[0, 1], [2, 3]]).astype(dtype)
    x = ops.convert(host, backend)
    assert registry.backend_of(x) == backend and ops.dtype(x) == carried(adapter, dtype)
    back = ops.convert(x, "numpy")
    assert isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back, host)
    other = ops.convert(x, backend)
    assert other is not x


def test_to_numpy_is_a_copy(adapter):
    x = adapter.from_numpy(np.arange(3.0), "float32", "cpu")
    ops.to_numpy(x)[:] = 9
    assert ops.to_numpy(x).tolist() == [0.0, 1.0, 2.0]


def test_from_numpy_is_a_copy(backend):
    host = np.arange(3, dtype=np.float32)
    x = ops.asarray(host, backend=backend)
    host[:] = 9
    assert ops.to_numpy(x).tolist() == ([9, 9, 9] if backend == "numpy" else [0.0, 1.0, 2.0])


def test_item(adapter):
    for value, dtype, kind in [(2.5, "float32", float), (3, "int32", int), (True, "bool", bool)]:
        got = ops.item(adapter.from_numpy(np.full((1, 1), value), dtype, "cpu"))
        assert got == value and type(got) is kind


def test_one_scalar_of_each_dtype_constant():
    for name in ("float32", "float64", "int32", "int64", "uint8", "bool", "bfloat16", "float16"):
        assert getattr(ops, name) == name
