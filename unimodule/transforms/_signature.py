"""Signatures of calls: all that a recorded program may depend on, in a form that can be compared."""

from __future__ import annotations

import types
from collections.abc import Hashable
from typing import Any

import numpy as np

from ..backend import Backend
from ..errors import ArgumentError
from ..nn.module import Module
from ..registry import find_backend
from .functional import Tree

_BY_VALUE = (type(None), bool, int, str, bytes, np.dtype)
# What a module keeps for itself; whatever of it matters for a program is told by the variables and the submodules.
_OWN = frozenset(
    "_variables _modules _backend _device _dtype _accepts _lazy _functional _watchers _original".split()
)


class _Same:
    """An object that is equal to itself alone, and alive as long as it is part of a signature."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value


def original(net: Module) -> Module:
    """The net itself, where ``net`` is a functional clone of it."""
    found: Module = net.__dict__.get("_original", net)
    return found


def of_arguments(tree: Tree, backend: Backend) -> Hashable:
    """The signature of arguments: structure, shape, dtype and device of tensors, identity of nets, all other values.

    Raises:
        ArgumentError: a value cannot be compared.
    """
    if isinstance(tree, tuple | list):
        return (type(tree), *(of_arguments(item, backend) for item in tree))
    if isinstance(tree, dict):
        return (type(tree), *((key, of_arguments(value, backend)) for key, value in tree.items()))
    if isinstance(tree, Module):
        return (Module, id(original(tree)))  # the cache looks whether it is still the same net
    if find_backend(tree) is backend:
        return (backend.shape(tree), backend.dtype(tree), backend.device(tree))
    if isinstance(tree, float | complex):
        return (type(tree), repr(tree))  # as numbers, 0.0 and -0.0 are equal and NaN is not
    try:
        hash(tree)
    except TypeError:
        raise ArgumentError(
            f"a compiled call cannot take a {type(tree).__name__}: pass tensors, nets, numbers, strings, or tuples, "
            "lists and dicts of them"
        ) from None
    return (type(tree), tree)


def of_net(net: Module) -> Hashable:
    """The signature of a net: its modules with their plain attributes, and its variables, values apart."""
    parts: list[Hashable] = [net.device]
    for module in net.modules():
        parts.append((type(module), tuple(module._modules)))
        variables, modules = module._variables, module._modules
        for name, value in module.__dict__.items():
            if name not in _OWN and name not in variables and name not in modules:
                parts.append((name, _of_attribute(value)))
        for name, variable in variables.items():
            parts.append((name, _Same(variable), variable.shape, variable.dtype, variable.trainable))
    return tuple(parts)


def _of_attribute(value: Any) -> Hashable:
    if type(value) is tuple:
        return tuple(_of_attribute(item) for item in value)
    if isinstance(value, _BY_VALUE):
        return (type(value), value)
    if isinstance(value, float | complex):
        return (type(value), repr(value))
    if isinstance(value, types.MethodType) and isinstance(value.__self__, Module):
        return (_Same(value.__func__), id(original(value.__self__)))  # a clone has its own
    return _Same(value)
