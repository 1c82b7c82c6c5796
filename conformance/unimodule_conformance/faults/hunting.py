"""One fault, hunted: cases in the ordinary order of a profile, until a check that it should fail fails."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..outcome import Status, Target
from ..running.judging import Judged, judge_all
from ..running.planning import Item
from ..running.tasks import At, Task
from .model import Fault


@dataclass(frozen=True)
class Hunted:
    """What became of one fault.

    Attributes:
        fault: its name.
        backend: the adapter it was planted in, "core".
        kind: its kind.
        verdict: ``"killed"``; ``"survived"``; ``"not live"``, where its control does not show it while it is planted, or
            still shows it afterwards; ``"skipped"``, where its framework or device is not here.
        check: the check that failed, and where it did: ``"values on torch"``.
        examples: how many cases were judged, the last one among them.
        seconds: of the processor, that that took.
        message: what the check said, or why it was not live.
        spec: the case that killed it, as JSON.
    """

    fault: str
    backend: str
    kind: str
    verdict: str
    check: str = ""
    examples: int = 0
    seconds: float = 0.0
    message: str = ""
    spec: str = ""


@dataclass(frozen=True)
class Hunt:
    """Hunt a fault; a task for ``running.pool``.

    Attributes:
        fault: its name.
        cases: a file with the planned cases of each backend: a pickled dict from the names of backends, joined by commas, to
            items.
        backends: whose plan it is.
        seconds: after how much time of the processor it has survived.
    """

    fault: str
    cases: str
    backends: tuple[str, ...]
    seconds: float

    def run(self) -> Iterator[Hunted | At]:
        """One result."""
        fault = self._fault()
        with fault.around():
            if why := not_live(fault):
                yield _result(fault, "not live", message=why)
            else:
                yield from hunt(fault, _planned(self.cases)[",".join(self.backends)], self.seconds)

    def crashed(self, at: Any, why: str) -> tuple[list[Any], Task | None]:
        """A check that takes its process down, or never returns, proves nothing: a machine may be busy."""
        fault = self._fault()
        if at is None:
            return [_result(fault, "not live", message=f"its control {why}")], None
        examples, name, target, spec = at
        message = f"{name} on {target} {why}"
        return [_result(fault, "survived", "", examples, self.seconds, message, spec)], None

    def _fault(self) -> Fault:
        from . import FAULTS

        return next(fault for fault in FAULTS if fault.name == self.fault)


@cache
def _planned(path: str) -> dict[str, Sequence[Item]]:
    found: dict[str, Sequence[Item]] = pickle.loads(Path(path).read_bytes())
    return found


def in_order(items: Sequence[Item], focus: Sequence[str]) -> list[Item]:
    """The cases in the plan's order, those with a node in ``focus`` first."""
    wanted = set(focus)
    return sorted(items, key=lambda item: not (wanted & item.spec.names or item.wish.group in wanted))


def hunt(fault: Fault, items: Sequence[Item], seconds: float) -> Iterator[Hunted | At]:
    """Judge the cases one by one with the fault planted. A failure counts where the same check of the same case passes
    without the fault.
    """
    begun, examples = time.process_time(), 0
    for item in in_order(items, fault.focus):
        if time.process_time() - begun > seconds:
            break
        examples += 1
        judged = None
        with fault.plant():
            outcomes = judge_all(item.spec, item.pairs)
            for name, target in item.pairs:
                yield At((examples, name, target, item.spec.to_json()))
                judged = next(outcomes)
                if judged.outcome.status is Status.FAILED and _expected(fault, judged.target):
                    break
                judged = None
        if judged is not None and _only_with_the_fault(item, judged):
            check = f"{judged.check} on {judged.target}"
            taken = time.process_time() - begun
            yield _result(
                fault, "killed", check, examples, taken, judged.outcome.message, item.spec.to_json()
            )
            return
    yield _result(fault, "survived", "", examples, time.process_time() - begun)


def _expected(fault: Fault, target: Target) -> bool:
    return fault.backend is None or target.backend == fault.backend


def _only_with_the_fault(item: Item, judged: Judged) -> bool:
    """All checks up to this one, for they share what the case has worked out."""
    pairs = item.pairs[: item.pairs.index((judged.check, judged.target)) + 1]
    *_, again = judge_all(item.spec, pairs)
    return again.outcome.status is not Status.FAILED


def not_live(fault: Fault) -> str:
    """Why a fault cannot be hunted: "" where its control shows it while it is planted and at no other time."""
    try:
        if fault.control():
            return "its control shows something before it is planted"
        with fault.plant():
            shown = fault.control()
        if not shown:
            return "its control shows nothing while it is planted"
        if fault.control():
            return "its control shows it after it was taken out"
    except Exception:
        return f"its control failed: {traceback.format_exc(limit=-3)}"
    return ""


def _result(
    fault: Fault,
    verdict: str,
    check: str = "",
    examples: int = 0,
    seconds: float = 0.0,
    message: str = "",
    spec: str = "",
) -> Hunted:
    where = fault.backend or "core"
    return Hunted(fault.name, where, fault.kind, verdict, check, examples, round(seconds, 2), message, spec)


__all__ = ["Hunt", "Hunted", "hunt", "in_order", "not_live"]
