"""Structure, values and gradients of one call."""

from __future__ import annotations

from typing import Any

import numpy as np

from unimodule import ops
from unimodule.comparison.measure import flatten
from unimodule.errors import DtypeError
from unimodule.registry import find_backend, get_backend

from ..case import Case
from ..oracle.judging import judge
from ..oracle.measuring import BUFFER, INPUT_GRADIENT, OUTPUT, PARAMETER_GRADIENT, Key, Values
from ..oracle.phases import PHASES
from ..oracle.reference import REFERENCE
from ..oracle.vacuity import vacuous
from ..outcome import Outcome, Status, Target
from .applying import certain, differentiable, single, valid
from .judged import judged, on
from .registry import check
from .running import compiling, found, held, jitted

GRADIENTS = (INPUT_GRADIENT, PARAMETER_GRADIENT)


@check("structure", applies=valid)
@judged
def structure(case: Case, target: Target) -> Outcome:
    """Output has the reference's nesting, shapes and dtypes; float outputs of a net have its dtype."""
    expected = case.once("structure", lambda: _outline(case, Target(REFERENCE)))
    with on(target):
        got = _outline(case, target)
    for path in [*expected, *got]:
        want, have = expected.get(path, "nothing"), got.get(path, "nothing")
        if want != have and not _carried(want, have, target):
            message = f"output {path}: {have}, expected {want}".replace(" :", ":")
            return Outcome(Status.FAILED, message, details={"tensor": path})
    return Outcome(Status.PASSED)


def _outline(case: Case, target: Target) -> dict[str, str]:
    """What each place of the output is, and what holds it."""
    with np.errstate(all="ignore"):
        net = case.net(target)
        if jitted(target) and not case.spec.reads_values:
            net = compiling(target)(net)
        output = net(*case.inputs)
    leaves = {f"{path} ".strip(): _described(leaf, target) for path, leaf in flatten(output)}
    return {"": _nesting(output), **{f"at {path or 'top'}": shown for path, shown in leaves.items()}}


def _described(leaf: Any, target: Target) -> str:
    if (backend := find_backend(leaf)) is None:
        return type(leaf).__name__
    if backend.info.name != target.backend:
        return f"a tensor of {backend.info.name}"
    if backend.device(leaf) != target.device:
        return f"a tensor on {backend.device(leaf)}"
    return f"{ops.dtype(leaf)} {ops.shape(leaf)}"


def _nesting(tree: Any) -> str:
    """Tuples, lists and dicts, with a dot for each leaf."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key!r}: {_nesting(item)}" for key, item in tree.items()) + "}"
    if isinstance(tree, (tuple, list)):
        inside = ", ".join(map(_nesting, tree))
        return f"({inside})" if isinstance(tree, tuple) else f"[{inside}]"
    return "."


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
    return _unless_vacuous(case, "forward", held(case, target, "forward", OUTPUT, BUFFER))


@check("gradients", applies=differentiable, cost=2.0)
@judged
def gradients(case: Case, target: Target) -> Outcome:
    """Gradients of a projection of the outputs, by parameters and inputs, are the reference's; none is missing."""
    got = found(case, target, "backward")
    outcome = judge(case, "backward", got, case.spec.dtype, OUTPUT, BUFFER, *GRADIENTS)
    if outcome.status is Status.FAILED:
        return outcome
    if wrong := _not_zero(case, got):
        return Outcome(Status.FAILED, f"{wrong.kind} {wrong.name} is not zero, though nothing depends on it")
    slopes = [v for k, v in case.reference.values("backward").items() if k.kind in GRADIENTS and v.size]
    if outcome.status is Status.PASSED and not any(np.any(v != 0) for v in slopes):
        return Outcome(Status.VACUOUS, "every gradient is zero", outcome.worst)
    return outcome


def _not_zero(case: Case, got: Values) -> Key | None:
    """A gradient that is zero in the reference whatever the numbers are, and not zero here."""
    for key, value in case.reference.values("backward").items():
        if key.kind in GRADIENTS and not np.any(value) and np.any(got[key]):
            if case.reference.moved("backward", case.spec.dtype)[key] == 0.0 and not case.spec.exact:
                return key
    return None


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
    return _unless_vacuous(case, "forward", judge(wide, phase, got, "float64"))


def _unless_vacuous(case: Case, phase: str, outcome: Outcome) -> Outcome:
    """A pass that proves nothing, since the output depends on nothing, is no pass."""
    if outcome.status is Status.PASSED and (why := vacuous(case)):
        return Outcome(Status.VACUOUS, why, outcome.worst)
    return outcome


__all__ = ["float64", "gradients", "structure", "values"]
