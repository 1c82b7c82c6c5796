"""Recording a function: what is computed from its arguments goes into graphs, what is computed from constants is computed.

An array is one of three things to a recording: traced; a constant, which was made while the function ran; or from
outside, which was there before, and is passed by reference whenever the function runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from unimodule.errors import CompileError, NotSupportedError

from ..loading import mx, thread
from ..operators import Array, array, ndarray, op, recording
from . import patches, symbols
from .arrays import NDArray, Traced, TracedArray, TracedLegacyArray, refuse_writing
from .graph import Graph, Value
from .steps import Differentiation, HostCall, HostFunction, Segment, Step
from .symbols import Kind, Operator

Unary = Callable[[Array], Array]

_set_recording = mx.autograd.set_recording
_set_training = mx.autograd.set_training
_is_recording = mx.autograd.is_recording
_is_training = mx.autograd.is_training
_copy = op("_np_copy")
_block = op("BlockGrad")
_detach = {True: ndarray.detach, False: NDArray.detach}  # of NumPy's or not; taken before they are patched


class Trace:
    """One recording.

    Attributes:
        inputs: what stands for the arguments, in slots 0, 1, ...
        held: slot -> an array that is there before the function runs: a constant, or one from outside.
        constants: the slots of constants.
        relus: what is the positive part of an array, and of which.
        steps: what the function does, in order.
        slots: how many there are.
    """

    def __init__(self, arguments: Sequence[Array]) -> None:
        self.slots = 0
        self.held: dict[int, Array] = {}
        self.constants: set[int] = set()
        self.relus: dict[Value, Array] = {}
        self.steps: list[Step] = []
        self.graph = Graph()
        self.differentiating = False
        self._leaves: set[int] = set()
        self._made: dict[int, Array] = {}
        self._outside: dict[int, Value] = {}
        self._detached: dict[int, Value] = {}
        self.inputs = [self.wrap(self.placed(x)) for x in arguments]

    # ------------------------------------------------------------------ what an array is
    def made(self, x: Array) -> None:
        """Note an array that was made just now."""
        self._made[id(x)] = x  # held, so that no other gets its id

    def end(self) -> None:
        """Let go of what was held only for its identity."""
        self._made.clear()
        self._outside.clear()

    def is_constant(self, x: Array) -> bool:
        return not isinstance(x, Traced) and id(x) in self._made

    def value(self, x: Array) -> Value:
        """What stands for an array."""
        if isinstance(x, Traced):
            if x.trace is not self:
                raise CompileError(
                    "a tensor was kept from a compilation that is over, or is another thread's; return it from the function"
                )
            return x.value
        if id(x) in self._made:
            with _not_recording():
                value = self.placed(x)  # as it is now: the function may write into it later
                self.held[value.slot or 0] = x.copy()
            self.constants.add(value.slot or 0)
            return value
        if id(x) not in self._outside:
            value = self._outside[id(x)] = self.placed(x)
            self.held[value.slot or 0] = x
        return self._outside[id(x)]

    def placed(self, x: Array) -> Value:
        """A value like ``x`` in a new slot."""
        if x.stype != "default":
            raise CompileError(f"a {x.stype} array cannot be recorded")
        return Value(Kind(x.shape, np.dtype(x.dtype)), x.ctx, slot=self.new_slot())

    def new_slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def slot(self, value: Value) -> int:
        """Where the function will have put ``value``."""
        if value.slot is None:
            assert value.graph is not None
            value.slot = self.new_slot()
            value.graph.exports.append(value)
        return value.slot

    def detached(self, x: Array) -> Array:
        """``x`` without a gradient. Of an array from outside, it is one that shares the memory, as ever: operators that
        write into their arguments take no other.
        """
        slot = x.value.slot
        if slot not in self.held:
            return _block(x)
        if slot not in self._detached:
            held = self.held[slot]
            alias = _detach[isinstance(held, ndarray)](held)
            value = self._detached[slot] = self.placed(alias)
            self.held[value.slot or 0] = alias
            if slot in self.constants:
                self.constants.add(value.slot or 0)
        return self.wrap(self._detached[slot])

    def wrap(self, value: Value, legacy: bool = False) -> Array:
        """The array that the function sees for a value."""
        kind = TracedLegacyArray if legacy else TracedArray
        array = kind.__new__(kind)
        array.trace = self
        array.value = value
        return array

    def lift(self, x: Array) -> Array:
        """An array from outside as a traced one."""
        return self.wrap(self.value(x), legacy=not isinstance(x, ndarray))

    def like(self, x: Array, out: Array) -> Array:
        """``out`` as an array of MXNet's class that ``x`` is of."""
        return self.wrap(out.value, legacy=not isinstance(x, ndarray))

    # ------------------------------------------------------------------ operators
    def invoke(
        self,
        number: int,
        arrays: Sequence[Array],
        keys: Any,
        values: Any,
        out: Any,
        is_np: bool,
        as_list: bool,
    ) -> Any:
        """What stands in for MXNet's own way of running an operator."""
        op = symbols.operator(number)
        constant = all(map(self.is_constant, arrays))
        if out is not None:
            written = out if isinstance(out, list | tuple) else [out]
            if not constant or op.draws or not all(map(self.is_constant, written)):
                refuse_writing()
        elif op.draws or not constant:
            return self._record(op, arrays, keys, values, is_np, as_list)
        with _not_recording():
            return patches.invoke(number, arrays, keys, values, out, is_np, as_list)

    def _record(
        self, op: Operator, arrays: Sequence[Array], keys: Any, values: Any, is_np: bool, as_list: bool
    ) -> Any:
        attributes = symbols.attributes_of(op, keys, values, len(arrays))
        given = [self.value(x) for x in arrays]
        outputs, written = symbols.infer(op, attributes, tuple(value.kind for value in given))
        self._check(op, dict(attributes), [given[i] for i in written])
        ctx = given[0].ctx if given else _context(dict(attributes))
        self.graph.on(ctx)
        inputs, quick = [self._symbol(value) for value in given], [self._quick(value) for value in given]
        forms = [self.graph.add(op, attributes, inputs)]
        if any(a is not b for a, b in zip(inputs, quick, strict=True)):
            forms.append(self.graph.add(op, attributes, quick))
        parts = [[form[i] for form in forms] if len(outputs) > 1 else forms for i in range(len(outputs))]
        results = [
            self.wrap(Value(kind, ctx, None, self.graph, *part), legacy=not is_np)
            for kind, part in zip(outputs, parts, strict=True)
        ]
        results[0].value.in_blocks = _in_blocks(op, given)
        if not _is_recording() and op.name != "BlockGrad":  # inside the function's own mx.autograd.pause()
            results = [x.detach() for x in results]
        return results if as_list or len(results) > 1 else results[0]

    def _symbol(self, value: Value) -> symbols.Symbol:
        if value.graph is self.graph:
            return value.symbol
        return self.graph.variable(self.slot(value), value.ctx)

    def _quick(self, value: Value) -> symbols.Symbol:
        return value.quick if value.graph is self.graph else self._symbol(value)

    def in_blocks(self, x: Array) -> bool:
        """Whether oneDNN has the channels of ``x`` in blocks."""
        return isinstance(x, Traced) and x.value.in_blocks

    def note_relu(self, y: Array, x: Array) -> Array:
        """Note that ``y`` is the positive part of ``x``, gradient included."""
        if isinstance(y, Traced) and _is_recording():
            self.relus[y.value] = x
        return y

    def source_of_relu(self, x: Array) -> Array | None:
        """Of what ``x`` is the positive part, if that is known."""
        return self.relus.get(x.value) if isinstance(x, Traced) else None

    def either(self, x: Array, sure: Unary, quick: Unary, doubt: Unary | None = None) -> Array:
        """``sure(x)``, or ``quick(x)`` in the quick form of the graph: right if the sum of ``doubt(x)`` is finite, or anyway.

        A tape would go backwards through all outputs of a graph. What stops it costs more than ``doubt`` does, and is
        spared where there is no tape.
        """
        if self.is_constant(x):
            return sure(x)
        given = self.value(x)
        slow = fast = given
        if given.graph is self.graph:  # each form sees its own node and leads to one node alone
            slow = Value(given.kind, given.ctx, None, self.graph, given.symbol)
            fast = Value(given.kind, given.ctx, None, self.graph, self._quick(given))
            slow.in_blocks = fast.in_blocks = given.in_blocks
        right, guess = (self.value(fn(self.wrap(v))) for fn, v in ((sure, slow), (quick, fast)))
        assert right.kind == guess.kind and right.graph is guess.graph is self.graph
        if doubt is not None:
            off_tape, on_tape = self.wrap(fast), self.wrap(fast).detach()
            self.graph.doubts.append((self.value(doubt(off_tape)).symbol, self.value(doubt(on_tape)).symbol))
        both = Value(right.kind, right.ctx, None, self.graph, right.symbol, guess.symbol)
        both.in_blocks = guess.in_blocks
        return self.wrap(both)

    def where_marked(self, weight: Array, x: Array, sure: Unary, quick: Unary) -> Array:
        """``sure(x)``, or ``quick(x)``, which is right where a tape, if there is one, has ``weight`` among its variables."""
        if self.is_constant(weight):
            return sure(x)
        value = self.value(weight)
        if self.differentiating:
            return (quick if value.slot in self._leaves else sure)(x)
        if value.slot is None or value.graph is not None or self.is_constant(x):
            return sure(x)
        both = self.either(x, sure, quick)
        self.graph.marked.add(value.slot)
        return both

    def _check(self, op: Operator, attributes: dict[str, str], written: list[Value]) -> None:
        """Refuse what a graph would do otherwise than eager MXNet."""
        if op.name in ("Custom", "_CustomFunction"):
            raise CompileError("an operator in Python (mx.operator.CustomOp) cannot be recorded")
        if op.name == "cast_storage" or attributes.get("forward_stype", "None") not in ("None", "default"):
            raise CompileError("a sparse array cannot be recorded")
        reads_only = op.name == "BatchNorm" and (
            attributes.get("use_global_stats") in ("True", "1")
            or (float(attributes.get("momentum", 0.9)) == 1 and all(v.slot in self.held for v in written))
        )
        if written and not reads_only:
            raise CompileError(
                f"MXNet's operator {op.name} writes into its arguments, and so cannot be recorded; use ops.batch_norm, and "
                "update running statistics with buffers"
            )
        if _follows_train_mode(op.name, attributes):
            if _is_training():
                self.graph.needs_training = True
            elif not self.differentiating:
                raise CompileError(
                    f"MXNet's operator {op.name} depends on MXNet's own train mode, which a compiled function does not "
                    "follow; use the functions of ops, which depend on their arguments alone"
                )

    # ------------------------------------------------------------------ steps
    def on_host(
        self, fn: HostFunction, arrays: Sequence[Array], shape: tuple[int, ...], dtype: str, ctx: Any
    ) -> Array:
        """What ``fn`` gives whenever the function runs, right before the graph that is being recorded now. So that need
        not end here, its arguments must come from before it.
        """
        given = [self.value(x) for x in arrays]
        if any(value.graph is self.graph for value in given):
            if self.differentiating:
                raise CompileError("numbers drawn on the host cannot depend on what is differentiated")
            self.close()
        value = Value(Kind(shape, np.dtype(dtype)), ctx, slot=self.new_slot())
        self.steps.append(HostCall(fn, [self.slot(v) for v in given], value))
        return self.wrap(value)

    def close(self) -> None:
        """End the running stretch of the function; what follows goes into a graph of its own."""
        if self.graph.nodes:
            self.steps.append(Segment(self.graph))
        self.graph = Graph()

    def value_and_grad(
        self, fn: Callable[[list[Array]], tuple[Array, Any]], values: Sequence[Array]
    ) -> tuple[Array, Any, list[Array]]:
        """``fn`` in a graph of its own, differentiated by MXNet's tape whenever the function runs."""
        self.close()
        sources = [self.value(x) for x in values]
        leaves = [Value(value.kind, value.ctx, slot=self.new_slot()) for value in sources]
        self.differentiating, self._leaves = True, {leaf.slot or 0 for leaf in leaves}
        try:
            loss, aux = fn([self.wrap(leaf) for leaf in leaves])
            result = self.value(loss)
            if result.graph is not self.graph:  # a leaf itself, or nothing that depends on one
                result = self.value(_copy(self.wrap(result)))
        finally:
            self.differentiating, self._leaves = False, set()
        self.slot(result)
        gradients = [Value(value.kind, value.ctx, slot=self.new_slot()) for value in sources]
        self.steps.append(
            Differentiation(
                self.graph,
                result,
                [self.slot(value) for value in sources],
                leaves,
                [gradient.slot or 0 for gradient in gradients],
            )
        )
        self.graph = Graph()
        return self.wrap(result), aux, [self.wrap(gradient) for gradient in gradients]


