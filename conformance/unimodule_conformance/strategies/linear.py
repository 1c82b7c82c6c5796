"""Linear layers, embeddings, layers that only reshape, and modules that hold others."""

from __future__ import annotations

import math

from ..specs import Array, Fn, In, Node
from .arrays import EDGES, Shape
from .drawing import (
    Drawer,
    add,
    any_shape,
    function,
    link,
    some_features,
    some_shape,
    subject,
    with_features,
)

# ---------------------------------------------------------------------- linear


def _linear(d: Drawer, shape: Shape) -> Node:
    return Node("nn.Linear", (shape[-1], d.integer(1, 4)), d.options(bias=(False,)))


def _some_linear(d: Drawer) -> Shape:
    return d.shape(1, 4, zero=True) if d.seldom() else d.shape(1, 3)


def _lazy_linear(d: Drawer, shape: Shape) -> Node:
    return Node("nn.LazyLinear", (d.integer(1, 4),), d.options(bias=(False,)))


link("nn.Linear", _linear, with_features, _some_linear, modes=False)
link("nn.LazyLinear", _lazy_linear, with_features, some_features, modes=False)


def _constant_linear(d: Drawer, shape: Shape) -> Node:
    width = d.integer(1, 3)
    bias = (d.recipe((width,), "normal"),) if d.flag() else ()
    return function("F.linear", d.recipe((width, shape[-1]), "unit"), *bias)


link("F.linear", _constant_linear, with_features, some_features)


@subject("ops.linear")
def _ops_linear(d: Drawer) -> Node:
    shape, width = d.shape(1, 4), d.integer(1, 4)
    x, weight = d.tensor(shape), d.tensor((width, shape[-1]), "normal", "zeros")
    return Node("ops.linear", (x, weight, *((d.tensor((width,), "normal"),) if d.flag() else ())))


def _bilinear_sizes(d: Drawer) -> tuple[Shape, int, int, int]:
    return d.shape(1, 2), d.integer(1, 4), d.integer(1, 4), d.integer(1, 3)


@subject("nn.Bilinear", modes=False)
def _bilinear(d: Drawer) -> Node:
    lead, first, second, out = _bilinear_sizes(d)
    d.tensor((*lead, first))
    d.tensor((*lead, second))
    return Node("nn.Bilinear", (first, second, out), d.options(bias=(False,)))


@subject("F.bilinear")
def _bilinear_function(d: Drawer) -> Node:
    lead, first, second, out = _bilinear_sizes(d)
    tensors = (d.tensor((*lead, first)), d.tensor((*lead, second)), d.tensor((out, first, second), "normal"))
    return Node("F.bilinear", (*tensors, *((d.tensor((out,), "normal"),) if d.flag() else ())))


# ---------------------------------------------------------------------- embedding
def _table(d: Drawer) -> tuple[int, int, In]:
    """Rows, features, and the indices looked up: sometimes the same ones again and again, sometimes none."""
    rows, features = d.choice(2, 3, 5, 1), d.integer(1, 4)
    shape = d.shape(0, 3, zero=True)
    dtype = d.choice("int64", "int32")
    pool = f"below:{1 if d.seldom() else rows}"
    return rows, features, d.tensor(shape, pool, dtype=dtype)


def _lookup_options(d: Drawer, rows: int) -> dict[str, object]:
    kwargs = d.options(
        padding_idx=(0, -1, rows - 1), max_norm=(0.7,), scale_grad_by_freq=(True,), sparse=(True,)
    )
    if "max_norm" in kwargs:
        kwargs.update(d.options(norm_type=(1.0, 3.0)))
    return kwargs


@subject("nn.Embedding", modes=False)
def _embedding(d: Drawer) -> Node:
    rows, features, _ = _table(d)
    return Node("nn.Embedding", (rows, features), _lookup_options(d, rows))


@subject("F.embedding")
def _embedding_function(d: Drawer) -> Node:
    rows, features, indices = _table(d)
    return Node("F.embedding", (indices, d.tensor((rows, features), "normal")), _lookup_options(d, rows))


@subject("ops.embedding")
def _ops_embedding(d: Drawer) -> Node:
    rows, features, indices = _table(d)
    return Node("ops.embedding", (indices, d.tensor((rows, features), "normal", "special")))


# ---------------------------------------------------------------------- shapes only
def _flatten(d: Drawer, shape: Shape) -> Node:
    start = d.integer(0, len(shape) - 1)
    end = d.integer(start, len(shape) - 1)
    return Node("nn.Flatten", (start, end - len(shape) if d.flag() else end))


link(
    "nn.Flatten",
    _flatten,
    lambda shape: len(shape) >= 1,
    lambda d: d.shape(1, 5, side=3, zero=True),
    modes=False,
)


def factors(d: Drawer, n: int, parts: int) -> Shape:
    """``parts`` sizes whose product is ``n``."""
    found = []
    for _ in range(parts - 1):
        size = d.choice(*(k for k in range(1, n + 1) if n % k == 0))
        found.append(size)
        n //= size
    return (*found, n)


