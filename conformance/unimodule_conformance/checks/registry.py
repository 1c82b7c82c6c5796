"""The table of checks: each is a named property over a case and a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..outcome import Outcome, Target
from ..specs import Spec

if TYPE_CHECKING:
    from ..case import Case

Run = Callable[["Case", Target], Outcome]


@dataclass(frozen=True)
class Check:
    """A property that every backend has for every case it applies to.

    Attributes:
        name: as the scoreboard shows it: ``"values"``, ``"compiled"``.
        about: one sentence: what it asks.
        run: judges one case on one target.
        applies: whether it says anything about a case; where not, nothing is counted.
        cost: what one run costs in runs of ``values``, for spending the time.
        core: whether it judges the core instead of an adapter: it is then run on the reference backend, once for a case.
    """

    name: str
    about: str
    run: Run
    applies: Callable[[Spec], bool]
    cost: float = 1.0
    core: bool = False


CHECKS: dict[str, Check] = {}
"""By name, in the order of the scoreboard; filled as the modules of this package are imported."""


def check(
    name: str,
    *,
    applies: Callable[[Spec], bool] = lambda spec: spec.error is None,
    cost: float = 1.0,
    core: bool = False,
) -> Callable[[Run], Run]:
    """Register a function as a check; the first paragraph of its docstring is what the report says about it."""

    def register(run: Run) -> Run:
        if name in CHECKS:
            raise ValueError(f"there is already a check named {name!r}")
        about = " ".join((run.__doc__ or "").strip().partition("\n\n")[0].split())
        if not about:
            raise ValueError(f"the check {name!r} needs a docstring")
        CHECKS[name] = Check(name, about, run, applies, cost, core)
        return run

    return register


__all__ = ["CHECKS", "Check", "check"]
