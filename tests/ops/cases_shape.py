"""Ops that move and pick elements, and order: what they are in NumPy."""

from __future__ import annotations

import numpy as np

from .harness import Case, case, floats

X = floats(2, 3, 4, apart=True)
Y = floats(2, 3)
INTS = np.array([[5, 2, 9], [2, 7, 1]], np.int32)
MASK = np.array([[True, False, True], [False, False, True]])
TIES = np.array([[2.0, 1.0, 2.0, 1.0], [0.0, 0.0, -1.0, 3.0]])
NANS = np.array([1.0, np.nan, -1.0, 3.0, np.nan])
I64 = np.int64


def _transposed(x, axes):
    return np.transpose(x, axes)


MANIPULATION: list[Case] = [
    case("reshape", X, (4, 6)),
    case("reshape", X, (3, -1), tag="-1"),
    case("reshape", X, 24, tag="int"),
    case("reshape", np.zeros((0, 3)), (3, 0), tag="empty"),
    case("reshape", np.array(1.5), (1, 1), tag="0-d"),
    case("reshape", X, (4, 6), copy=True, tag="copy", oracle=lambda x, s, copy: x.reshape(s)),
    case("flatten", X, oracle=lambda x: x.reshape(-1)),
    case("flatten", X, 1, oracle=lambda x, a: x.reshape(2, 12), tag="from"),
    case("flatten", X, 0, 1, oracle=lambda x, a, b: x.reshape(6, 4), tag="to"),
    case("flatten", np.array(1.5), oracle=lambda x: x.reshape(1), tag="0-d"),
    case("permute_dims", X, (2, 0, 1), oracle=_transposed),
    case("permute_dims", X, (-1, 0, 1), oracle=_transposed, tag="negative"),
    case("moveaxis", X, 0, -1),
    case("moveaxis", X, (0, 1), (-1, 0), tag="two"),
    case("swapaxes", X, 0, -1),
    case("expand_dims", X, axis=1),
    case("expand_dims", X, axis=-1, tag="last"),
    case("expand_dims", X, axis=(0, -1), tag="two"),
    case("squeeze", X[:1, :, None], 0),
    case("squeeze", X[:1, :, None], (0, 2), tag="two"),
    case("flip", X),
    case("flip", X, axis=1, tag="1"),
    case("flip", X, axis=(0, -1), tag="two"),
    case("roll", X, 5),
    case("roll", X, -1, axis=2, tag="back"),
    case("roll", X, (1, 2), axis=(0, 1), tag="two"),
    case("roll", X, 9, axis=1, tag="far"),
    case("broadcast_to", Y, (4, 2, 3)),
    case("broadcast_to", Y[:, :1], (2, 5), tag="stretch"),
    case("broadcast_arrays", Y, floats(3), np.array(2.0)),
    case("broadcast_arrays", Y[:, :1], floats(1, 4), tag="both"),
    case("repeat", Y, 2),
    case("repeat", Y, 3, axis=1, tag="axis"),
    case("repeat", Y, (2, 0, 1), axis=1, tag="counts"),
    case("repeat", Y, np.array([1, 2]), axis=0, tag="counts in a tensor"),
    case("tile", Y, (2, 3)),
    case("tile", Y, (2, 1, 2), tag="more"),
    case("tile", X, (2,), tag="fewer"),
    case("pad", Y, ((1, 0), (0, 2))),
    case(
        "pad",
        Y,
        ((1, 1), (0, 2)),
        value=-1.5,
        tag="value",
        oracle=lambda x, w, value: np.pad(x, w, constant_values=value),
    ),
    case(
        "pad",
        INTS,
        ((1, 1), (0, 2)),
        value=7,
        tag="int",
        oracle=lambda x, w, value: np.pad(x, w, constant_values=value),
    ),
    case("concat", [Y, floats(1, 3), Y], oracle=lambda xs: np.concatenate(xs)),
    case("concat", [Y, floats(2, 2)], axis=-1, oracle=np.concatenate, tag="last"),
    case("concat", [Y, floats(2)], axis=None, oracle=np.concatenate, tag="flat"),
    case("concat", [INTS, Y], oracle=np.concatenate, tag="promoted"),
    case("stack", [Y, Y * 2, Y + 1]),
    case("stack", [Y, Y * 2], axis=-1, tag="last"),
    case("unstack", X, oracle=lambda x: tuple(x)),
    case("unstack", X, axis=1, oracle=lambda x, axis: tuple(np.moveaxis(x, 1, 0)), tag="1"),
    case("split", X, 2, axis=2),
    case("split", X, (1, 3), axis=2, oracle=lambda x, n, axis: (x[..., :1], x[..., 1:]), tag="sizes"),
    case("split", X, 2, tag="first"),
    case("tril", X),
    case("tril", X, k=1, tag="k"),
    case("triu", X, k=-1, tag="k"),
    case("triu", INTS, tag="int"),
    case("meshgrid", floats(3), floats(2)),
    case("meshgrid", floats(3), floats(2), floats(1), indexing="ij", tag="ij"),
]

