"""Invalid cases: the same error class everywhere."""

from __future__ import annotations

from typing import Any

from unimodule import errors as classes
from unimodule.registry import get_backend

from ..building import arrays, build
from ..case import Case
from ..outcome import Outcome, Status, Target
from .applying import invalid
from .judged import described, judged
from .registry import check
from .running import compiling, has_compiler

BY_VALUE = frozenset({"OutOfRangeError", "IntegerRangeError"})
"""Errors that depend on a tensor's values: compiled, and on accelerators, they are documented op by op."""


@check("errors", applies=invalid)
@judged
def errors(case: Case, target: Target) -> Outcome:
    """An invalid case raises the error class that the declared semantics ask for, eager and compiled."""
    name = str(case.spec.error)
    expected = getattr(classes, name)
    raised = _raised(case, target, compiled=False)
    if raised is None and name in BY_VALUE and target.device != "cpu":
        return Outcome(Status.SKIPPED, "values are not looked at on an accelerator")
    if wrong := _wrong(raised, expected):
        return Outcome(Status.FAILED, wrong)
    if name in BY_VALUE or not has_compiler(target.backend):
        return Outcome(Status.PASSED)
    if wrong := _wrong(_raised(case, target, compiled=True), expected):
        return Outcome(Status.FAILED, f"compiled: {wrong}")
    return Outcome(Status.PASSED)


def _raised(case: Case, target: Target, compiled: bool) -> Exception | None:
    """What building, moving and calling the net raises."""
    given = arrays(case.spec)
    try:
        with get_backend(target.backend).full_precision():
            net = build(case.spec).to(target.backend, device=target.device, dtype=case.spec.dtype)
            call: Any = compiling(target)(net) if compiled else net
            call(*given)
    except Exception as error:
        return error
    return None


def _wrong(raised: Exception | None, expected: type[Exception]) -> str:
    if raised is None:
        return f"raised nothing, expected {expected.__name__}"
    if not isinstance(raised, expected):
        return f"raised {described(raised)}, expected {expected.__name__}"
    return "" if str(raised).strip() else f"{expected.__name__} has no message"


__all__ = ["errors"]
