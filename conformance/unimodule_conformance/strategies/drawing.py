"""How strategies of specs are written: a ``Drawer`` collects the inputs while a function of it makes up a node.

A *subject* is the name that a table covers: ``"nn.Conv2d"``, ``"F.pad"``, ``"ops.where"``, ``"block.Residual"``. For each
there is a function from a drawer to a node, registered with ``subject``; ``NAMES`` then has a strategy of whole specs.

Nodes from one float tensor to one are *links* besides: they say which shapes they take, so that trees are built of them
without trial and error. Their ``node`` is given the shape of their input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from ..specs import Array, In, Node, Plain, Spec
from . import arrays
from .arrays import EDGES, Shape

T = TypeVar("T")

APART = 100_000
"""How far the seeds of two arrays of a case are apart at least."""


class Drawer:
    """Draws, and collects what a spec needs beside its root.

    Attributes:
        inputs: the arrays that the net is called with.
        training: the mode of the net.
        differentiable: as ``Spec`` has it.
        ties: whether an input may hold a number twice, or one at which a piecewise function breaks.
    """

    def __init__(self, draw: st.DrawFn, training: bool = False) -> None:
        self.draw = draw
        self.training = training
        self.inputs: list[Array] = []
        self.differentiable = True
        self.ties = False
        self._drawn = 0

    def part(self, fn: Callable[..., T], *args: Any) -> T:
        """``fn(self, *args)`` as one part of what is drawn, which shrinks as a whole or goes as a whole."""
        return self.draw(_part(self, fn, args))

    def integer(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``; shrinks to ``low``."""
        return low if low >= high else self.draw(st.integers(low, high))

    def flag(self) -> bool:
        """True or False; shrinks to False."""
        return self.draw(st.booleans())

    def seldom(self, of: int = 4) -> bool:
        """True once in ``of`` times; shrinks to False."""
        return self.draw(st.integers(0, of - 1)) == of - 1

    def choice(self, *options: T) -> T:
        """One of them; shrinks to the first."""
        return self.draw(st.sampled_from(options))

    def shape(self, min_rank: int = 0, max_rank: int = 4, side: int = 4, zero: bool = False) -> Shape:
        """See ``arrays.shapes``."""
        return self.draw(arrays.shapes(min_rank, max_rank, side, zero))

    def options(self, **given: Sequence[Any]) -> dict[str, Any]:
        """Keyword arguments, each left out or one of its values."""
        found = {}
        for name, values in given.items():
            index = self.integer(0, len(values))
            if index:
                found[name] = values[index - 1]
        return found

    def axis(self, rank: int) -> int:
        """An axis of a tensor of ``rank``, counted from either end."""
        return self.integer(-rank, rank - 1) if rank else -1

    def axes(self, rank: int, empty: bool = False) -> Plain:
        """What a reduction's ``axis`` may be: None, an axis, or several."""
        kind = self.integer(0, 2) if rank else 0
        if kind == 0:
            return None
        if kind == 1:
            return self.axis(rank)
        order = self.draw(st.permutations(range(rank)))
        chosen = order[: self.integer(0 if empty else 1, rank)]
        return tuple(a - rank if self.seldom() else a for a in chosen)

    def recipe(self, shape: Shape, *fills: str, dtype: str = "float32") -> Array:
        """An array that is an argument: a Constant of a function's module."""
        given = self.draw(arrays.specs_of(shape, fills or EDGES, dtype))
        self._drawn += 1  # no two arrays of a case are the same draw from the same pool
        return (
            given if given.values is not None else replace(given, seed=given.seed + APART * (self._drawn - 1))
        )

    def tensor(self, shape: Shape, *fills: str, dtype: str = "float32") -> In:
        """A new input of the spec."""
        self.inputs.append(self.recipe(shape, *fills, dtype=dtype))
        given = self.inputs[-1]
        self.ties |= given.values is not None or given.fill in TIED
        self.differentiable &= given.values is not None or given.fill not in NOT_FINITE
        return In(len(self.inputs) - 1)


@st.composite
def _part(draw: st.DrawFn, d: Drawer, fn: Callable[..., T], args: tuple[Any, ...]) -> T:
    outer, d.draw = d.draw, draw
    try:
        return fn(d, *args)
    finally:
        d.draw = outer


TIED = frozenset(
    {"ties", "halves", "equal", "zeros", "certain", "ascending", "special", "some_nan", "infinite"}
)
NOT_FINITE = frozenset({"special", "some_nan", "infinite"})

