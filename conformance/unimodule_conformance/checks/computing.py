"""Structure, values and gradients of one call."""

from __future__ import annotations

import numpy as np

from unimodule.errors import DtypeError
from unimodule.registry import get_backend

from ..case import Case
from ..oracle.judging import judge
from ..oracle.measuring import BUFFER, INPUT_GRADIENT, OUTPUT, PARAMETER_GRADIENT
from ..oracle.phases import PHASES
from ..oracle.reference import REFERENCE
from ..oracle.vacuity import vacuous
from ..outcome import Outcome, Status, Target
from ..specs import Node
from .applying import certain, differentiable, single, valid
from .judged import judged, on
from .registry import check
from .running import called, found, held

GRADIENTS = (INPUT_GRADIENT, PARAMETER_GRADIENT)
FLOATS = ("float64", "float32", "float16", "bfloat16")


@check("structure", applies=valid)
@judged
def structure(case: Case, target: Target) -> Outcome:
    """Output has the reference's nesting, shapes and dtypes; float outputs of a net have its dtype."""
    with np.errstate(all="ignore"):
        expected = called(case, Target(REFERENCE)).outline
    got = called(case, target).outline
    for path in [*expected, *got]:
        want, have = expected.get(path, "nothing"), got.get(path, "nothing")
        if want != have and not _carried(want, have, target):
            return Outcome(Status.FAILED, f"output {path}: {have}, expected {want}", details={"tensor": path})
        kind = have.partition(" ")[0]
        if kind in FLOATS and kind != case.spec.dtype and not _named(case.spec.root):
            message = f"output {path}: {have}, of a net and inputs in {case.spec.dtype}"
            return Outcome(Status.FAILED, message, details={"tensor": path})
    return Outcome(Status.PASSED)


def _named(root: Node) -> bool:
    """Whether a dtype of floats is asked for by its name."""
    given = (value for node in root.walk() for value in (*node.args, *node.kwargs.values()))
    return any(isinstance(value, str) and value in FLOATS for value in given)


def _carried(want: str, have: str, target: Target) -> bool:
    """Whether 64-bit integers were expected and are carried in 32 bits, as this backend always does."""
    kind, _, shape = want.partition(" ")
    if kind not in ("int64", "uint64"):
        return False
    backend = get_backend(target.backend)
    held_as = backend.dtype(backend.from_numpy(np.zeros(1, kind), kind, "cpu"))
    return have == f"{held_as} {shape}"


@check("values", applies=certain)
@judged
def values(case: Case, target: Target) -> Outcome:
    """Outputs, and the buffers after a call, are the reference's to rounding."""
    return _unless_vacuous(case, held(case, target, "forward", OUTPUT, BUFFER))


@check("gradients", applies=differentiable, cost=2.0)
@judged
def gradients(case: Case, target: Target) -> Outcome:
    """Gradients of a projection of the outputs, by parameters and inputs, are the reference's; none is missing."""
    got = found(case, target, "backward")
    outcome = judge(case, "backward", got, case.spec.dtype, OUTPUT, BUFFER, *GRADIENTS)
    return _unless_vacuous(case, outcome)


@check("float64", applies=single, cost=2.0)
@judged
def float64(case: Case, target: Target) -> Outcome:
    """The same in float64, where the backend has it: outputs, gradients and buffers to float64's rounding."""
    backend = get_backend(target.backend)
    try:
        backend.from_numpy(np.zeros(1), "float64", target.device)
    except DtypeError as error:
        return Outcome(Status.SKIPPED, f"no float64: {error}")
    wide = case.in_float64
    phase = "backward" if case.spec.differentiable else "forward"
    with on(target):
        got = PHASES[phase](wide)(wide.net(target), wide.inputs)
    return _unless_vacuous(case, judge(wide, phase, got, "float64"))


def _unless_vacuous(case: Case, outcome: Outcome) -> Outcome:
    """A pass that proves nothing, since the output depends on nothing, is no pass."""
    if outcome.status is Status.PASSED and (why := vacuous(case)):
        return Outcome(Status.VACUOUS, why, outcome.worst)
    return outcome


__all__ = ["float64", "gradients", "structure", "values"]
