"""False alarms that the suite has raised: cases in which rounding goes further than was allowed for."""

from __future__ import annotations

from pathlib import Path

import pytest

from unimodule_conformance.outcome import Status, Target
from unimodule_conformance.running.judging import judge_all
from unimodule_conformance.specs import Spec

CASES = sorted((Path(__file__).parent / "alarms").glob("*.json"))
RANDOM = sorted((Path(__file__).parent / "alarms" / "random").glob("*.json"))
CHECKS = ("values", "gradients", "float64", "training", "core gradients")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_rounding_is_no_fault(path: Path, backend: str) -> None:
    spec = Spec.from_json(path.read_text(encoding="utf-8"))
    judged = {j.check: j.outcome for j in judge_all(spec, [(check, Target(backend)) for check in CHECKS])}
    assert judged.keys() == set(CHECKS)
    assert not [outcome.message for outcome in judged.values() if outcome.status is Status.FAILED]
    assert judged["values"].status is Status.PASSED


@pytest.mark.parametrize("path", RANDOM, ids=lambda path: path.stem)
def test_what_hardware_makes_zero_is_no_fault_of_draws(path: Path, backend: str) -> None:
    spec = Spec.from_json(path.read_text(encoding="utf-8"))
    (judged,) = judge_all(spec, [("statistics", Target(backend))])
    assert judged.outcome.status is Status.PASSED, judged.outcome.message
