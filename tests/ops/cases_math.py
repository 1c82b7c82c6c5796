"""Elementwise functions, reductions, products: what they are in NumPy."""

from __future__ import annotations

import math

import numpy as np

from .harness import Case, case, floats

X = floats(2, 3)
POSITIVE = floats(2, 3, low=0.2, high=3.0)
UNIT = floats(2, 3, low=-0.9, high=0.9)
AWAY = np.array([[-1.7, -0.6, 0.4], [1.3, 2.6, -2.4]])  # no integers, halves or zeros
APART = floats(2, 3, 4, apart=True)
EDGES = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0])
INTS = np.array([[1, 2, 3], [-4, 5, 6]], np.int32)
SMALL = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
MASK = np.array([[True, False, True], [False, False, True]])
erf = np.vectorize(math.erf, otypes=[np.float64])

UNARY: list[Case] = [
    *(case(n, X) for n in "exp expm1 sin cos tanh sinh cosh square negative positive".split()),
    *(
        case(n, AWAY)
        for n in "abs sign floor ceil round trunc reciprocal signbit isnan isinf isfinite".split()
    ),
    *(case(n, POSITIVE) for n in "log log1p log2 log10 sqrt".split()),
    case("tan", UNIT),
    case("rsqrt", POSITIVE, oracle=lambda x: 1 / np.sqrt(x)),
    case("erf", X, oracle=erf),
    case("asin", UNIT, oracle=np.arcsin),
    case("acos", UNIT, oracle=np.arccos),
    case("atan", X, oracle=np.arctan),
    case("asinh", X, oracle=np.arcsinh),
    case("acosh", POSITIVE + 1.1, oracle=np.arccosh),
    case("atanh", UNIT, oracle=np.arctanh),
    *(
        case(n, EDGES, grad=False, tag="edges")
        for n in "exp log log1p sqrt abs sign floor ceil trunc round isnan isinf isfinite tanh reciprocal".split()
    ),
    case("signbit", EDGES[[0, 1, 2, 3, 5, 6]], tag="edges"),
    *(case(n, INTS, tag="int") for n in "abs sign square negative positive isnan isinf isfinite".split()),
    *(case(n, INTS, tag="int", result="int32", oracle=lambda x: x) for n in "floor ceil round trunc".split()),
    case("exp", INTS, tag="int", oracle=lambda x: np.exp(x.astype(np.float64))),
    case("sqrt", MASK, tag="bool", oracle=lambda x: np.sqrt(x.astype(np.float64))),
    case("logical_not", MASK),
    case("bitwise_invert", INTS, oracle=np.invert),
    case("bitwise_invert", MASK, oracle=np.invert, tag="bool"),
]

ROW, OTHER = floats(3, low=0.5, high=1.9), floats(2, 3, low=-1.9, high=1.7)
_ARITHMETIC = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "maximum",
    "minimum",
    "hypot",
    "logaddexp",
    "copysign",
]
_COMPARISON = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
LEFT, RIGHT = np.array([7, -7, 7, -7], np.int32), np.array([2, 2, -2, -2], np.int32)
BITS = np.array([12, -5, 7, 0], np.int32)
SHIFT = np.array([1, 2, 0, 3], np.int32)


def _on_floats(fn):
    return lambda *args: fn(*(np.asarray(a, np.float64) for a in args))


