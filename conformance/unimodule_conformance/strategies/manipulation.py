"""Functions of ``ops`` and ``nn.functional`` that move, pick and pad elements."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from ..specs import Array, In, Node
from . import arrays
from .arrays import Shape
from .drawing import Drawer, any_shape, function, link, some_features, some_shape, subject
from .linear import factors
from .math import integers

VALUES = ("normal", "special", "ties")


def _x(d: Drawer, shape: Shape) -> In:
    """What is moved: floats, rarely integers."""
    return integers(d, shape) if d.seldom(8) else d.tensor(shape, *VALUES)


# ---------------------------------------------------------------------- shapes
def _reshape(d: Drawer, shape: Shape) -> Node:
    sizes: list[int] = list(factors(d, math.prod(shape), d.integer(1, 3)))
    if d.seldom():
        sizes[d.integer(0, len(sizes) - 1)] = -1
    return function("ops.reshape", sizes[0] if len(sizes) == 1 and d.flag() else tuple(sizes))


link("ops.reshape", _reshape, lambda shape: 0 not in shape, lambda d: d.shape(0, 3), VALUES)


def _flatten(d: Drawer, shape: Shape) -> Node:
    if not shape:
        return function("ops.flatten")
    start = d.integer(0, len(shape) - 1)
    end = d.integer(start, len(shape) - 1)
    return function("ops.flatten", start, end - len(shape) if d.flag() else end)


link("ops.flatten", _flatten, any_shape, some_shape, VALUES)


def _permuted(d: Drawer, rank: int) -> tuple[int, ...]:
    order = d.draw(st.permutations(range(rank)))
    return tuple(a - rank if d.seldom() else a for a in order)


def _some_axes(shape: Shape) -> bool:
    return len(shape) >= 1


link(
    "ops.permute_dims",
    lambda d, shape: function("ops.permute_dims", _permuted(d, len(shape))),
    _some_axes,
    some_features,
    VALUES,
)


def _moveaxis(d: Drawer, shape: Shape) -> Node:
    rank = len(shape)
    if d.flag():
        return function("ops.moveaxis", d.axis(rank), d.axis(rank))
    count = d.integer(1, rank)
    return function("ops.moveaxis", _permuted(d, rank)[:count], _permuted(d, rank)[:count])


link("ops.moveaxis", _moveaxis, _some_axes, some_features, VALUES)
link(
    "ops.swapaxes",
    lambda d, shape: function("ops.swapaxes", d.axis(len(shape)), d.axis(len(shape))),
    _some_axes,
    some_features,
    VALUES,
)
link(
    "ops.matrix_transpose",
    lambda d, shape: function("ops.matrix_transpose"),
    lambda shape: len(shape) >= 2,
    lambda d: d.shape(2, 4),
    VALUES,
)


def _expand(d: Drawer, shape: Shape) -> Node:
    rank = len(shape) + 1
    if d.flag():
        return function("ops.expand_dims", axis=d.integer(-rank, rank - 1))
    return function("ops.expand_dims", axis=d.choice((0, -1), (0, 1), (-1, -2)))


link("ops.expand_dims", _expand, lambda shape: len(shape) <= 3, lambda d: d.shape(0, 3), VALUES)


@subject("ops.squeeze")
def _squeeze(d: Drawer) -> Node:
    shape = list(d.shape(0, 2))
    ones = d.integer(1, 2)
    for _ in range(ones):
        shape.insert(d.integer(0, len(shape)), 1)
    places = [a for a, n in enumerate(shape) if n == 1][: d.integer(1, ones)]
    axis = tuple(a - len(shape) if d.flag() else a for a in places)
    return Node("ops.squeeze", (_x(d, tuple(shape)), axis[0] if len(axis) == 1 and d.flag() else axis))


def _flip(d: Drawer, shape: Shape) -> Node:
    return function("ops.flip", axis=d.axes(len(shape)))


def _roll(d: Drawer, shape: Shape) -> Node:
    if not shape or d.seldom():
        return function("ops.roll", d.integer(-3, 5))
    if d.flag():
        return function("ops.roll", d.integer(-3, 9), axis=d.axis(len(shape)))
    axes = _permuted(d, len(shape))[: d.integer(1, len(shape))]
    return function("ops.roll", tuple(d.integer(-2, 3) for _ in axes), axis=axes)


link("ops.flip", _flip, any_shape, some_shape, VALUES)
link("ops.roll", _roll, lambda shape: 0 not in shape, lambda d: d.shape(0, 3), VALUES)


@subject("ops.broadcast_to")
def _broadcast_to(d: Drawer) -> Node:
    shape = d.shape(0, 3)
    return Node("ops.broadcast_to", (_x(d, d.draw(arrays.broadcast_to(shape))), shape))


@subject("ops.broadcast_arrays")
def _broadcast_arrays(d: Drawer) -> Node:
    shape = d.shape(0, 3)
    tensors = (d.tensor(d.draw(arrays.broadcast_to(shape)), "normal") for _ in range(d.integer(1, 3)))
    return Node("ops.broadcast_arrays", tuple(tensors))


@subject("ops.repeat")
def _repeat(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    x = _x(d, shape)
    if d.seldom(3):
        return Node("ops.repeat", (x, d.integer(0, 3)))
    axis = d.axis(len(shape))
    kind = d.integer(0, 2)
    if kind == 0:
        return Node("ops.repeat", (x, d.integer(1, 3)), {"axis": axis})
    counts = tuple(d.integer(0, 2) for _ in range(shape[axis]))
    if kind == 1:
        return Node("ops.repeat", (x, counts), {"axis": axis})
    return Node("ops.repeat", (x, Array((len(counts),), "int64", values=counts)), {"axis": axis})


@subject("ops.tile")
def _tile(d: Drawer) -> Node:
    times = tuple(d.integer(1, 3) for _ in range(d.integer(0, 3)))
    return Node("ops.tile", (_x(d, d.shape(0, 3, side=3)), times))


def _pad(d: Drawer, shape: Shape) -> Node:
    widths = tuple((d.integer(0, 2), d.integer(0, 2)) for _ in shape)
    return function("ops.pad", widths, **d.options(value=(-1.5, float("-inf"))))


link("ops.pad", _pad, _some_axes, lambda d: d.shape(1, 3, zero=True), ("normal", "special"))


def _pad_pairs(d: Drawer, shape: Shape, mode: str) -> tuple[int, ...]:
    """Pairs for the last axes, some negative, with which every axis keeps a size."""
    count = (
        d.integer(1, len(shape)) if mode == "constant" else max(1, len(shape) - 2) if len(shape) < 5 else 3
    )
    pairs: list[int] = []
    for n in reversed(shape[-count:]):
        most = {"constant": 2, "reflect": n - 1, "circular": n, "replicate": 3}[mode]
        before, after = d.integer(0, min(2, most)), d.integer(0, min(2, most))
        if n > 1 and d.seldom(6):
            before = -1
            if mode == "circular":
                after = min(after, n - 1)
        pairs += [before, after]
    return tuple(pairs)


@subject("F.pad")
def _pad_function(d: Drawer) -> Node:
    mode = d.choice("constant", "reflect", "replicate", "circular")
    shape = d.shape(1, 4) if mode == "constant" else d.shape(2, 5, side=3)
    kwargs: dict[str, Any] = {"mode": mode, **(d.options(value=(2.0, -1.5)) if mode == "constant" else {})}
    return Node("F.pad", (d.tensor(shape, "normal", "special"), _pad_pairs(d, shape, mode)), kwargs)


# ---------------------------------------------------------------------- several tensors
@subject("ops.concat")
def _concat(d: Drawer) -> Node:
    if d.seldom(5):
        return Node(
            "ops.concat", (tuple(_x(d, d.shape(0, 2)) for _ in range(d.integer(1, 3))),), {"axis": None}
        )
    shape = d.shape(1, 3)
    axis = d.axis(len(shape))
    parts = []
    for _ in range(d.integer(1, 3)):
        sizes = list(shape)
        sizes[axis] = d.integer(0, 3)
        parts.append(_x(d, tuple(sizes)))
    return Node("ops.concat", (tuple(parts),), {"axis": axis})


@subject("ops.stack")
def _stack(d: Drawer) -> Node:
    shape = d.shape(0, 2)
    parts = tuple(d.tensor(shape, *VALUES) for _ in range(d.integer(1, 3)))
    return Node("ops.stack", (parts,), {"axis": d.axis(len(shape) + 1)})


@subject("ops.unstack")
def _unstack(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    return Node("ops.unstack", (_x(d, shape),), {"axis": d.axis(len(shape))})


@subject("ops.split")
def _split(d: Drawer) -> Node:
    shape = d.shape(1, 3, side=6)
    axis = d.axis(len(shape))
    n = shape[axis]
    x = _x(d, shape)
    if d.flag():
        return Node("ops.split", (x, d.choice(*(k for k in range(1, n + 1) if n % k == 0))), {"axis": axis})
    first = d.integer(0, n)
    return Node("ops.split", (x, (first, n - first)), {"axis": axis})


def _triangle(name: str) -> None:
    def node(d: Drawer, shape: Shape) -> Node:
        return function(name, k=d.integer(-2, 2))

    link(name, node, lambda shape: len(shape) >= 2, lambda d: d.shape(2, 4), ("normal", "special"))


_triangle("ops.tril")
_triangle("ops.triu")


@subject("ops.meshgrid")
def _meshgrid(d: Drawer) -> Node:
    tensors = tuple(d.tensor((d.integer(1, 3),), "normal") for _ in range(d.integer(1, 3)))
    return Node("ops.meshgrid", tensors, d.options(indexing=("ij", "xy")))


# ---------------------------------------------------------------------- indices
def _indices(d: Drawer, shape: Shape, bound: int) -> Array:
    return d.recipe(shape, f"below:{bound}", dtype=d.choice("int64", "int32"))


@subject("ops.take")
def _take(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    axis = d.axis(len(shape))
    indices = _indices(d, d.shape(0, 2, zero=True), shape[axis])
    kwargs = {} if len(shape) == 1 and d.flag() else {"axis": axis}
    return Node("ops.take", (_x(d, shape), indices), kwargs)


@subject("ops.take_along_axis")
def _take_along(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    axis = d.axis(len(shape))
    sizes = [1 if d.seldom() else n for n in shape]
    sizes[axis] = d.integer(1, 4)
    return Node("ops.take_along_axis", (_x(d, shape), _indices(d, tuple(sizes), shape[axis])), {"axis": axis})


@subject("ops.one_hot", dtypes=False)
def _one_hot(d: Drawer) -> Node:
    d.differentiable = False
    classes = d.integer(1, 4)
    x = d.tensor(d.shape(0, 2, zero=True), f"below:{classes}", dtype=d.choice("int64", "int32"))
    return Node("ops.one_hot", (x, classes), d.options(dtype=("float32", "int32")))


def _index(d: Drawer, n: int) -> Any:
    """An index of an axis of size ``n``: an integer, a slice, or integers."""
    kind = d.integer(0, 3)
    if kind == 0:
        return slice(None)
    if kind == 1:
        return d.integer(-n, n - 1)
    if kind == 2:
        step = d.choice(1, 2, -1)
        start, stop = d.integer(0, n - 1), d.integer(0, n)
        return slice(stop - 1 if stop else None, None, -1) if step < 0 else slice(start, stop, step)
    return _indices(d, (d.integer(1, 3),), n)


@subject("ops.getitem")
def _getitem(d: Drawer) -> Node:
    shape = d.shape(1, 4)
    x = _x(d, shape)
    if d.seldom(8):
        return Node("ops.getitem", (x, d.recipe(shape[: d.integer(1, len(shape))], "seen", dtype="bool")))
    key: list[Any] = [_index(d, n) for n in shape[: d.integer(0, len(shape))]]
    tensors = [i for i, item in enumerate(key) if isinstance(item, Array)]
    for i in tensors[1:]:  # several arrays are paired, and the standard keeps them together
        key[i] = slice(None)
    if len(key) < len(shape) and d.seldom():
        key.append(...)
        key += [slice(None, None, d.choice(1, -1))] if d.flag() and len(key) <= len(shape) else []
    if not tensors and d.seldom():
        key.insert(d.integer(0, len(key)), None)
    return Node("ops.getitem", (x, key[0] if len(key) == 1 else tuple(key)))


# ---------------------------------------------------------------------- copies and casts
@subject("ops.stop_gradient")
def _stop(d: Drawer) -> Node:
    shape = some_features(d)
    d.tensor(shape, "normal")
    stopped = Node("ops.stop_gradient", (In(0),))
    return Node("block.Branch", (d.choice("multiply", "add"),), {}, (Node("nn.Identity"), stopped))


@subject("ops.astype")
def _astype(d: Drawer) -> Node:
    shape = d.shape(0, 3, zero=True)
    kind = d.integer(0, 3)
    if kind == 0:
        return Node("ops.astype", (d.tensor(shape, "normal", "ties"), "float32"))
    d.differentiable = False
    if kind == 1:
        return Node("ops.astype", (integers(d, shape), d.choice("float32", "int32", "bool")))
    if kind == 2:
        return Node("ops.astype", (d.tensor(shape, "bools", dtype="bool"), d.choice("float32", "int32")))
    return Node(
        "ops.astype", (d.tensor(shape, "normal", "ties", "zeros"), d.choice("int32", "bool", "int64"))
    )
