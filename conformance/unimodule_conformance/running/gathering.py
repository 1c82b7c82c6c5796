"""Gathers outcomes as they come, and makes of many failures the few that are worth reading."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from ..outcome import Status
from .config import Config
from .judging import Judged
from .planning import Item
from .results import RED, Failure, Results, Tally
from .tasks import Found


@dataclass(frozen=True)
class _Failed:
    """A failure as it came, and its place in the run's order, which no scheduling changes."""

    place: int
    item: Item
    judged: Judged

    @property
    def pair(self) -> tuple[str, str]:
        return self.judged.check, str(self.judged.target)

    @property
    def key(self) -> tuple[int, str, str]:
        return (self.place, *self.pair)

    @property
    def root(self) -> tuple[str, str, str]:
        return (*self.pair, self.item.spec.root.name)


@dataclass
class Gathered:
    """What a run knows so far."""

    results: Results = field(default_factory=lambda: Results(Config(())))
    names: dict[str, set[str]] = field(default_factory=dict)
    failed: list[_Failed] = field(default_factory=list)
    findings: dict[tuple[int, str, str], Found] = field(default_factory=dict)
    offset: int = 0
    seen: set[int] = field(default_factory=set)
    tried: set[tuple[int, str, str]] = field(default_factory=set)

    def add(self, item: Item, judged: Judged, offset: int) -> None:
        """Count an outcome."""
        self.seen.add(offset + item.index)
        self.results.drawn = len(self.seen)
        key = item.family, judged.check, str(judged.target)
        self.results.tallies.setdefault(key, Tally()).add(judged.outcome, judged.seconds)
        self.names.setdefault(str(judged.target), set()).update(item.spec.names)
        if judged.outcome.status in RED:
            self.failed.append(_Failed(offset + item.index, item, judged))

    def to_shrink(self, most: int) -> list[tuple[Item, Judged]]:
        """Failures that are worth it and have not been shrunk: the first of each root node, check and target, and of no
        pair the third before each has its second.
        """
        self.failed.sort(key=lambda f: (f.place, f.pair))
        roots: set[tuple[str, str, str]] = set()
        counts: Counter[tuple[str, str]] = Counter()
        ranked = []
        for failed in self.failed:
            if failed.root in roots:
                continue
            roots.add(failed.root)
            counts[failed.pair] += 1
            if failed.key not in self.tried:
                ranked.append((counts[failed.pair], failed))
        chosen = [failed for _, failed in sorted(ranked, key=lambda pair: pair[0])][:most]
        self.tried |= {failed.key for failed in chosen}
        return [(failed.item, failed.judged) for failed in chosen]

    def shrunk(self, item: Item, judged: Judged, found: Found) -> None:
        """Keep what shrinking a failure came to."""
        for failed in self.failed:
            if failed.item is item and failed.judged is judged:
                self.findings[failed.key] = found


def failures(gathered: Gathered) -> None:
    """Write the failures into the results: those that came to the same nodes under one check on one target are one."""
    grouped: dict[tuple[object, ...], Failure] = {}
    seed = gathered.results.config.seed
    by_root: dict[tuple[str, str, str], tuple[object, ...]] = {}
    for failed in sorted(gathered.failed, key=lambda f: (f.place, f.pair)):
        found = gathered.findings.get(failed.key)
        if found is None and failed.root in by_root:
            grouped[by_root[failed.root]].repeats += 1
            continue
        spec = found.spec if found else failed.item.spec
        outcome = found.outcome if found else failed.judged.outcome
        key = (*failed.pair, tuple(sorted(spec.names)))
        by_root.setdefault(failed.root, key)
        if key in grouped:
            grouped[key].repeats += 1
            continue
        # What failed once is told as failed, even where it did not fail again.
        status = outcome.status if outcome.status in RED else Status.FAILED
        grouped[key] = Failure(
            id=_id(failed, spec.root.name, spec.to_json()),
            check=failed.judged.check,
            backend=failed.judged.target.backend,
            device=failed.judged.target.device,
            status=status.value,
            group=failed.item.wish.group,
            family=failed.item.family,
            seed=seed,
            spec=spec.to_json(),
            original=failed.item.spec.to_json(),
            message=outcome.message or failed.judged.outcome.message,
            details=dict(outcome.details),
            script=found.script if found else "",
            shrinking=found.note if found else "not shrunk",
        )
    gathered.results.failures = list(grouped.values())


def _id(failed: _Failed, root: str, spec: str) -> str:
    check, target = failed.pair
    mark = hashlib.sha256(f"{check} {target} {spec}".encode()).hexdigest()[:8]
    return "-".join([check, target, root, mark]).replace(" ", "_").replace(":", "").replace("/", "_")


__all__ = ["Gathered", "failures"]
