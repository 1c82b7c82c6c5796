"""MXNet 1.9.1: integers, bools and what is missing."""

from __future__ import annotations

import functools

import numpy as np

from .model import Kind
from .native import mx_array, mxnet, refuses
from .rows import Rows

ROWS = Rows("mxnet", "==1.9.1")
BIG = 2**62 + 1


# ---------------------------------------------------------------------- through a double
@ROWS.row(
    "abs-of-integers",
    "ops.abs",
    Kind.BUG,
    "abs takes integers through a double: 2**62 + 1 becomes 2**62",
    "exact",
)
def _abs() -> bool:
    return bool(mxnet().np.abs(mx_array([BIG], "int64")).item() != BIG)


@ROWS.row("mod-of-integers", "ops.remainder", Kind.BUG, "% takes integers through a double", "exact")
def _mod() -> bool:
    found = mxnet().np.mod(mx_array([BIG], "int64"), mx_array([10], "int64")).item()
    return bool(found != BIG % 10)


@ROWS.row("power-of-integers", "ops.pow", Kind.BUG, "** takes integers through a double", "exact")
def _power() -> bool:
    return bool(mxnet().np.power(mx_array([3], "int64"), mx_array([39], "int64")).item() != 3**39)


@ROWS.row(
    "integer-beside-a-number",
    "ops.add",
    Kind.BUG,
    "a Python integer beside an int64 tensor travels as a double: 1 + (2**62 + 1) is 2**62 + 1",
    "exact",
)
def _add() -> bool:
    return bool((mx_array([1], "int64") + BIG).item() != BIG + 1)


@ROWS.row(
    "comparison-with-a-number",
    "ops.equal",
    Kind.BUG,
    "an int64 tensor is compared with a Python integer as doubles: 2**53 == 2**53 + 1 holds",
    "exact",
)
def _equal() -> bool:
    return bool((mx_array([2**53], "int64") == 2**53 + 1).asnumpy()[0])


@ROWS.row(
    "full-of-large-integers",
    "ops.full",
    Kind.BUG,
    "full(2**53 + 1) in int64 holds 2**53",
    "exact",
)
def _full() -> bool:
    return bool(mxnet().np.full((1,), 2**53 + 1, dtype="int64").item() == 2**53)


@ROWS.row(
    "arange-of-large-integers",
    "ops.arange",
    Kind.BUG,
    "arange(2**53 + 1, 2**53 + 3) in int64 has four elements",
    "two",
)
def _arange() -> bool:
    return bool(mxnet().np.arange(2**53 + 1, 2**53 + 3, dtype="int64").size == 4)


@ROWS.row(
    "unary-functions-of-integers",
    "ops.exp",
    Kind.CHOICE,
    "exp(1) of an int32 tensor is the int32 2",
    "2.718 in the default float dtype",
)
def _exp() -> bool:
    found = mxnet().np.exp(mx_array([1], "int32"))
    return bool(np.dtype(found.dtype) == np.int32 and found.item() == 2)


@ROWS.row(
    "sum-of-int32",
    "ops.sum",
    Kind.CHOICE,
    "the sum of int32 is int32 and wraps around",
    "int64 (array API)",
)
def _sum() -> bool:
    found = mxnet().np.full((3,), 2**30, dtype="int32").sum()
    return bool(np.dtype(found.dtype) == np.int32 and found.item() < 0)


# ---------------------------------------------------------------------- bools
@ROWS.row("sum-of-bools", "ops.sum", Kind.CHOICE, "the sum of bools is a float32", "an int64 count")
def _sum_bools() -> bool:
    return bool(np.dtype(mxnet().np.array([True, True]).sum().dtype) == np.float32)


@ROWS.row(
    "bitwise-operators-of-bools",
    "ops.bitwise_and",
    Kind.BUG,
    "bitwise operators of bools that broadcast are an error",
    "they broadcast",
)
def _bitwise() -> bool:
    np_ = mxnet().np
    return refuses(lambda: np_.bitwise_and(np_.array([True, False]), np_.array([[True], [False]])))


