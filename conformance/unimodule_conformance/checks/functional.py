"""Other ways of calling a net: as a pure function, compiled, in both modes, through every branch."""

from __future__ import annotations

import unimodule as um
from unimodule import ops

from ..case import Case
from ..oracle.judging import judge
from ..oracle.measuring import BUFFER, Key, arrays
from ..oracle.phases import PHASES, halved, twice
from ..outcome import Outcome, Status, Target
from .applying import certain, flowing, stateful, toggled
from .judged import TargetError, cannot_compile, judged, on
from .registry import check
from .running import compiling, has_compiler, held
from .same import differing, held_state


@check("purity", applies=lambda spec: stateful(spec) and certain(spec), cost=2.0)
@judged
def purity(case: Case, target: Target) -> Outcome:
    """functional_call with another state gives what a net with that state gives, and leaves the net alone."""
    with on(target):
        net = case.net(target)
        before = held_state(net)
        given = {
            name: ops.asarray(halved(variable.numpy()), dtype=ops.dtype(variable.data), like=variable.data)
            for name, variable in net.named_variables()
        }
        output, new = um.functional_call(net, given, *case.inputs)
        untouched = differing(before, held_state(net))
        kept = {name: ops.to_numpy(value) for name, value in given.items()}
        found = {**arrays(output)}
        for name, _ in net.named_buffers():
            found[Key(BUFFER, name)] = ops.to_numpy(new[name])
    if untouched:
        return Outcome(Status.FAILED, f"functional_call changed the net: {untouched}")
    if changed := differing({n: halved(before[n]) for n in kept}, kept):
        return Outcome(Status.FAILED, f"functional_call wrote into the state that it was given: {changed}")
    return judge(case, "altered", found, case.spec.dtype)


@check("compiled", applies=certain, cost=40.0)
@judged
def compiled(case: Case, target: Target) -> Outcome:
    """Compiled equals eager: outputs, gradients and buffers of two calls; Python runs once; what cannot be compiled says so."""
    if not has_compiler(target.backend):
        return Outcome(Status.SKIPPED, "this backend has no compiler")
    eager = held(case, target, "twice")
    if eager.status is Status.FAILED:
        return Outcome(Status.FAILED, f"eager: {eager.message}", eager.worst, eager.details)
    runs: list[int] = []
    counts: list[int] = []

    def note() -> None:
        runs.append(1)

    try:
        with on(target):
            net = case.net(target)
            phase = twice(case, compiling(target), note, lambda: counts.append(len(runs)))
            found = phase(net, case.inputs)
    except TargetError as error:
        return cannot_compile(case, error)
    if counts and counts[-1] > counts[0]:
        return Outcome(
            Status.FAILED,
            f"Python ran {counts[-1] - counts[0]} more times for a second call of the same shapes",
        )
    return judge(case, "twice", found, case.spec.dtype)


@check("modes", applies=lambda spec: stateful(spec) and toggled(spec), cost=2.0)
@judged
def modes(case: Case, target: Target) -> Outcome:
    """Calls in eval mode, in train mode and in eval mode again give the reference's outputs and leave its buffers."""
    return held(case, target, "modes")


@check("control flow", applies=flowing, cost=30.0)
@judged
def control_flow(case: Case, target: Target) -> Outcome:
    """Inputs of either sign and several sizes take each branch as the reference does, eager and compiled."""
    eager = held(case, target, "branches")
    if eager.status is Status.FAILED or not has_compiler(target.backend):
        return eager
    try:
        with on(target):
            found = PHASES["branches"](case)(compiling(target)(case.net(target)), case.inputs)
    except TargetError as error:
        return cannot_compile(case, error)
    outcome = judge(case, "branches", found, case.spec.dtype)
    if outcome.status is Status.FAILED:
        return Outcome(Status.FAILED, f"compiled: {outcome.message}", outcome.worst, outcome.details)
    return outcome


__all__ = ["compiled", "control_flow", "modes", "purity"]
