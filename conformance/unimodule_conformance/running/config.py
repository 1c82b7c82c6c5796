"""What a run is asked for: backends, checks, how many examples, how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..outcome import Target


class ConfigError(ValueError):
    """A run was asked for that cannot be: an unknown backend, check or name. The text says what there is."""


@dataclass(frozen=True)
class Profile:
    """How much is spent. What a run draws and judges follows from these numbers and the seed alone, never from a clock.

    Attributes:
        name: ``"smoke"``, ``"ci"`` or ``"thorough"``.
        names: the part of all public names that get cases of their own; less than 1 rotates through them by seed.
        per_name: how many cases each of those gets.
        trees: how many whole models are drawn besides.
        invalid: how many invalid cases are drawn.
        pair_seconds: what one check on one backend may spend, by the table of costs; a dear pair sees fewer cases.
        minimum: how many cases every pair sees at least, whatever they cost, where so many apply.
        covering: names of checks that see at least two cases of every name on every backend.
        shrink_seconds: what shrinking one failure may cost, by the table of costs.
        shrunk: how many failures of a round are shrunk; the others are told as they were drawn.
        rounds: how often all of this is done, each time with other cases; 0 is until the time is up.
    """

    name: str
    names: float
    per_name: int
    trees: int
    invalid: int
    pair_seconds: float
    minimum: int
    covering: tuple[str, ...]
    shrink_seconds: float
    shrunk: int
    rounds: int


PROFILES: dict[str, Profile] = {
    "smoke": Profile("smoke", 0.25, 1, 24, 12, 2.5, 4, (), 15.0, 24, 1),
    "ci": Profile("ci", 1.0, 4, 150, 200, 20.0, 20, ("values", "gradients"), 60.0, 120, 2),
    "thorough": Profile("thorough", 1.0, 5, 500, 200, 120.0, 100, ("values", "gradients"), 120.0, 120, 0),
}
"""By name."""


@dataclass(frozen=True)
class Config:
    """One run.

    Attributes:
        backends: names of the backends to judge.
        device: ``"cpu"``, ``"gpu:0"``.
        profile: a name in ``PROFILES``.
        seed: of everything that is drawn.
        checks: names of the checks to run; empty for all.
        only: names (``"nn.Conv2d"``) whose cases alone are drawn; empty for all, and whole models.
        max_seconds: when to stop drawing and judging; None for when the profile is done.
        workers: how many processes work at once; 0 to do it all in this one.
        case_seconds: after how long a check that does not return counts as failed, and its process is ended.
    """

    backends: tuple[str, ...]
    device: str = "cpu"
    profile: str = "smoke"
    seed: int = 0
    checks: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    max_seconds: float | None = None
    workers: int = 0
    case_seconds: float = 300.0

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is judged."""
        return tuple(Target(name, self.device) for name in self.backends)

    @property
    def spending(self) -> Profile:
        """The profile itself."""
        return PROFILES[self.profile]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Config:
        """Read what ``to_dict`` gave."""
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}
        return Config(**values)


def checked(known: Sequence[str], wanted: Sequence[str], what: str) -> tuple[str, ...]:
    """``wanted``, each of which must be among ``known``.

    Raises:
        ConfigError: one is not; the text names the nearest.
    """
    import difflib

    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3)
            hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(known)}"
            raise ConfigError(f"no {what} is called {name!r}; {hint}")
    return tuple(dict.fromkeys(wanted))


__all__ = ["PROFILES", "Config", "ConfigError", "Profile", "checked"]
