"""Values and gradients."""

from __future__ import annotations

from ..case import Case
from ..oracle.judging import judge
from ..oracle.measuring import BUFFER, INPUT_GRADIENT, OUTPUT, PARAMETER_GRADIENT, Values, backward, forward
from ..outcome import Outcome, Status, Target
from ..specs import Spec
from .judged import judged, on
from .registry import check


def _valid(spec: Spec) -> bool:
    return spec.error is None


def _differentiable(spec: Spec) -> bool:
    return spec.error is None and spec.differentiable


@check("values", applies=_valid)
@judged
def values(case: Case, target: Target) -> Outcome:
    """Outputs, and the buffers after a call, are the reference's to rounding."""
    found = run_forward(case, target)
    return judge(case, "forward", found, case.spec.dtype, OUTPUT, BUFFER)


@check("gradients", applies=_differentiable, cost=2.0)
@judged
def gradients(case: Case, target: Target) -> Outcome:
    """Gradients of a random projection of the outputs, with respect to parameters and inputs, are the reference's."""
    found = run_backward(case, target)
    return judge(case, "backward", found, case.spec.dtype, OUTPUT, BUFFER, INPUT_GRADIENT, PARAMETER_GRADIENT)


def run_forward(case: Case, target: Target) -> Values:
    """One call on the target, shared by the checks that look at it."""

    def run() -> Values:
        with on(target):
            return forward(case.net(target), case.inputs)

    return case.once(("forward", target), run)


def run_backward(case: Case, target: Target) -> Values:
    """One call under a gradient on the target, shared by the checks that look at it."""

    def run() -> Values:
        with on(target):
            return backward(case.net(target), case.inputs, case.spec.seed)

    return case.once(("backward", target), run)


__all__ = ["Status", "gradients", "run_backward", "run_forward", "values"]
