"""Cases for the required ops: elementwise, reductions, shape and indexing."""

import numpy as np

from .harness import Case

inf, nan = np.inf, np.nan
_RNG = np.random.default_rng(20)
CASES: list[Case] = []


def rand(*shape, low=-2.0, high=2.0):
    """Uniform numbers, no two of them equal and none close to a kink."""
    n = int(np.prod(shape))
    values = low + (high - low) * (np.arange(n) + _RNG.uniform(0.2, 0.8, n)) / max(n, 1)
    return _RNG.permutation(values).reshape(shape)


def f(*values):
    return np.array(values, np.float64)


def i64(values):
    return np.array(values, np.int64)


def add(name, *args, tag="", grad=True, relative=False, numpy=False, oracle=None, **kwargs):
    CASES.append(Case(name, args, kwargs, tag, grad, relative, numpy=numpy, oracle=oracle))


def integers(name, oracle, *columns, dtypes="int8 int16 int32 int64 uint8 uint16 uint32 uint64", **kwargs):
    """The op on integer tensors of every width, with NumPy for an oracle."""
    for dtype in dtypes.split():
        lists = columns if dtype[0] == "i" else [[abs(v) for v in column] for column in columns]
        add(
            name,
            *[np.array(column, dtype) for column in lists],
            tag=dtype,
            numpy=True,
            oracle=oracle,
            **kwargs,
        )


# ---------------------------------------------------------------------- elementwise, one tensor
DOMAINS = {
    "log": (0.1, 9.0),
    "log1p": (-0.8, 4.0),
    "sqrt": (0.1, 9.0),
    "asin": (-0.9, 0.9),
    "acos": (-0.9, 0.9),
}
DOMAINS |= {"acosh": (1.1, 5.0), "atanh": (-0.9, 0.9), "tan": (-1.3, 1.3)}
UNARY = "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf"
for name in UNARY.split():
    low, high = DOMAINS.get(name, (-3.0, 3.0))
    add(name, rand(2, 3, 4, low=low, high=high))
    add(name, rand(1, low=low, high=high).reshape(()), tag="0d")
    add(name, np.zeros((0, 3)), tag="empty")
    add(name, f(nan, inf, -inf), tag="specials", grad=False)
ODD = "expm1 log1p sin tan asin atan sinh tanh asinh atanh erf"
for name in ODD.split():
    add(name, f(1e-4, -3e-5, 1e-7, -1e-6), tag="tiny", relative=True)
    add(name, f(0.0), tag="zero")
add("exp", f(-80.0, -20.0, 20.0, 80.0), tag="large", relative=True)
add("log", f(0.0, -1.0), tag="outside", grad=False)
add("sqrt", f(0.0, -1.0), tag="outside", grad=False)
add("tanh", f(-30.0, 1.0, 30.0, 100.0), tag="saturated")  # 1.0 sets the scale of "almost no gradient"
add("erf", f(-6.0, 6.0, 30.0), tag="saturated")
add("asinh", f(1e4, -1e4), tag="large", relative=True)

for name in ["abs", "negative", "sign", "floor", "ceil", "round"]:
    add(name, rand(3, 4, low=-3, high=3))
    add(name, f(nan, inf, -inf, 0.0), tag="specials", grad=False)
    add(name, f(0.0), tag="zero")
    add(name, np.zeros((2, 0)), tag="empty")
add("round", f(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5), tag="half-to-even")
integers("abs", np.abs, [-3, 0, 5])
integers("negative", np.negative, [-3, 0, 5], dtypes="int8 int16 int32 int64")
integers("sign", np.sign, [-3, 0, 5])
add("isnan", f(1.0, nan, inf, -inf))
add("logical_not", np.array([True, False]))
integers("bitwise_invert", np.invert, [-3, 0, 5])
add("bitwise_invert", np.array([True, False]), tag="bool")

# ---------------------------------------------------------------------- elementwise, two tensors
BINARY = ["add", "subtract", "multiply", "divide", "pow", "floor_divide", "remainder"]
BINARY += ["maximum", "minimum", "atan2", "equal", "less"]
for name in BINARY:
    low = 0.3 if name == "pow" else -2.0
    add(name, rand(2, 3, low=low), rand(2, 3))
    add(name, rand(2, 1, 3, low=low), rand(4, 1), tag="broadcast")
    add(name, rand(3, low=low), rand(1).reshape(()), tag="0d-right")
    add(name, rand(1, low=0.5).reshape(()), rand(2, 2), tag="0d-left")
    add(name, np.zeros((0, 3)), rand(3), tag="empty")
