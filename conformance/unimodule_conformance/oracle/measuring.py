"""What a net computes, as NumPy arrays: on the backend under judgement and on the reference by the same lines."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unimodule import dtypes, nn, ops, value_and_grad
from unimodule.comparison.measure import (
    BUFFER,
    INPUT_GRADIENT,
    OUTPUT,
    PARAMETER_GRADIENT,
    Array,
    Key,
    Values,
    flatten,
)
from unimodule.registry import find_backend

PARAMETER = "parameter"
CONSTANT = "constant"

Inputs = tuple[Any, ...]
ValueAndGrad = Callable[..., Any]


def forward(net: nn.Module, inputs: Inputs) -> Values:
    """One call: its outputs, and the buffers that it leaves."""
    output = net(*inputs)
    return {**arrays(output), **buffers(net)}


def differentiated(
    transform: Callable[[Any], Any] = lambda both: both, note: Callable[[], object] = lambda: None
) -> ValueAndGrad:
    """What ``backward`` differentiates with: a function of its own, so that it can be compiled and called again.

    Args:
        transform: what is done to it: compiling.
        note: called whenever its Python runs.
    """

    def projected(
        net: nn.Module, given: Sequence[Any], rest: Sequence[Any], places: Sequence[int], seed: int
    ) -> tuple[Any, Any]:
        note()
        floats, others = iter(given), iter(rest)
        count = len(given) + len(rest)
        output = net(*(next(floats) if i in places else next(others) for i in range(count)))
        return projection(output, seed), output

    both: ValueAndGrad = transform(value_and_grad(projected, argnums=(0, 1), has_aux=True))
    return both


def backward(net: nn.Module, inputs: Inputs, seed: int, both: ValueAndGrad | None = None) -> Values:
    """One call under the gradient of a random projection of all float outputs: outputs, gradients with respect to
    parameters and float inputs, and the buffers that it leaves.

    Args:
        net: a bound net.
        inputs: what it is called with.
        seed: of the projection.
        both: what ``differentiated`` returned.
    """
    places = tuple(i for i, array in enumerate(inputs) if _is_float_array(array))
    floats = [inputs[i] for i in places]
    rest = [array for i, array in enumerate(inputs) if i not in places]
    (_, output), (parameters, slopes) = (both or differentiated())(net, floats, rest, places, seed)
    found = {**arrays(output), **buffers(net)}
    for i, slope in zip(places, slopes, strict=True):
        found[Key(INPUT_GRADIENT, f"[{i}]")] = ops.to_numpy(slope)
    for name, slope in parameters.items():
        found[Key(PARAMETER_GRADIENT, name)] = ops.to_numpy(slope)
    return found


def projection(output: Any, seed: int) -> Any:
    """A scalar that every element of every float output moves, each by a weight of its own: the sum of y * w.

    Raises:
        NoFloats: there is no float output.
    """
    total: Any = None
    for path, leaf in flatten(output):
        if find_backend(leaf) is None or not dtypes.is_floating(ops.dtype(leaf)):
            continue
        shape = ops.shape(leaf)
        weights = ops.asarray(weights_of(shape, path, seed), dtype=ops.dtype(leaf), like=leaf)
        term = ops.sum(ops.multiply(leaf, weights))
        total = term if total is None else ops.add(total, ops.astype(term, ops.dtype(total)))
    if total is None:
        raise NoFloats("no output is a float: there is nothing to differentiate")
    return total


HEAVIEST = 1.5
"""The largest weight in the projection: the largest gradient with respect to an output."""


def weights_of(shape: tuple[int, ...], path: str, seed: int) -> Array:
    """The weights of one output in the projection: the same numbers whatever the dtype that they are cast to."""
    rng = np.random.default_rng([seed, zlib.crc32(path.encode())])
    weights = rng.uniform(0.5, HEAVIEST, shape) * rng.choice([-1.0, 1.0], shape)
    return np.asarray(weights.astype("float16").astype("float64"))


class NoFloats(ValueError):
    """Nothing in an output has a gradient."""


# ---------------------------------------------------------------------- what is read from a net or an output
def arrays(output: Any) -> Values:
    """The tensors and Python numbers of an output, by their place."""
    found: Values = {}
    for path, leaf in flatten(output):
        if find_backend(leaf) is not None:
            found[Key(OUTPUT, path)] = ops.to_numpy(leaf)
        elif isinstance(leaf, bool | int | float):
            found[Key(OUTPUT, path)] = np.asarray(leaf)
    return found


def buffers(net: nn.Module) -> Values:
    """The buffers as they are."""
    return {Key(BUFFER, name): buffer.numpy() for name, buffer in net.named_buffers()}


def parameters(net: nn.Module) -> Values:
    """The parameters as they are."""
    return {Key(PARAMETER, name): parameter.numpy() for name, parameter in net.named_parameters()}


def state(net: nn.Module) -> Values:
    """Parameters, constants and buffers as they are."""
    return {Key("state", name): variable.numpy() for name, variable in net.named_variables()}


def only(values: Values, *kinds: str) -> Values:
    """Those of some kinds."""
    return {key: value for key, value in values.items() if key.kind in kinds}


def _is_float_array(array: Any) -> bool:
    return isinstance(array, np.ndarray) and dtypes.is_floating(dtypes.canonical(array.dtype))


__all__ = [
    "BUFFER",
    "CONSTANT",
    "HEAVIEST",
    "INPUT_GRADIENT",
    "OUTPUT",
    "PARAMETER",
    "PARAMETER_GRADIENT",
    "Array",
    "Key",
    "NoFloats",
    "Values",
    "arrays",
    "backward",
    "buffers",
    "differentiated",
    "forward",
    "only",
    "parameters",
    "projection",
    "state",
    "weights_of",
]
