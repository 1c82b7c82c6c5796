"""Taking the arrays out of what a function returns besides its loss, and putting others in their place.

``jax.value_and_grad`` takes pytrees of arrays only, sorts their dicts and drops None. What a model returns may hold
strings, None and Python numbers, and its dicts come back in the order in which they went in.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import jax


def map_arrays(fn: Callable[[Any], Any], tree: Any) -> Any:
    """``tree`` with ``fn(x)`` for each array or placeholder ``x`` in its tuples, lists, dicts and pytree nodes."""
    if isinstance(tree, jax.Array | Slot):
        return fn(tree)
    if isinstance(tree, dict):
        result = copy.copy(tree)  # keeps the class, its order and a default factory
        for key, value in tree.items():
            result[key] = map_arrays(fn, value)
        return result
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_arrays(fn, value) for value in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(map_arrays(fn, value) for value in tree)
    if tree is None or jax.tree_util.all_leaves([tree]):
        return tree
    children, rebuild = jax.tree_util.tree_flatten(tree, is_leaf=lambda x: x is not tree)
    return jax.tree_util.tree_unflatten(rebuild, [map_arrays(fn, child) for child in children])


class Slot:
    """The place of an array in a tree."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


def take_out(tree: Any) -> tuple[Any, list[Any]]:
    """``tree`` with a :class:`Slot` for each array, and the arrays."""
    arrays: list[Any] = []

    def lift(x: Any) -> Slot:
        arrays.append(x)
        return Slot(len(arrays) - 1)

    return map_arrays(lift, tree), arrays


def put_in(tree: Any, arrays: list[Any]) -> Any:
    """The inverse of :func:`take_out`."""
    return map_arrays(lambda slot: arrays[slot.index], tree)