def _unflatten(d: Drawer, shape: Shape) -> Node:
    axis = d.integer(0, len(shape) - 1)
    sizes = list(factors(d, shape[axis], d.integer(1, 3)))
    if d.seldom():
        sizes[d.integer(0, len(sizes) - 1)] = -1
    return Node("nn.Unflatten", (axis - len(shape) if d.flag() else axis, tuple(sizes)))


def _short(shape: Shape) -> bool:
    return 1 <= len(shape) <= 3 and 0 not in shape


link("nn.Unflatten", _unflatten, _short, lambda d: d.shape(1, 3, side=6), modes=False)
link("nn.Identity", lambda d, shape: Node("nn.Identity"), any_shape, some_shape, modes=False)

_PLAIN = ("ops.relu", "ops.tanh", "F.silu", "ops.square", "F.softsign", "ops.sin")


def _function(d: Drawer, shape: Shape) -> Node:
    return Node("nn.Function", (Fn(d.choice(*_PLAIN)),))


link("nn.Function", _function, any_shape, some_shape, modes=False)


# ---------------------------------------------------------------------- modules that hold others
def linear_like(d: Drawer, shape: Shape) -> Node:
    """A small module that keeps the shape."""
    kind = d.integer(0, 2)
    if kind == 0:
        return Node("nn.Linear", (shape[-1], shape[-1]), d.options(bias=(False,)))
    if kind == 1 or shape[-1] == 1:
        return Node(d.choice("nn.Tanh", "nn.Sigmoid", "nn.Identity"))
    return Node("nn.LayerNorm", (shape[-1],))


def _holder(name: str, low: int, high: int) -> None:
    """A module of several children that all keep the shape."""

    def node(d: Drawer, shape: Shape) -> Node:
        return Node(name, (), {}, tuple(linear_like(d, shape) for _ in range(d.integer(low, high))))

    @subject(name.replace("block.", "nn.") if name == "nn.Sequential" else name)
    def alone(d: Drawer) -> Node:
        shape = some_features(d)
        root = node(d, shape)
        d.tensor(shape, *EDGES)
        return root


_holder("nn.Sequential", 0, 3)


@subject("nn.Parallel")
def _parallel(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    widths = [d.integer(1, 3) for _ in range(d.integer(1, 3))]
    axis = d.choice(-1, len(shape) - 1)
    children = tuple(Node("nn.Linear", (shape[-1], n)) for n in widths)
    if d.flag():  # on another axis all sizes but that one are the same
        axis, children = d.axis(len(shape)), tuple(linear_like(d, shape) for _ in widths)
    d.tensor(shape)
    return Node("nn.Parallel", (), {"axis": axis}, children)


def _children(name: str, block: str) -> None:
    @subject(name)
    def alone(d: Drawer) -> Node:
        shape = some_features(d)
        children = tuple(linear_like(d, shape) for _ in range(d.integer(1, 3)))
        d.tensor(shape)
        return Node(block, (), {}, children)


_children("nn.ModuleList", "block.Listed")
_children("nn.ModuleDict", "block.Named")


@subject("nn.repeat", modes=False)
def _repeat(d: Drawer) -> Node:
    shape = some_features(d)
    d.tensor(shape)
    return Node("block.Repeated", (shape[-1], d.integer(0, 3)))


# ---------------------------------------------------------------------- modules with variables of their own
def with_parameter(d: Drawer, shape: Shape) -> Node:
    """scale * x + shift."""
    width = (shape[-1],) if shape else ()
    return Node(
        "block.WithParameter", (Array(width), Array(width if d.flag() else ())), d.options(frozen=(True,))
    )


def with_constant(d: Drawer, shape: Shape) -> Node:
    """A constant added, multiplied, or a matrix."""
    how = d.choice("add", "multiply", "matmul") if shape else d.choice("add", "multiply")
    width = (shape[-1],) if shape else ()
    size = width * 2 if how == "matmul" else d.choice(width, ())
    return Node("block.WithConstant", (d.recipe(size, "normal", "positive"), how))


def with_buffer(d: Drawer, shape: Shape) -> Node:
    """A running mean."""
    return Node("block.WithBuffer", (shape[-1],), d.options(persistent=(False,)))


def mixture(d: Drawer, shape: Shape) -> Node:
    """A list of parameters."""
    return Node("block.Mixture", tuple(Array((shape[-1],)) for _ in range(d.integer(1, 3))))


def _with_size(shape: Shape) -> bool:
    return with_features(shape) and math.prod(shape) > 0


link("nn.Parameter", with_parameter, any_shape, lambda d: d.shape(0, 3), modes=False)
link("nn.Constant", with_constant, any_shape, lambda d: d.shape(0, 3), modes=False)
link("nn.Buffer", with_buffer, _with_size, lambda d: d.shape(1, 3))
link("nn.ParameterList", mixture, with_features, some_features, modes=False)
add("nn.ParameterDict", lambda d: _mixture_alone(d), modes=False)


def _mixture_alone(d: Drawer) -> Node:
    shape = some_features(d)
    d.tensor(shape)
    return mixture(d, shape)
