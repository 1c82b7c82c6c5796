"""One net on one backend: everything that is compared, as NumPy arrays."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, ops
from ..nn.module import Module
from ..registry import find_backend
from ..transforms.functional import Tree, map_tree
from ..transforms.gradient import value_and_grad

Array = np.ndarray[Any, Any]

OUTPUT, LOSS, INPUT_GRADIENT, PARAMETER_GRADIENT, BUFFER = KINDS = (
    "output",
    "loss",
    "input gradient",
    "parameter gradient",
    "buffer",
)
"""What is compared, in the order in which reports show it."""


class Key(NamedTuple):
    """Names one array: its kind, and which one of that kind (``""`` where there is only one)."""

    kind: str
    name: str


Values = dict[Key, Array]


@dataclasses.dataclass(frozen=True)
class Case:
    """What every backend is given: the same numbers, on the host.

    Attributes:
        inputs: positional inputs of the net, nested as they are given.
        loss: ``loss(output, target)``, or ``loss(output)`` without a target; None for a random projection.
        target: what ``loss`` gets beside the output.
        seed: of the projection.
    """

    inputs: tuple[Any, ...]
    loss: Callable[..., Any] | None
    target: Tree
    seed: int

    @property
    def floats(self) -> dict[str, Array]:
        """The float arrays among the inputs, by their place: gradients are taken with respect to these."""
        return {path: leaf for path, leaf in flatten(self.inputs) if is_float(leaf)}


# ---------------------------------------------------------------------- measuring
def outputs(net: Module, case: Case) -> Values:
    """One call of the net: its outputs, and its buffers afterwards if it is in training mode."""
    found = {Key(OUTPUT, path): array for path, array in _arrays(net(*case.inputs))}
    if net.training:
        found.update((Key(BUFFER, name), buffer.numpy()) for name, buffer in net.named_buffers())
    return found


def buffers(net: Module, case: Case) -> Values:
    """The buffers after one call of the net."""
    net(*case.inputs)
    return {Key(BUFFER, name): buffer.numpy() for name, buffer in net.named_buffers()}


def gradients(net: Module, case: Case) -> Values:
    """The loss, if there is one, and the gradients with respect to float inputs and trainable parameters.

    Raises:
        ShapeError, DtypeError: the loss is no floating scalar.
    """
    floats = case.floats
    inputs = map_tree(lambda leaf: _SLOT if is_float(leaf) else leaf, case.inputs)

    def scalar(net: Module, values: list[Any], inputs: Tree, target: Tree, loss: Any) -> Any:
        supplied = iter(values)
        output = net(*map_tree(lambda leaf: next(supplied) if leaf is _SLOT else leaf, inputs))
        if loss is None:
            return _projection(output, case.seed)
        return loss(output) if target is None else loss(output, target)

    value, (parameters, slopes) = value_and_grad(scalar, (0, 1))(
        net, list(floats.values()), inputs, case.target, _beside(net, case.loss)
    )
    found = {} if case.loss is None else {Key(LOSS, ""): ops.to_numpy(value)}
    for path, slope in zip(floats, slopes, strict=True):
        found[Key(INPUT_GRADIENT, path)] = ops.to_numpy(slope)
    for name, slope in parameters.items():
        found[Key(PARAMETER_GRADIENT, name)] = ops.to_numpy(slope)
    return found


_SLOT = object()
"""Where a float input belongs: that is passed apart, to be differentiated with respect to."""


def _beside(net: Module, loss: Any) -> Any:
    """The loss, moved to where the net is if it is a module."""
    if not isinstance(loss, Module):
        return loss
    return loss.clone().to(net.backend, device=net.device, dtype=net.dtype)


def _projection(output: Tree, seed: int) -> Any:
    """A scalar that every element of every float output moves, each by a weight of its own: the sum of y * w."""
    total: Any = None
    for path, leaf in flatten(output):
        if not _is_float_tensor(leaf):
            continue
        shape = ops.shape(leaf)
        rng = np.random.default_rng([seed, zlib.crc32(path.encode())])
        weights = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
        short = weights.astype("float16").astype("float64")  # the same numbers whatever the dtype
        term = ops.sum(ops.multiply(leaf, ops.asarray(short, dtype=ops.dtype(leaf), like=leaf)))
        total = term if total is None else ops.add(total, term)
    return total


# ---------------------------------------------------------------------- nested structures
def flatten(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested tuples, lists and dicts, each with its place: ``[0]['logits']``."""
    if isinstance(tree, tuple | list):
        fields = getattr(tree, "_fields", None)
        for i, item in enumerate(tree):
            yield from flatten(item, path + (f".{fields[i]}" if fields else f"[{i}]"))
    elif isinstance(tree, dict):
        for key, item in tree.items():
            yield from flatten(item, f"{path}[{key!r}]")
    else:
        yield path, tree


def is_float(leaf: Any) -> bool:
    """Whether a leaf is a NumPy array of floats."""
    return isinstance(leaf, np.ndarray) and dtypes.is_floating(dtypes.canonical(leaf.dtype))


def _is_float_tensor(leaf: Any) -> bool:
    return find_backend(leaf) is not None and dtypes.is_floating(ops.dtype(leaf))


def _arrays(output: Tree) -> Iterator[tuple[str, Array]]:
    """What can be compared of an output: its tensors and Python numbers."""
    for path, leaf in flatten(output):
        if find_backend(leaf) is not None:
            yield path, ops.to_numpy(leaf)
        elif isinstance(leaf, bool | int | float):
            yield path, np.asarray(leaf)


def on_host(tree: Tree, float_dtype: str) -> Tree:
    """The tree with its tensors as NumPy arrays, floats rounded to ``float_dtype``: what every backend gets."""

    def take(leaf: Any) -> Any:
        if find_backend(leaf) is None:
            return leaf
        array = np.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else ops.to_numpy(leaf)
        return array.astype(dtypes.to_numpy_dtype(float_dtype)) if is_float(array) else array

    return map_tree(take, tree)


__all__ = [
    "BUFFER",
    "INPUT_GRADIENT",
    "KINDS",
    "LOSS",
    "OUTPUT",
    "PARAMETER_GRADIENT",
    "Array",
    "Case",
    "Key",
    "Values",
    "buffers",
    "flatten",
    "gradients",
    "is_float",
    "on_host",
    "outputs",
]
