"""Random numbers: the same under the same seed, others otherwise, and of the right distribution.

Backends draw other random numbers than the reference, so values cannot be compared. What can be: whether a seed decides
them, whether they change from call to call, whether the gradient belongs to the output, and statistics of many calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import unimodule as um
from unimodule import nn

from ..building import module
from ..case import Case
from ..oracle.measuring import (
    INPUT_GRADIENT,
    OUTPUT,
    Array,
    Values,
    arrays,
    backward,
    differentiated,
    only,
    weights_of,
)
from ..oracle.reference import REFERENCE
from ..outcome import Outcome, Status, Target
from ..specs import Spec
from .applying import random, stateful
from .judged import TargetError, cannot_compile, judged, on
from .registry import check
from .running import compiling, has_compiler, jitted
from .same import differing, held_state

CALLS = 12
"""How many calls must not all give the same."""

SAMPLES = {"reference": 192, "target": 96}
SIGMAS = 7.0
"""How far a mean may be from the reference's, in standard errors. Drawn by a fixed seed, so a pass stays a pass."""


@check("initial values", applies=stateful, cost=2.0)
@judged
def initial(case: Case, target: Target) -> Outcome:
    """Under one seed a net gets the same initial parameters as on the reference backend, to the bit."""
    expected = _fresh(case, Target(REFERENCE))
    with on(target):
        found = _fresh(case, target)
    if difference := differing(expected, found):
        return Outcome(Status.FAILED, f"initial values: {difference}")
    return Outcome(Status.PASSED)


def _fresh(case: Case, target: Target) -> dict[str, Array]:
    um.seed(case.spec.seed)
    net = module(case.spec.root).to(target.backend, device=target.device, dtype=case.spec.dtype).eval()
    with np.errstate(all="ignore"):
        net(*case.inputs)
    return {name: array for name, array in held_state(net).items() if array.dtype.kind == "f"}


@check("determinism", applies=random, cost=10.0)
@judged
def determinism(case: Case, target: Target) -> Outcome:
    """The seed decides the random numbers, eager and compiled; without it they change from call to call."""
    changes = _distinct(case, Target(REFERENCE), lambda net: net) > CALLS // 3
    forms: list[tuple[str, Callable[[Any], Any]]] = [("", lambda net: net)]
    if has_compiler(target.backend):
        forms.append(("compiled: ", compiling(target)))
    for what, form in forms:
        try:
            with on(target):
                net = form(case.net(target))
                first, other, again = (_after_seed(net, case, seed) for seed in (1, 2, 1))
                distinct = _distinct(case, target, form) if changes else CALLS
        except TargetError as error:
            if what:
                return cannot_compile(case, error)
            raise
        if difference := differing(_named(first), _named(again)):
            return Outcome(Status.FAILED, f"{what}two calls under one seed differ: {difference}")
        if changes and (distinct == 1 or not differing(_named(first), _named(other))):
            when = "call to call" if distinct == 1 else "seed to seed"
            return Outcome(Status.FAILED, f"{what}random numbers do not change from {when}")
    return Outcome(Status.PASSED)


def _after_seed(net: nn.Module, case: Case, seed: int) -> Values:
    """Three calls under a seed: three are seldom the same under another."""
    um.seed(seed)
    found: Values = {}
    for index in range(3):
        outputs = arrays(net(*case.inputs))
        found.update(
            {key._replace(name=f"{key.name} of call {index + 1}"): value for key, value in outputs.items()}
        )
    return found


def _named(values: Values) -> dict[str, Array]:
    return {f"{key.kind} {key.name}": value for key, value in values.items()}


def _distinct(case: Case, target: Target, form: Callable[[Any], Any]) -> int:
    """How many different outputs so many calls give."""
    net = form(case.net(target))
    um.seed(case.spec.seed)
    with np.errstate(all="ignore"):
        calls = (arrays(net(*case.inputs)) for _ in range(CALLS))
        return len({b"".join(value.tobytes() for value in call.values()) for call in calls})


@check("statistics", applies=random, cost=60.0)
@judged
def statistics(case: Case, target: Target) -> Outcome:
    """Over many calls, means, magnitudes and zeros of outputs and gradients are the reference's."""
    expected = case.once("statistics", lambda: _sampled(case, Target(REFERENCE), SAMPLES["reference"]))
    with on(target):
        found = _sampled(case, target, SAMPLES["target"])
    worst = 0.0
    for name in sorted(expected.keys() & found.keys()):  # what is missing altogether, ``structure`` says
        samples, ours = expected[name], found[name]
        spread = np.hypot(_standard_error(samples), _standard_error(ours))
        # A rare event that neither has seen leaves no spread: what one call in so many would do is allowed.
        least = np.abs(samples).max(initial=0.0) / SAMPLES["target"] / SIGMAS
        error = abs(float(np.mean(ours) - np.mean(samples)))
        worst = max(worst, error / float(SIGMAS * max(spread, least, 1e-30)))
        if worst > 1.0:
            return Outcome(
                Status.FAILED,
                f"the mean {name} is {np.mean(ours):.4g}, expected {np.mean(samples):.4g}",
                worst,
            )
    return Outcome(Status.PASSED, worst=worst)


