"""Branches and loops in compiled code: PyTorch's higher-order operators. A scan is unrolled by the core.

The operators want the tensors that their functions close over as operands, or these get no gradients; ``_graphs`` finds
them: a first recording of a function has them as constants.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._prims_common import make_contiguous_strides_for
from torch.fx.experimental import proxy_tensor

from unimodule.backend import Tensor
from unimodule.errors import NotSupportedError

from . import gradients
from .tensors import is_concrete

Values = list[Tensor]


# Where the user's own torch.compile meets these, it breaks its graph, and they run eagerly.
@torch._disable_dynamo
def cond(
    pred: Tensor, true_fn: Callable[[Values], Values], false_fn: Callable[[Values], Values], operands: Values
) -> Values:
    from torch._higher_order_ops.cond import cond_op

    if is_concrete(pred):
        return (true_fn if pred else false_fn)(operands)
    operands = [_laid_out(x) for x in operands]
    branches = [_copying(fn, dense=True) for fn in (true_fn, false_fn)]
    if in_functorch() or not recording():
        return list(cond_op(pred, *branches, tuple(operands)))
    graphs, captured = _graphs(branches, operands, dense=True)
    tensors = (*operands, *captured)
    with torch.no_grad():
        kinds = [t.is_floating_point() for t in graphs[0](*tensors)]
    # The operator's gradient cannot do with integers among the results: they come from an operator of their own, whose
    # branches compute no more than them.
    floats = iter(_conditional(pred, graphs, tensors, kinds))
    with torch.no_grad():
        rest = iter(_conditional(pred, graphs, tensors, [not kind for kind in kinds]))
    return [next(floats if kind else rest) for kind in kinds]


def _conditional(
    pred: Tensor, graphs: Sequence[torch.fx.GraphModule], tensors: tuple[Tensor, ...], wanted: list[bool]
) -> Sequence[Tensor]:
    """Those results of the branch that are ``wanted``."""
    from torch._higher_order_ops.cond import cond_op

    if not any(wanted):
        return ()
    chosen = []
    for graph in graphs:
        part = copy.deepcopy(graph)
        output = next(node for node in part.graph.nodes if node.op == "output")
        output.args = (tuple(itertools.compress(output.args[0], wanted)),)
        part.graph.eliminate_dead_code()
        part.recompile()
        chosen.append(part)
    found: Sequence[Tensor] = cond_op(pred, *chosen, tensors)
    return found


@torch._disable_dynamo
def while_loop(
    cond_fn: Callable[[Values], Tensor],
    body_fn: Callable[[Values], Values],
    values: Values,
    max_iters: int | None,
) -> Values:
    from torch._higher_order_ops.while_loop import while_loop_op

    if is_concrete(cond_fn(values)):
        return _in_python(cond_fn, body_fn, values, max_iters)
    if in_functorch():
        raise NotSupportedError(
            "backend 'torch' does not support ops.while_loop on values that um.vmap maps over; use ops.fori_loop with "
            "ops.where, or ops.map instead of um.vmap"
        )
    values = [_laid_out(x) for x in values]
    test, step = _counted(cond_fn, body_fn, max_iters)
    if max_iters is not None:
        values = [torch.zeros((), dtype=torch.int64, device=values[0].device if values else None), *values]
    if not recording():
        out = while_loop_op(test, step, tuple(values), ())
    else:
        (condition, body), captured = _graphs([lambda *v: (test(*v),), step], values, dense=True)
        _unpack_output(condition)
        count = len(values)

        def run(*tensors: Tensor) -> tuple[Tensor, ...]:
            return tuple(while_loop_op(condition, body, tensors[:count], tensors[count:]))

        # PyTorch 2.13 differentiates a loop of no steps as if there had been one: that gradient is cut off here.
        with torch.no_grad():
            runs = condition(*values, *captured)
        inputs = [_where(runs, t, t.detach()) for t in (*_differentiable(values, captured), *captured)]
        # The operator records, on a tape, another one, which the compiler cannot differentiate in its turn. So only a
        # gradient that is taken inside the recorded function may see it.
        out = run(*inputs) if gradients.within_recording() else _Loop.apply(run, *inputs)
        out = [_where(runs, o, v) for o, v in zip(out, values, strict=True)]
    return list(out[1:] if max_iters is not None else out)


def _in_python(
    cond_fn: Callable[[Values], Tensor],
    body_fn: Callable[[Values], Values],
    values: Values,
    max_iters: int | None,
) -> Values:
    for _ in itertools.count() if max_iters is None else range(max_iters):
        if not cond_fn(values):
            break
        values = body_fn(values)
    return values


def _differentiable(values: Values, captured: Values) -> Values:
    """The first values of a loop, all on the tape whenever one of its tensors is: PyTorch 2.13 takes what needs no gradient
    before the first step for a constant in all others, and so loses every path that goes through two steps. Which of the
    tensors will be on a tape when the graph runs is not known while it is recorded.
    """
    floats = [t for t in (*values, *captured) if t.is_floating_point()]
    if not floats:
        return values
    any_of = torch.stack([t.reshape(-1)[:1].sum().to(floats[0].dtype) for t in floats]).sum().reshape(1)

    def on_its_tape(t: Tensor) -> Tensor:
        # Beside it and cut off again. Choosing by a condition that never holds had inductor lose other values' gradients.
        return torch.cat([t.reshape(-1), any_of.to(t.dtype)])[:-1].view(t.shape)

    return [on_its_tape(t) if t.is_floating_point() else t for t in values]


def _where(condition: Tensor, x: Tensor, otherwise: Tensor) -> Tensor:
    return torch.where(condition, x, otherwise) if x.is_floating_point() else x


def _counted(
    cond_fn: Callable[[Values], Tensor], body_fn: Callable[[Values], Values], max_iters: int | None
) -> tuple[Callable[..., Tensor], Callable[..., tuple[Tensor, ...]]]:
    """The functions with a counter in front of the values, where the steps are to be counted."""
    step = _copying(body_fn, dense=True)
    if max_iters is None:
        return lambda *values: cond_fn(list(values)), step
    return (
        lambda i, *values: (i < max_iters) & cond_fn(list(values)),
        lambda i, *values: (i + 1, *step(*values)),
    )


class _Loop(torch.autograd.Function):
    """A loop that is one operator of the recorded graph, whoever differentiates that. Its own gradient runs it again."""

    @staticmethod
    def forward(ctx: Any, run: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.run = run
        ctx.save_for_backward(*tensors)
        out = run(*tensors)
        ctx.mark_non_differentiable(*[t for t in out if not t.is_floating_point()])
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        tensors = [t.detach().requires_grad_(t.is_floating_point()) for t in ctx.saved_tensors]
        with torch.enable_grad():
            out = ctx.run(*tensors)
        pairs = [(o, g) for o, g in zip(out, gradients, strict=True) if o.requires_grad]
        leaves = [t for t in tensors if t.requires_grad]
        found = iter(
            torch.autograd.grad([o for o, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True)
        )
        return (None, *[next(found) if t.requires_grad else None for t in tensors])


# ---------------------------------------------------------------------- graphs
def recording() -> bool:
    """Whether a function is being recorded to be compiled."""
    return proxy_tensor._CURRENT_MAKE_FX_TRACER is not None


def in_functorch() -> bool:
    """Whether a transformation of torch.func is running."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def _laid_out(x: Tensor) -> Tensor:
    """``x``, contiguous, with a fresh tensor's strides: those of axes of one element, which PyTorch holds for contiguous
    whatever they are, are compared with those of what a body returns. Where anything is to be done, inductor is told the
    strides: it would lay out a copy as it likes.
    """
    strides = make_contiguous_strides_for(x.shape)
    return x if x.stride() == strides else x.contiguous().as_strided(x.shape, strides)