BINARY: list[Case] = [
    *(case(n, X, ROW, tag="broadcast") for n in _ARITHMETIC),
    *(case(n, X, 1.5, tag="scalar") for n in _ARITHMETIC),
    *(case(n, 1.5, X, tag="scalar first") for n in _ARITHMETIC),
    *(case(n, X, 2, tag="int scalar") for n in _ARITHMETIC),
    *(case(n, AWAY, ROW) for n in ["floor_divide", "remainder"]),
    *(case(n, AWAY, 0.7, tag="scalar") for n in ["floor_divide", "remainder"]),
    case("pow", POSITIVE, OTHER, oracle=np.power),
    case("pow", X, 3, oracle=np.power, tag="int scalar"),
    case("pow", 2.0, X, oracle=np.power, tag="scalar first"),
    case("pow", INTS, 2, oracle=np.power, tag="int"),
    case("atan2", X, ROW, oracle=np.arctan2),
    case("nextafter", X, ROW, grad=False, oracle=lambda a, b: a),  # to a tolerance; exactly in test_values
    *(case(n, X, np.where(X > 0, X, ROW)) for n in _COMPARISON),
    *(case(n, EDGES[:, None], EDGES, tag="edges") for n in _COMPARISON),
    *(
        case(n, EDGES[:, None], EDGES, tag="edges", grad=False)
        for n in ["maximum", "minimum", "hypot", "logaddexp"]
    ),
    case("copysign", EDGES[[0, 1, 2, 3, 5, 6]][:, None], EDGES[[0, 1, 2, 3, 5, 6]], grad=False, tag="edges"),
    *(case(n, INTS, 2.5, tag="int and float") for n in [*_COMPARISON, "add", "maximum"]),
    *(
        case(n, INTS, np.int32(2) * np.ones(3, np.int32), tag="int")
        for n in ["add", "subtract", "multiply", "maximum"]
    ),
    case("divide", INTS, INTS, oracle=_on_floats(np.divide), tag="int"),
    *(case(n, LEFT, RIGHT, tag="int signs") for n in ["floor_divide", "remainder"]),
    *(case(n, LEFT, 3, tag="int scalar") for n in ["floor_divide", "remainder"]),
    *(case(n, MASK, MASK[::-1]) for n in ["logical_and", "logical_or", "logical_xor"]),
    *(case(n, BITS, SHIFT, tag="int") for n in ["bitwise_and", "bitwise_or", "bitwise_xor"]),
    *(case(n, BITS, 6, tag="int scalar") for n in ["bitwise_and", "bitwise_or", "bitwise_xor"]),
    *(case(n, MASK, MASK[::-1], tag="bool") for n in ["bitwise_and", "bitwise_or", "bitwise_xor"]),
    case("bitwise_left_shift", BITS, SHIFT, oracle=np.left_shift),
    case("bitwise_right_shift", BITS, SHIFT, oracle=np.right_shift),
    case("clip", X, -0.7, 0.9),
    case("clip", X, None, 0.9, oracle=lambda x, a, b: np.minimum(x, b), tag="above"),
    case("clip", X, -0.5, oracle=lambda x, a: np.maximum(x, a), tag="below"),
    case("clip", X, -ROW, ROW, tag="tensors"),
    case("clip", X, ROW * 0 - 0.5, 0.9, tag="tensor and scalar"),
    case("clip", INTS, 2, 5, tag="int"),
    case("clip", X, 1.0, -1.0, tag="crossed", oracle=lambda x, a, b: x * 0 + b),
    case("clip", EDGES, -0.5, 0.5, tag="edges", grad=False),
]

_AXES = [None, 0, -1, (0, 2), (2, 1), ()]
REDUCTIONS: list[Case] = [
    *(
        case(n, APART, axis=a, keepdims=k, tag=f"{a}-{k}")
        for n in ["sum", "prod", "max", "min", "mean", "var", "std"]
        for a in _AXES
        for k in (False, True)
        if not (n in ("var", "std") and a == ())
    ),
    *(case(n, APART > 0, axis=a, tag=f"{a}") for n in ["all", "any"] for a in _AXES),
    *(case(n, APART, oracle=lambda x, n=n: getattr(np, n)(x != 0), tag="floats") for n in ["all", "any"]),
    *(
        case(n, np.array(3.5), tag="0-d", grad=n != "std")
        for n in ["sum", "prod", "max", "min", "mean", "var"]
    ),
    *(case(n, np.zeros((0, 3)), axis=0, tag="empty") for n in ["sum", "prod"]),
    case("mean", np.zeros((0, 3)), axis=0, tag="empty", oracle=lambda x, axis: np.full(3, np.nan)),
    *(case(n, np.array([1.0, np.nan, 2.0]), grad=False, tag="nan") for n in ["sum", "max", "min", "mean"]),
    *(
        case(
            n,
            x,
            result="int64",
            axis=0,
            tag=x.dtype.name,
            oracle=lambda x, axis, n=n: getattr(np, n)(x.astype(int), axis),
        )
        for n in ["sum", "prod"]
        for x in [MASK, SMALL, SMALL.astype(np.uint8), INTS]
    ),
    case("mean", INTS, axis=1, oracle=lambda x, axis: np.mean(x.astype(np.float64), axis), tag="int"),
    *(case(n, INTS, axis=1, tag="int") for n in ["max", "min"]),
    *(
        case(
            n,
            APART,
            axis=(0, 1),
            correction=c,
            tag=f"correction {c}",
            oracle=lambda x, axis, correction, n=n: getattr(np, n)(x, axis=axis, ddof=correction),
        )
        for n in ["var", "std"]
        for c in (1, 0.5)
    ),
    case("var", np.array([1e4, 1e4 + 1, 1e4 + 2]), grad=False, tag="large mean"),
    case(
        "var",
        np.array([3.0]),
        correction=1,
        grad=False,
        tag="one element",
        oracle=lambda x, correction: np.array(np.nan),
    ),
    case("count_nonzero", np.array([[0.0, 1.0, np.nan], [2.0, 0.0, 0.0]]), axis=1),
    case("count_nonzero", MASK, tag="bool", oracle=lambda x: np.asarray(np.count_nonzero(x))),
    *(
        case(
            f"cumulative_{n}",
            APART,
            axis=a,
            oracle=lambda x, axis, n=n: getattr(np, f"cum{n}")(x, axis),
            tag=f"{a}",
        )
        for n in ["sum", "prod"]
        for a in (0, 1, -1)
    ),
    case("cumulative_sum", POSITIVE[0], oracle=np.cumsum),
    case("cumulative_prod", np.array([2.0, 0.0, 3.0, 0.0, 4.0]), oracle=np.cumprod, tag="zeros"),
    case("prod", np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 4.0]]), axis=1, tag="zeros"),
    case(
        "cumulative_sum",
        X,
        axis=1,
        include_initial=True,
        tag="initial",
        oracle=lambda x, axis, include_initial: np.concatenate([np.zeros((2, 1)), np.cumsum(x, 1)], 1),
    ),
    case(
        "cumulative_prod",
        X,
        axis=0,
        include_initial=True,
        tag="initial",
        oracle=lambda x, axis, include_initial: np.concatenate([np.ones((1, 3)), np.cumprod(x, 0)]),
    ),
    case(
        "cumulative_sum", MASK, axis=1, oracle=lambda x, axis: np.cumsum(x, axis), tag="bool", result="int64"
    ),
    case("diff", APART),
    case("diff", APART, axis=0, tag="axis 0"),
    case("diff", APART, n=2, tag="twice"),
    case("diff", X, prepend=floats(2, 1), append=floats(2, 2), tag="ends"),
    case("diff", INTS, n=5, tag="more than there are"),
]