def _standard_error(samples: Array) -> float:
    return float(np.std(samples) / np.sqrt(max(len(samples), 1)))


def _sampled(case: Case, target: Target, count: int) -> dict[str, Array]:
    """Statistics of so many calls, one sample each."""
    net = case.net(target)
    call: Any = compiling(target)(net) if jitted(target) else net
    um.seed(case.spec.seed)
    rows: list[dict[str, float]] = []
    with np.errstate(all="ignore"):
        for _ in range(count):
            rows.append(_summary(arrays(call(*case.inputs))))
        if case.spec.differentiable:
            both = differentiated(compiling(target)) if jitted(target) else differentiated()
            for row in rows[: count // 4]:
                row.update(_summary(backward(net, case.inputs, case.spec.seed, both), "gradient"))
    return {name: np.asarray([row[name] for row in rows if name in row]) for name in sorted(rows[0])}


def _summary(values: Values, word: str = OUTPUT) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in values.items():
        if word in key.kind and value.dtype.kind == "f" and value.size and np.isfinite(value).all():
            wide = value.astype("float64")
            label = f"{key.kind} {key.name}".strip()
            found[f"projection of {label}"] = float((wide * weights_of(wide.shape, key.name, 0)).mean())
            found[f"magnitude of {label}"] = float(np.abs(wide).mean())
            found[f"square of {label}"] = float((wide**2).mean())
            # What is too small to be normal is zero: hardware may be set to make it so.
            found[f"share of zeros in {label}"] = float((np.abs(wide) < np.finfo(value.dtype).tiny).mean())
    return found


@check("random gradient", applies=lambda spec: random(spec) and _smooth(spec), cost=10.0)
@judged
def random_gradient(case: Case, target: Target) -> Outcome:
    """The gradient belongs to the very output that it came with: differences under the same seed agree with it."""
    agreeing, clear = _agreeing(case, Target(REFERENCE))
    if agreeing < DIRECTIONS - 1 or clear <= DIRECTIONS // 3:
        return Outcome(Status.WEAK, "differences do not approximate this gradient")
    with on(target):
        agreeing, clear = _agreeing(case, target)
    if clear <= DIRECTIONS // 3:  # other draws have other gradients
        return Outcome(Status.WEAK, "rounding hides the differences")
    if agreeing <= DIRECTIONS // 3:
        return Outcome(
            Status.FAILED,
            f"only {agreeing} of {DIRECTIONS} differences agree with the gradient under the same seed",
        )
    return Outcome(Status.PASSED)


DIRECTIONS = 6
STEP = 2.0**-6


def _smooth(spec: Spec) -> bool:
    return spec.differentiable and any(given.dtype.startswith("float") for given in spec.inputs)


def _agreeing(case: Case, target: Target) -> tuple[int, int]:
    """In how many directions the gradient by the inputs says what a small step there changes, to two hundredths; and in
    how many that change is ten times what the outputs are rounded by.
    """
    net, count, clear, rng = case.net(target), 0, 0, np.random.default_rng(case.spec.seed)
    floats = [i for i, array in enumerate(case.inputs) if array.dtype.kind == "f"]
    with np.errstate(all="ignore"):
        um.seed(case.spec.seed)
        slopes = only(backward(net, case.inputs, case.spec.seed), INPUT_GRADIENT)
        for _ in range(DIRECTIONS):
            moves = {i: rng.choice([-STEP, STEP], case.inputs[i].shape) for i in floats}
            (ahead, rounded), (behind, _) = (_projected(case, net, moves, sign) for sign in (1.0, -1.0))
            pairs = zip(floats, slopes.values(), strict=True)
            terms = [float((slope.astype("float64") * moves[i]).sum()) for i, slope in pairs]
            size = sum(float(np.abs(slope.astype("float64") * STEP).sum()) for slope in slopes.values())
            difference, predicted = (ahead - behind) / 2, sum(terms)
            largest = max(abs(difference), abs(predicted))
            count += abs(difference - predicted) <= 0.02 * largest + 0.002 * size + rounded
            clear += largest > 10 * rounded
    return count, clear


def _projected(case: Case, net: nn.Module, moves: dict[int, Array], sign: float) -> tuple[float, float]:
    """A weighted sum of the outputs, and what their rounding comes to in it, that of the smallest numbers included."""
    um.seed(case.spec.seed)
    given = tuple(
        (array + sign * moves[i]).astype(array.dtype) if i in moves else array
        for i, array in enumerate(case.inputs)
    )
    total = rounded = 0.0
    for key, value in arrays(net(*given)).items():
        if value.dtype.kind == "f":
            limits, wide = np.finfo(value.dtype), value.astype("float64")
            weights = weights_of(value.shape, key.name, case.spec.seed)
            total += float((wide * weights).sum())
            rounded += float((np.maximum(np.abs(wide) * limits.eps, limits.tiny) * np.abs(weights)).sum())
    return total, rounded


__all__ = ["determinism", "initial", "random_gradient", "statistics"]
