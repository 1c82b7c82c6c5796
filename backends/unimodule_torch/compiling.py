"""torch.compile for functions of lists of tensors.

The function is first recorded by ``make_fx``, which runs its Python once on tensors without data, and the recorded graph
of aten ops is what is compiled. So the compiler never sees the core's Python, and forward and backward passes inside the
function are recorded alike.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from unimodule.backend import Tensor

Flat = Callable[[list[Tensor]], list[Tensor]]

_told = False


def compile(fn: Flat, **options: Any) -> Flat:
    """See ``Backend.compile``; ``options`` are torch.compile's (mode, dynamic, backend, fullgraph)."""
    program: Callable[..., Any] | None = None

    def run(tensors: list[Tensor]) -> list[Tensor]:
        nonlocal program
        if program is None:
            program = _build(fn, tensors, options)
        return program(*tensors)

    return run


def _build(fn: Flat, tensors: list[Tensor], options: dict[str, Any]) -> Callable[..., Any]:
    differentiable = False

    def record(*inputs: Tensor) -> list[Tensor]:
        nonlocal differentiable
        outputs = fn(list(inputs))
        differentiable = any(t.requires_grad for t in outputs)
        return outputs

    with _without_onednn():
        graph = make_fx(record, tracing_mode="fake", _allow_non_fake_inputs=True)(*tensors)
    program: Callable[..., Any] = graph
    if options.get("backend", "inductor") != "inductor" or _has_compiler():
        program = torch.compile(graph, **{"fullgraph": True, "dynamic": False, **options})
    # A graph that holds a backward pass of its own must not be differentiated for inputs that happen to be trainable.
    return program if differentiable else torch.no_grad()(program)


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
    if any(shutil.which(name) for name in ("g++", "c++", "clang++", "cl")):
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
    from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    kinds = (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)
    return isinstance(error, kinds)
