"""What a compiled function does when it runs: CachedOps, and gradients by MXNet's tape around one.

A step works on a list with an entry for every slot of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from unimodule.errors import CompileError, NotSupportedError

from ..gradients import backward, mark, one_tape, zeros
from ..loading import mx
from ..operators import Array, detach
from . import symbols
from .graph import Graph, Value

_CachedOp = mx.nd.CachedOp
_set_recording = mx.autograd.set_recording
_set_training = mx.autograd.set_training
_is_recording = mx.autograd.is_recording
_copy = symbols.named("_np_copy")

Flags = Sequence[tuple[str, Any]]
Slots = list[Any]


class Step(Protocol):
    """A part of a compiled function."""

    graph: Graph

    def build(self, flags: Flags, fallback: tuple[int, Any]) -> None:
        """Make the CachedOp, once everything is recorded. ``fallback`` is a slot, and its device, for a graph without
        inputs of its own, which MXNet does not run.
        """

    def __call__(self, slots: Slots, constants: set[int]) -> None:
        """Run it."""


class Segment:
    """One CachedOp."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._op: Any = None
        self._inputs: list[int] = []
        self._outputs: list[int] = []

    def build(self, flags: Flags, fallback: tuple[int, Any]) -> None:
        graph = self.graph
        outputs = [value.symbol for value in graph.exports]
        if not outputs:
            return
        if not graph.variables:
            outputs.append(graph.add(_copy, (), [graph.variable(*fallback)]))
        group = mx.sym.Group(outputs).as_np_ndarray() if len(outputs) > 1 else outputs[0]
        slots = {f"slot{slot}": slot for slot in graph.variables}
        names = group.list_inputs()
        if not slots.keys() >= set(names):
            raise CompileError("an operator was called without all of its arrays: it cannot be recorded")
        self._inputs = [slots[name] for name in names]
        self._outputs = [value.slot or 0 for value in graph.exports]
        self._single = len(outputs) == 1
        self._op = _CachedOp(group, flags)

    def __call__(self, slots: Slots, constants: set[int]) -> None:
        if self._op is None:
            return
        inputs = [slots[i] for i in self._inputs]
        recording = _is_recording()
        if recording and constants:
            # A tape notes itself on every array that it sees: threads may share the memory, but not the objects.
            inputs = [detach(x) if i in constants else x for i, x in zip(self._inputs, inputs, strict=True)]
        if recording or self.graph.needs_training:
            # Only in train mode do MXNet's kernels keep what their gradients need.
            before = _set_training(True)
            try:
                outputs = self._op(*inputs)
            finally:
                if not before:
                    _set_training(False)
        else:
            outputs = self._op(*inputs)
        if self._single:
            slots[self._outputs[0]] = outputs
        else:
            for i, x in zip(self._outputs, outputs):  # noqa: B905  without the copy of a graph that has no inputs
                slots[i] = x


class Differentiation:
    """A value and its gradients: the graph on MXNet's tape, and the tape backwards.

    Attributes:
        loss: the value.
        sources: slots of the arrays to differentiate with respect to.
        leaves: slots in which the graph finds them.
        gradients: slots for the gradients.
    """

    def __init__(
        self, graph: Graph, loss: Value, sources: list[int], leaves: list[int], gradients: list[int]
    ) -> None:
        self.graph = graph
        self.loss = loss
        self.sources = sources
        self.leaves = leaves
        self.gradients = gradients
        self._segment = Segment(graph)
        self._used: list[bool] = []

    def build(self, flags: Flags, fallback: tuple[int, Any]) -> None:
        self._segment.build(flags, fallback)
        inside = self.loss.graph is self.graph
        inputs = set(self.loss.symbol.list_inputs()) if inside else set()
        self._used = [f"slot{leaf}" in inputs for leaf in self.leaves]

    def __call__(self, slots: Slots, constants: set[int]) -> None:
        if _is_recording():
            raise NotSupportedError(
                "backend 'mxnet' does not support gradients of gradients, or value_and_grad inside autograd.record; use "
                "torch, tensorflow or jax for these"
            )
        used: list[Array] = []
        for source, leaf, is_used in zip(self.sources, self.leaves, self._used, strict=True):
            x = slots[leaf] = detach(slots[source])
            if is_used:
                used.append(x)
        found = iter(mark(used) if used else [])
        with one_tape:
            _set_recording(True)
            try:
                self._segment(slots, constants)
            finally:
                _set_recording(False)
            if used:
                backward(slots[self.loss.slot or 0])
        for value in self.graph.exports:
            slots[value.slot or 0] = detach(slots[value.slot or 0])
        for source, leaf, gradient, is_used in zip(
            self.sources, self.leaves, self.gradients, self._used, strict=True
        ):
            slots[gradient] = next(found) if is_used else zeros(slots[source])
            slots[leaf] = slots[source]  # off the tape, should it be returned
