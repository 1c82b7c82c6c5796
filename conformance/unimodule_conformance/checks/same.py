"""What must be the same to the bit."""

from __future__ import annotations

from collections.abc import Mapping

from unimodule import nn, ops

from ..oracle.measuring import Array


def held_state(net: nn.Module) -> dict[str, Array]:
    """The state of a net, on the host: all that ``state_dict`` has, and the buffers that it leaves out."""
    found = {name: variable.numpy() for name, variable in net.named_variables()}
    return found | {name: ops.to_numpy(value) for name, value in net.state_dict().items()}


def differing(expected: Mapping[str, Array], found: Mapping[str, Array]) -> str:
    """The first array that is not the same, bit by bit, and how; ``""`` if all are."""
    for name in [*expected, *found]:
        if name not in found or name not in expected:
            return f"{name} is {'missing' if name not in found else 'new'}"
        want, have = expected[name], found[name]
        if want.dtype != have.dtype or want.shape != have.shape:
            return f"{name} is {have.dtype} {have.shape}, expected {want.dtype} {want.shape}"
        if want.tobytes() != have.tobytes():
            return f"{name} differs"
    return ""


__all__ = ["differing", "held_state"]