def _context(attributes: dict[str, str]) -> Any:
    """The device of an operator without arguments."""
    text = attributes.get("ctx", "")
    if text in ("", "None"):
        return mx.current_context()
    kind, _, index = text.partition("(")
    return mx.Context(kind, int(index.rstrip(")") or 0))


def _in_blocks(op: Operator, given: list[Value]) -> bool:
    if op.name == "Convolution":
        kind, ctx = given[0].kind, given[0].ctx
        return kind.dtype == np.float32 and len(kind.shape) == 4 and ctx.device_type == "cpu"
    return op.name in ("Activation", "BatchNorm", "LeakyReLU", "Pooling") and given[0].in_blocks


def _follows_train_mode(name: str, attributes: dict[str, str]) -> bool:
    if name in ("Dropout", "_npx_dropout"):
        return attributes.get("mode", "training") == "training" and float(attributes.get("p", 0.5)) > 0
    if name in ("BatchNorm", "BatchNorm_v1", "_npx_batch_norm", "_contrib_SyncBatchNorm"):
        return attributes.get("use_global_stats", "False") not in ("True", "1")
    if name in ("RNN", "_npx_rnn"):
        return float(attributes.get("p", 0)) > 0
    return name in ("LeakyReLU", "_npx_leaky_relu") and attributes.get("act_type") == "rrelu"


