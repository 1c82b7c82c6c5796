"""Graphs under construction, and the values that pass between them."""

from __future__ import annotations

from typing import Any

from unimodule.errors import CompileError

from . import symbols
from .symbols import Kind, Symbol


class Value:
    """One array of a recorded function: the output of a node, or what a slot holds when the function runs.

    Attributes:
        kind: its shape and dtype.
        ctx: its device.
        slot: its place among the arrays of a running function; None while only its own graph uses it.
        graph: the graph whose node computes it; None for what is in its slot before any graph runs.
        symbol: that node's output.
        quick: the same in the quick form of the graph, which may be the same node.
        in_blocks: whether oneDNN has its channels in blocks: what comes straight from a convolution.
    """

    __slots__ = ("ctx", "graph", "in_blocks", "kind", "quick", "slot", "symbol")

    def __init__(
        self,
        kind: Kind,
        ctx: Any,
        slot: int | None = None,
        graph: Graph | None = None,
        symbol: Symbol = None,
        quick: Symbol = None,
    ) -> None:
        self.kind = kind
        self.ctx = ctx
        self.slot = slot
        self.graph = graph
        self.symbol = symbol
        self.quick = symbol if quick is None else quick
        self.in_blocks = False


class Graph:
    """A stretch of the function that runs as one CachedOp.

    It may have two forms: a sure one, and a quick one that is right as long as all ``doubts`` are finite and, on a tape,
    all that is ``marked`` is among its variables.

    Attributes:
        variables: slot -> the variable that stands for it.
        exports: the values that something outside the graph uses.
        doubts: small arrays for the quick form to compute: by itself, and the same to be computed on a tape.
        marked: slots of inputs whose gradients the quick form must be asked for.
        ctx: the device on which all of it is.
        needs_training: whether a node computes another value without MXNet's train mode.
        draws: whether a node draws random numbers.
    """

    def __init__(self) -> None:
        self.variables: dict[int, Symbol] = {}
        self.exports: list[Value] = []
        self.doubts: list[tuple[Symbol, Symbol]] = []
        self.marked: set[int] = set()
        self.ctx: Any = None
        self.needs_training = False
        self.draws = False
        self.nodes = 0

    def on(self, ctx: Any) -> None:
        """Note a device that the graph touches."""
        if self.ctx is None:
            self.ctx = ctx
        elif self.ctx != ctx:
            raise CompileError(
                f"a compiled function runs on one device here, and this one touches {self.ctx} and {ctx}"
            )

    def variable(self, slot: int, ctx: Any) -> Symbol:
        """The input that stands for what is in ``slot``."""
        self.on(ctx)
        if slot not in self.variables:
            self.variables[slot] = symbols.variable(f"slot{slot}")
        return self.variables[slot]

    def add(self, op: symbols.Operator, attributes: symbols.Attributes, inputs: list[Symbol]) -> Symbol:
        """A new node."""
        self.nodes += 1
        self.draws = self.draws or op.draws
        return symbols.node(op, attributes, inputs, f"node{self.nodes}")