for name in BINARY:
    low = 0.3 if name == "pow" else -2.0
    add(name, rand(2, 3, low=low), 1.75, tag="scalar-right")
    add(name, 1.75, rand(2, 3, low=low), tag="scalar-left")
    add(name, rand(3, low=low), 2, tag="int-scalar")
    add(name, rand(1, low=low).reshape(()), 1.75, tag="0d-scalar")
for name in ["maximum", "minimum"]:
    add(name, f(1.0, 2.0, -1.0, 0.0), f(1.0, 1.0, -1.0, 0.0), tag="ties")
    add(name, f(1.0, 2.0, 3.0), f(2.0), tag="ties-broadcast")
    add(name, f(1.0, 2.0, 0.0), 1.0, tag="ties-scalar")
    add(name, f(nan, 1.0, nan, inf), f(1.0, nan, nan, -inf), tag="nan", grad=False)
    integers(name, getattr(np, name), [-3, 0, 5], [2, 0, -7])
add("pow", f(0.0, 0.0, 0.0, 2.0), f(1.0, 2.0, 3.0, 0.0), tag="zero-base")
add("pow", f(0.0, -1.5, 2.0), 2, tag="square")
add("pow", f(0.0, -1.5, 2.0), 1, tag="first-power")
add("pow", f(-2.0, -1.5), 3.0, tag="negative-base")
add("pow", f(-2.0, 0.0, 0.0, 4.0), f(0.5, 0.0, -1.0, 0.5), tag="edges", grad=False)
add("pow", 2, f(0.0, 0.5, -3.0), tag="int-base")
add("divide", f(1.0, -1.0, 0.0), f(0.0, 0.0, 0.0), tag="by-zero", grad=False)
add("atan2", f(1.0, -1.0, 1.0, -1.0), f(1.0, 1.0, -1.0, -1.0), tag="quadrants")
add("atan2", f(0.0, 0.0, 0.0, 1.0), f(0.0, 1.0, -1.0, 0.0), tag="origin")
for name in ["floor_divide", "remainder"]:
    add(name, f(7.0, -7.0, 7.0, -7.0), f(3.0, 3.0, -3.0, -3.0), tag="signs")
    add(name, f(0.9, -0.9, 6.25), f(0.3125, 0.3125, -2.5), tag="fractions", grad=False)
    oracle = np.floor_divide if name == "floor_divide" else np.remainder
    integers(name, oracle, [7, -7, 7, -7, 0], [3, 3, -3, -3, 5])
    add(name, i64([7, -7]), 3, tag="int-scalar", numpy=True, oracle=oracle)
    add(name, 7, i64([3, -3]), tag="int-scalar-left", numpy=True, oracle=oracle)
integers("add", np.add, [-3, 0, 5], [2, 7, 40])
integers("subtract", np.subtract, [-3, 5, 50], [2, 4, 40])
integers("multiply", np.multiply, [-3, 0, 5], [2, 7, 11])
integers("pow", np.power, [-3, 0, 2, 1], [2, 0, 5, 3])
for name, oracle in [("add", np.add), ("multiply", np.multiply), ("subtract", np.subtract)]:
    add(
        name,
        np.array([1, 2], np.int8),
        3,
        tag="int8-scalar",
        numpy=True,
        oracle=lambda x, s, o=oracle: o(x, x.dtype.type(s)),
    )
integers("equal", np.equal, [-3, 0, 5], [2, 0, 5])
integers("less", np.less, [-3, 0, 5], [2, 0, 7])
add("equal", np.array([True, False]), np.array([True, True]), tag="bool")
add("less", np.array([False, False]), np.array([True, False]), tag="bool")
for name in ["equal", "less"]:
    add(name, f(nan, nan, 1.0, inf, 0.0), f(nan, 1.0, 1.0, inf, -0.0), tag="nan")
_BOOLS = np.array([True, True, False, False]), np.array([True, False, True, False])
for name in ["logical_and", "logical_or"]:
    add(name, *_BOOLS)
    add(name, _BOOLS[0].reshape(4, 1), _BOOLS[1], tag="broadcast")
for name in ["bitwise_and", "bitwise_or", "bitwise_xor"]:
    add(name, *_BOOLS, tag="bool")
    integers(name, getattr(np, name), [-3, 12, 5], [6, 10, 0])
