"""What the tests run: the plan of a run, cut up by family and check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from ..case import Case
from ..checks.registry import CHECKS
from ..outcome import Outcome, Status, Target
from ..reports.telling import tell
from ..running.config import Config
from ..running.costs import cost
from ..running.drawing import draw
from ..running.groups import groups
from ..running.judging import Judged, judge
from ..running.planning import Item, plan, wishes
from ..running.results import RED
from ..running.tasks import Found, Shrink


@dataclass(frozen=True)
class Part:
    """A test: one check of the cases of one family on one target."""

    target: Target
    family: str
    check: str

    @property
    def id(self) -> str:
        """As pytest shows it."""
        return f"{self.target}-{self.family}-{self.check}".replace(" ", "_")


@cache
def items(config: Config) -> tuple[Item, ...]:
    """All cases of a run's first round, in the order of the tables."""
    drawn = [(wish, draw(groups()[wish.group].strategy, wish.count, wish.seed)) for wish in wishes(config)]
    return tuple(sorted(plan(config, drawn), key=lambda item: item.index))


def parts(config: Config) -> list[Part]:
    """The tests of a run: family by family, so that the checks of a case follow one another and share its oracle."""
    found: dict[Part, None] = {}
    for item in items(config):
        for check, target in item.pairs:
            found.setdefault(Part(target, item.family, check))
    families = {item.family: None for item in items(config)}
    order = {family: i for i, family in enumerate(families)}
    names = list(CHECKS)
    return sorted(found, key=lambda part: (order[part.family], str(part.target), names.index(part.check)))


@dataclass
class Cases:
    """The cases of one family, kept until the next family comes."""

    family: str = ""
    known: dict[int, Case] = field(default_factory=dict)

    def get(self, item: Item) -> Case:
        """The case of an item."""
        if item.family != self.family:
            self.family, self.known = item.family, {}
        if item.index not in self.known:
            self.known[item.index] = Case(item.spec)
        return self.known[item.index]


_CASES = Cases()


def outcomes(config: Config, part: Part) -> Iterable[tuple[Item, Outcome]]:
    """The outcome of each case of a test."""
    for item in items(config):
        if item.family == part.family and (part.check, part.target) in item.pairs:
            yield item, judge(_CASES.get(item), CHECKS[part.check], part.target)


def told(config: Config, part: Part, failed: Sequence[tuple[Item, Outcome]], counts: Counter[str]) -> str:
    """The first failure, shrunk, with its script."""
    item, outcome = failed[0]
    check = CHECKS[part.check]
    runs = int(1000 * config.spending.shrink_seconds / cost(check, part.target))
    task = Shrink(
        item,
        Judged(part.check, part.target, outcome),
        min(max(runs, 40), 400),
        4 * config.spending.shrink_seconds,
    )
    found: Found = next(iter(task.run()))
    return "\n".join(
        [
            f"{check.about} Not here: {len(failed)} of {sum(counts.values())} cases failed.",
            f"The first of them, {found.note}:",
            "",
            tell(found.spec),
            "",
            found.outcome.message or outcome.message,
            *([str(trace)] if (trace := outcome.details.get("traceback")) else []),
            "",
            "This script reproduces it:",
            "",
            found.script,
        ]
    )


__all__ = ["RED", "Part", "Status", "items", "outcomes", "parts", "told"]
