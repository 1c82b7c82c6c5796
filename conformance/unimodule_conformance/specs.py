"""A case as plain data: which model, on which inputs, in which mode.

A ``Spec`` can be drawn by Hypothesis, shrunk, printed, saved as JSON, turned into a net on any backend (``building``) and
into a script that stands alone (``scripts``). It holds no array and no module, only what they are made from.

A model is a tree of ``Node``; its ``name`` says of what kind it is:

* ``"nn.Conv2d"``: a layer, made by ``nn.Conv2d(*args, **kwargs)``;
* ``"F.softmax"``, ``"ops.where"``: a function, called with ``args`` and ``kwargs``, in which ``In(0)``, ``In(1)`` stand for
  the inputs of the node;
* ``"block.Residual"``: a module of ``blocks``, made with its children first: ``Residual(*children, *args, **kwargs)``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

Plain = Any
"""None, bool, int, float, str, ``In``, ``Array``, and tuples and dicts with string keys of these."""


@dataclass(frozen=True)
class In:
    """Stands in a node's arguments for one of its inputs."""

    index: int = 0


@dataclass(frozen=True)
class Array:
    """What an array is made from.

    Attributes:
        shape: its shape.
        dtype: its dtype, by name. Values of a float dtype are float32-representable, so that every backend gets the same
            numbers whatever it computes in.
        fill: the pool its values come from, see ``strategies.arrays.POOLS``.
        seed: of the draw from the pool.
        values: the values themselves, flat, instead of a draw.
    """

    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    fill: str = "normal"
    seed: int = 0
    values: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Node:
    """One module or function of a model; see the text of this module."""

    name: str
    args: tuple[Plain, ...] = ()
    kwargs: Mapping[str, Plain] = field(default_factory=dict)
    children: tuple[Node, ...] = ()

    @property
    def kind(self) -> str:
        """``"nn"``, ``"F"``, ``"ops"`` or ``"block"``."""
        return self.name.partition(".")[0]

    def walk(self) -> Iterator[Node]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Spec:
    """A model, its inputs, and how it is run.

    Attributes:
        root: the model.
        inputs: what it is called with.
        training: in train mode, or in eval mode.
        dtype: the float dtype of the net and of its float inputs: ``"float32"`` or ``"float64"``.
        seed: of parameters, constants and random numbers. Every parameter is drawn anew from a pool: none is left at a
            zero or one that would hide a fault.
        differentiable: whether gradients are asked for; where the function has none (an argmax), values alone are.
        exact: whether selections are at exact ties, and therefore judged unperturbed against the declared choice.
        error: for an invalid case, the name of the error class that the declared semantics ask for; else None.
    """

    root: Node
    inputs: tuple[Array, ...] = ()
    training: bool = False
    dtype: str = "float32"
    seed: int = 0
    differentiable: bool = True
    exact: bool = False
    error: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of all its nodes."""
        return frozenset(node.name for node in self.root.walk())

    def with_dtype(self, dtype: str) -> Spec:
        """The same case in another float dtype."""
        return replace(self, dtype=dtype)

    def to_json(self) -> str:
        """As one line of JSON; ``from_json`` reads it back to an equal spec."""
        return json.dumps(_encode(self))

    @staticmethod
    def from_json(text: str) -> Spec:
        """Read what ``to_json`` wrote."""
        spec = _decode(json.loads(text))
        if not isinstance(spec, Spec):
            raise ValueError(f"not a spec: {text[:80]}")
        return spec


_KINDS: dict[str, type] = {kind.__name__: kind for kind in (In, Array, Node, Spec)}


def _encode(value: Plain) -> Any:
    """Tuples become lists, dataclasses objects with a ``"$"`` that names them; floats that JSON lacks become strings."""
    if type(value).__name__ in _KINDS:
        shown = {f.name: getattr(value, f.name) for f in fields(value)}
        return {"$": type(value).__name__, **{name: _encode(item) for name, item in shown.items()}}
    if isinstance(value, Mapping):
        return {name: _encode(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_encode(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"$": "float", "value": str(value)}
    return value


def _decode(value: Any) -> Plain:
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    if isinstance(value, dict):
        kind = value.get("$")
        if kind == "float":
            return float(value["value"])
        parts = {name: _decode(item) for name, item in value.items() if name != "$"}
        return _KINDS[kind](**parts) if kind else parts
    return value


__all__ = ["Array", "In", "Node", "Plain", "Spec"]