M, V = floats(3, 4), floats(4)
_PAIRS = [
    (M, floats(4, 2)),
    (V, floats(4, low=-1.0)),
    (M, V),
    (V, floats(4, 2)),
    (floats(2, 1, 3, 4), floats(5, 4, 2)),
]
_EINSUM = [
    ("ij,jk->ik", (M, floats(4, 2))),
    ("ij,jk", (M, floats(4, 2))),
    ("bij,bjk->bik", (floats(2, 3, 4), floats(2, 4, 3))),
    ("i,j->ij", (V, floats(3))),
    ("i,i->i", (V, floats(4, low=-1.0))),
    ("i,i->", (V, floats(4, low=-1.0))),
    ("ii->i", (floats(3, 3),)),
    ("ii", (floats(3, 3),)),
    ("ijk->kj", (floats(2, 3, 4),)),
    ("bqhd,bkhd->bhqk", (floats(2, 3, 2, 4), floats(2, 5, 2, 4))),
    ("...ij,...jk->...ik", (floats(2, 1, 3, 4), floats(5, 4, 2))),
    ("i...,i...->...", (floats(3, 2), floats(3, 2, low=-1.0))),
    ("ij,jk,kl->il", (M, floats(4, 2), floats(2, 3))),
    ("ij,k->i", (M, V)),
    ("iij,jk->ik", (floats(2, 2, 3), floats(3, 2))),
]
PRODUCTS: list[Case] = [
    *(case("matmul", a, b, tag=f"{a.shape} {b.shape}") for a, b in _PAIRS),
    case("matmul", INTS, INTS.T, tag="int"),
    case("matmul", np.zeros((2, 0)), np.zeros((0, 3)), tag="empty"),
    case("matrix_transpose", APART, oracle=lambda x: np.swapaxes(x, -1, -2)),
    case("vecdot", floats(2, 3, 4), floats(3, 4), oracle=lambda a, b: (a * b).sum(-1)),
    case(
        "vecdot",
        floats(2, 3, 4),
        floats(2, 3, 1),
        axis=-2,
        oracle=lambda a, b, axis: (a * b).sum(-2),
        tag="axis",
    ),
    case("vecdot", INTS, INTS, oracle=lambda a, b: (a * b).sum(-1, dtype=a.dtype), tag="int"),
    case("outer", V, floats(3)),
    case("tensordot", floats(2, 3, 4), floats(3, 4, 2)),
    case("tensordot", M, floats(4, 2), axes=1, tag="1"),
    case("tensordot", V, floats(2), axes=0, tag="0"),
    case("tensordot", floats(2, 3, 4), floats(4, 2, 3), axes=((2, 0), (0, 1)), tag="pairs"),
    *(case("einsum", s, *xs, tag=s) for s, xs in _EINSUM),
]
CASES = UNARY + BINARY + REDUCTIONS + PRODUCTS
