"""Type promotion: the array API's table for two tensors, and what a Python scalar does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from unimodule import dtypes, ops
from unimodule.errors import DtypeError

from .harness import carried

TRIED = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")


def available(adapter) -> list[str]:
    """The dtypes of ``TRIED`` that the backend has and does not carry in another."""
    found = []
    for dtype in TRIED:
        try:
            if carried(adapter, dtype) == dtype:
                found.append(dtype)
        except DtypeError:
            continue
    return found


def make(adapter, dtype, shape=(2,)):
    return adapter.from_numpy(np.ones(shape), dtype, "cpu")


def test_two_tensors(adapter):
    kinds = available(adapter)
    assert {"bool", "int32", "float32"} <= set(kinds)
    for a, b in itertools.combinations_with_replacement(kinds, 2):
        expected = dtypes.PROMOTION[a, b]
        if expected not in kinds:  # int8 and uint8 meet in int16, which not every framework has
            continue
        for x, y in {(a, b), (b, a)}:
            out = ops.less(make(adapter, x), make(adapter, y, ()))
            assert ops.dtype(out) == "bool"
            if expected == "bool":
                with pytest.raises(DtypeError, match="not defined for bool"):
                    ops.add(make(adapter, x), make(adapter, y))
                continue
            out = ops.maximum(make(adapter, x), make(adapter, y, ()))
            assert ops.dtype(out) == expected, (x, y)
            assert ops.to_numpy(ops.astype(out, "float32")).tolist() == [1.0, 1.0], (x, y)


@pytest.mark.parametrize(
    "op", [ops.add, ops.subtract, ops.multiply, ops.pow, ops.remainder, ops.floor_divide]
)
@pytest.mark.parametrize(
    ("dtype", "scalar", "expected"),
    [
        ("float16", 2.0, "float16"),
        ("float32", 2.5, "float32"),
        ("float32", 2, "float32"),
        ("float32", True, "float32"),
        ("int32", 2, "int32"),
        ("int32", True, "int32"),
        ("int32", 2.5, "float32"),
        ("bool", 2, "int64"),
        ("bool", 2.5, "float32"),
    ],
)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_scalar(adapter, op, dtype, scalar, expected, shape):
    x = make(adapter, dtype, shape)
    for out in (op(x, scalar), op(scalar, x)):
        assert ops.dtype(out) == carried(adapter, expected)
        assert ops.shape(out) == shape


@pytest.mark.parametrize("op", [ops.divide, ops.atan2, ops.hypot, ops.logaddexp, ops.copysign])
def test_float_functions_of_integers(adapter, op):
    for other in (make(adapter, "int32"), make(adapter, "bool"), 2):
        assert ops.dtype(op(make(adapter, "int32"), other)) == "float32"


def test_numpy_beside_a_tensor(adapter):
    x = make(adapter, "float32")
    out = ops.add(x, np.full(2, 0.5, np.float32))
    assert adapter.is_tensor(out) and ops.to_numpy(out).tolist() == [1.5, 1.5]
    out = ops.where(np.array([True, False]), x, 0.0)
    assert adapter.is_tensor(out) and ops.to_numpy(out).tolist() == [1.0, 0.0]
    out = ops.concat([np.zeros(1, np.float32), x])
    assert adapter.is_tensor(out) and ops.to_numpy(out).tolist() == [0.0, 1.0, 1.0]


def test_numpy_float64_scalars_are_arrays():
    """np.float64 is a Python float by inheritance; taken for one, it would lose its dtype."""
    assert ops.dtype(ops.add(np.float64(1.0), np.ones(2, np.float32))) == "float64"
    assert ops.dtype(ops.where(np.array(True), np.float64(1.0), np.ones(2, np.float32))) == "float64"


def test_result_type_and_can_cast(adapter):
    x = make(adapter, "int32")
    assert ops.result_type(x, 2.5) == "float32"
    assert ops.result_type(x, ops.float32) == "float32"
    assert ops.result_type("bool", 1) == "int64"
    assert ops.can_cast(x, "int64") and not ops.can_cast(x, "int8")
    with pytest.raises(DtypeError):
        ops.result_type("int8", "uint64")


def test_what_a_dtype_is():
    assert ops.isdtype("float16", "real floating") and not ops.isdtype("bool", "numeric")
    assert ops.isdtype(np.int8, ("bool", "integral")) and ops.isdtype("int8", "int8")
    assert ops.finfo("float32").eps == np.finfo(np.float32).eps
    assert ops.finfo(ops.bfloat16).max == pytest.approx(3.3895e38, rel=1e-4)
    assert ops.iinfo("uint8").max == 255 and ops.iinfo("int8").min == -128
    for wrong in (lambda: ops.finfo("int8"), lambda: ops.iinfo("float32")):
        with pytest.raises(DtypeError):
            wrong()
    with pytest.raises(ValueError, match="not a kind"):
        ops.isdtype("int8", "whole")


def test_float16_statistics_do_not_overflow(adapter):
    x = adapter.from_numpy(np.full(4096, 100.0), "float16", "cpu")
    assert ops.item(ops.mean(x)) == 100.0
    assert ops.item(ops.var(x)) == 0.0
