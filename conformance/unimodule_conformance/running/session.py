"""A run from beginning to end: draw, plan, judge, shrink, and say what was found."""

from __future__ import annotations

import itertools
import platform
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

import unimodule as um

from ..checks.registry import CHECKS
from ..specs import Spec
from .config import Config
from .costs import cost
from .gathering import Gathered, failures
from .judging import Judged
from .known import rows
from .planning import Item, Wish, plan, uncovered, wishes
from .pool import Pool, Serial
from .results import Results
from .surface import unlisted
from .tasks import At, Draw, Judge, Load, Shrink, Witness


class Progress(Protocol):
    """Hears how a run is getting on."""

    def phase(self, name: str, total: int) -> None:
        """Something with ``total`` steps begins."""
        ...

    def step(self, judged: Sequence[Judged] = ()) -> None:
        """One more step is done, with these outcomes."""
        ...


class Silent:
    """Tells nobody."""

    def phase(self, name: str, total: int) -> None:
        """Nothing."""

    def step(self, judged: Sequence[Judged] = ()) -> None:
        """Nothing."""


def run(config: Config, progress: Progress | None = None) -> Results:
    """Judge the backends of ``config``; Ctrl-C and ``max_seconds`` end it early, with what has been found so far.

    Example:
        >>> from unimodule_conformance.running import Config, run
        >>> config = Config(backends=("numpy",), checks=("values",), only=("nn.Linear",), profile="smoke")
        >>> run(config).ok
        True
    """
    return _Run(config, progress or Silent()).results()


@dataclass
class _Run:
    config: Config
    progress: Progress
    gathered: Gathered = field(default_factory=Gathered)
    begun: float = field(default_factory=time.monotonic)

    def results(self) -> Results:
        found = Results(
            self.config,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=_environment(),
            checks={c.name: c.about for c in CHECKS.values() if c.name in (self.config.checks or CHECKS)},
            missing=unlisted(),
        )
        self.gathered.results = found
        try:
            found.ended = self._rounds()
        except KeyboardInterrupt:
            found.ended = "interrupted"
        failures(self.gathered)
        found.uncovered = uncovered(self.gathered.names, self.config) if found.ended == "done" else {}
        found.seconds = round(time.monotonic() - self.begun, 1)
        return found

    # ------------------------------------------------------------------ rounds
    def _rounds(self) -> str:
        limit = self.config.max_seconds
        deadline = None if limit is None else self.begun + limit
        rounds = self.config.spending.rounds
        for round_ in range(rounds) if rounds else itertools.count():
            with self._pool(wide=(self.config.seed + round_) % 2 == 1) as pool:
                if round_ == 0:
                    self._load(pool)
                    self._witnesses(pool)
                finished = self._judge(pool, round_, deadline)
                self._shrink(pool)
            if not finished:
                return "the time was up"
        return "done"

    def _pool(self, wide: bool) -> AbstractContextManager[Any]:
        if self.config.workers == 0:
            return Serial()
        return Pool(self.config.workers, wide=wide, patience=self.config.case_seconds)

    def _judge(self, pool: Any, round_: int, deadline: float | None) -> bool:
        wanted = wishes(self.config, round_)
        drawn: dict[Wish, list[Spec]] = {}

        def keep(task: Any, specs: Any) -> None:
            drawn[task.wish] = specs
            self.progress.step()

        self.progress.phase("drawing", len(wanted))
        finished: bool = pool.run([Draw(wish) for wish in wanted], keep, deadline)
        items = plan(self.config, [(wish, drawn[wish]) for wish in wanted if wish in drawn])
        offset = self.gathered.offset
        self.progress.phase("judging", sum(len(item.pairs) for item in items))

        def count(task: Any, judged: Any) -> None:
            self.gathered.add(task.item, judged, offset)
            self.progress.step([judged])

        finished = pool.run([Judge(item) for item in items], count, deadline) and finished
        self.gathered.offset += len(items)
        return finished

    # ------------------------------------------------------------------ before and after
    def _load(self, pool: Any) -> None:
        """Import the frameworks once: who cannot be imported is not judged, and the run is red."""
        found = self.gathered.results
        self.progress.phase("loading", len(self.config.backends))

        def keep(task: Any, part: Any) -> None:
            version, why = part
            (found.broken if why else found.versions)[task.backend] = why or version
            self.progress.step()

        pool.run([Load(name) for name in self.config.backends], keep)
        for versions in (found.versions, found.broken):
            ordered = {name: versions[name] for name in self.config.backends if name in versions}
            versions.clear()
            versions.update(ordered)
        self.config = replace(self.config, backends=tuple(found.versions))

    def _witnesses(self, pool: Any) -> None:
        found = self.gathered.results
        mine = [row for row in rows() if row.backend in self.config.backends]
        self.progress.phase("witnesses", len(mine))

        def keep(task: Any, witnessed: Any) -> None:
            found.witnesses.append(witnessed)
            self.progress.step()

        pool.run([Witness(row.id) for row in mine], keep)
        order = [row.id for row in mine]
        found.witnesses.sort(key=lambda witnessed: order.index(witnessed.id))

    def _shrink(self, pool: Any) -> None:
        chosen = self.gathered.to_shrink(self.config.spending.shrunk)
        if not chosen:
            return
        self.progress.phase("shrinking", len(chosen))

        def keep(task: Any, found: Any) -> None:
            self.gathered.shrunk(task.item, task.judged, found)
            self.progress.step()

        seconds = self.config.spending.shrink_seconds
        tasks = []
        for item, judged in chosen:
            runs = int(1000 * seconds / cost(CHECKS[judged.check], judged.target))
            tasks.append(Shrink(item, judged, min(max(runs, 40), 400), 4 * seconds))
        pool.run(tasks, keep)


def judge_here(items: Iterable[Item]) -> Iterable[Judged]:
    """Judge cases in this process, one after the other."""
    for item in items:
        for part in Judge(item).run():
            if not isinstance(part, At):
                yield part


def _environment() -> dict[str, str]:
    return {
        "unimodule": um.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


__all__ = ["Progress", "Silent", "judge_here", "run"]
