"""Values and gradients on PyTorch's own tape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from unimodule.backend import Tensor

Loss = Callable[[list[Tensor]], tuple[Tensor, Any]]


class _Nesting(threading.local):
    depth = 0


_nesting = _Nesting()


def value_and_grad(fn: Loss, values: Sequence[Tensor]) -> tuple[Tensor, Any, list[Tensor]]:
    """See ``Backend.value_and_grad``. Writes to no ``.grad``, and works inside the caller's ``no_grad``."""
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False):
            return _value_and_grad(fn, values)
    return _value_and_grad(fn, values)


def _value_and_grad(fn: Loss, values: Sequence[Tensor]) -> tuple[Tensor, Any, list[Tensor]]:
    nested = _nesting.depth > 0
    with torch.enable_grad():
        leaves = [_leaf(value, nested) for value in values]
        _nesting.depth += 1
        try:
            loss, aux = fn(leaves)
        finally:
            _nesting.depth -= 1
        if not loss.requires_grad:  # nothing took part
            found: Sequence[Tensor | None] = [None] * len(leaves)
        else:
            found = (
                torch.autograd.grad(loss, leaves, create_graph=nested, allow_unused=True) if leaves else []
            )
    gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(values, found, strict=True)]
    if nested:  # the outer call differentiates all of this once more
        return loss, aux, gradients
    return loss.detach(), _detached(aux), gradients


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


def _detached(tree: Any) -> Any:
    if isinstance(tree, torch.Tensor):
        return tree.detach()
    if isinstance(tree, dict):
        return {key: _detached(item) for key, item in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[_detached(item) for item in tree])
    if isinstance(tree, (list, tuple)):
        return type(tree)([_detached(item) for item in tree])
    return tree
