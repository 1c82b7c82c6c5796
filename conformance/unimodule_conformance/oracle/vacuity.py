"""Whether a case can show anything: does its output depend on its inputs and parameters at all?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from unimodule import dtypes, nn

from .measuring import OUTPUT, Array, Inputs, Values, forward, only

if TYPE_CHECKING:
    from ..case import Case

CONSTANT = frozenset(
    f"ops.{name}"
    for name in "zeros_like ones_like full_like empty_like shape dtype device isdtype finfo iinfo".split()
)
"""Functions that are right not to look at the numbers."""


def vacuous(case: Case) -> str:
    """Why the case shows nothing, ``""`` if it does: the reference's output does not change with the inputs, or not with
    the parameters, whatever is done to them.
    """
    return case.once("vacuous", lambda: _why(case))


def _why(case: Case) -> str:
    base = only(case.reference.values("forward"), OUTPUT)
    if not any(value.size for value in base.values()):
        return ""  # an empty output has a shape, and that is all there is to it
    inputs = case.reference.inputs()
    if CONSTANT & case.spec.names:
        return ""
    if any(array.size for array in inputs) and not _moves(
        case, base, _changed_inputs(inputs), _changed_nets(case, 1)
    ):
        return "the output does not depend on the inputs"
    if any(p.size for p in _floats(case.reference.net())) and not _moves(
        case, base, (inputs for _ in range(2)), _changed_nets(case)
    ):
        return "the output does not depend on the parameters"
    return ""


def _moves(case: Case, base: Values, inputs: Iterator[Inputs], nets: Iterator[nn.Module]) -> bool:
    """Whether any change of the inputs, or of the net, changes the output."""
    for given, net in zip(inputs, nets, strict=False):
        try:
            with np.errstate(all="ignore"):
                found = only(forward(net, given), OUTPUT)
        except Exception:  # other numbers may be invalid: then they matter
            return True
        if found.keys() != base.keys():
            return True
        if any(
            not np.array_equal(found[key], base[key], equal_nan=base[key].dtype.kind == "f") for key in base
        ):
            return True
    return False


def _changed_inputs(inputs: Inputs) -> Iterator[Inputs]:
    """A little off; in another order; of the other sign; much larger."""
    rng = np.random.default_rng(5)
    yield tuple(
        a * (1 + 0.1 * rng.uniform(-1, 1, a.shape)) + 1e-3 if a.dtype.kind == "f" else _turned(a)
        for a in inputs
    )
    yield tuple(_turned(a) for a in inputs)
    yield tuple(1.0 - a if a.dtype.kind == "f" else a for a in inputs)
    yield tuple(rng.normal(size=a.shape) * 3.0 if a.dtype.kind == "f" else np.zeros_like(a) for a in inputs)


def _turned(array: Array) -> Array:
    if array.dtype.kind == "b":
        return ~array
    flat = np.roll(array.reshape(-1), 1)
    return np.sort(flat)[::-1].reshape(array.shape) if array.size > 1 else array


def _changed_nets(case: Case, times: int = 0) -> Iterator[nn.Module]:
    """The net as it is, again and again (``times`` is not 0), or with its parameters moved, a little and then much."""
    while times:
        yield case.reference.net()
    rng = np.random.default_rng(6)
    for size in (0.1, 1.0):
        net = case.reference.net()
        for parameter in net.parameters():
            value = parameter.numpy()
            if dtypes.is_floating(dtypes.canonical(value.dtype)):
                parameter.data = value * (1 + size * rng.uniform(-1, 1, value.shape)) + size / 8
        yield net


def _floats(net: nn.Module) -> Iterator[Array]:
    return (p.numpy() for p in net.parameters() if dtypes.is_floating(dtypes.canonical(p.dtype)))


__all__ = ["vacuous"]
