"""Whole models: trees of modules, drawn from the input on, each node for the shape that it is given.

Nothing is drawn that does not fit, so nothing is thrown away; and every list of children may be shortened, and every tree
replaced by a simpler one, so that a failure shrinks to the few nodes that it needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import strategies as st

from ..specs import Node, Spec
from .arrays import Shape
from .drawing import LINKS, Drawer, LinkDraws, specs
from .families import FAMILIES as _FILLED
from .linear import mixture, with_buffer, with_constant, with_parameter
from .sequence import encoder_layer, self_attention, sequence
from .shapes import after

INPUTS = ("normal", "positive", "zeros", "small", "saturated")
LARGEST = 800
"""No output is to have more elements."""

DEEPEST = 2
"""How deep Sequentials may be in one another."""

Wrap = Callable[[Drawer, Shape, tuple[Node, ...]], Node]

WRITES = frozenset(
    name for name in LINKS if "BatchNorm" in name or "InstanceNorm" in name or name == "nn.Buffer"
)
"""What changes buffers in forward: not for loops of ``ops``, whose bodies run as often as the backend likes."""


def _family(*parts: str) -> tuple[str, ...]:
    return tuple(name for name in LINKS if name.startswith(parts))


_SPATIAL = _family("nn.Conv", "nn.LazyConv", "nn.MaxPool", "nn.AvgPool", "nn.Adaptive")
_NORMS = _family("nn.Batch", "nn.Instance", "nn.LazyBatch", "nn.LazyInstance", "nn.LayerNorm", "nn.GroupNorm")
_SHAPES = (
    "nn.Flatten",
    "nn.Unflatten",
    *_family("ops.reshape", "ops.flatten", "ops.permute", "ops.move", "ops.swap"),
)
_MOVES = (*_family("ops.matrix_tr", "ops.expand", "ops.flip", "ops.roll", "ops.pad", "ops.tri"), "ops.mean")
_RECURRENT = ("nn.LSTM", "nn.GRU", "nn.RNN")
_LINEAR = ("nn.Linear", "nn.LazyLinear", "F.linear")
_DROPOUT = _family("nn.Dropout")
_OTHERS = frozenset({*_SPATIAL, *_NORMS, *_SHAPES, *_MOVES, *_RECURRENT, *_LINEAR, *_DROPOUT, "ops.square"})
_VARIABLES = ("nn.Parameter", "nn.Constant", "nn.Buffer", "nn.ParameterList")
_ELEMENTWISE = tuple(name for name in LINKS if name not in _OTHERS and name not in _VARIABLES)

assert _FILLED  # the tables are full from here on
LEAVES: tuple[tuple[str, ...], ...] = (
    ("nn.Tanh", "nn.ReLU", "nn.Sigmoid", "nn.GELU"),
    _LINEAR,
    _ELEMENTWISE,
    _SPATIAL,
    _NORMS,
    _SHAPES,
    _MOVES,
    _VARIABLES,
    _RECURRENT,
    _DROPOUT,
)


# ---------------------------------------------------------------------- single layers
def _leaf(d: Drawer, shape: Shape, pure: bool = False) -> Node:
    """A layer or function that takes ``shape``."""
    names = d.choice(*LEAVES)
    fitting = [name for name in names if LINKS[name].fits(shape) and not (pure and name in WRITES)]
    if not fitting:
        fitting = list(_LINEAR if shape and shape[-1] else LEAVES[0])
    return LINKS[d.choice(*fitting)].node(d, shape)


_KEEPING = ("nn.Tanh", "nn.ReLU", "nn.Sigmoid", "nn.SiLU", "nn.Softmax", "ops.sin", "F.elu", "nn.Identity")


def _same_conv(d: Drawer, shape: Shape) -> Node:
    rank = len(shape) - 2
    kernel = tuple(d.integer(1, 3) for _ in range(rank))
    return Node(f"nn.Conv{rank}d", (shape[1], shape[1], kernel), {"padding": "same"})


def keeper(d: Drawer, shape: Shape, pure: bool = False) -> Node:
    """A layer that takes ``shape`` and returns it."""
    kind = d.integer(0, 5)
    if kind == 1 and shape:
        return Node("nn.Linear", (shape[-1], shape[-1]), d.options(bias=(False,)))
    if kind == 2:
        fitting = [name for name in _NORMS if LINKS[name].fits(shape) and not (pure and name in WRITES)]
        if fitting:
            return LINKS[d.choice(*fitting)].node(d, shape)
    if kind == 3 and shape:
        makers: tuple[LinkDraws, ...] = (
            with_parameter,
            with_constant,
            mixture,
            *(() if pure else (with_buffer,)),
        )
        return d.choice(*makers)(d, shape)
    if kind == 4 and 3 <= len(shape) <= 5:
        return _same_conv(d, shape)
    if kind == 5 and sequence(shape):
        attending: tuple[LinkDraws, ...] = (self_attention, encoder_layer)
        return d.choice(*attending[: 1 if shape[-1] == 1 else 2])(d, shape)
    name = d.choice(*_KEEPING)
    return LINKS[name].node(d, shape) if LINKS[name].fits(shape) else Node("nn.Tanh")


def keepers(d: Drawer, shape: Shape, pure: bool = False) -> tuple[Node, ...]:
    """One such layer, or a few one after the other."""
    more = d.integer(1, 2) if d.seldom(3) else 0
    return tuple(d.part(keeper, shape, pure) for _ in range(1 + more))


def joined(nodes: tuple[Node, ...]) -> Node:
    """One module of several."""
    return nodes[0] if len(nodes) == 1 else Node("nn.Sequential", (), {}, nodes)


# ---------------------------------------------------------------------- modules that hold others
# What a module holds is drawn before what holds it, and "nothing holds it" stands first among the choices: a failure that
# does not need the holder shrinks to what it held.
def _plain(name: str) -> Wrap:
    return lambda d, shape, body: Node(name, (), {}, (joined(body),))


def _beside(name: str, *args: str) -> Wrap:
    """Two modules: the one given, and another."""

    def wrap(d: Drawer, shape: Shape, body: tuple[Node, ...]) -> Node:
        other = keepers(d, shape, pure=name in PURE)
        how = (d.choice(*args),) if args else ()
        return Node(name, how, {}, (joined(body), joined(other)))

    return wrap


def _shared(d: Drawer, shape: Shape, body: tuple[Node, ...]) -> Node:
    return Node("block.Shared", (d.integer(2, 3),), {}, (joined(body),))


def _fori(d: Drawer, shape: Shape, body: tuple[Node, ...]) -> Node:
    return Node("block.Fori", (d.integer(0, 1), d.integer(1, 3)), {}, (joined(body),))


def _halved(d: Drawer, shape: Shape, body: tuple[Node, ...]) -> Node:
    return Node("nn.Sequential", (), {}, (*body, Node("block.WhileNorm")))


def _all(name: str) -> Wrap:
    return lambda d, shape, body: Node(name, (), {}, body)


PURE = frozenset({"block.Cond", "block.While", "block.Fori"})
WRAPS: tuple[Wrap, ...] = (
    _plain("block.Residual"),
    _beside("block.Branch", "add", "multiply", "subtract"),
    _shared,
    _all("nn.Sequential"),
    _all("block.Listed"),
    _all("block.Named"),
)
FLOW: tuple[Wrap, ...] = (
    _beside("block.Cond"),
    _plain("block.While"),
    _fori,
    _halved,
    _beside("block.IfPositive"),
)


def _held(d: Drawer, shape: Shape, wraps: tuple[Wrap, ...], pure: bool) -> tuple[Node, ...]:
    body = keepers(d, shape, pure)
    which = d.integer(0, len(wraps))
    return (wraps[which - 1](d, shape, body),) if which else body


# ---------------------------------------------------------------------- modules of their own
def _tied(d: Drawer, shape: Shape) -> Node:
    n = shape[-1]
    return Node(
        "block.Tied", (), {}, tuple(Node("nn.Linear", (n, n), d.options(bias=(False,))) for _ in range(2))
    )


def _parallel(d: Drawer, shape: Shape) -> Node:
    children = tuple(Node("nn.Linear", (shape[-1], d.integer(1, 3))) for _ in range(d.integer(1, 3)))
    return Node("nn.Parallel", (), {"axis": d.choice(-1, len(shape) - 1)}, children)


def _expression(d: Drawer, shape: Shape) -> Node:
    kinds = ["affine", "ratio", "power", "reverse", "gate", "product", "newaxis"]
    if len(shape) > 1:
        kinds += ["index", "last"] + (["slice"] if shape[-1] > 1 else [])
    return Node("block.Expression", (d.choice(*kinds),))


def _repeated(d: Drawer, shape: Shape) -> Node:
    return Node("block.Repeated", (shape[-1], d.integer(1, 3)))


def _map(d: Drawer, shape: Shape) -> Node:
    if len(shape) < 2:
        return _expression(d, shape)
    return Node("block.Map", (), {}, (joined(keepers(d, shape[1:], pure=True)),))


def _scan(d: Drawer, shape: Shape) -> Node:
    if len(shape) < 2:
        return _expression(d, shape)
    made = Node("block.Scan", (), d.options(reverse=(True,)), (joined(keepers(d, shape[1:], pure=True)),))
    return Node("block.Pick", (d.choice(0, 1),), {}, (made,))


MODULES: tuple[Callable[[Drawer, Shape], Node], ...] = (_expression, _tied, _parallel, _repeated, _map, _scan)


def step(d: Drawer, shape: Shape, depth: int) -> tuple[Node, ...]:
    """A layer, a module that holds others, or a few of them."""
    kind = d.integer(0, 15)
    if kind < 9 or not shape or 0 in shape:
        return (_leaf(d, shape),)
    if kind < 12:
        return _held(d, shape, WRAPS, pure=False)
    if kind < 14:
        return (d.choice(*MODULES)(d, shape),)
    if kind == 14 and depth < DEEPEST:
        inner, _ = chain(d, shape, depth + 1)
        return (Node("nn.Sequential", (), {}, inner),)
    return _held(d, shape, FLOW, pure=True)


def _next(d: Drawer, shape: Shape, depth: int, place: int, longest: int) -> tuple[Node, ...]:
    """The next step of a chain, or nothing where it ends. Whether it goes on is drawn even where there is no choice: then
    any step can be dropped without a draw too few for the rest.
    """
    on = d.integer(0, 5)
    return step(d, shape, depth) if (on or place == 0) and place < longest else ()


def chain(d: Drawer, shape: Shape, depth: int = 0, longest: int = 5) -> tuple[tuple[Node, ...], Shape]:
    """Modules one after the other, and the shape of their output."""
    children: list[Node] = []
    while nodes := d.part(_next, shape, depth, len(children), longest):
        for node in nodes:
            reached = after(node, shape)
            if math.prod(reached) > LARGEST or len(reached) > 5:
                node, reached = Node("nn.Tanh"), shape
            children.append(node)
            shape = reached
    return tuple(children), shape


# ---------------------------------------------------------------------- models
def _some_input(d: Drawer) -> Shape:
    """Features, sequences or images: a batch of 1 and axes of size 1 among them."""
    rank = d.choice(2, 3, 4, 1, 5)
    return tuple(d.integer(1, 4 if rank < 5 else 3) for _ in range(rank))


def model(d: Drawer) -> Node:
    """A whole model."""
    shape = _some_input(d)
    given = d.tensor(shape, *INPUTS)
    nodes, _ = chain(d, shape)
    if d.seldom(8):  # what it is given comes out of a table
        rows = d.integer(1, 5)
        d.inputs[given.index] = d.recipe(shape[:-1], f"below:{rows}", dtype="int64")
        nodes = (Node("nn.Embedding", (rows, shape[-1]), d.options(padding_idx=(0, -1))), *nodes)
    if d.seldom(10):
        return Node("block.Outputs", (), {}, (joined(nodes), nodes[0]))
    return joined(nodes)


def models() -> st.SearchStrategy[Spec]:
    """Specs of whole models: trees of modules.

    Example:
        >>> from hypothesis import given, settings
        >>> from unimodule_conformance import building, strategies
        >>> @settings(max_examples=5, deadline=None)
        ... @given(strategies.models())
        ... def test_of_yours(spec):
        ...     net = building.build(spec).to("numpy")
        ...     net(*building.arrays(spec))
        >>> test_of_yours()
    """
    return specs(model)


__all__ = ["chain", "keeper", "model", "models"]
