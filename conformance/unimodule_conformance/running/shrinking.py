"""Makes a failing case small, against the failing check on the failing target alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hypothesis.strategies import SearchStrategy

from ..case import Case
from ..checks.registry import CHECKS
from ..outcome import Outcome, Status, Target
from ..specs import Spec
from .drawing import attempts, explore
from .judging import judge


@dataclass(frozen=True)
class Shrunk:
    """The smallest failing case that was found.

    Attributes:
        spec: the case.
        outcome: what the check says about it.
        note: how the search ended.
    """

    spec: Spec
    outcome: Outcome
    note: str


class _Fails(Exception):
    """What Hypothesis sees of a failure: always the same one, so that it shrinks one failure and not another."""


class _Enough(BaseException):
    """Passes through Hypothesis, and ends the search."""


def shrink(
    strategy: SearchStrategy[Spec],
    count: int,
    seed: int,
    spec: Spec,
    check: str,
    target: Target,
    evaluations: int,
    seconds: float,
) -> Shrunk:
    """Draw the failing ``spec`` again, as ``draw(strategy, count, seed)`` did, and let Hypothesis make it smaller.

    The search ends after ``evaluations`` runs of the check, which is the same on every machine; ``seconds`` is for checks
    that suddenly take much longer than they should, and the note says so.
    """
    search = _Search(spec, check, target, evaluations, time.monotonic() + seconds)
    if search.outcome.status not in (Status.FAILED, Status.ERROR):
        return Shrunk(
            spec, search.outcome, "did not fail when it ran again: the failure depends on what ran before it"
        )
    try:
        explore(strategy, search.visit, attempts(count), seed, shrink=True)
        note = "not shrunk: the case was not drawn again"
    except _Fails:
        note = f"shrunk in {search.spent} runs"
    except _Enough as why:
        note = str(why)
    return Shrunk(search.spec, search.outcome, note)


class _Search:
    """The state of one search: what has been judged, and the smallest failure so far."""

    def __init__(self, spec: Spec, check: str, target: Target, evaluations: int, deadline: float) -> None:
        self.spec, self.check, self.target = spec, CHECKS[check], target
        self.evaluations, self.deadline = evaluations, deadline
        self.spent = 0
        self.reached = False
        self.original = spec.to_json()
        self.outcome = judge(Case(spec), self.check, target)
        self.failing = {self.original: True}

    def visit(self, spec: Spec) -> None:
        """Raise where ``spec`` fails; before the failing case comes round, everything is taken to pass."""
        key = spec.to_json()
        if not self.reached and key != self.original:
            return
        self.reached = True
        if key not in self.failing:
            self.failing[key] = self._fails(spec)
        if self.failing[key]:
            raise _Fails

    def _fails(self, spec: Spec) -> bool:
        if self.spent >= self.evaluations:
            raise _Enough(f"shrunk as far as {self.spent} runs went")
        if time.monotonic() > self.deadline:
            raise _Enough(f"the time for shrinking was up after {self.spent} runs")
        self.spent += 1
        if not self.check.applies(spec):
            return False
        outcome = judge(Case(spec), self.check, self.target)
        if outcome.status is not self.outcome.status:
            return False
        if _size(spec) < _size(self.spec):
            self.spec, self.outcome = spec, outcome
        return True


def _size(spec: Spec) -> tuple[int, int, str]:
    text = spec.to_json()
    return sum(1 for _ in spec.root.walk()), len(text), text


__all__ = ["Shrunk", "shrink"]