KINKED = frozenset(
    "abs sign floor ceil round trunc floor_divide remainder maximum minimum clip max min argmax argmin sort argsort topk "
    "equal not_equal less less_equal greater greater_equal searchsorted unique_all unique_counts unique_inverse "
    "unique_values relu relu6 leaky_relu leakyrelu prelu rrelu hardtanh hardsigmoid hardswish hardshrink softshrink "
    "threshold max_pool max_pool_with_indices max_pool1d max_pool2d max_pool3d maxpool1d maxpool2d maxpool3d l1_loss l1loss "
    "huber_loss huberloss smooth_l1_loss smoothl1loss astype copysign signbit nextafter normalize hypot".split()
)
"""Subjects that choose or break: at a tie they are judged against the declared choice, which no rounding may turn."""

Draws = Callable[[Drawer], Node]
LinkDraws = Callable[[Drawer, Shape], Node]


@dataclass(frozen=True)
class Link:
    """A subject that takes one float tensor and returns one.

    Attributes:
        node: draws its arguments for an input of a given shape.
        fits: whether it takes an input of a shape.
        some: draws a shape that it takes, for specs of it alone.
        fills: the pools of its input, for specs of it alone.
    """

    name: str
    node: LinkDraws
    fits: Callable[[Shape], bool]
    some: Callable[[Drawer], Shape]
    fills: tuple[str, ...] = EDGES

    def alone(self, d: Drawer) -> Node:
        """A node of it, and its input."""
        shape = self.some(d)
        node = self.node(d, shape)
        d.tensor(shape, *self.fills)
        return node


NAMES: dict[str, st.SearchStrategy[Spec]] = {}
"""A strategy of specs for every subject."""

LINKS: dict[str, Link] = {}
"""The links among them."""


@st.composite
def specs(draw: st.DrawFn, body: Draws, modes: bool = True, dtypes: bool = True) -> Spec:
    """Specs of what ``body`` draws.

    Args:
        body: makes up the root and, through the drawer, the inputs.
        modes: whether there is a difference between training and evaluation.
        dtypes: whether nets of float64 are drawn too.
    """
    d = Drawer(draw, modes and draw(st.booleans()))
    root = body(d)
    dtype = "float64" if dtypes and d.seldom(8) else "float32"
    exact = d.ties and any(node.name.partition(".")[2].lower() in KINKED for node in root.walk())
    return Spec(root, tuple(d.inputs), d.training, dtype, d.integer(0, 999), d.differentiable, exact)


def subject(name: str, *, modes: bool | None = None, dtypes: bool = True) -> Callable[[Draws], Draws]:
    """Register the function that draws specs of ``name``."""

    def register(body: Draws) -> Draws:
        add(name, body, modes=modes, dtypes=dtypes)
        return body

    return register


def add(name: str, body: Draws, *, modes: bool | None = None, dtypes: bool = True) -> None:
    """Register the function that draws specs of ``name``."""
    if name in NAMES:
        raise ValueError(f"there is already a strategy for {name}")
    different = name.startswith(("nn.", "block.")) if modes is None else modes
    NAMES[name] = specs(body, different, dtypes)


def link(
    name: str,
    node: LinkDraws,
    fits: Callable[[Shape], bool],
    some: Callable[[Drawer], Shape],
    fills: tuple[str, ...] = EDGES,
    modes: bool | None = None,
    alone: Draws | None = None,
) -> None:
    """Register a link, and the strategy of specs of it alone; ``alone`` where more is possible than in a tree."""
    LINKS[name] = Link(name, node, fits, some, fills)
    add(name, alone or LINKS[name].alone, modes=modes)


# ---------------------------------------------------------------------- which shapes there are
def any_shape(shape: Shape) -> bool:
    """Every shape will do."""
    return True


def some_shape(d: Drawer) -> Shape:
    """Any shape, from no axes to four; rarely with a size of 0."""
    return d.shape(0, 4, zero=True)


def with_features(shape: Shape) -> bool:
    """A last axis that is not empty."""
    return len(shape) >= 1 and shape[-1] > 0


def some_features(d: Drawer) -> Shape:
    """From one axis to four."""
    return d.shape(1, 4)


def ranks(*allowed: int) -> Callable[[Shape], bool]:
    """As many axes as one of ``allowed``."""
    return lambda shape: len(shape) in allowed


def function(name: str, *args: Plain, **kwargs: Plain) -> Node:
    """A call of a function on the first input."""
    return Node(name, (In(0), *args), kwargs)


__all__ = [
    "LINKS",
    "NAMES",
    "Drawer",
    "Draws",
    "Link",
    "add",
    "any_shape",
    "function",
    "link",
    "ranks",
    "some_features",
    "some_shape",
    "specs",
    "subject",
    "with_features",
]
