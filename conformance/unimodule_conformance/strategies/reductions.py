"""Reductions, running sums, order and products of ``ops``."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from ..specs import Array, In, Node
from . import arrays
from .arrays import Shape
from .drawing import LINKS, Drawer, Link, function, some_features, subject, with_features
from .math import integers

SELECT = ("apart", "ties", "equal", "zeros")


def _reduced(shape: Shape, axis: Any) -> int:
    """How many elements go into one."""
    if axis is None:
        return math.prod(shape)
    return math.prod(shape[a] for a in ((axis,) if isinstance(axis, int) else axis))


def _reduction(name: str, fills: tuple[str, ...], zero: bool = False, of_integers: bool = True) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        shape = d.shape(0 if d.seldom(5) else 1, 3, zero=zero)
        kwargs: dict[str, Any] = {"axis": d.axes(len(shape)), "keepdims": d.flag()}
        if of_integers and d.seldom(7):
            return Node(f"ops.{name}", (integers(d, shape),), kwargs)
        return Node(f"ops.{name}", (d.tensor(shape, *fills),), kwargs)


_reduction("sum", ("normal", "large", "zeros", "some_nan"), zero=True)
_reduction("mean", ("normal", "large", "zeros", "some_nan"))
_reduction("prod", ("normal", "holes", "holes", "holes", "nonzero"), zero=True)
_reduction("max", (*SELECT, *SELECT[1:], "special"))
_reduction("min", (*SELECT, *SELECT[1:], "special"))


def _spread(name: str) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        shape = d.shape(1, 3)
        shape = shape if math.prod(shape) > 1 else (2, *shape[1:])
        axis = d.axes(len(shape))
        if _reduced(shape, axis) < 2:
            axis = None
        kwargs = {"axis": axis, "keepdims": d.flag(), **d.options(correction=(1, 0.5))}
        fills = ("normal", "apart", "large") + (("equal",) if name == "var" else ())
        return Node(f"ops.{name}", (d.tensor(shape, *fills),), kwargs)


_spread("var")
_spread("std")


def _truth(name: str) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        d.differentiable = False
        shape = d.shape(0, 3, zero=True)
        kwargs = {"axis": d.axes(len(shape)), "keepdims": d.flag()}
        if d.flag():
            return Node(f"ops.{name}", (d.tensor(shape, "bools", dtype="bool"),), kwargs)
        return Node(f"ops.{name}", (d.tensor(shape, "zeros", "normal", "some_nan"),), kwargs)


for _name in ("all", "any", "count_nonzero"):
    _truth(_name)


def _place(name: str) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        d.differentiable = False
        shape = d.shape(1, 3)
        axis = None if d.seldom(3) else d.axis(len(shape))
        kwargs = {"axis": axis, "keepdims": d.flag()}
        if d.seldom(5):
            return Node(f"ops.{name}", (integers(d, shape),), kwargs)
        return Node(f"ops.{name}", (d.tensor(shape, *SELECT, *SELECT[1:], "some_nan"),), kwargs)


_place("argmax")
_place("argmin")


# ---------------------------------------------------------------------- running
def _running(name: str, fills: tuple[str, ...]) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        shape = d.shape(1, 3)
        kwargs: dict[str, Any] = {} if len(shape) == 1 and d.flag() else {"axis": d.axis(len(shape))}
        kwargs.update(d.options(include_initial=(True,)))
        if d.seldom(6):
            return Node(f"ops.{name}", (integers(d, shape),), kwargs)
        return Node(f"ops.{name}", (d.tensor(shape, *fills),), kwargs)


_running("cumulative_sum", ("normal", "large", "zeros"))
_running("cumulative_prod", ("normal", "holes", "zeros", "nonzero"))


def _along(d: Drawer, shape: Shape) -> Node:
    return function(
        d.choice("ops.mean", "ops.sum", "ops.max", "ops.logsumexp"),
        axis=d.axis(len(shape)),
        keepdims=d.flag(),
    )


def _running_sum(d: Drawer, shape: Shape) -> Node:
    return function("ops.cumulative_sum", axis=d.axis(len(shape)))


# For trees alone: each has a strategy of its own above.
LINKS["ops.mean"] = Link("ops.mean", _along, lambda shape: len(shape) >= 2 and 0 not in shape, some_features)
LINKS["ops.cumulative_sum"] = Link("ops.cumulative_sum", _running_sum, with_features, some_features)


@subject("ops.diff")
def _diff(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    axis = d.axis(len(shape))
    kwargs: dict[str, Any] = {"axis": axis, **d.options(n=(2, 3))}
    x = d.tensor(shape, "normal", "ties", "large")
    for name in ("prepend", "append"):
        if d.seldom():
            sizes = list(shape)
            sizes[axis] = d.integer(1, 2)
            kwargs[name] = d.tensor(tuple(sizes), "normal")
    return Node("ops.diff", (x,), kwargs)


# ---------------------------------------------------------------------- order
def _sorted(name: str) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        shape = d.shape(1, 3)
        kwargs = {"axis": d.axis(len(shape)), **d.options(descending=(True,))}
        if d.seldom(5):
            return Node(f"ops.{name}", (integers(d, shape),), kwargs)
        d.differentiable = name == "sort"
        return Node(f"ops.{name}", (d.tensor(shape, *SELECT, "some_nan"),), kwargs)


_sorted("sort")
_sorted("argsort")


@subject("ops.topk")
def _topk(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    axis = d.axis(len(shape))
    kwargs = {"axis": axis, **d.options(largest=(False,))}
    return Node("ops.topk", (d.tensor(shape, *SELECT), d.integer(1, shape[axis])), kwargs)


@subject("ops.searchsorted")
def _searchsorted(d: Drawer) -> Node:
    d.differentiable = False
    n = d.integer(1, 5)
    if d.seldom():
        values = tuple(float(v) for v in d.draw(st.permutations(range(n))))
        order = tuple(sorted(range(n), key=values.__getitem__))
        d.tensor((n,), "normal")
        d.inputs[-1] = Array((n,), values=values)
        d.ties = True
        sorter = Array((n,), "int64", values=order)
        return Node("ops.searchsorted", (In(0), d.tensor(d.shape(0, 2), "ties")), {"sorter": sorter})
    x = d.tensor((n,), "ascending")
    return Node(
        "ops.searchsorted", (x, d.tensor(d.shape(0, 2), "ties", "normal")), d.options(side=("right",))
    )


def _unique(name: str) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        d.differentiable = False
        shape = d.shape(1, 3)
        if d.seldom(3):
            return Node(f"ops.{name}", (integers(d, shape, dtypes=("int32", "int64")),))
        return Node(f"ops.{name}", (d.tensor(shape, "ties", "zeros", "apart", "some_nan"),))


for _name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
    _unique(_name)


@subject("ops.nonzero")
def _nonzero(d: Drawer) -> Node:
    d.differentiable = False
    shape = d.shape(1, 3)
    if d.flag():
        return Node("ops.nonzero", (d.tensor(shape, "bools", dtype="bool"),))
    return Node("ops.nonzero", (d.tensor(shape, "zeros", "some_nan"),))


# ---------------------------------------------------------------------- products
PRODUCT = ("normal", "ties", "zeros", "large")


@subject("ops.matmul")
def _matmul(d: Drawer) -> Node:
    n, k, m = d.integer(1, 4), d.integer(1, 4), d.integer(1, 4)
    kind = d.integer(0, 4)
    lead = d.shape(0, 2, side=3)
    other = d.draw(arrays.broadcast_to(lead))
    left, right = [
        ((n, k), (k, m)),
        ((*lead, n, k), (*other, k, m)),
        ((k,), (k,)),
        ((*lead, n, k), (k,)),
        ((k,), (*lead, k, m)),
    ][kind]
    if d.seldom(8):
        return Node(
            "ops.matmul", (integers(d, left, dtypes=("int32",)), integers(d, right, dtypes=("int32",)))
        )
    return Node("ops.matmul", (d.tensor(left, *PRODUCT), d.tensor(right, *PRODUCT)))


@subject("ops.vecdot")
def _vecdot(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    axis = d.integer(-len(shape), -1)
    return Node("ops.vecdot", (d.tensor(shape, *PRODUCT), d.tensor(shape, *PRODUCT)), {"axis": axis})


@subject("ops.outer")
def _outer(d: Drawer) -> Node:
    return Node("ops.outer", tuple(d.tensor((d.integer(1, 4),), *PRODUCT) for _ in range(2)))


@subject("ops.tensordot")
def _tensordot(d: Drawer) -> Node:
    shared = d.shape(0, 2, side=3)
    left, right = d.shape(0, 2, side=3), d.shape(0, 2, side=3)
    if d.flag() and len(shared) == 2:
        order = d.choice((0, 1), (1, 0))
        first = tuple(len(left) + i for i in order)
        return Node(
            "ops.tensordot",
            (d.tensor((*left, *shared), "normal"), d.tensor((*shared, *right), "normal")),
            {"axes": (first, order)},
        )
    tensors = (d.tensor((*left, *shared), "normal"), d.tensor((*shared, *right), "normal"))
    return Node("ops.tensordot", tensors, {"axes": len(shared)})


EINSUM = (
    "ij,jk->ik",
    "ij,jk",
    "bij,bjk->bik",
    "i,j->ij",
    "i,i->",
    "i,i->i",
    "ii->i",
    "ii",
    "ijk->kj",
    "bqhd,bkhd->bhqk",
    "ij,jk,kl->il",
    "ij,k->i",
    "iij,jk->ik",
    "...ij,...jk->...ik",
    "i...,i...->...",
)


@subject("ops.einsum")
def _einsum(d: Drawer) -> Node:
    subscripts = d.choice(*EINSUM)
    terms = subscripts.partition("->")[0].split(",")
    sizes = {letter: d.integer(1, 3) for letter in sorted(set("".join(terms)) - {"."})}
    dots = d.shape(0, 2, side=3) if "." in subscripts else ()
    tensors = []
    for term in terms:
        front, _, back = term.partition("...")
        middle = dots if "..." in term else ()
        shape = (*(sizes[c] for c in front), *middle, *(sizes[c] for c in back))
        tensors.append(d.tensor(shape, "normal", "ties"))
    return Node("ops.einsum", (subscripts, *tensors))
