"""What a compiled function does when it runs: CachedOps, and gradients by MXNet's tape around one.

A step works on a list with an entry for every slot of the recording.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from unimodule.errors import CompileError, NotSupportedError

from ..gradients import Blank, backward, mark, one_tape, zeros
from ..loading import mx
from ..operators import Array, array, check_call, detach, host_sum, library, ndarray
from . import symbols
from .graph import Graph, Value

_Handle = mx.base.NDArrayHandle
_Handles = ctypes.POINTER(_Handle)
_Kinds = ctypes.POINTER(ctypes.c_int)
_set_recording = mx.autograd.set_recording
_set_training = mx.autograd.set_training
_is_recording = mx.autograd.is_recording
_copy = symbols.named("_np_copy")

Flags = Sequence[tuple[str, Any]]
Slots = list[Any]
HostFunction = Callable[..., np.ndarray[Any, Any]]


class Step(Protocol):
    """A part of a compiled function."""

    graph: Graph

    def build(self, flags: Flags, fallback: tuple[int, Any]) -> None:
        """Make the CachedOp, once everything is recorded. ``fallback`` is a slot, and its device, for a graph without
        inputs of its own, which MXNet does not run.
        """

    def __call__(self, slots: Slots, constants: set[int]) -> None:
        """Run it."""


class Program:
    """A CachedOp: made at once, or when it is first called.

    Args:
        outputs: what it computes.
        slots: the name of each input it may have, and its slot.
        flags: CachedOp's.
    """

    def __init__(self, outputs: list[symbols.Symbol], slots: dict[str, int], flags: Flags) -> None:
        self._group = mx.sym.Group(outputs).as_np_ndarray() if len(outputs) > 1 else outputs[0]
        self._flags = flags
        names = self._group.list_inputs()
        if not slots.keys() >= set(names):
            raise CompileError("an operator was called without all of its arrays: it cannot be recorded")
        self.inputs = [slots[name] for name in names]
        self._op: Any = None
        self._handles = ctypes.c_void_p * len(names)
        self._count = ctypes.c_int(len(names))

    def make(self) -> Program:
        """Make the CachedOp."""
        self._op = mx.nd.CachedOp(self._group, self._flags)
        return self

    def __call__(self, inputs: list[Array]) -> list[Array]:
        """``CachedOp.__call__`` without what it does for legacy and sparse arrays, a fifth of a small call."""
        op = self._op or self.make()._op
        count, outputs, kinds = ctypes.c_int(0), _Handles(), _Kinds()
        check_call(
            library.MXInvokeCachedOpEx(
                op.handle,
                self._count,
                self._handles(*[x.handle for x in inputs]),
                ctypes.byref(count),
                ctypes.byref(outputs),
                ctypes.byref(kinds),
            )
        )
        return [ndarray(_Handle(outputs[i])) for i in range(count.value)]


class Segment:
    """One graph: its quick form where it has one, and its sure form where that does not do.

    Whether it does is read from the host, which thus waits for the forward pass. A graph that draws random numbers has
    its sure form only, or it would draw twice.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._sure: Program | None = None
        self._quick: dict[bool, Program] = {}  # on a tape or not
        self._outputs: list[int] = []

    def build(self, flags: Flags, fallback: tuple[int, Any], quick: bool = True) -> None:
        graph = self.graph
        outputs = [value.symbol for value in graph.exports]
        if not outputs:
            return
        if not graph.variables:
            outputs.append(graph.add(_copy, (), [graph.variable(*fallback)]))
        slots = {f"slot{slot}": slot for slot in graph.variables}
        self._outputs = [value.slot or 0 for value in graph.exports]
        self._sure = Program(outputs, slots, flags)
        if (
            quick
            and not (graph.draws and graph.doubts)
            and any(value.quick is not value.symbol for value in graph.exports)
        ):
            outputs = [value.quick for value in graph.exports]
            self._quick = {
                taped: Program([*outputs, *(doubt[taped] for doubt in graph.doubts)], slots, flags)
                for taped in (False, True)
            }
        else:
            self._sure.make()

    def __call__(self, slots: Slots, constants: set[int]) -> None:
        if not certain(self.run(slots, constants)):
            self.run(slots, constants, sure=True)

    def run(self, slots: Slots, constants: set[int], sure: bool = False) -> list[Array]:
        """Run one form of it; returns the doubts about it."""
        taped = _is_recording()
        if taped and self._quick and any(slots[i].grad is None for i in self.graph.marked):
            sure = True
        quick = None if sure else self._quick.get(taped)
        program = quick or self._sure
        if program is None:
            return []
        arrays = self._results(program, slots, constants)
        for i, x in zip(self._outputs, arrays):  # noqa: B905
            slots[i] = x
        return arrays[len(self._outputs) :] if quick else []

    def _results(self, program: Program, slots: Slots, constants: set[int]) -> list[Array]:
        inputs = [slots[i] for i in program.inputs]
        recording = _is_recording()
        if not (recording or self.graph.needs_training):
            return program(inputs)
        if recording and constants:
            # A tape notes itself on every array that it sees: threads may share the memory, but not the objects.
            inputs = [detach(x) if i in constants else x for i, x in zip(program.inputs, inputs, strict=True)]
        # Only in train mode do MXNet's kernels keep what their gradients need.
        before = _set_training(True)
        try:
            return program(inputs)
        finally:
            if not before:
                _set_training(False)


