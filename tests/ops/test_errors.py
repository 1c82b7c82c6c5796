"""Wrong shapes, dtypes, axes, indices and arguments: one error class for all backends."""

from __future__ import annotations

import numpy as np
import pytest

from unimodule import ops
from unimodule.errors import (
    ArgumentError,
    BackendMismatchError,
    DeviceError,
    DtypeError,
    OutOfRangeError,
    ShapeError,
)
from unimodule.registry import get_backend

X = np.arange(6, dtype=np.float32).reshape(2, 3)
ROW = np.arange(4, dtype=np.float32)
INTS = np.arange(3)
MASK = np.array([True, False])

BINARY = (
    "add subtract multiply divide floor_divide remainder pow maximum minimum atan2 hypot logaddexp copysign nextafter "
    "equal not_equal less less_equal greater greater_equal"
).split()
REDUCTIONS = "sum prod max min mean var std all any count_nonzero argmax argmin".split()

CASES = {
    **{
        f"{n} of shapes that do not broadcast": (ShapeError, lambda t, n=n: getattr(ops, n)(t(X), t(ROW)))
        for n in BINARY
    },
    **{
        f"{n} of a missing axis": (ShapeError, lambda t, n=n: getattr(ops, n)(t(X), axis=2))
        for n in REDUCTIONS
    },
    **{
        f"{n} of a missing negative axis": (ShapeError, lambda t, n=n: getattr(ops, n)(t(X), axis=-3))
        for n in REDUCTIONS
    },
    **{
        f"{n} of a missing axis": (ShapeError, lambda t, n=n: getattr(ops, n)(t(X), axis=2))
        for n in "cumulative_sum cumulative_prod diff argsort sort unstack flip".split()
    },
    "sum over an axis twice": (ShapeError, lambda t: ops.sum(t(X), axis=(0, -2))),
    "sum over half an axis": (ShapeError, lambda t: ops.sum(t(X), axis=0.5)),
    "max of nothing": (ShapeError, lambda t: ops.max(t(np.zeros((0, 2), np.float32)), axis=0)),
    "argmax of nothing": (ShapeError, lambda t: ops.argmax(t(np.zeros(0, np.float32)))),
    "max of bool": (DtypeError, lambda t: ops.max(t(MASK))),
    "cumulative_sum without an axis": (ShapeError, lambda t: ops.cumulative_sum(t(X))),
    "reshape": (ShapeError, lambda t: ops.reshape(t(X), (4, 2))),
    "reshape with two unknowns": (ShapeError, lambda t: ops.reshape(t(X), (-1, -1))),
    "reshape with an unknown that does not divide": (ShapeError, lambda t: ops.reshape(t(X), (4, -1))),
    "reshape to no shape": (ShapeError, lambda t: ops.reshape(t(X), "ab")),
    "flatten": (ShapeError, lambda t: ops.flatten(t(X), 1, 0)),
    "permute_dims with too few axes": (ShapeError, lambda t: ops.permute_dims(t(X), (0,))),
    "permute_dims with an axis twice": (ShapeError, lambda t: ops.permute_dims(t(X), (0, 0))),
    "moveaxis": (ShapeError, lambda t: ops.moveaxis(t(X), (0, 1), 0)),
    "swapaxes": (ShapeError, lambda t: ops.swapaxes(t(X), 0, 2)),
    "squeeze": (ShapeError, lambda t: ops.squeeze(t(X), 0)),
    "expand_dims": (ShapeError, lambda t: ops.expand_dims(t(X), axis=3)),
    "broadcast_to": (ShapeError, lambda t: ops.broadcast_to(t(X), (3, 3))),
    "broadcast_to fewer axes": (ShapeError, lambda t: ops.broadcast_to(t(X), (3,))),
    "broadcast_arrays": (ShapeError, lambda t: ops.broadcast_arrays(t(X), t(ROW))),
    "concat of shapes that differ": (ShapeError, lambda t: ops.concat([t(X), t(X[:, :2])])),
    "concat of ranks that differ": (ShapeError, lambda t: ops.concat([t(X), t(ROW)])),
    "concat of scalars": (ShapeError, lambda t: ops.concat([t(ROW[0]), t(ROW[0])])),
    "concat of nothing": (ArgumentError, lambda t: ops.concat([])),
    "stack": (ShapeError, lambda t: ops.stack([t(X), t(ROW)])),
    "split into unequal parts": (ShapeError, lambda t: ops.split(t(X), 2, axis=1)),
    "split into sizes that do not add up": (ShapeError, lambda t: ops.split(t(X), (1, 1), axis=1)),
    "repeat with a count for some": (ShapeError, lambda t: ops.repeat(t(X), (1, 2), axis=1)),
    "repeat a negative number of times": (ArgumentError, lambda t: ops.repeat(t(X), -1)),
    "repeat half a time": (DtypeError, lambda t: ops.repeat(t(X), 0.5)),
    "roll": (ShapeError, lambda t: ops.roll(t(X), (1, 2, 3), axis=(0, 1))),
    "tile": (ShapeError, lambda t: ops.tile(t(X), (-1,))),
    "pad with a negative width": (ShapeError, lambda t: ops.pad(t(X), ((-1, 0), (0, 0)))),
    "pad of some axes": (ShapeError, lambda t: ops.pad(t(X), ((1, 1),))),
    "tril of a vector": (ShapeError, lambda t: ops.tril(t(ROW))),
    "meshgrid of a matrix": (ShapeError, lambda t: ops.meshgrid(t(X))),
    "meshgrid with another indexing": (ArgumentError, lambda t: ops.meshgrid(t(ROW), indexing="zw")),
    "matmul of sizes that differ": (ShapeError, lambda t: ops.matmul(t(X), t(X))),
    "matmul with a vector": (ShapeError, lambda t: ops.matmul(t(X), t(ROW))),
    "matmul of a scalar": (ShapeError, lambda t: ops.matmul(t(ROW[0]), t(X))),
    "matmul of batches": (
        ShapeError,
        lambda t: ops.matmul(t(np.ones((2, 1, 3), "f4")), t(np.ones((3, 3, 1), "f4"))),
    ),
    "matmul of bool": (DtypeError, lambda t: ops.matmul(t(MASK), t(MASK))),
    "matrix_transpose": (ShapeError, lambda t: ops.matrix_transpose(t(ROW))),
    "vecdot": (ShapeError, lambda t: ops.vecdot(t(X), t(ROW))),
    "outer": (ShapeError, lambda t: ops.outer(t(X), t(ROW))),
    "tensordot": (ShapeError, lambda t: ops.tensordot(t(X), t(X), axes=1)),
    "tensordot over too many axes": (ShapeError, lambda t: ops.tensordot(t(X), t(X), axes=3)),
    "einsum of sizes that differ": (ShapeError, lambda t: ops.einsum("ij,jk->ik", t(X), t(X))),
    "einsum of another rank": (ShapeError, lambda t: ops.einsum("i,j->ij", t(X), t(X))),
    "einsum with a term too few": (ArgumentError, lambda t: ops.einsum("ij->ij", t(X), t(X))),
    "einsum with an unknown result": (ArgumentError, lambda t: ops.einsum("ij->k", t(X))),
    "einsum of signs": (ArgumentError, lambda t: ops.einsum("i+->i", t(X))),
    "take of an index too large": (OutOfRangeError, lambda t: ops.take(t(X), t(INTS), axis=0)),
    "take of a negative index": (OutOfRangeError, lambda t: ops.take(t(X), t(-INTS), axis=1)),
    "take with floats": (DtypeError, lambda t: ops.take(t(X), t(ROW), axis=0)),
    "take without an axis": (ShapeError, lambda t: ops.take(t(X), t(INTS))),
    "take of a missing axis": (ShapeError, lambda t: ops.take(t(X), t(INTS), axis=2)),
    "take_along_axis of an index too large": (
        OutOfRangeError,
        lambda t: ops.take_along_axis(t(X), t(INTS[None]), axis=0),
    ),
    "take_along_axis of another rank": (ShapeError, lambda t: ops.take_along_axis(t(X), t(INTS), axis=1)),
    "take_along_axis of another size": (
        ShapeError,
        lambda t: ops.take_along_axis(t(X), t(np.zeros((3, 1), int)), axis=1),
    ),
    "getitem out of range": (OutOfRangeError, lambda t: ops.getitem(t(X), 2)),
    "getitem with too many indices": (OutOfRangeError, lambda t: ops.getitem(t(X), (0, 0, 0))),
    "getitem of an array out of range": (OutOfRangeError, lambda t: ops.getitem(t(X), np.array([0, -3]))),
    "getitem of a mask that does not fit": (ShapeError, lambda t: ops.getitem(t(X), np.ones(3, bool))),
    "getitem of a float": (DtypeError, lambda t: ops.getitem(t(X), 0.5)),
    "where with numbers": (DtypeError, lambda t: ops.where(t(X), t(X), t(X))),
    "where of shapes that do not broadcast": (ShapeError, lambda t: ops.where(t(X > 1), t(X), t(ROW))),
    "clip of shapes that do not broadcast": (ShapeError, lambda t: ops.clip(t(X), t(ROW), t(ROW))),
    "clip of bool": (DtypeError, lambda t: ops.clip(t(MASK), 0, 1)),
    "topk": (ShapeError, lambda t: ops.topk(t(X), 4)),
    "sort of bool": (DtypeError, lambda t: ops.sort(t(MASK))),
    "nonzero of a scalar": (ShapeError, lambda t: ops.nonzero(t(ROW[0]))),
    "searchsorted in a matrix": (ShapeError, lambda t: ops.searchsorted(t(X), t(ROW))),
    "searchsorted on another side": (ArgumentError, lambda t: ops.searchsorted(t(ROW), t(ROW), side="up")),
    "one_hot out of range": (OutOfRangeError, lambda t: ops.one_hot(t(INTS), 2)),
    "one_hot of floats": (DtypeError, lambda t: ops.one_hot(t(ROW), 9)),
    "item of many": (ShapeError, lambda t: ops.item(t(ROW))),
    "add of bool": (DtypeError, lambda t: ops.add(t(MASK), t(MASK))),
    "abs of bool": (DtypeError, lambda t: ops.abs(t(MASK))),
    "logical_and of numbers": (DtypeError, lambda t: ops.logical_and(t(X), t(X))),
    "logical_not of numbers": (DtypeError, lambda t: ops.logical_not(t(X))),
    "bitwise_and of floats": (DtypeError, lambda t: ops.bitwise_and(t(X), t(X))),
    "bitwise_and with a float": (DtypeError, lambda t: ops.bitwise_and(t(INTS), 1.5)),
    "bitwise_invert of floats": (DtypeError, lambda t: ops.bitwise_invert(t(X))),
    "shift of bool": (DtypeError, lambda t: ops.bitwise_left_shift(t(MASK), t(MASK))),
    "astype to what is none": (DtypeError, lambda t: ops.astype(t(X), "float128x")),
    "to_device": (DeviceError, lambda t: ops.to_device(t(X), "gpu:77")),
    "to_device of no name": (DeviceError, lambda t: ops.to_device(t(X), "tpu")),
}


