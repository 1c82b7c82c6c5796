"""A case as plain data: which model, on which inputs, in which mode.

A ``Spec`` can be drawn by Hypothesis, shrunk, printed, saved as JSON, turned into a net on any backend (``building``) and
into a script that stands alone (``scripts``). It holds no array and no module, only what they are made from.

A model is a tree of ``Node``; its ``name`` says of what kind it is:

* ``"nn.Conv2d"``: a layer, made by ``nn.Conv2d(*args, **kwargs)``;
* ``"F.softmax"``, ``"ops.where"``: a function, called with ``args`` and ``kwargs``, in which ``In(0)``, ``In(1)`` stand for
  the inputs of the node;
* ``"block.Residual"``: a module of ``blocks``, made with its children first: ``Residual(*children, *args, **kwargs)``.

A layer may have children too (``nn.Sequential``, ``nn.TransformerEncoder``): they are its first arguments. A module that is
a named argument (an encoder's ``norm``) is a ``Node`` among the ``kwargs``. A layer that is called with more than tensors
one after another (an LSTM's pair of states, an attention's masks) is the child of a ``"block.Apply"``, whose arguments are
those of the call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

Plain = Any
"""None, bool, int, float, str, slice, ``...``, ``In``, ``Array``, ``Fn``, ``Node``, and tuples and dicts with string keys
of these."""


@dataclass(frozen=True)
class In:
    """Stands in a node's arguments for one of its inputs."""

    index: int = 0


@dataclass(frozen=True)
class Fn:
    """Stands in a node's arguments for a public function: ``Fn("ops.relu")``."""

    name: str


@dataclass(frozen=True)
class Array:
    """What an array is made from.

    Among the arguments of a function, or of a block, it is a Constant of the module that the node becomes; among those of
    a layer it is handed over as a NumPy array.

    Attributes:
        shape: its shape.
        dtype: its dtype, by name; every float dtype stands for the case's. Values of a float dtype are
            float32-representable, so that every backend gets the same numbers whatever it computes in.
        fill: the pool its values come from, see ``pools.POOLS``; ``"below:5"`` are integers from 0 to 4.
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
        named = (value for value in self.kwargs.values() if isinstance(value, Node))
        for child in (*self.children, *named):
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
        exact: whether selections are at exact ties, and judged against the declared choice, which no rounding may turn.
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
    def random(self) -> bool:
        """Whether its results depend on random numbers (dropout in training): values then differ between backends."""
        return any(_draws(node, self.training) for node in self.root.walk())

    @property
    def reads_values(self) -> bool:
        """Whether Python looks at a tensor's value, which not every compiler can take."""
        return any(_reads(node) for node in self.root.walk())

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


READERS = frozenset(
    {
        *(f"block.{name}" for name in "WhileNorm IfPositive Item HostSum Converted".split()),
        *(f"ops.{name}" for name in "item to_numpy nonzero searchsorted nextafter".split()),
        *(f"ops.unique_{name}" for name in "all counts inverse values".split()),
    }
)
"""Nodes that read the value of a tensor while they run: Python does, or the shape of the result depends on it, or the
function is documented to be computed on the host."""


def _reads(node: Node) -> bool:
    """Whether a node is one of them, or is with these arguments: a mask's ones, and counts, make the shape of a result."""
    if node.name in READERS:
        return True
    given = node.args[1] if len(node.args) > 1 else None
    if node.name == "ops.getitem":
        return any(
            isinstance(k, Array) and k.dtype == "bool"
            for k in (given if isinstance(given, tuple) else (given,))
        )
    return node.name == "ops.repeat" and isinstance(given, (Array, In))


_DROPOUTS = frozenset(f"{kind}ropout{rank}" for kind in ("nn.D", "F.d") for rank in ("", "1d", "2d", "3d"))
_PROBABILITY = {
    **dict.fromkeys((*_DROPOUTS, "ops.dropout"), "p"),
    **dict.fromkeys(("F.scaled_dot_product_attention", "ops.scaled_dot_product_attention"), "dropout_p"),
}
_DROPPING = "RNN GRU LSTM MultiheadAttention TransformerEncoderLayer TransformerDecoderLayer".split()
_PROBABILITY.update({f"nn.{name}": "dropout" for name in _DROPPING})
_PROBABILITY.update({f"ops.{name}": "dropout" for name in ("rnn", "gru", "lstm")})
_DEFAULT = {"nn.TransformerEncoderLayer": 0.1, "nn.TransformerDecoderLayer": 0.1}


def _draws(node: Node, training: bool) -> bool:
    """Whether a node draws random numbers. Strategies give a probability by its name, never by its place."""
    name, kwargs = node.name, node.kwargs
    if name in ("ops.random_uniform", "F.gumbel_softmax"):
        return True
    if name == "nn.RReLU" or (name == "F.rrelu" and kwargs.get("training", False)):
        return (training or name == "F.rrelu") and kwargs.get("lower", 0.125) != kwargs.get("upper", 1 / 3)
    if name not in _PROBABILITY:
        return False
    active = training if name.startswith("nn.") else kwargs.get("training", True)
    default = 0.5 if name in _DROPOUTS else _DEFAULT.get(name, 0.0)
    return bool(active) and 0.0 < kwargs.get(_PROBABILITY[name], default) < 1.0


_KINDS: dict[str, type] = {kind.__name__: kind for kind in (In, Fn, Array, Node, Spec)}


def _encode(value: Plain) -> Any:
    """Tuples become lists, dataclasses objects with a ``"$"`` that names them; floats that JSON lacks become strings."""
    if type(value).__name__ in _KINDS:
        shown = {f.name: getattr(value, f.name) for f in fields(value)}
        return {"$": type(value).__name__, **{name: _encode(item) for name, item in shown.items()}}
    if isinstance(value, Mapping):
        return {name: _encode(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_encode(item) for item in value]
    if value is ...:
        return {"$": "..."}
    if isinstance(value, slice):
        return {"$": "slice", "value": [value.start, value.stop, value.step]}
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
        if kind == "...":
            return ...
        if kind == "slice":
            return slice(*value["value"])
        parts = {name: _decode(item) for name, item in value.items() if name != "$"}
        return _KINDS[kind](**parts) if kind else parts
    return value


__all__ = ["READERS", "Array", "Fn", "In", "Node", "Plain", "Spec"]
