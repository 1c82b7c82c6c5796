"""What a compiled function does when it runs: CachedOps, and gradients by MXNet's tape around one.

A step works on a list with an entry for every slot of the recording.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from unimodule.errors import CompileError, NotSupportedError

from ..gradients import Blank, backward, mark, one_tape, zeros
from ..loading import mx
from ..operators import Array, array, check_call, detach, library, ndarray
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
        self._op = mx.nd.CachedOp(group, flags)
        self._handles = ctypes.c_void_p * len(names)
        self._count = ctypes.c_int(len(names))

    def __call__(self, slots: Slots, constants: set[int]) -> None:
        if self._op is None:
            return
        inputs = [slots[i] for i in self._inputs]
        recording = _is_recording()
        if not (recording or self.graph.needs_training):
            self._run(inputs, slots)
            return
        if recording and constants:
            # A tape notes itself on every array that it sees: threads may share the memory, but not the objects.
            inputs = [detach(x) if i in constants else x for i, x in zip(self._inputs, inputs, strict=True)]
        # Only in train mode do MXNet's kernels keep what their gradients need.
        before = _set_training(True)
        try:
            self._run(inputs, slots)
        finally:
            if not before:
                _set_training(False)

    def _run(self, inputs: list[Array], slots: Slots) -> None:
        """``CachedOp.__call__`` without what it does for legacy and sparse arrays, a fifth of a small call."""
        count, outputs, kinds = ctypes.c_int(0), _Handles(), _Kinds()
        check_call(
            library.MXInvokeCachedOpEx(
                self._op.handle,
                self._count,
                self._handles(*[x.handle for x in inputs]),
                ctypes.byref(count),
                ctypes.byref(outputs),
                ctypes.byref(kinds),
            )
        )
        arrays = [ndarray(_Handle(outputs[i])) for i in range(count.value)]
        for i, x in zip(self._outputs, arrays):  # noqa: B905  without the copy of a graph that has no inputs
            slots[i] = x


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
        self._segment.build(flags, fallback)
        self._exports = [value.slot or 0 for value in self.graph.exports]
        inputs = set(self.loss.symbol.list_inputs())
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
                self._segment(slots, constants)
            finally:
                _set_recording(False)
            if leaves:
                backward(slots[self.loss.slot or 0])
        for slot in self._exports:
            slots[slot] = detach(slots[slot])
        for source, leaf_slot, _, _ in self._used:
            slots[leaf_slot] = slots[source]  # off the tape, should it be returned
        for source, gradient in self._unused:
            slots[gradient] = zeros(slots[source])