integers("bitwise_left_shift", np.left_shift, [3, 12, 5], [1, 2, 0])
integers("bitwise_right_shift", np.right_shift, [-9, 12, 5], [1, 2, 0])
for name in ["logical_and", "logical_or", "bitwise_and", "bitwise_or", "bitwise_xor"]:
    for scalar in (True, False):
        add(name, _BOOLS[1], scalar, tag=f"{scalar}-right", numpy=True, oracle=getattr(np, name))
        add(name, scalar, _BOOLS[1], tag=f"{scalar}-left", numpy=True, oracle=getattr(np, name))
for name in ["bitwise_and", "bitwise_or", "bitwise_xor"]:
    add(name, i64([-3, 12, 5]), 6, tag="scalar-right", numpy=True, oracle=getattr(np, name))
    add(name, 6, i64([-3, 12, 5]), tag="scalar-left", numpy=True, oracle=getattr(np, name))
add("bitwise_left_shift", i64([3, 12]), 2, tag="scalar-right", numpy=True, oracle=np.left_shift)
add("bitwise_left_shift", 3, i64([0, 2]), tag="scalar-left", numpy=True, oracle=np.left_shift)
add("bitwise_right_shift", i64([-9, 12]), 1, tag="scalar-right", numpy=True, oracle=np.right_shift)
add("bitwise_right_shift", -9, i64([0, 2]), tag="scalar-left", numpy=True, oracle=np.right_shift)
add("where", np.array([True, False, True]), rand(3), rand(3))
add("where", np.array([[True], [False]]), rand(3), rand(1, 1), tag="broadcast")
add("where", np.array(True), rand(2, 3), rand(3), tag="0d-condition")
add(
    "where",
    np.array([True, False, True, False]),
    f(1.0, nan, 2.0, inf),
    f(nan, 3.0, inf, 4.0),
    tag="nan-untaken",
)
for dtype in ("int8", "int64", "uint8"):
    add(
        "where",
        _BOOLS[0],
        np.arange(4, dtype=dtype),
        np.array([9], dtype),
        tag=dtype,
        numpy=True,
        oracle=np.where,
    )

# ---------------------------------------------------------------------- reductions
AXES = [("all", {}), ("0", {"axis": 0}), ("last", {"axis": -1, "keepdims": True}), ("two", {"axis": (0, -1)})]
AXES += [
    ("two-keep", {"axis": (-2, 0), "keepdims": True}),
    ("keep", {"keepdims": True}),
    ("every", {"axis": (0, 1, 2)}),
]
for name in ["sum", "prod", "max", "min"]:
    for tag, kwargs in AXES:  # a sum that cancels has no digits to compare
        add(name, rand(2, 3, 4, low=0.2 if name == "sum" else -2.0), tag=tag, **kwargs)
    add(name, f(2.5)[0:1].reshape(()), tag="0d")
    add(name, f(1.0, nan, -2.0), tag="nan", grad=False)
    add(name, f(1.0, inf, -2.0), tag="inf", grad=False)
    add(name, rand(2, 3), tag="no-axis", axis=())
    add(name, np.zeros((2, 0, 3)), tag="empty-other", axis=0)
    for dtype in ("int32", "int64", "uint64"):  # NumPy would sum 32 bits in 64
        x = np.array([[3, 2, 5], [0, 7, 1]], dtype)
        add(
            name,
            x,
            tag=dtype,
            axis=0,
            numpy=True,
            oracle=lambda x, axis, n=name: getattr(np, n)(x, axis).astype(x.dtype),
        )
for name in ["sum", "prod"]:
    add(name, np.zeros((2, 0, 3)), tag="empty", axis=1)
    add(name, np.zeros((2, 0)), tag="empty-all")
add("prod", np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 4.0], [1.5, 2.0, -1.0]]), tag="zeros", axis=1)
add("prod", f(2.0, 0.0, 3.0), tag="zero-all")
for name in ["max", "min"]:
    add(name, np.array([[2.0, 2.0, 1.0], [-1.0, 0.0, -1.0], [3.0, 3.0, 3.0]]), tag="ties", axis=1)
    add(name, np.array([[2.0, 2.0, -1.0], [-1.0, 0.0, -1.0]]), tag="ties-all")
    add(name, np.array([[2.0, 2.0, -1.0], [-1.0, 2.0, -1.0]]), tag="ties-two", axis=(0, 1))
for name in ["all", "any"]:
    x = _RNG.random((2, 3, 4)) > (0.2 if name == "all" else 0.8)
    for tag, kwargs in AXES:
        add(name, x, tag=tag, **kwargs)
    add(name, np.zeros((2, 0), bool), tag="empty", axis=1)
