"""Values and gradients on PyTorch's own tape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from unimodule.backend import Tensor

Loss = Callable[[list[Tensor]], tuple[Tensor, Any]]


class _Nesting(threading.local):
    depth = 0
    count = 0
    outside = 0


def count() -> int:
    """How many gradients were taken in this thread so far."""
    return _nesting.count


_nesting = _Nesting()


@contextmanager
def recording() -> Iterator[None]:
    """While a function is recorded: gradients around the recording are not those of ``within_recording``."""
    before, _nesting.outside = _nesting.outside, _nesting.depth
    try:
        yield
    finally:
        _nesting.outside = before


def within_recording() -> bool:
    """Whether a gradient is being computed by the function that is recorded."""
    return _nesting.depth > _nesting.outside


def value_and_grad(fn: Loss, values: Sequence[Tensor]) -> tuple[Tensor, Any, list[Tensor]]:
    """See ``Backend.value_and_grad``. Writes to no ``.grad``, and works inside the caller's ``no_grad``."""
    # Not `torch.compiler.is_compiling`: that is also true in every other thread while one compiles.
    if torch.compiler.is_dynamo_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        return _traced(fn, values)
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False):
            return value_and_grad(fn, values)
    if not torch.is_grad_enabled():
        with torch.enable_grad():
            return _on_tape(fn, values)
    return _on_tape(fn, values)


def _on_tape(fn: Loss, values: Sequence[Tensor]) -> tuple[Tensor, Any, list[Tensor]]:
    nested = _nesting.depth > 0
    leaves = [_leaf(value, nested) for value in values]
    _nesting.depth += 1
    _nesting.count += 1
    try:
        loss, aux = fn(leaves)
    finally:
        _nesting.depth -= 1
    found: Sequence[Tensor | None] = [None] * len(leaves)
    if leaves and loss.requires_grad:
        found = torch.autograd.grad(loss, leaves, create_graph=nested, allow_unused=True)
    gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(values, found, strict=True)]
    if nested:  # the outer call differentiates all of this once more
        return loss, aux, gradients
    return loss.detach(), _detached(aux), gradients


def watch(x: Tensor, note: Callable[[Tensor], None]) -> Tensor:
    """See ``Backend.watch_gradient``. A hook on ``x`` itself would also see what comes from its other uses."""
    y = x.view_as(x)
    if y.requires_grad:

        def hook(gradient: Tensor) -> None:
            note(gradient.detach())

        y.register_hook(hook)
    return y


def _traced(fn: Loss, values: Sequence[Tensor]) -> tuple[Tensor, Any, list[Tensor]]:
    """The same where the compiler traces or torch.func transforms, which take torch.func's gradients but not the tape's."""
    structure: list[Any] = []

    def loss_of(*leaves: Tensor) -> tuple[Tensor, list[Tensor]]:
        loss, aux = fn(list(leaves))
        carried = [loss]  # torch.func hands out tensors only
        structure.append(_take_tensors(aux, carried))
        return loss, carried

    def run(inputs: Sequence[Tensor]) -> tuple[Tensor, Any, list[Tensor]]:
        if not inputs:
            loss, carried = loss_of()
            return loss, _put_tensors(structure[0], carried), []
        gradients, carried = torch.func.grad(loss_of, argnums=tuple(range(len(inputs))), has_aux=True)(
            *inputs
        )
        return carried[0], _put_tensors(structure[0], carried), list(gradients)

    if _nesting.depth:
        return run(values)
    _nesting.depth += 1
    try:
        with torch.no_grad():  # nor may the compiler prepare to differentiate the result
            return run([value.detach() for value in values])
    finally:
        _nesting.depth -= 1


class _Place(int):
    """Where a tensor of aux stands in the list that carries them."""


def _take_tensors(tree: Any, carried: list[Tensor]) -> Any:
    if isinstance(tree, torch.Tensor):
        carried.append(tree)
        return _Place(len(carried) - 1)
    return _mapped(lambda item: _take_tensors(item, carried), tree)


def _put_tensors(tree: Any, carried: list[Tensor]) -> Any:
    if isinstance(tree, _Place):
        return carried[tree]
    return _mapped(lambda item: _put_tensors(item, carried), tree)


def _detached(tree: Any) -> Any:
    return tree.detach() if isinstance(tree, torch.Tensor) else _mapped(_detached, tree)


def _mapped(fn: Callable[[Any], Any], tree: Any) -> Any:
    """``fn`` of each item of a container; anything else as it is."""
    if isinstance(tree, dict):
        return {key: fn(item) for key, item in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[fn(item) for item in tree])
    if isinstance(tree, (list, tuple)):
        return type(tree)([fn(item) for item in tree])
    return tree


def _leaf(value: Tensor, nested: bool) -> Tensor:
    if value.requires_grad:
        if value.is_leaf:
            return value
        if nested:
            # A view of its own: the outer tape goes on through it, and the gradient asked for here does not pick up
            # what reaches the loss through other tensors made from the same value.
            return value.view_as(value)
    value = value.detach()
    return (value.clone() if value.is_inference() else value).requires_grad_()
