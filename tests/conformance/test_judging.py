"""Every check passes on every backend for the sixty specs of ``varied``: no false alarm where nothing is wrong."""

from __future__ import annotations

import collections
import math
import warnings

import numpy as np
import pytest

from unimodule_conformance.case import Case
from unimodule_conformance.checks import CHECKS
from unimodule_conformance.checks.running import jitted
from unimodule_conformance.outcome import Outcome, Status, Target
from unimodule_conformance.specs import Array, In

from .varied import VARIED, block, layer, op, spec

CHEAP = "structure values gradients float64 training optimiser constants tied purity modes state clone saving".split()
CHEAP += ["devices", "initial values", "determinism", "statistics", "random gradient"]
CALLS = "structure values gradients".split()
"""What a backend is asked that compiles every op for every shape: the rest is asked of a few cases."""
DEAR = "compiled,control flow,train step,transfer".split(",")
GOOD = (Status.PASSED, Status.SKIPPED)
PROVE_LITTLE = {"F.layer_norm": Status.WEAK}
"""Specs that are weak, and are to be found so."""


@pytest.fixture(autouse=True)
def quick_compilers(monkeypatch):
    """Programs without generated code."""
    monkeypatch.setenv("UNIMODULE_CONFORMANCE_COMPILE", '{"torch": {"backend": "aot_eager"}}')


def run(case: Case, name: str, target: Target) -> Outcome:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return CHECKS[name].run(case, target)


@pytest.mark.parametrize("drawn", VARIED, ids=lambda s: f"{s.seed}-{s.root.name}")
def test_nothing_is_wrong(backend, drawn):
    case, target = Case(drawn), Target(backend)
    names = CALLS if jitted(target) and drawn.seed % 8 else CHEAP
    for name in names:
        if CHECKS[name].applies(drawn):
            outcome = run(case, name, target)
            allowed = (*GOOD, PROVE_LITTLE.get(drawn.root.name))
            assert outcome.status in allowed, f"{name}: {outcome}"
            assert outcome.worst <= 1.0


@pytest.mark.parametrize("drawn", VARIED[1::12], ids=lambda s: f"{s.seed}-{s.root.name}")
def test_compiled_and_moved(backend, drawn):
    for name in DEAR:
        if CHECKS[name].applies(drawn):
            assert (outcome := run(Case(drawn), name, Target(backend))).status in GOOD, f"{name}: {outcome}"


def test_control_flow_compiled(backend):
    for drawn in (
        spec(block("Cond", layer("Linear", 3, 3), layer("Tanh")), (2, 3), seed=1),
        spec(block("WhileNorm"), (2, 3), seed=2),
    ):
        assert (outcome := run(Case(drawn), "control flow", Target(backend))).status in GOOD, outcome


def test_the_core_is_what_pytorch_is():
    pytest.importorskip("torch")
    seen = collections.Counter()
    for drawn in VARIED:
        for name, check in CHECKS.items():
            if check.core and check.applies(drawn):
                outcome = run(Case(drawn), name, Target("numpy"))
                assert outcome.status in (*GOOD, PROVE_LITTLE.get(drawn.root.name)), (
                    f"{name}, {drawn}: {outcome}"
                )
                seen[outcome.status] += 1
    assert seen[Status.PASSED] > 100 and seen[Status.SKIPPED] < 10


def test_core_checks_are_for_the_reference_only(backend):
    pytest.importorskip("torch", reason="the core is judged by PyTorch's own layers")
    check = CHECKS["core values"]
    outcome = check.run(Case(VARIED[0]), Target(backend))
    assert outcome.status is (Status.PASSED if backend == "numpy" else Status.SKIPPED)


def test_every_check_says_what_it_asks():
    assert len(CHECKS) >= 26
    for check in CHECKS.values():
        assert check.about.endswith(".") and len(check.about) < 160 and check.cost > 0


def test_a_broken_spec_is_the_suites_own_error():
    outcome = CHECKS["values"].run(Case(spec(layer("NoSuchLayer"), (2, 3))), Target("numpy"))
    assert outcome.status is Status.ERROR and "NoSuchLayer" in outcome.message


def test_the_reference_is_shaken_only_where_it_must_be(backend):
    """Rounding alone, without conditioning, judges a linear layer."""
    case = Case(VARIED[0])
    assert run(case, "values", Target(backend)).status is Status.PASSED
    assert not case.reference._moved


def test_what_is_too_small_for_the_dtype_may_be_0(backend):
    """A gradient, too: exp(-250), and exp(-250) times 5."""
    drawn = spec(op("exp", In(0)), Array((2,), values=(-250.0, -245.0)))
    assert run(case := Case(drawn), "values", Target(backend)).status is Status.PASSED
    assert run(case, "gradients", Target(backend)).status in (Status.PASSED, Status.WEAK)


def test_saturated_cells_are_judged_by_what_is_left_of_their_slopes(backend):
    """Two steps of an LSTM cell whose gates are all but closed: what is wrong in the first grows in the second."""
    drawn = spec(
        layer("LSTMCell", 3, 1), Array((1, 3), fill="saturated", seed=12763), seed=453, dtype="float64"
    )
    assert run(Case(drawn), "training", Target(backend)).status is not Status.FAILED


def test_float64_shares_the_reference():
    case = Case(VARIED[0])
    wide = case.in_float64
    assert wide.spec.dtype == "float64" and wide.reference is case.reference
    assert all(array.dtype == "float64" for array in wide.inputs)
    assert math.isclose(float(wide.inputs[0].sum()), float(case.inputs[0].astype("float64").sum()))
