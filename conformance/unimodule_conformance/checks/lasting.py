"""What a compiled net does when what it was compiled with has changed."""

from __future__ import annotations

from typing import Any

from unimodule import nn, ops

from ..case import Case
from ..oracle.judging import judge
from ..oracle.measuring import Array, forward
from ..oracle.phases import PHASES, halved
from ..outcome import Outcome, Status, Target
from ..specs import Spec
from .applying import certain, differentiable, stateful, toggled
from .judged import TargetError, cannot_compile, judged, on
from .registry import check
from .running import compiling, has_compiler

CALLS = 3
"""After so many calls of the same shapes the shortest way into the program is taken."""


def _applies(spec: Spec) -> bool:
    return stateful(spec) and certain(spec) and not spec.reads_values


@check("compiled state", applies=_applies, cost=100.0)
@judged
def compiled_state(case: Case, target: Target) -> Outcome:
    """A compiled net that has run for a while sees another state, and another mode, as an ordinary one does;
    gradients go through it.
    """
    if not has_compiler(target.backend):
        return Outcome(Status.SKIPPED, "this backend has no compiler")
    both = toggled(case.spec)
    try:
        with on(target):
            net = case.net(target)
            start = {name: variable.numpy() for name, variable in net.named_variables()}
            fast = compiling(target)(net)
            given = tuple(_native(array, case.spec, target) for array in case.inputs)
            for _ in range(CALLS):
                fast(*given)
            _put(net, {name: halved(array) for name, array in start.items()})
            found = forward(fast, given)
            _put(net, start)
            slopes = PHASES["backward"](case)(fast, case.inputs) if differentiable(case.spec) else {}
            _put(net, start)
            turned = PHASES["modes"](case)(fast, case.inputs) if both else {}
    except TargetError as error:
        return cannot_compile(case, error)
    outcome = Outcome(Status.PASSED)
    for phase, values in (("altered", found), ("backward", slopes), ("modes", turned)):
        if values and outcome.status is not Status.FAILED:
            outcome = judge(case, phase, values, case.spec.dtype)
    return outcome


def _native(array: Array, spec: Spec, target: Target) -> Any:
    """An input as a tensor of the target: the shortest way is for these."""
    wanted = array.astype(spec.dtype) if array.dtype.kind == "f" else array
    return ops.asarray(wanted, backend=target.backend, device=target.device)


def _put(net: nn.Module, values: dict[str, Array]) -> None:
    for name, variable in net.named_variables():
        variable.data = values[name]


__all__ = ["compiled_state"]
