"""Draws specs from strategies: the same ones each time for the same seed."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

from ..specs import Spec


def derived(seed: int, *parts: object) -> int:
    """A seed of its own for each thing that is drawn, so that drawing one never changes another."""
    return zlib.crc32(repr((seed, *parts)).encode())


def draw(strategy: SearchStrategy[Spec], count: int, seed: int) -> list[Spec]:
    """Up to ``count`` different specs: fewer where the strategy has no more.

    Hypothesis's first example is the simplest there is. It is kept only where ``count`` leaves room for others: one case
    of batch 1, channel 1 and kernel 1 proves little.
    """
    found: dict[str, Spec] = {}
    explore(strategy, lambda spec: found.setdefault(spec.to_json(), spec), attempts(count), seed)
    specs = list(found.values())
    return specs[1 : count + 1] if len(specs) > count else specs


def attempts(count: int) -> int:
    """How many examples Hypothesis is asked for, so that ``count`` different ones come of it."""
    return count + 1 if count > 1 else 3


def explore(
    strategy: SearchStrategy[Spec],
    visit: Callable[[Spec], object],
    count: int,
    seed: int,
    *,
    shrink: bool = False,
) -> None:
    """Call ``visit`` with ``count`` specs; with ``shrink`` go on with simpler ones wherever it raises."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)

    @settings(
        max_examples=count,
        phases=phases,
        database=None,
        derandomize=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @seeded(seed)
    @given(strategy)
    def body(spec: Spec) -> None:
        visit(spec)

    with _no_local_constants(), _no_mutations():
        body()


@contextmanager
def _no_local_constants() -> Iterator[None]:
    """Hypothesis likes to draw numbers that it found in the sources of imported modules: what is drawn would depend on
    which frameworks are already loaded.
    """
    try:
        providers: Any = importlib.import_module("hypothesis.internal.conjecture.providers")
    except ImportError:
        yield
        return
    real: Any = getattr(providers, "_get_local_constants", None)
    cache: Any = getattr(getattr(providers, "CONSTANTS_CACHE", None), "cache", None)
    if real is None or cache is None:
        yield
        return
    nothing = providers.Constants()
    cache.clear()
    providers._get_local_constants = lambda: nothing
    try:
        yield
    finally:
        providers._get_local_constants = real
        cache.clear()


@contextmanager
def _no_mutations() -> Iterator[None]:
    """Hypothesis follows each example with some in which parts of it are repeated. That pays in long runs; of the few cases
    that each name gets, most would be nearly the same.
    """
    try:
        engine: Any = importlib.import_module("hypothesis.internal.conjecture.engine")
    except ImportError:
        yield
        return
    runner: Any = getattr(engine, "ConjectureRunner", None)
    real: Any = getattr(runner, "generate_mutations_from", None)
    if real is None:
        yield
        return
    runner.generate_mutations_from = lambda self, data: None
    try:
        yield
    finally:
        runner.generate_mutations_from = real


__all__ = ["attempts", "derived", "draw", "explore"]
