"""What a run found, as data: JSON out, JSON in."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..outcome import Outcome, Status, Target
from .config import Config
from .known import Witnessed

RED = (Status.FAILED, Status.ERROR)
"""What makes a run red."""


@dataclass
class Tally:
    """How the cases of one family did under one check on one target."""

    counts: Counter[str] = field(default_factory=Counter)
    worst: float = 0.0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Count one more."""
        self.counts[outcome.status.value] += 1
        self.seconds += seconds
        if outcome.status is Status.PASSED and math.isfinite(outcome.worst):
            self.worst = max(self.worst, outcome.worst)
        if outcome.status in (Status.SKIPPED, Status.KNOWN, Status.VACUOUS) and outcome.message:
            self.reasons[outcome.message[:200]] += 1

    def merge(self, other: Tally) -> None:
        """Count what another has counted."""
        self.counts += other.counts
        self.reasons += other.reasons
        self.worst = max(self.worst, other.worst)
        self.seconds += other.seconds

    @property
    def total(self) -> int:
        """How many cases."""
        return sum(self.counts.values())

    @property
    def red(self) -> int:
        """How many of them make the run red."""
        return sum(self.counts[status.value] for status in RED)

    def of(self, status: Status) -> int:
        """How many ended like this."""
        return self.counts[status.value]


@dataclass
class Failure:
    """A failure, shrunk, and all those that shrink to the same nodes under the same check on the same target.

    Attributes:
        id: a file name for it.
        check: the check.
        backend: the target's backend.
        device: the target's device.
        status: ``"failed"`` or ``"error"``.
        group: from which strategy it was drawn.
        family: under what it is counted.
        seed: of the draw.
        spec: the shrunk spec, as JSON.
        original: the spec as it was drawn, as JSON.
        message: what the check says about the shrunk one.
        details: the check's findings about it.
        script: runs on its own and reproduces it; "" where none can be written.
        shrinking: how far it went, for people.
        repeats: how many more failures are grouped with it.
    """

    id: str
    check: str
    backend: str
    device: str
    status: str
    group: str
    family: str
    seed: int
    spec: str
    original: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    script: str = ""
    shrinking: str = ""
    repeats: int = 0

    @property
    def target(self) -> Target:
        """Where it failed."""
        return Target(self.backend, self.device)


@dataclass
class Results:
    """All that a run found; ``ok`` is its verdict.

    Attributes:
        config: what was asked for.
        started: when, in UTC.
        seconds: how long it took.
        ended: ``"done"``, ``"the time was up"`` or ``"interrupted"``.
        drawn: how many cases were judged.
        versions: of the frameworks, by backend.
        broken: why backends could not be loaded; they were not judged.
        environment: versions of what else matters.
        checks: what each check asks, by name, in the order of the scoreboard.
        tallies: outcomes counted, by family, check and target.
        failures: each with its smallest case and script.
        witnesses: what became of the rows of the registry of divergences.
        missing: public names that no strategy draws.
        uncovered: public names that a target never met, where the profile means to cover all.
    """

    config: Config
    started: str = ""
    seconds: float = 0.0
    ended: str = "running"
    drawn: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)
    tallies: dict[tuple[str, str, str], Tally] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    witnesses: list[Witnessed] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    uncovered: dict[str, list[str]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the run is green."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """Why the run is red, a line each."""
        found = [f"{name} cannot be loaded: {why}" for name, why in self.broken.items()]
        for status in RED:
            if count := sum(tally.of(status) for tally in self.tallies.values()):
                found.append(f"{count} {'cases' if count > 1 else 'case'} {_VERB[status]}")
        if stale := [w.id for w in self.witnesses if not w.ok]:
            found.append(f"divergences whose witness does not show: {', '.join(stale)}")
        if self.missing:
            found.append(
                f"names that the table of strategies lacks, or has in vain: {', '.join(self.missing)}"
            )
        if not self.tallies:
            found.append("nothing was judged")
        return found

    def cell(self, check: str, target: str) -> Tally:
        """What was counted for a check on a target, over all families."""
        total = Tally()
        for (_, name, who), tally in self.tallies.items():
            if name == check and who == target:
                total.merge(tally)
        return total

    def cell_of_family(self, family: str, target: str) -> Tally:
        """What was counted for a family on a target, over all checks."""
        total = Tally()
        for (where, _, who), tally in self.tallies.items():
            if where == family and who == target:
                total.merge(tally)
        return total

    @property
    def families(self) -> list[str]:
        """The families that were judged, sorted."""
        return sorted({family for family, _, _ in self.tallies})

    @property
    def targets(self) -> list[str]:
        """The targets that were judged, as asked for."""
        return [str(target) for target in self.config.targets]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        data = {name: getattr(self, name) for name in _PLAIN}
        return {
            "ok": self.ok,
            "problems": self.problems,
            "config": self.config.to_dict(),
            **data,
            "tallies": [
                {"family": family, "check": check, "target": target, **_tally(tally)}
                for (family, check, target), tally in sorted(self.tallies.items())
            ],
            "failures": [asdict(failure) for failure in self.failures],
            "witnesses": [asdict(witness) for witness in self.witnesses],
        }

    def to_json(self) -> str:
        """As JSON; ``from_json`` reads it back."""
        return json.dumps(_finite(self.to_dict()), indent=1, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Results:
        """Read what ``to_json`` wrote."""
        data = json.loads(text)
        results = Results(Config.from_dict(data["config"]), **{name: data[name] for name in _PLAIN})
        for row in data["tallies"]:
            key = row["family"], row["check"], row["target"]
            counts, reasons = Counter(row["counts"]), Counter(row["reasons"])
            results.tallies[key] = Tally(counts, row["worst"], row["seconds"], reasons)
        results.failures = [Failure(**row) for row in data["failures"]]
        results.witnesses = [Witnessed(**row) for row in data["witnesses"]]
        return results


_VERB = {Status.FAILED: "failed", Status.ERROR: "broke the suite itself"}
_PLAIN = (
    "started",
    "seconds",
    "ended",
    "drawn",
    "versions",
    "broken",
    "environment",
    "checks",
    "missing",
    "uncovered",
)


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "counts": dict(sorted(tally.counts.items())),
        "worst": tally.worst,
        "seconds": round(tally.seconds, 4),
        "reasons": dict(tally.reasons.most_common(8)),
    }


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become text."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


__all__ = ["RED", "Failure", "Results", "Tally"]
