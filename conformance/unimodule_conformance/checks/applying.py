"""Which specs a check says something about."""

from __future__ import annotations

from dataclasses import replace

from ..specs import Array, Node, Plain, Spec


def valid(spec: Spec) -> bool:
    """Not made to raise an error."""
    return spec.error is None


def certain(spec: Spec) -> bool:
    """Its values are to be the reference's: nothing random is in them."""
    return valid(spec) and not spec.random


def differentiable(spec: Spec) -> bool:
    """It has gradients, and they are to be the reference's."""
    return certain(spec) and spec.differentiable


def stateful(spec: Spec) -> bool:
    """It has modules that may have parameters or buffers, or behave in another way in train mode."""
    return valid(spec) and any(name.startswith(("nn.", "block.")) for name in spec.names)


def trainable(spec: Spec) -> bool:
    """Steps of training can be judged by value."""
    return stateful(spec) and differentiable(spec)


def toggled(spec: Spec) -> bool:
    """It can be judged by value in eval mode."""
    return stateful(spec) and not replace(spec, training=False).random


def constant(spec: Spec) -> bool:
    """It has Constants."""
    return trainable(spec) and any(
        node.name == "block.WithConstant"
        or (node.kind != "nn" and _holds_array((node.args, dict(node.kwargs))))
        for node in spec.root.walk()
    )


def _holds_array(plain: Plain) -> bool:
    if isinstance(plain, dict):
        return any(_holds_array(item) for item in plain.values())
    if isinstance(plain, (tuple, list)):
        return any(_holds_array(item) for item in plain)
    return isinstance(plain, Array) and not isinstance(plain, Node)


SHARING = frozenset({"block.Tied", "block.Shared"})
FLOW = frozenset(f"block.{name}" for name in "Cond Fori IfPositive Map Scan While WhileNorm".split())


def sharing(spec: Spec) -> bool:
    """It uses a parameter more than once."""
    return trainable(spec) and bool(SHARING & spec.names)


def flowing(spec: Spec) -> bool:
    """It has control flow on values."""
    return certain(spec) and bool(FLOW & spec.names)


def single(spec: Spec) -> bool:
    """It is in float32, and can be asked for in float64 too."""
    return certain(spec) and spec.dtype == "float32"


def invalid(spec: Spec) -> bool:
    """It is made to raise an error."""
    return spec.error is not None


def random(spec: Spec) -> bool:
    """It draws random numbers."""
    return valid(spec) and spec.random


__all__ = [
    "certain",
    "constant",
    "differentiable",
    "flowing",
    "invalid",
    "random",
    "sharing",
    "single",
    "stateful",
    "toggled",
    "trainable",
    "valid",
]