_KEYS = {
    "integer": 1,
    "negative": -1,
    "slice": slice(1, None),
    "two": (0, slice(None, 2)),
    "step": (slice(None), slice(None, None, 2)),
    "backwards": (slice(None), slice(None, None, -1), slice(3, 0, -2)),
    "nothing": slice(2, 1),
    "new": (None, slice(None), None, 0),
    "ellipsis": (..., 0),
    "ellipsis between": (0, ..., slice(1, 3)),
    "all": ...,
    "everything": (1, 2, 3),
    "array": np.array([1, 0, 1]),
    "negative array": (slice(None), np.array([-1, 0])),
    "two arrays": (np.array([0, 1]), np.array([2, 0])),
    "arrays that broadcast": (np.array([[0], [1]]), slice(None), np.array([3, 0])),
    "array and integer": (slice(None), 1, np.array([3, 0])),
    "array between": (slice(None), np.array([[2, 0]]), slice(1, None)),
    "list": [1, 1],
    "mask": X > 0,
    "mask of the first axis": np.array([False, True]),
    "mask and slice": (slice(None), np.array([True, False, True]), slice(None, None, -1)),
}
INDEXING: list[Case] = [
    *(case("getitem", X, key, oracle=lambda x, k: x[k], tag=tag) for tag, key in _KEYS.items()),
    *(
        case("getitem", x, key, oracle=lambda x, k: x[k], tag=f"nothing of {x.shape} by {key}")
        for x, key in [
            (Y, slice(2, 2)),
            (Y, (slice(None), slice(0, 0))),
            (Y[0], slice(1, 1)),
            (Y[:1, :1], slice(0, 0)),
        ]
    ),
    case("take", X, np.array([2, 0, 2]), axis=1),
    case("take", X, np.array([[1, 1], [0, 1]]), axis=0, tag="matrix"),
    case("take", X, np.array(3), axis=-1, tag="0-d"),
    case("take", Y[0], np.array([2, 2]), tag="vector"),
    case("take", Y, np.zeros(0, I64), axis=0, tag="empty"),
    case("take_along_axis", Y, np.array([[0, 0, 1]]), axis=0),
    case("take_along_axis", Y, np.array([[2, 0], [1, 1]]), axis=1, tag="repeats"),
    case("take_along_axis", Y, np.array([[2, 0]]), axis=1, tag="broadcast"),
    case("where", MASK, Y, floats(2, 3, low=-1.0)),
    case("where", MASK[:, :1], Y, floats(3), tag="broadcast"),
    case("where", MASK, Y, 0.5, tag="scalar"),
    case("where", MASK, 0, Y, tag="int scalar first"),
    case("where", MASK, INTS, 0, tag="int"),
    case("where", MASK, INTS, Y, tag="promoted"),
]


def _argsort(x, axis=-1, descending=False):
    if not descending:
        return np.argsort(x, axis, kind="stable")
    return np.argsort(
        np.where(np.isnan(x), -np.inf, -x), axis, kind="stable"
    )  # NaN, the largest, comes first


def _sort(x, axis=-1, descending=False):
    return np.take_along_axis(x, _argsort(x, axis, descending), axis)