@pytest.mark.parametrize("what", CASES)
def test_error(adapter, what):
    expected, call = CASES[what]

    def tensor(array):
        array = np.asarray(array)
        return adapter.from_numpy(array, array.dtype.name, "cpu")

    with pytest.raises(expected) as caught:
        call(tensor)
    assert type(caught.value) is expected
    assert str(caught.value)


@pytest.mark.parametrize("value", [None, "text", [1.0], 3, object()])
@pytest.mark.parametrize("name", ["exp", "sum", "reshape", "getitem", "abs", "item", "to_numpy"])
def test_what_is_no_tensor(name, value):
    args = {"reshape": ((1,),), "getitem": (0,)}.get(name, ())
    with pytest.raises(DtypeError, match="expected a tensor"):
        getattr(ops, name)(value, *args)


def test_two_scalars_are_no_tensors():
    with pytest.raises(DtypeError, match="expected a tensor"):
        ops.add(1, 2)


def test_two_backends(backend, adapter):
    if backend == "numpy":
        pytest.skip("NumPy arrays beside another backend's tensors are data")
    others = [b for b in ("torch", "jax") if b != backend and _usable(b)]
    if not others:
        pytest.skip("needs a second framework")
    foreign = get_backend(others[0]).from_numpy(X, "float32", "cpu")
    x = adapter.from_numpy(X, "float32", "cpu")
    for call in (
        ops.add,
        ops.maximum,
        ops.matmul,
        lambda a, b: ops.concat([a, b]),
        lambda a, b: ops.where(a, b, b),
    ):
        with pytest.raises(BackendMismatchError, match="convert"):
            call(x, foreign)


def _usable(name):
    from unimodule.registry import infos, installed

    return name in infos() and installed(name)