def certain(doubts: list[Array]) -> bool:
    """Whether a quick form was right."""
    return all(math.isfinite(host_sum(x)) for x in doubts)


class HostCall:
    """An array that NumPy computes on the host, anew each time."""

    def __init__(self, fn: HostFunction, arguments: list[int], result: Value) -> None:
        self.graph = Graph()  # nothing of it runs in MXNet
        self._fn, self._arguments, self._result = fn, arguments, result

    def build(self, flags: Flags, fallback: tuple[int, Any]) -> None:
        pass

    def __call__(self, slots: Slots, constants: set[int]) -> None:
        kind = self._result.kind
        drawn = self._fn(*[slots[i].asnumpy() for i in self._arguments])
        slots[self._result.slot or 0] = array(drawn, kind.dtype.name, self._result.ctx)


class Differentiation:
    """A value and its gradients: the graph on MXNet's tape, and the tape backwards.

    Attributes:
        loss: the value.
        sources: slots of the arrays to differentiate with respect to.
        leaves: what the graph finds for them.
        gradients: slots for the gradients.
    """

    def __init__(
        self, graph: Graph, loss: Value, sources: list[int], leaves: list[Value], gradients: list[int]
    ) -> None:
        self.graph = graph
        self.loss = loss
        self.sources = sources
        self.leaves = leaves
        self.gradients = gradients
        self._segment = Segment(graph)
        self._used: list[tuple[int, int, int, Blank]] = []
        self._unused: list[tuple[int, int]] = []
        self._exports: list[int] = []

    def build(self, flags: Flags, fallback: tuple[int, Any]) -> None:
        inputs = set(self.loss.symbol.list_inputs())
        quick = set(self.loss.quick.list_inputs())
        missing = {f"slot{leaf.slot}" for leaf in self.leaves} & (
            inputs - quick
        )  # their gradients would stay unwritten
        self._segment.build(flags, fallback, quick=not missing)
        self._exports = [value.slot or 0 for value in self.graph.exports]
        for source, leaf, gradient in zip(self.sources, self.leaves, self.gradients, strict=True):
            if f"slot{leaf.slot}" in inputs:
                # The backward pass of a graph writes the gradient of every input, so the memory need not be zeros.
                blank = Blank(leaf.kind.shape, leaf.kind.dtype, leaf.ctx)
                self._used.append((source, leaf.slot or 0, gradient, blank))
            else:
                self._unused.append((source, gradient))

    def __call__(self, slots: Slots, constants: set[int]) -> None:
        if _is_recording():
            raise NotSupportedError(
                "backend 'mxnet' does not support gradients of gradients, or value_and_grad inside autograd.record; use "
                "torch, tensorflow or jax for these"
            )
        for source, leaf in zip(self.sources, self.leaves, strict=True):
            slots[leaf.slot or 0] = slots[source]
        if not certain(self._run(slots, constants)):  # the pass backwards goes on meanwhile
            self._run(slots, constants, sure=True)
        for slot in self._exports:
            slots[slot] = detach(slots[slot])
        for source, leaf_slot, _, _ in self._used:
            slots[leaf_slot] = slots[source]  # off the tape, should it be returned
        for source, gradient in self._unused:
            slots[gradient] = zeros(slots[source])

    def _run(self, slots: Slots, constants: set[int], sure: bool = False) -> list[Array]:
        """Forwards and backwards; returns the doubts."""
        leaves, gradients = [], []
        for source, leaf_slot, gradient, blank in self._used:
            # Fresh objects: a mark on the caller's would be seen, and undone, by other threads.
            slots[leaf_slot] = detach(slots[source])
            slots[gradient] = blank()
            leaves.append(slots[leaf_slot])
            gradients.append(slots[gradient])
        with one_tape:
            _set_recording(True)
            try:
                if leaves:
                    mark(leaves, gradients)
                doubts = self._segment.run(slots, constants, sure)
            finally:
                _set_recording(False)
            if leaves:
                backward(slots[self.loss.slot or 0])
        return doubts