def _topk(x, k, axis=-1, largest=True):
    places = np.take(_argsort(x, axis, largest), range(k), axis)
    return np.take_along_axis(x, places, axis), places


def _unique(x, which=(0, 1, 2, 3)):
    found = np.unique(x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False)
    found = (*found[:2], found[2].reshape(x.shape), found[3])
    return tuple(found[i] for i in which)


ORDER: list[Case] = [
    *(
        case("argsort", x, axis=a, descending=d, oracle=_argsort, tag=f"{i} {a} {d}")
        for i, x in enumerate([X, TIES, NANS])
        for a in (-1, 0)
        for d in (False, True)
    ),
    *(
        case("sort", x, axis=a, descending=d, oracle=_sort, tag=f"{i} {a} {d}", grad=i == 0)
        for i, x in enumerate([X, TIES, NANS])
        for a in (-1, 0)
        for d in (False, True)
    ),
    case("sort", INTS, tag="int"),
    case("argsort", INTS, tag="int", descending=True, oracle=_argsort),
    case("topk", X, 2, oracle=_topk),
    case("topk", X, 2, axis=1, largest=False, oracle=_topk, tag="smallest"),
    case("topk", TIES, 3, oracle=_topk, tag="ties", grad=False),
    *(
        case(
            n,
            x,
            axis=a,
            keepdims=k,
            tag=f"{i} {a} {k}",
            oracle=lambda x, axis, keepdims, n=n: np.asarray(getattr(np, n)(x, axis, keepdims=keepdims)),
        )
        for n in ["argmax", "argmin"]
        for i, x in enumerate([X, TIES, INTS])
        for a in (None, 0, -1)
        for k in (False, True)
    ),
    *(
        case(n, NANS, tag="nan", oracle=lambda x, n=n: np.asarray(getattr(np, n)(x)))
        for n in ["argmax", "argmin"]
    ),
    case("nonzero", np.array([[0.0, 1.0], [np.nan, 0.0]])),
    case("nonzero", INTS > 4, tag="bool"),
    case("searchsorted", np.array([1.0, 2.0, 2.0, 5.0]), np.array([[2.0, 0.0], [9.0, 5.0]])),
    case("searchsorted", np.array([1.0, 2.0, 2.0, 5.0]), np.array([2.0, 5.0]), side="right", tag="right"),
    case(
        "searchsorted", np.array([5.0, 1.0, 2.0]), np.array([1.5]), sorter=np.array([1, 2, 0]), tag="sorter"
    ),
    case("unique_all", TIES, oracle=_unique, grad=False),
    case("unique_all", NANS, oracle=_unique, grad=False, tag="nan"),
    case("unique_all", INTS, oracle=_unique, tag="int"),
    case("unique_counts", TIES, oracle=lambda x: _unique(x, (0, 3)), grad=False),
    case("unique_inverse", TIES, oracle=lambda x: _unique(x, (0, 2)), grad=False),
    case("unique_values", TIES, oracle=lambda x: _unique(x, (0,)), grad=False),
    case("one_hot", np.array([[1, 0], [2, 2]]), 4, oracle=lambda x, n: np.eye(n, dtype=I64)[x]),
    case(
        "one_hot", np.array([1, 0]), 2, dtype="float32", tag="float", oracle=lambda x, n, dtype: np.eye(n)[x]
    ),
    case("full_like", Y, 2.5),
    case("full_like", INTS, 3, tag="int"),
    case("zeros_like", Y),
    case("ones_like", INTS),
    case("empty_like", INTS, oracle=lambda x: np.zeros_like(x)),
    case("stop_gradient", Y, oracle=lambda x: x, grad=False),
    case("astype", Y, "int32", oracle=lambda x, d: x.astype(d)),
    case("astype", INTS, "float32", oracle=lambda x, d: x.astype(float), tag="to float"),
    case("astype", Y, "bool", oracle=lambda x, d: x.astype(d), tag="bool"),
    case("astype", MASK, "int32", oracle=lambda x, d: x.astype(d), tag="from bool"),
    case("to_device", Y, "cpu", oracle=lambda x, d: x),
]
CASES = MANIPULATION + INDEXING + ORDER