for name in ["argmax", "argmin"]:
    for tag, kwargs in [
        ("all", {}),
        ("0", {"axis": 0}),
        ("last", {"axis": -1}),
        ("keep", {"axis": 1, "keepdims": True}),
        ("all-keep", {"keepdims": True}),
    ]:
        add(name, rand(2, 3, 4), tag=tag, **kwargs)
    add(name, np.array([[2.0, 2.0, 1.0, 1.0], [0.0, 3.0, 3.0, 0.0]]), tag="ties", axis=1)
    add(name, f(1.0, nan, 2.0, nan), tag="nan", axis=0)
    add(name, i64([[3, 7, 7], [-1, -1, 0]]), tag="int", axis=-1)
for name in ["cumulative_sum", "cumulative_prod"]:
    add(name, rand(2, 3, 4), tag="1", axis=1)
    add(name, rand(2, 3), tag="negative", axis=-2)
    add(name, np.zeros((2, 0)), tag="empty", axis=1)
    add(name, i64([[1, 2, 3], [4, 5, 6]]), tag="int", axis=1)
    add(name, np.array([1, 2, 3], np.int32), tag="int32", axis=0)
add("cumulative_prod", np.array([[2.0, 0.0, 3.0, 0.5], [0.0, 0.0, 4.0, 1.0]]), tag="zeros", axis=1)
for tag, kwargs in [("", {}), ("0", {"axis": 0}), ("down", {"axis": 1, "descending": True})]:
    add("argsort", rand(3, 4, 5), tag=tag, **kwargs)
    add("argsort", _RNG.integers(0, 3, (3, 20, 2)).astype(float), tag=f"ties-{tag}", **kwargs)
    add("argsort", f(2.0, nan, inf, -inf, nan, 1.0)[None, :].repeat(2, 0), tag=f"nan-{tag}", **kwargs)
    add("argsort", _RNG.integers(-3, 3, (3, 20, 1)), tag=f"int-{tag}", **kwargs)
add("argsort", np.array([3, 0, 255, 3], np.uint8), tag="uint8-down", descending=True)

# ---------------------------------------------------------------------- shape
add("reshape", rand(2, 3, 4), (4, 6))
add("reshape", rand(1, 1), (), tag="0d")
add("reshape", np.zeros((0, 3)), (3, 0, 2), tag="empty")
add("permute_dims", rand(2, 3, 4), (2, 0, 1))
add("permute_dims", rand(1).reshape(()), (), tag="0d")
add("broadcast_to", rand(3, 1), (2, 3, 4))
add("broadcast_to", rand(1).reshape(()), (2, 2), tag="0d")
add("broadcast_to", rand(1, 3), (0, 3), tag="empty")
add("concat", [rand(2, 3), rand(2, 1), np.zeros((2, 0)), rand(2, 2)], axis=-1)
add("concat", [rand(2, 3), rand(1, 3)], tag="default")
add("concat", [rand(2, 3)], tag="one", axis=1)
add("concat", [i64([1, 2]), i64([3])], tag="int", axis=0)
add("split", rand(2, 6), (1, 0, 3, 2), axis=1)
add("split", rand(4, 3), (4,), tag="whole", axis=0)
add("split", i64([1, 2, 3]), (2, 1), tag="int", axis=0)
for tag, kwargs in [("all", {}), ("1", {"axis": 1}), ("two", {"axis": (0, -1)})]:
    add("flip", rand(2, 3, 4), tag=tag, **kwargs)
    add("flip", np.array([[[True, False, False]] * 2]), tag=f"bool-{tag}", **kwargs)
add("pad", rand(2, 3), ((1, 0), (2, 3)))
add("pad", rand(2, 3), ((0, 0), (0, 1)), tag="value", value=-1.5)
add("pad", rand(2, 3), ((1, 2), (0, 1)), tag="-inf", value=-inf, grad=False)
add("pad", rand(1, 2, 1, 2, 1, 2), ((1, 0), (0, 1), (2, 0), (0, 2), (1, 1), (0, 0)), tag="6d", value=2)
add("pad", np.zeros((0, 2)), ((1, 1), (0, 0)), tag="empty")
add("pad", i64([[1, 2]]), ((0, 1), (1, 0)), tag="int", value=7)
add("pad", np.array([True, False]), ((1, 1),), tag="bool", value=True)