def _copying(fn: Callable[[Values], Values], dense: bool = False) -> Callable[..., tuple[Tensor, ...]]:
    """``fn`` of its tensors one by one. What it returns shares no memory with them and is contiguous, as the operators
    demand.
    """

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        out = fn([_dense(v) for v in values] if dense else list(values))
        return tuple(t.clone(memory_format=torch.contiguous_format) for t in out)

    return run


def _dense(x: Tensor) -> Tensor:
    """``x``, with a contiguous gradient: those of two branches must have the same strides."""
    return torch.ops.aten.slice.Tensor(x) if x.ndim and x.is_floating_point() else x


def _graphs(
    functions: Sequence[Callable[..., tuple[Tensor, ...]]], values: Values, dense: bool = False
) -> tuple[list[torch.fx.GraphModule], list[Tensor]]:
    """The functions as graphs, each of ``values`` and of all tensors that one of them closes over, and those tensors."""
    from torch._higher_order_ops.utils import reenter_make_fx

    inputs = [v.detach() for v in values]
    with torch.no_grad():
        graphs = [reenter_make_fx(fn)(*inputs) for fn in functions]
    captured = {id(t): t for graph in graphs for _, t in _constants(graph)}
    for graph in graphs:
        _lift(graph, list(captured.values()), dense)
    return graphs, [_laid_out(t) for t in captured.values()]


def _constants(graph: torch.fx.GraphModule) -> list[tuple[Any, Tensor]]:
    nodes = [node for node in graph.graph.nodes if node.op == "get_attr"]
    found = [(node, getattr(graph, node.target)) for node in nodes]
    return [(node, value) for node, value in found if isinstance(value, torch.Tensor)]


def _lift(graph: torch.fx.GraphModule, captured: list[Tensor], dense: bool) -> None:
    """Make constants of a graph inputs, behind those it has: one for each of ``captured``."""
    constants = _constants(graph)
    place = next(node for node in graph.graph.nodes if node.op != "placeholder")
    inputs = {}
    with graph.graph.inserting_before(place):
        for i, tensor in enumerate(captured):
            inputs[id(tensor)] = graph.graph.placeholder(f"captured_{i}")
        for tensor in captured if dense else ():
            if tensor.ndim and tensor.is_floating_point():
                node = graph.graph.call_function(torch.ops.aten.slice.Tensor, (inputs[id(tensor)],))
                inputs[id(tensor)] = node
    for node, tensor in constants:
        node.replace_all_uses_with(inputs[id(tensor)])
        graph.graph.erase_node(node)
    for name in {node.target for node, _ in constants}:
        delattr(graph, name)
    graph.recompile()


def _unpack_output(graph: torch.fx.GraphModule) -> None:
    """Make a graph that returns a tuple of one return that one."""
    output = next(node for node in graph.graph.nodes if node.op == "output")
    output.args = (output.args[0][0],)
    graph.recompile()


FUNCTIONS: dict[str, Callable[..., Any]] = {"cond": cond, "while_loop": while_loop}
