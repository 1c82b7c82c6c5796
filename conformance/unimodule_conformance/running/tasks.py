"""What a worker is asked to do. Each task yields its results one by one, in this process or another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .. import scripts
from ..case import Case
from ..checks.registry import CHECKS
from ..outcome import Outcome, Status, Target
from ..specs import Spec
from .drawing import draw
from .judging import Judged, Pair, judge, judge_all
from .known import Witnessed, loaded, rows, witness
from .planning import Item, Wish


@dataclass(frozen=True)
class At:
    """Not a result: what a task is about to do, so that it can be blamed if it never comes back."""

    what: Any


class Task(Protocol):
    """Something to do."""

    def run(self) -> Iterator[Any]:
        """Do it."""
        ...

    def crashed(self, at: Any, why: str) -> tuple[list[Any], Task | None]:
        """Results in place of those that a dead process did not give, and what is left to do."""
        ...


class Broken(RuntimeError):
    """A part of the suite itself, rather than a check, ended its process."""


@dataclass(frozen=True)
class Draw:
    """Draw specs. Needs no framework."""

    wish: Wish

    def run(self) -> Iterator[list[Spec]]:
        """All of them at once."""
        from .groups import groups

        yield draw(groups()[self.wish.group].strategy, self.wish.count, self.wish.seed)

    def crashed(self, at: Any, why: str) -> tuple[list[Any], Task | None]:
        """Nothing can be run without specs."""
        raise Broken(f"drawing cases of {self.wish.group} {why}")


@dataclass(frozen=True)
class Load:
    """Import the framework of a backend."""

    backend: str

    def run(self) -> Iterator[tuple[str, str]]:
        """Its version, and why it cannot be loaded: one of them is ""."""
        yield loaded(self.backend)

    def crashed(self, at: Any, why: str) -> tuple[list[Any], Task | None]:
        """It cannot be loaded."""
        return [("", f"importing it {why}")], None


@dataclass(frozen=True)
class Witness:
    """Run the witness of a divergence."""

    id: str

    def run(self) -> Iterator[Witnessed]:
        """One verdict."""
        yield witness(self._row())

    def crashed(self, at: Any, why: str) -> tuple[list[Any], Task | None]:
        """A witness that takes its process down is broken."""
        row = self._row()
        return [Witnessed(row.id, row.backend, row.versions, "", "broken", f"the witness {why}")], None

    def _row(self) -> Any:
        return next(row for row in rows() if row.id == self.id)


@dataclass(frozen=True)
class Judge:
    """Judge one case by all that is to see it."""

    item: Item

    def run(self) -> Iterator[Judged | At]:
        """An outcome for each pair."""
        for pair in self.item.pairs:
            yield At(pair)
            if pair == self.item.pairs[0]:
                judged = judge_all(self.item.spec, self.item.pairs)
            yield next(judged)

    def crashed(self, at: Any, why: str) -> tuple[list[Any], Task | None]:
        """The pair at which it died has failed; those behind it are still to be judged."""
        if at is None:
            raise Broken(f"judging {self.item.spec.to_json()} {why} before any check")
        name, target = at
        outcome = Outcome(Status.FAILED, f"the check {why}", details={"crash": why})
        rest = self.item.pairs[self.item.pairs.index(at) + 1 :]
        left = Judge(replace(self.item, pairs=rest)) if rest else None
        return [Judged(name, target, outcome)], left


@dataclass(frozen=True)
class Found:
    """A failure with all that is told of it."""

    spec: Spec
    outcome: Outcome
    note: str
    script: str


@dataclass(frozen=True)
class Shrink:
    """Make a failing case small, and write its script.

    Attributes:
        item: the case as it was drawn.
        judged: its failure.
        evaluations: how many runs of the check it may take.
        seconds: how long it may take at most.
    """

    item: Item
    judged: Judged
    evaluations: int
    seconds: float

    def run(self) -> Iterator[Found]:
        """One finding."""
        from .groups import groups
        from .shrinking import shrink

        wish, judged = self.item.wish, self.judged
        if "crash" in judged.outcome.details:
            yield self._as_drawn("not shrunk: it ends its process")
            return
        strategy = groups()[wish.group].strategy
        small = shrink(
            strategy,
            wish.count,
            wish.seed,
            self.item.spec,
            judged.check,
            judged.target,
            self.evaluations,
            self.seconds,
        )
        text = script(small.spec, judged.target, judged.check, small.outcome.message)
        yield Found(small.spec, small.outcome, small.note, text)

    def crashed(self, at: Any, why: str) -> tuple[list[Any], Task | None]:
        """A simpler case took the process down."""
        return [self._as_drawn(f"not shrunk: a simpler case {why}")], None

    def _as_drawn(self, note: str) -> Found:
        spec, outcome = self.item.spec, self.judged.outcome
        return Found(
            spec, outcome, note, script(spec, self.judged.target, self.judged.check, outcome.message)
        )


@dataclass(frozen=True)
class Replay:
    """Judge one given case, and write a script for whatever fails."""

    spec: Spec
    pairs: tuple[Pair, ...]

    def run(self) -> Iterator[tuple[Judged, Found]]:
        """An outcome for each pair."""
        case = Case(self.spec)
        for name, target in self.pairs:
            outcome = judge(case, CHECKS[name], target)
            text = script(self.spec, target, name, outcome.message) if outcome.message else ""
            yield Judged(name, target, outcome), Found(self.spec, outcome, "replayed", text)

    def crashed(self, at: Any, why: str) -> tuple[list[Any], Task | None]:
        """Replays run in the process that asked."""
        raise Broken(why)


def script(spec: Spec, target: Target, check: str, message: str) -> str:
    """A script that reproduces a failure, or a comment that says why there is none."""
    try:
        return scripts.script(spec, target, check, message)
    except Exception as error:
        return f"# No script could be written for this case: {type(error).__name__}: {error}\n# {spec.to_json()}\n"


__all__ = ["At", "Broken", "Draw", "Found", "Judge", "Load", "Replay", "Shrink", "Task", "Witness"]