# ---------------------------------------------------------------------- what is missing
@ROWS.row(
    "floor-divide",
    "ops.floor_divide",
    Kind.UNSUPPORTED,
    "there is no //",
    "// of numbers of any dtype, rounded towards minus infinity",
)
def _floor_divide() -> bool:
    return not hasattr(mxnet().np, "floor_divide") and refuses(lambda: mx_array([3], "int64") // 2)


@ROWS.row(
    "shifts", "ops.bitwise_left_shift", Kind.UNSUPPORTED, "there is no << and no >>", "both, for integers"
)
def _shift() -> bool:
    return refuses(lambda: mx_array([3], "int64") << 2)


@ROWS.row("cumprod", "ops.cumulative_prod", Kind.UNSUPPORTED, "there is no cumprod", "running products")
def _cumprod() -> bool:
    return not hasattr(mxnet().np, "cumprod")


@ROWS.row(
    "matmul-of-integers",
    "ops.matmul",
    Kind.UNSUPPORTED,
    "matrices of integers, and on CPU of float16, cannot be multiplied",
    "both can",
)
def _matmul() -> bool:
    np_ = mxnet().np
    ones = [mx_array([[1]], dtype) for dtype in ("int32", "float16")]
    return all(refuses(functools.partial(np_.matmul, one, one)) for one in ones)


@ROWS.row(
    "mixed-dtypes",
    "ops.matmul",
    Kind.UNSUPPORTED,
    "most operators refuse operands of two float dtypes",
    "they are promoted (array API)",
)
def _mixed() -> bool:
    np_ = mxnet().np
    return refuses(lambda: np_.matmul(mx_array([[1.0]]), mx_array([[1.0]], "float64")), "Incompatible attr")


@ROWS.row(
    "round-of-float16",
    "ops.round",
    Kind.UNSUPPORTED,
    "around refuses float16",
    "it rounds",
    corrected=False,
)
def _around() -> bool:
    return refuses(lambda: mxnet().np.around(mx_array([1.5], "float16")), "float16")


@ROWS.row(
    "denormal-numbers",
    "ops.add",
    Kind.BUG,
    "a denormal Python number beside a tensor is an error",
    "a number as any other",
)
def _denormal() -> bool:
    return refuses(lambda: mx_array([0.0], "float64") + 5e-324, "Out of range")


@ROWS.row(
    "pad-of-one-axis",
    "ops.pad",
    Kind.BUG,
    "pad of a tensor with one axis fails: a single pair is read as a short form",
    "it is padded",
)
def _pad() -> bool:
    return refuses(lambda: mxnet().np.pad(mx_array([1.0, 2.0]), ((1, 1),)))


@ROWS.row(
    "output-padding",
    "nn.ConvTranspose1d",
    Kind.CHOICE,
    "an output padding must be below the stride",
    "below the stride or the dilation",
)
def _output_padding() -> bool:
    nd = mxnet().nd
    return refuses(
        lambda: nd.Deconvolution(
            nd.ones((1, 1, 2)),
            nd.ones((1, 1, 2)),
            kernel=(2,),
            dilate=(2,),
            adj=(1,),
            num_filter=1,
            no_bias=True,
        ),
        "adj",
    )


@ROWS.row(
    "dilated-pooling",
    "nn.MaxPool2d",
    Kind.UNSUPPORTED,
    "pooling knows no dilation",
    "cells of a window may be apart",
)
def _dilated_pooling() -> bool:
    x = mx_array(np.ones((1, 1, 4, 4)))
    return refuses(lambda: mxnet().npx.pooling(x, kernel=(2, 2), dilate=(2, 2), pool_type="max"))


@ROWS.row(
    "group-norm-weight",
    "nn.GroupNorm",
    Kind.CHOICE,
    "GroupNorm has one weight for each group",
    "one for each channel",
)
def _group_norm() -> bool:
    nd = mxnet().nd
    found = nd.GroupNorm(nd.ones((2, 4, 3)), nd.ones(2), nd.zeros(2), num_groups=2).asnumpy()
    return bool(found.shape == (2, 4, 3))


@ROWS.row(
    "fix-gamma",
    "nn.BatchNorm1d",
    Kind.CHOICE,
    "batch_norm takes its weight for 1 unless it is told not to (fix_gamma)",
    "the weight counts",
)
def _fix_gamma() -> bool:
    parts = [mx_array(v) for v in ([[1.0], [2.0]], [5.0], [0.0], [0.0], [1.0])]
    found = mxnet().npx.batch_norm(*parts, use_global_stats=True).asnumpy()
    return bool(found[1, 0] < 3)


@ROWS.row(
    "shapes-without-axes",
    "ops.sum",
    Kind.CHOICE,
    "unless np_shape is on in the thread, dividing a loss without axes is an error",
    "a tensor without axes is a tensor",
)
def _np_shape() -> bool:
    mx = mxnet()

    def halve() -> object:
        with mx.util.np_shape(False):
            return mx.np.array([1.0, 2.0]).sum() / 2

    return refuses(halve)
