"""Which cases are drawn, and which check sees which of them on which backend.

Everything here follows from the configuration and the table of costs: the same seed makes the same plan on any machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..checks.registry import CHECKS, Check
from ..oracle.reference import REFERENCE
from ..outcome import Target
from ..specs import Spec
from .config import Config
from .costs import cost
from .drawing import derived
from .groups import INVALID, TREES, family, groups, names
from .judging import Pair

FOCUSED = 40
"""How many cases a name gets that was asked for with ``only``, at least."""

COVERED = 2
"""How many cases of each name the profile's ``covering`` checks see at least; in float32, which every backend has, if there
are such.
"""


@dataclass(frozen=True)
class Wish:
    """Cases to draw from one group."""

    group: str
    count: int
    seed: int


@dataclass(frozen=True)
class Item:
    """One case, and what sees it.

    Attributes:
        index: its place in the plan.
        wish: where it was drawn.
        family: under what it is counted.
        spec: the case.
        pairs: the checks and targets.
    """

    index: int
    wish: Wish
    family: str
    spec: Spec
    pairs: tuple[Pair, ...] = ()


def wishes(config: Config, round_: int = 0) -> list[Wish]:
    """What to draw in a round."""
    profile = config.spending
    if config.only:
        counts: dict[str, int] = dict.fromkeys(config.only, max(profile.per_name, FOCUSED))
    else:
        stride = max(1, round(1 / profile.names))
        counts = {
            name: profile.per_name for i, name in enumerate(names()) if i % stride == config.seed % stride
        }
        counts.update({TREES: profile.trees, INVALID: profile.invalid})
    return [
        Wish(group, count, derived(config.seed, round_, group))
        for group, count in counts.items()
        if count and group in groups()
    ]


def checks(config: Config) -> list[Check]:
    """The checks of a run, in the order of the scoreboard."""
    return [check for name, check in CHECKS.items() if not config.checks or name in config.checks]


def asked(check: Check, config: Config) -> tuple[Target, ...]:
    """Where a check is made: on every target, but for those of the core, which are made once for a case on the reference
    backend, and only where that is among those to judge: the author of another has nothing to do with them.
    """
    if not check.core:
        return config.targets
    return (Target(REFERENCE),) if REFERENCE in config.backends else ()


def plan(config: Config, drawn: Iterable[tuple[Wish, Sequence[Spec]]]) -> list[Item]:
    """Spend the profile's time: every pair of check and target sees as many of the cases that it applies to as its costs
    allow, spread evenly over them, and never fewer than the profile's minimum.
    """
    items: list[Item] = []
    for wish, specs in drawn:
        items += [Item(len(items) + i, wish, family(wish.group), spec) for i, spec in enumerate(specs)]
    pairs: dict[int, list[Pair]] = {item.index: [] for item in items}
    for check in checks(config):
        fitting = [item for item in items if check.applies(item.spec)]
        for target in asked(check, config):
            for item in _chosen(config, check, target, fitting):
                pairs[item.index].append((check.name, target))
    planned = [
        Item(item.index, item.wish, item.family, item.spec, tuple(pairs[item.index]))
        for item in items
        if pairs[item.index]
    ]
    # In an order that has seen something of everything wherever a run is cut short.
    return sorted(planned, key=lambda item: derived(config.seed, item.index))


def _chosen(config: Config, check: Check, target: Target, fitting: Sequence[Item]) -> list[Item]:
    profile = config.spending
    wanted = max(profile.minimum, int(1000 * profile.pair_seconds / cost(check, target)))
    if wanted >= len(fitting):
        return list(fitting)
    phase = derived(config.seed, check.name) / 2**32
    chosen = {int((k + phase) * len(fitting) / wanted) for k in range(wanted)}
    if check.name in profile.covering:
        seen: Counter[str] = Counter()
        for i, item in sorted(enumerate(fitting), key=lambda pair: pair[1].spec.dtype != "float32"):
            if item.wish.group not in (TREES, INVALID) and seen[item.wish.group] < COVERED:
                seen[item.wish.group] += 1
                chosen.add(i)
    return [fitting[i] for i in sorted(chosen)]


def uncovered(seen: Mapping[str, set[str]], config: Config) -> dict[str, list[str]]:
    """The public names that a target has not met, for runs that mean to meet them all."""
    if config.only or config.spending.names < 1:
        return {}
    missed = {
        str(target): [n for n in names() if n not in seen.get(str(target), set())]
        for target in config.targets
    }
    return {target: list_ for target, list_ in missed.items() if list_}


__all__ = ["Item", "Wish", "asked", "checks", "plan", "uncovered", "wishes"]
