"""``unimodule conformance --mutants``: every seeded fault must be caught by the suite, in its ordinary order of cases."""

from __future__ import annotations

import json
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from unimodule.registry import installed

from ..oracle.reference import REFERENCE
from ..running.config import Config
from ..running.planning import Item, Wish, plan, wishes
from ..running.pool import Pool, Serial
from ..running.tasks import Draw
from ..specs import Spec
from .hunting import Hunt, Hunted
from .model import Fault
from .twin import TWIN

SECONDS = 150.0
"""After how much time of the processor a fault has survived."""

COMPILING = ("mxnet", "tensorflow", "jax", "torch")
"""Where faults of the core show that need a compiler: the first of these that is to be judged, the quickest first."""


@dataclass
class Mutants:
    """What a run of the faults found."""

    config: Config
    hunted: list[Hunted] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def killed(self) -> list[Hunted]:
        """The faults that were caught."""
        return [h for h in self.hunted if h.verdict == "killed"]

    @property
    def escaped(self) -> list[Hunted]:
        """The faults that survived, or were not live: the run is red."""
        return [h for h in self.hunted if h.verdict in ("survived", "not live")]

    @property
    def median(self) -> float:
        """Of the numbers of cases that it took to catch one."""
        return statistics.median(h.examples for h in self.killed) if self.killed else float("nan")

    @property
    def ok(self) -> bool:
        """Whether every fault that could be planted was caught."""
        return bool(self.killed) and not self.escaped

    def to_json(self) -> str:
        """As JSON; ``from_json`` reads it back."""
        data = {"ok": self.ok, "config": self.config.to_dict(), "seconds": self.seconds}
        return json.dumps({**data, "hunted": [asdict(h) for h in self.hunted]}, indent=1)

    @staticmethod
    def from_json(text: str) -> Mutants:
        """Read what ``to_json`` wrote."""
        data = json.loads(text)
        hunted = [Hunted(**row) for row in data["hunted"]]
        return Mutants(Config.from_dict(data["config"]), hunted, data["seconds"])


def run_mutants(
    config: Config,
    *,
    only: Sequence[str] = (),
    seconds: float = SECONDS,
    tell: Callable[[Hunted, int, int], None] = lambda hunted, done, total: None,
) -> Mutants:
    """Plant the faults one by one and hunt each with the cases that a run of this configuration would judge.

    Args:
        config: backends, profile, seed and workers. The core's faults, and the reference's, are judged on the reference
            backend, with one that compiles beside it.
        only: parts of the names of the faults to plant; empty for all.
        seconds: after how much time of the processor a fault has survived.
        tell: called with each result, and how many of how many there are.
    """
    from . import FAULTS

    begun = time.monotonic()
    chosen = [f for f in FAULTS if not only or any(part in f.name for part in only)]
    found = Mutants(replace(config, backends=tuple(config.backends)))
    here = [f for f in chosen if _asked(f, config)]
    with tempfile.TemporaryDirectory() as folder, _pool(config) as pool:
        cases = Path(folder) / "cases.pickle"
        groups = {backends_of(fault, config) for fault in here}
        cases.write_bytes(pickle.dumps(_plans(config, groups, pool)))

        def keep(task: Any, hunted: Any) -> None:
            found.hunted.append(hunted)
            tell(hunted, len(found.hunted), len(here))

        # Faults of one backend after another's: whoever is free has its framework loaded already.
        tasks = [Hunt(fault.name, str(cases), backends_of(fault, config), seconds) for fault in here]
        pool.run(tasks, keep)
    order = {fault.name: i for i, fault in enumerate(FAULTS)}
    found.hunted.sort(key=lambda hunted: order[hunted.fault])
    found.seconds = round(time.monotonic() - begun, 1)
    return found


def _asked(fault: Fault, config: Config) -> bool:
    if fault.backend is None:
        return REFERENCE in config.backends
    if fault.backend == TWIN:
        return True
    return fault.backend in config.backends and installed(fault.backend)


def backends_of(fault: Fault, config: Config) -> tuple[str, ...]:
    """Where a fault is looked for."""
    if fault.backend is not None:
        return (fault.backend,)
    compiling = [name for name in COMPILING if name in config.backends]
    return (REFERENCE, *compiling[:1])


def _pool(config: Config) -> Any:
    return Pool(config.workers, patience=config.case_seconds) if config.workers else Serial()


def _plans(config: Config, groups: set[tuple[str, ...]], pool: Any) -> dict[str, list[Item]]:
    """The cases of every round, planned for each group of backends."""
    plans: dict[str, list[Item]] = {",".join(names): [] for names in groups}
    for round_ in range(max(config.spending.rounds, 1)):
        wanted = wishes(config, round_)
        pairs = _drawn(wanted, pool)
        for names in groups:
            plans[",".join(names)] += plan(replace(config, backends=names), pairs)
    return plans


def _drawn(wanted: list[Wish], pool: Any) -> list[tuple[Wish, list[Spec]]]:
    drawn: dict[Wish, list[Spec]] = {}

    def keep(task: Any, specs: list[Spec]) -> None:
        drawn[task.wish] = specs

    pool.run([Draw(wish) for wish in wanted], keep)
    return [(wish, drawn[wish]) for wish in wanted]


__all__ = ["Mutants", "backends_of", "run_mutants"]
