"""torch.compile for functions of lists of tensors.

The function is first recorded by ``make_fx``, which runs its Python once on tensors without data, and the recorded graph
of aten ops is what is compiled. So the compiler never sees the core's Python, and forward and backward passes inside the
function are recorded alike.

A graph of a known signature has no need of Dynamo, which reads Python and guards what it read: a third of the time of a
small call. Where no tape is kept, inductor's program is called past it (``_past_dynamo``).
"""

from __future__ import annotations

import copy
import functools
import importlib
import os
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._C._dynamo.guards import GlobalStateGuard
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from unimodule.backend import Tensor

from . import gradients

Flat = Callable[[list[Tensor]], list[Tensor]]

_lock = threading.RLock()
_told = False


def compile(fn: Flat, **options: Any) -> Flat:
    """See ``Backend.compile``; ``options`` are torch.compile's (mode, dynamic, backend, fullgraph)."""
    program: Callable[..., Any] | None = None
    constants: list[Tensor] = []

    def run(tensors: list[Tensor]) -> list[Tensor]:
        nonlocal program, constants
        if program is None:
            with _lock:
                program, constants = _build(fn, tensors, options)
                if not constants:
                    run.native = program  # type: ignore[attr-defined]
        return program(*tensors, *constants)

    return run


def _build(
    fn: Flat, tensors: list[Tensor], options: dict[str, Any]
) -> tuple[Callable[..., Any], list[Tensor]]:
    differentiable = True

    def record(*inputs: Tensor) -> list[Tensor]:
        nonlocal differentiable
        before = gradients.count()
        outputs = fn(list(inputs))
        if gradients.count() == before:
            return outputs
        # The tape ended at gradients that were taken inside, and what they were taken of. The recorded graph holds those
        # backward passes as plain ops, which must not be differentiated in their turn.
        differentiable = any(t.requires_grad for t in outputs)
        return [t if t.requires_grad else t.detach() for t in outputs]

    # Recorded with a tape, since the graph is to serve calls with and without one, whichever comes first.
    with _without_onednn(), torch.inference_mode(False), torch.enable_grad(), gradients.recording():
        mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv(), static_shapes=True)
        examples = [_example(mode, tensor) for tensor in tensors]
        graph = make_fx(record, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
    recorded, constants = _as_function(graph)
    program = recorded
    if options.get("backend", "inductor") != "inductor" or _has_compiler():
        _import_inductor()
        own = {"fullgraph": True, "dynamic": False, **_settings(graph, options)}
        program = _by_dynamo(recorded, torch.compile(recorded, **own))
        if not options and not torch._dynamo.config.disable and _on_cpu_only(graph, tensors):
            program = _past_dynamo(graph, program)
    return program if differentiable else _without_tape(program), constants


@functools.cache
def _import_inductor() -> None:
    """PyTorch's own modules warn when they are first imported, which is not the caller's affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("torch._inductor.compile_fx")


def _has_bodies(graph: GraphModule) -> bool:
    """Whether there are branches or loops in a graph."""
    return any(isinstance(module, GraphModule) for module in graph.children())


def _settings(graph: GraphModule, options: dict[str, Any]) -> dict[str, Any]:
    """Options for a graph. Where convolutions stand beside bodies of branches or loops, inductor would choose layouts for
    them which the bodies' results do not have.
    """
    if not _has_bodies(graph) or options.get("backend", "inductor") != "inductor":
        return options
    own = {"layout_optimization": False, **(options.get("options") or {})}
    if options.get("mode"):
        own = {**torch._inductor.list_mode_options(options["mode"]), **own}
    return {**{name: value for name, value in options.items() if name != "mode"}, "options": own}


def _watched() -> bool:
    """Whether someone wants to see the operations: a transformation (``torch.vmap``) or a mode (a counter of operations)."""
    transformed: int | None = torch._C._functorch.maybe_current_level()
    return transformed is not None or torch._C._len_torch_dispatch_stack() > 0


def _by_dynamo(recorded: Callable[..., Any], compiled: Callable[..., Any]) -> Callable[..., Any]:
    """``compiled`` in a process whose other threads may be recording: Dynamo keeps one flag for all of them, and refuses
    calls while it is set. The program has no effects, so a refused call is made again, in its turn. Where someone wants to
    see the operations, which Dynamo refuses, too, they run as ``recorded``.
    """
    built: set[bool] = set()  # with a tape, without

    def program(*inputs: Tensor) -> Any:
        if _watched():
            return recorded(*inputs)
        taped = torch.is_grad_enabled()
        if taped in built:
            try:
                return compiled(*inputs)
            except RuntimeError:
                pass
        with _lock:
            outputs = compiled(*inputs)
            built.add(taped)
            return outputs

    return program


def _past_dynamo(graph: GraphModule, guarded: Callable[..., Any]) -> Callable[..., Any]:
    """``guarded``, by way of inductor's own program for ``graph`` where all is as it was when that was built: the layout
    of the inputs, and PyTorch's settings, of which one is that there is no tape.
    """
    stride = torch.Tensor.stride
    direct: Callable[..., Any] | None = None
    unchanged: Callable[[], bool] = bool
    layout: list[tuple[int, ...]] = []

    def build(inputs: tuple[Tensor, ...]) -> None:
        nonlocal direct, unchanged, layout
        with _lock:
            if direct is None:
                unchanged, layout = GlobalStateGuard().check, list(map(stride, inputs))
                own = GraphModule(graph, copy.deepcopy(graph.graph))
                with torch.inference_mode(False), torch.no_grad():
                    direct = torch._inductor.compile(own, list(inputs))

    def program(*inputs: Tensor) -> Any:
        if _watched():
            return guarded(*inputs)
        if direct is None and not torch.is_grad_enabled():
            build(inputs)
        if direct is not None and unchanged() and list(map(stride, inputs)) == layout:
            return direct(*inputs)
        return guarded(*inputs)

    return program


def _on_cpu_only(graph: GraphModule, tensors: list[Tensor]) -> bool:
    """Whether a graph without bodies of branches or loops computes on the CPU only."""
    return not _has_bodies(graph) and all(tensor.device.type == "cpu" for tensor in tensors)


def _without_tape(program: Callable[..., Any]) -> Callable[..., Any]:
    """``program`` for callers with a tape, too, of which it must not be part."""

    def untaped(*inputs: Tensor) -> Any:
        if not torch.is_grad_enabled():
            return program(*inputs)
        with torch.no_grad():
            return program(*inputs)

    return untaped


def _example(mode: FakeTensorMode, tensor: Tensor) -> Tensor:
    """A leaf of the tape without data, like ``tensor``."""
    with mode:
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    return made.requires_grad_(tensor.requires_grad)


def _as_function(graph: GraphModule) -> tuple[Callable[..., Any], list[Tensor]]:
    """The recorded graph as a plain function, which is quicker to call than a module, and the tensors that it was
    recorded with besides its inputs: they follow these as arguments.
    """
    nodes = graph.graph.nodes
    last = [node for node in nodes if node.op == "placeholder"][-1:] or [None]
    constants: dict[str, Any] = {}
    attributes = [node for node in nodes if node.op == "get_attr"]
    if not all(isinstance(getattr(graph, node.target), torch.Tensor) for node in attributes):
        return graph.forward, []  # it has bodies of loops or branches, and refers to them as its own
    for node in attributes:
        if node.target not in constants:
            anchor = last[0] or next(iter(nodes))
            with graph.graph.inserting_after(anchor) if last[0] else graph.graph.inserting_before(anchor):
                constants[node.target] = graph.graph.placeholder(node.target)
            last = [constants[node.target]]
        node.replace_all_uses_with(constants[node.target])
        graph.graph.erase_node(node)
    graph.recompile()
    forward = type(graph).forward

    def program(*inputs: Tensor) -> list[Tensor]:
        return forward(None, *inputs)

    # Dynamo counts compilations by code object, and gives up after a few: each program needs one of its own.
    program.__code__ = program.__code__.replace()
    return program, [getattr(graph, name) for name in constants]


@contextmanager
def _without_onednn() -> Iterator[None]:
    """Recurrent layers are recorded as plain ops: inductor cannot call oneDNN's from a graph."""
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)


def _has_compiler() -> bool:
    """Whether inductor can build for the CPU; said once where it cannot."""
    global _told
    names = [os.environ.get("CXX"), "g++", "c++", "clang++", "cl"]
    if any(name and shutil.which(name) for name in names):
        return True
    if not _told:
        _told = True
        warnings.warn(
            "torch.compile needs a C++ compiler and none was found; compiled nets run their recorded graphs eagerly",
            RuntimeWarning,
            stacklevel=3,
        )
    return False


def is_trace_error(error: BaseException) -> bool:
    """Whether ``error`` says that a value was asked of a tensor without data."""
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    kinds = (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)
    return isinstance(error, kinds) or (
        isinstance(error, RuntimeError)
        and ".numpy() is not supported" in str(error)  # of a tensor without data
    )
