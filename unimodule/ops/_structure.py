"""Values that are nested tuples, lists and dicts of tensors: taken apart into leaves, and put together again.

None is a structure without leaves. The keys of a dict are its structure, their order is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import ArgumentError

LEAF = object()

Structure = Any
"""``LEAF``, None, or a container's type with the structures of its items (of a dict: with its keys)."""


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of ``tree`` in order, and its structure."""
    leaves: list[Any] = []
    return leaves, _take_apart(tree, leaves)


def _take_apart(tree: Any, leaves: list[Any]) -> Structure:
    if tree is None:
        return None
    if isinstance(tree, tuple | list):
        return type(tree), [_take_apart(item, leaves) for item in tree]
    if isinstance(tree, dict):
        return dict, {key: _take_apart(value, leaves) for key, value in tree.items()}
    leaves.append(tree)
    return LEAF


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """The inverse of ``flatten``."""
    return _put_together(structure, iter(leaves))


def _put_together(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure is LEAF:
        return next(leaves)
    if structure is None:
        return None
    kind, items = structure
    if kind is dict:
        return {key: _put_together(item, leaves) for key, item in items.items()}
    built = [_put_together(item, leaves) for item in items]
    return kind(*built) if hasattr(kind, "_fields") else kind(built)


def flatten_as(structure: Structure, tree: Any, who: str) -> list[Any]:
    """The leaves of ``tree`` in the order of ``structure``.

    Raises:
        ArgumentError: ``tree`` has another structure; ``who`` is the function that returned it.
    """
    leaves: list[Any] = []
    if not _take_alike(structure, tree, leaves):
        raise ArgumentError(
            f"{who} expected to return {describe(structure)}, got {describe(flatten(tree)[1])}"
        )
    return leaves


def _take_alike(structure: Structure, tree: Any, leaves: list[Any]) -> bool:
    if structure is LEAF:
        leaves.append(tree)
        return tree is not None and not isinstance(tree, tuple | list | dict)
    if structure is None:
        return tree is None
    kind, items = structure
    if kind is dict:
        same = isinstance(tree, dict) and tree.keys() == items.keys()
        return same and all(_take_alike(item, tree[key], leaves) for key, item in items.items())
    same = type(tree) is kind and len(tree) == len(items)
    return same and all(_take_alike(item, part, leaves) for item, part in zip(items, tree, strict=True))


def map_leaves(fn: Callable[[Any], Any], tree: Any) -> Any:
    """``tree`` with ``fn(leaf)`` for each leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [fn(leaf) for leaf in leaves])


def describe(structure: Structure) -> str:
    """A structure in words: ``(tensor, {'h': tensor})``."""
    if structure is LEAF:
        return "tensor"
    if structure is None:
        return "None"
    kind, items = structure
    if kind is dict:
        return "{" + ", ".join(f"{key!r}: {describe(item)}" for key, item in items.items()) + "}"
    inner = ", ".join(describe(item) for item in items)
    if kind is list:
        return f"[{inner}]"
    name = "" if kind is tuple else kind.__name__
    return f"{name}({inner}{',' if kind is tuple and len(items) == 1 else ''})"


__all__ = ["LEAF", "Structure", "describe", "flatten", "flatten_as", "map_leaves", "unflatten"]
