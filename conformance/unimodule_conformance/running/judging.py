"""One check of one case on one target, with whatever goes wrong turned into an outcome."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..case import Case
from ..checks.registry import CHECKS, Check
from ..outcome import Outcome, Status, Target
from ..specs import Spec
from .known import excuse

Pair = tuple[str, Target]
"""The name of a check, and what it is asked of."""


@dataclass(frozen=True)
class Judged:
    """An outcome, of what, and how long it took: processor time, which other processes do not change."""

    check: str
    target: Target
    outcome: Outcome
    seconds: float = 0.0


def judge(case: Case, check: Check, target: Target) -> Outcome:
    """The outcome of a check. A failure that a row of the registry of divergences covers is ``KNOWN``; an exception that
    leaves a check is the suite's own fault, ``ERROR``.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # a generated case is strange on purpose
            outcome = check.run(case, target)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return Outcome(Status.ERROR, text, details={"traceback": traceback.format_exc()})
    if outcome.status is Status.FAILED and (row := excuse(case.spec, target)):
        return replace(outcome, status=Status.KNOWN, message=f"{row.id}: {outcome.message}")
    return outcome


def judge_all(spec: Spec, pairs: Sequence[Pair]) -> Iterator[Judged]:
    """All pairs of one spec, which share the oracle's answers."""
    case = Case(spec)
    for name, target in pairs:
        started = time.process_time()
        outcome = judge(case, CHECKS[name], target)
        yield Judged(name, target, outcome, time.process_time() - started)


__all__ = ["Judged", "Pair", "judge", "judge_all"]
