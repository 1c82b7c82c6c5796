"""The core, judged by what is outside it: once for each case, on the reference backend, in float64."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

from ..case import Case
from ..oracle.judging import judge
from ..oracle.measuring import BUFFER, INPUT_GRADIENT, OUTPUT, PARAMETER_GRADIENT, Values, only
from ..oracle.reference import REFERENCE
from ..outcome import Outcome, Status, Target
from .applying import certain, differentiable
from .judged import judged
from .registry import check
from .training import trains

LIBRARY = "torch"
"""What has to be installed."""


REFUSALS = ("smaller than kernel size", "half of kernel size")
"""What PyTorch says of a 3-dimensional average pool whose window is as large as the padded input only, and of a max pool
whose padding is half of the window only if its dilation counts: the pools of other ranks take these.
"""


def _source(case: Case) -> Any:
    """What is outside: ``torch_source.Source``."""
    from ..oracle.outside.torch_source import Source

    return case.once("outside", lambda: Source(case))


def _held(case: Case, target: Target, phase: str, *kinds: str) -> Outcome:
    """Hold the reference's float64 results of a phase against those of the source outside."""
    if target.backend != REFERENCE:
        return Outcome(Status.SKIPPED, "the core is judged on the reference backend")
    if importlib.util.find_spec(LIBRARY) is None:
        return Outcome(Status.SKIPPED, f"there is no {LIBRARY} here to judge the core by")
    from ..oracle.outside.torch_nets import Untranslated

    try:
        expected: Values = getattr(_source(case), phase)()
    except Untranslated as error:
        return Outcome(Status.SKIPPED, str(error))
    except RuntimeError as error:
        if any(refusal in str(error) for refusal in REFUSALS):
            return Outcome(Status.SKIPPED, f"PyTorch refuses it: {error}")
        raise
    found = case.reference.values(phase)
    buffers = {key: value for key, value in expected.items() if key.kind != BUFFER or key in found}
    return judge(case, phase, found, "float64", *kinds, expected=only(buffers, *kinds) if kinds else buffers)


@check("core values", applies=certain, core=True)
@judged
def values(case: Case, target: Target) -> Outcome:
    """The reference's outputs and buffers are those of PyTorch's own layers and functions, and of NumPy's functions."""
    outcome = _held(case, target, "forward", OUTPUT, BUFFER)
    if outcome.status is Status.FAILED or target.backend != REFERENCE:
        return outcome
    return _by_numpy(case) or outcome


def _by_numpy(case: Case) -> Outcome | None:
    """What NumPy's function of that name says, where the case is nothing but a call of it."""
    from ..oracle.outside import numpy_source

    expected = numpy_source.forward(case)
    if expected is None:
        return None
    outcome = judge(case, "forward", case.reference.values("forward"), "float64", OUTPUT, expected=expected)
    return replace(outcome, message=f"by NumPy: {outcome.message}") if outcome.message else outcome


@check("core gradients", applies=differentiable, cost=2.0, core=True)
@judged
def gradients(case: Case, target: Target) -> Outcome:
    """The reference's gradients are those of PyTorch's own layers and functions."""
    return _held(case, target, "backward", INPUT_GRADIENT, PARAMETER_GRADIENT)


@check("core steps", applies=trains, cost=12.0, core=True)
@judged
def steps(case: Case, target: Target) -> Outcome:
    """What the reference has after steps of training, and of each optimiser, PyTorch has after its own."""
    outcome = _held(case, target, "training")
    return outcome if outcome.status is not Status.PASSED else _held(case, target, "optimiser")


__all__ = ["gradients", "steps", "values"]
