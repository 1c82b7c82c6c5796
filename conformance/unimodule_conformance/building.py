"""From a spec to a net and its inputs.

A net is built without a backend: ``build(spec).to("torch")`` has the same parameters as ``build(spec).to("jax")``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from unimodule import nn, ops

from . import blocks, flow, pools, questions
from .specs import Array, Fn, In, Node, Plain, Spec

Values = np.ndarray[Any, Any]

BLOCKS: dict[str, type[nn.Module]] = {
    name: getattr(module, name) for module in (blocks, flow, questions) for name in module.__all__
}
"""Modules that ``"block.*"`` stands for, by name."""


def build(spec: Spec) -> nn.Module:
    """The spec's net: not bound to a backend, with its parameters drawn anew, in its mode and float dtype.

    Raises:
        UnimoduleError: a layer of an invalid spec refuses its arguments.
    """
    net = module(spec.root)
    redraw(net, spec.seed)
    return net.to(dtype=spec.dtype).train(spec.training)


def arrays(spec: Spec) -> tuple[Values, ...]:
    """The inputs of the spec's net: floats in its dtype."""
    return tuple(array(given, spec.dtype) for given in spec.inputs)


def array(given: Array, dtype: str = "float32") -> Values:
    """What an ``Array`` stands for; ``dtype`` is that of floats."""
    kind = dtype if given.dtype.startswith("float") else given.dtype
    if given.values is not None:
        host = np.asarray(given.values, "float64" if kind.startswith("float") else kind)
        return np.asarray(_rounded(host.reshape(given.shape), kind))
    return np.asarray(_rounded(pools.draw(given.fill, given.seed, given.shape), kind))


def _rounded(host: Values, dtype: str) -> Values:
    """In ``dtype``; as float32 sees it where that is a float."""
    return host.astype("float32").astype(dtype) if dtype.startswith("float") else host.astype(dtype)


def function(name: str) -> Callable[..., Any]:
    """The public function that ``"F.relu"`` or ``"ops.relu"`` stands for."""
    kind, _, rest = name.partition(".")
    found: Callable[..., Any] = getattr({"F": nn.functional, "ops": ops}[kind], rest)
    return found


def module(node: Node) -> nn.Module:
    """The module that a node stands for, with the initial parameters of its class."""
    children = [module(child) for child in node.children]
    kind, _, name = node.name.partition(".")
    if kind in ("F", "ops"):
        return blocks.Apply(function(node.name), *_value(node.args), **_value(node.kwargs))
    make: Any = BLOCKS[name] if kind == "block" else getattr(nn, name)
    made: nn.Module = make(*children, *_value(node.args), **_value(node.kwargs))
    return made


def _value(plain: Plain) -> Any:
    """An argument: arrays are drawn, functions looked up, modules built."""
    if isinstance(plain, Array):
        return array(plain)
    if isinstance(plain, Fn):
        return function(plain.name)
    if isinstance(plain, Node):
        return module(plain)
    if isinstance(plain, tuple):
        return tuple(_value(item) for item in plain)
    if isinstance(plain, dict):
        return {key: _value(item) for key, item in plain.items()}
    return plain


# ---------------------------------------------------------------------- parameters
def redraw(net: nn.Module, seed: int) -> None:
    """Draw every parameter anew, and the running statistics, none of them near zero.

    A head that starts at zero, or a norm that starts at one, hides faults. Weights are scaled by the number of terms that
    they weigh, so that deep nets stay in range. A lazy parameter is drawn by its own initialiser, when it is known.
    """
    net.initialize(seed)
    for index, parameter in enumerate(net.parameters()):
        if parameter.shape_known:
            rng = np.random.default_rng([seed, index])
            parameter.data = _weights(rng, known(parameter.shape))
    for index, (name, buffer) in enumerate(net.named_buffers()):
        rng = np.random.default_rng([seed, index, 1])
        if name.endswith("running_mean") and buffer.shape_known:
            buffer.data = rng.uniform(-1.0, 1.0, known(buffer.shape)).astype("float32")
        elif name.endswith("running_var") and buffer.shape_known:
            buffer.data = rng.uniform(0.5, 2.0, known(buffer.shape)).astype("float32")


def known(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """A shape without unknown sizes."""
    return tuple(n for n in shape if n is not None)


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Of either sign and of magnitude 0.3 to 1.2, over the square root of the number of terms."""
    size = rng.uniform(0.3, 1.2, shape) / math.sqrt(max(1, math.prod(shape[1:])))
    return np.asarray(rng.choice([-1.0, 1.0], size=shape) * size).astype("float32")


__all__ = ["BLOCKS", "In", "array", "arrays", "build", "function", "module", "redraw"]
