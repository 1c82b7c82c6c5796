"""The structure of an output: its nesting, and what each leaf is."""

from __future__ import annotations

from typing import Any

from unimodule import ops
from unimodule.comparison.measure import flatten
from unimodule.registry import find_backend

from ..outcome import Target


def outline(output: Any, target: Target) -> dict[str, str]:
    """The nesting, and by the place of each leaf its dtype and shape, or what else it is."""
    leaves = {f"at {path or 'top'}": _described(leaf, target) for path, leaf in flatten(output)}
    return {"nesting": _nesting(output), **leaves}


def _described(leaf: Any, target: Target) -> str:
    if (backend := find_backend(leaf)) is None:
        return type(leaf).__name__
    if backend.info.name != target.backend:
        return f"a tensor of {backend.info.name}"
    if backend.device(leaf) != target.device:
        return f"a tensor on {backend.device(leaf)}"
    return f"{ops.dtype(leaf)} {ops.shape(leaf)}"


def _nesting(tree: Any) -> str:
    """Tuples, lists and dicts, with a dot for each leaf."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key!r}: {_nesting(item)}" for key, item in tree.items()) + "}"
    if isinstance(tree, (tuple, list)):
        inside = ", ".join(map(_nesting, tree))
        return f"({inside})" if isinstance(tree, tuple) else f"[{inside}]"
    return "."


__all__ = ["outline"]
