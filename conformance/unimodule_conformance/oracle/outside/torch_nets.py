"""A spec's model as a PyTorch module in float64, with the state that the reference's net has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ...building import array
from ...specs import Array, Fn, In, Node, Plain
from ..measuring import Array as Host
from .torch_blocks import BLOCKS, Block
from .torch_kernels import KERNELS
from .torch_ops import OPS, celu, group_norm, hardsigmoid, in_order, labels


class Untranslated(Exception):
    """PyTorch has nothing of that name that is known to be the same."""


def net(root: Node, state: dict[str, Host], frozen: set[str], training: bool) -> nn.Module:
    """The model, with parameters, constants and buffers of these values.

    Args:
        root: the model.
        state: by name.
        frozen: names of parameters that are not trained.
        training: its mode.

    Raises:
        Untranslated: there is no such layer, function or block outside unimodule.
    """
    made = translate(root).double()
    made.load_state_dict({name: torch.tensor(value) for name, value in state.items()}, strict=True)
    for module in made.modules():
        if getattr(module, "num_features", None) == 0:  # a lazy norm that took its state from there
            module.num_features = next(
                (value.numel() for value in module.state_dict().values() if value.ndim), 0
            )
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return made.train(training)


def translate(node: Node) -> nn.Module:
    """The module that a node stands for."""
    children = [translate(child) for child in node.children]
    name = node.name.partition(".")[2]
    if node.kind == "block" and name == "Apply":
        return _apply(children[0], node)
    if node.kind in ("F", "ops"):
        return _apply(_function(node.name), node)
    args, kwargs = _value(node.args), _value(dict(node.kwargs))
    if node.kind == "block":
        return _known(BLOCKS.get(name), node.name)(*children, *args, **kwargs)
    if name == "Parallel":
        return _Joined(kwargs["axis"], children)
    kwargs.pop("sparse", None)  # how a gradient is kept, not what it is
    made = _known(getattr(nn, name, None), node.name)(*children, *args, **kwargs)
    if hasattr(made, "inplace"):
        made.inplace = False  # nothing is written in place here: what else holds the tensor must not change
    if name in CORRECTED:
        made.forward = CORRECTED[name](made)
    return made


CORRECTED: dict[str, Callable[[Any], Any]] = {
    "Hardsigmoid": lambda layer: hardsigmoid,
    "CELU": lambda layer: lambda x: celu(x, layer.alpha),
    "CrossEntropyLoss": lambda layer: labels(layer.forward),
    "NLLLoss": lambda layer: labels(layer.forward),
    **{
        f"{lazy}{kind}Norm{rank}d": lambda layer: in_order(layer.forward)
        for lazy in ("", "Lazy")
        for kind in ("Batch", "Instance")
        for rank in (1, 2, 3)
    },
}
"""Layers whose call is not quite PyTorch's; see the functions."""

FUNCTIONS = {
    "hardsigmoid": hardsigmoid,
    "celu": celu,
    "cross_entropy": labels(F.cross_entropy),
    "nll_loss": labels(F.nll_loss),
    "group_norm": group_norm,
    "batch_norm": in_order(F.batch_norm),
    "instance_norm": in_order(F.instance_norm),
    "embedding": lambda *args, sparse=False, **kwargs: F.embedding(*args, **kwargs),
}
"""The same for functions."""


@dataclass(frozen=True)
class _Kept:
    """Stands in a node's arguments for a constant."""

    name: str


class _Joined(nn.Sequential):
    """Modules on one input, their outputs joined along an axis."""

    def __init__(self, axis: int, modules: list[nn.Module]) -> None:
        super().__init__(*modules)
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return torch.cat([module(x) for module in self], self.axis)


def _known(found: Any, name: str) -> Any:
    if found is None:
        raise Untranslated(f"PyTorch has no {name}")
    return found


def _function(name: str) -> Any:
    kind, _, rest = name.partition(".")
    return _known(
        (OPS.get(rest) or KERNELS.get(rest))
        if kind == "ops"
        else FUNCTIONS.get(rest, getattr(F, rest, None)),
        name,
    )


def _apply(function: Any, node: Node) -> nn.Module:
    """A call with given arguments; arrays among them are buffers, as they are Constants of the reference's module."""
    constants: list[Any] = []

    def keep(value: Plain) -> Any:
        if isinstance(value, Array):
            constants.append(_tensor(value))
            return _Kept(f"constant_{len(constants) - 1}")
        if isinstance(value, (tuple, list)):
            return tuple(keep(item) for item in value)
        if isinstance(value, dict):
            return {key: keep(item) for key, item in value.items()}
        return _value(value)

    named = {key: value for key, value in node.kwargs.items() if key != "inplace"}
    args, kwargs = keep(node.args), keep(named)

    def run(self: Block, *inputs: Any) -> Any:
        def fill(value: Any) -> Any:
            if isinstance(value, _Kept):
                return getattr(self, value.name)
            if isinstance(value, In):
                return inputs[value.index]
            if isinstance(value, tuple):
                return tuple(fill(item) for item in value)
            return {key: fill(item) for key, item in value.items()} if isinstance(value, dict) else value

        return function(*fill(args), **fill(kwargs))

    block = Block(run, **({"function": function} if isinstance(function, nn.Module) else {}))
    for index, value in enumerate(constants):
        block.register_buffer(f"constant_{index}", value)
    return block


def _value(plain: Plain) -> Any:
    if isinstance(plain, Array):
        return _tensor(plain)
    if isinstance(plain, Fn):
        return _function(plain.name)
    if isinstance(plain, Node):
        return translate(plain)
    if isinstance(plain, tuple):
        return tuple(_value(item) for item in plain)
    return {key: _value(item) for key, item in plain.items()} if isinstance(plain, dict) else plain


def _tensor(given: Array) -> Any:
    return torch.tensor(np.asarray(array(given, "float64")))


__all__ = ["Untranslated", "net", "translate"]