# ---------------------------------------------------------------------- indexing
KEYS = {"int": (1,), "negative": (-1, -2), "slice": (slice(1, None), slice(None, -1)), "all-ints": (1, 2, -4)}
KEYS |= {
    "step": (slice(None), slice(0, 3, 2), slice(1, None, 3)),
    "ellipsis": (..., 1),
    "middle": (0, ..., slice(1, 3)),
}
KEYS |= {
    "none": (None, 1, None, slice(-2, None)),
    "none-ellipsis": (..., None),
    "nothing": (),
    "empty": (slice(2, 2),),
}
KEYS |= {
    "beyond": (slice(0, 99), slice(-99, 2)),
    "last": (slice(None), ..., -1, None),
    "backwards": (slice(2, 1),),
}
for tag, key in KEYS.items():
    add("getitem", rand(2, 3, 4), key, tag=tag)
add("getitem", i64([[1, 2], [3, 4]]), (slice(None), 1), tag="int64")
add("getitem", rand(1).reshape(()), (None,), tag="0d")
for dtype in (np.int64, np.int32):
    kind = np.dtype(dtype).name
    add("take", rand(3, 4, 2), np.array([3, 0, 3, 1], dtype), tag=kind, axis=1)
    add("take", rand(3, 4), np.array([[2, 0], [1, 1], [2, 2]], dtype), tag=f"2d-{kind}", axis=0)
    add("take", rand(3, 4), np.array(2, dtype), tag=f"0d-{kind}", axis=-1)
    add("take", rand(3, 4), np.zeros((0,), dtype), tag=f"empty-{kind}", axis=-1)
    add("take_along_axis", rand(3, 4, 2), np.array([[[3, 0], [0, 0]]] * 3, dtype), tag=kind, axis=1)
    add("take_along_axis", rand(2, 3), np.array([[2, 2, 0], [1, 0, 0]], dtype), tag=f"default-{kind}")
    add("take_along_axis", rand(2, 3), np.array([[2]], dtype), tag=f"broadcast-{kind}", axis=1)
    add(
        "take_along_axis",
        rand(1, 4, 3),
        np.array([[[1], [0]], [[3], [1]]], dtype),
        tag=f"both-{kind}",
        axis=1,
    )
add("take", i64([5, 6, 7]), i64([2, 2]), tag="of-int", axis=0)
add("take_along_axis", i64([[5, 6, 7]]), i64([[2, 2]]), tag="of-int", axis=1)
add("take_along_axis", rand(2, 3), np.zeros((2, 0), np.int64), tag="empty", axis=1)

# ---------------------------------------------------------------------- the rest
for tag, a, b in [
    ("mm", (2, 3), (3, 4)), ("vv", (3,), (3,)), ("mv", (2, 3), (3,)), ("vm", (3,), (3, 4)), ("bmm", (5, 2, 3), (5, 3, 4)),
    ("batch", (5, 1, 2, 3), (4, 3, 2)), ("bmv", (4, 2, 3), (3,)), ("vbm", (3,), (4, 3, 2)), ("inner-0", (2, 0), (0, 3)),
    ("rows-0", (0, 2), (2, 3)), ("b-m", (2, 3), (4, 3, 2)),
]:  # fmt: skip
    add("matmul", rand(*a), rand(*b), tag=tag)
    if tag in ("mm", "vv", "batch"):
        ints = [_RNG.integers(-4, 5, shape) for shape in (a, b)]
        add("matmul", *ints, tag=f"{tag}-int64", numpy=True, oracle=np.matmul)
        add("matmul", *[x.astype(np.int32) for x in ints], tag=f"{tag}-int32", numpy=True, oracle=np.matmul)
for dtype in ["float32", "float16", "float64"]:
    add("astype", rand(2, 3), dtype, tag=f"float-{dtype}", grad=dtype != "float16", oracle=None)
    add("astype", i64([[1, -2]]), dtype, tag=f"int-{dtype}", numpy=True, oracle=lambda x, d: x.astype(d))
    add(
        "astype",
        np.array([True, False]),
        dtype,
        tag=f"bool-{dtype}",
        numpy=True,
        oracle=lambda x, d: x.astype(d),
    )
for dtype in ["int32", "int64", "int8"]:
    add("astype", f(1.7, -1.7, 0.5, -0.5, 3.0), dtype, tag=f"truncate-{dtype}")
    add("astype", i64([5, -6]), dtype, tag=f"int-{dtype}")
add("astype", f(0.0, 0.5, -2.0, nan), "bool", tag="float-bool")
add("astype", i64([0, 3]), "bool", tag="int-bool")
add("stop_gradient", rand(2, 3))