@contextmanager
def _not_recording() -> Iterator[None]:
    before = _set_recording(False)
    try:
        yield
    finally:
        _set_recording(before)


# ---------------------------------------------------------------------- the recording of this thread
def on_host(
    fn: HostFunction, arrays: Sequence[Array], shape: tuple[int, ...], dtype: str, context: str
) -> Array:
    """``fn`` of NumPy arrays as an array: now, or whenever the function that is being recorded runs."""
    kind, _, index = context.partition("(")
    ctx = mx.Context(kind, int(index.rstrip(")") or 0))
    if (trace := recording_here()) is not None:
        return trace.on_host(fn, arrays, shape, dtype, ctx)
    return array(fn(*[x.asnumpy() for x in arrays]), dtype, ctx)


def recording_here() -> Trace | None:
    """The recording that this thread makes now."""
    return patches.active.trace


def is_constant(x: Array) -> bool:
    """Whether ``x`` has a value now that a compiled function may go by: a recording knows that of its constants alone."""
    trace = patches.active.trace
    return not isinstance(x, Traced) if trace is None else trace.is_constant(x)


@contextmanager
def _modes(trace: Trace) -> Iterator[None]:
    """MXNet's modes while a function is recorded. With the tape on, though no array is on it, the function's own
    ``mx.autograd.pause()`` can be told.
    """
    before = _set_recording(True), _set_training(False)
    recording.by_others = True
    recording.trace = trace
    patches.active.trace = trace
    try:
        yield
    finally:
        patches.active.trace = None
        trace.end()
        recording.by_others = False
        recording.trace = None
        _set_training(before[1])
        _set_recording(before[0])


def record(fn: Callable[[list[Array]], list[Array]], arguments: Sequence[Array]) -> tuple[Trace, list[int]]:
    """Run ``fn`` on traced arrays like ``arguments``; returns the recording and the slots of what ``fn`` returned."""
    thread.ready  # noqa: B018
    trace = Trace(arguments)
    with patches.installed(), _modes(trace):
        results = fn(trace.inputs)
        if not all(isinstance(x, NDArray) for x in results):
            raise CompileError("a compiled function returns tensors")
        slots = [trace.slot(trace.value(x)) for x in results]
        trace.close()
    return trace, slots


def value_and_grad(
    trace: Trace, fn: Callable[[list[Array]], tuple[Array, Any]], values: Sequence[Array]
) -> tuple[Array, Any, list[Array]]:
    """``Backend.value_and_grad`` while a function is recorded.

    Raises:
        NotSupportedError: inside another one.
    """
    if trace.differentiating:
        raise NotSupportedError(
            "backend 'mxnet' does not support gradients of gradients; use torch, tensorflow or jax for these"
        )
    return trace.value_and_grad(fn, values)


__all__ = ["Trace", "is_constant", "on_host", "record", "recording_here", "value_and_grad"]
