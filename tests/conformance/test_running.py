"""A run from drawing to results: what is counted, shrunk, grouped, excused, and cut short."""

from __future__ import annotations

import dataclasses
import json

import pytest

from unimodule_conformance.divergences.model import Divergence, Kind
from unimodule_conformance.outcome import Outcome, Status, Target
from unimodule_conformance.running import PROFILES, Results, judge, run
from unimodule_conformance.running import known as known_module
from unimodule_conformance.running.drawing import attempts, draw
from unimodule_conformance.running.known import within, witness
from unimodule_conformance.running.shrinking import shrink
from unimodule_conformance.specs import Node, Spec

from .made_up import CONFIG, breaks, by_name, chains, fine, made_up

NUMPY = Target("numpy")


# ---------------------------------------------------------------------- counting
def test_a_green_run():
    with made_up(fine=fine):
        results = run(CONFIG)
    assert results.ok and results.ended == "done" and results.drawn == 24
    assert results.cell("fine", "numpy").counts == {"weak": 24}
    assert results.versions["numpy"] and results.checks == {"fine": "Always passes."}


def test_a_red_run_says_what_is_wrong():
    with made_up(by_name=by_name, breaks=breaks, fine=fine):
        results = run(CONFIG)
    cell = results.cell("by_name", "numpy")
    assert cell.of(Status.FAILED) and cell.of(Status.PASSED) and cell.total == 24 and cell.worst == 0.25
    assert results.cell("breaks", "numpy").reasons == {
        "declared as unsupported": results.cell("breaks", "numpy").of(Status.SKIPPED)
    }
    assert results.problems == [
        f"{cell.of(Status.FAILED)} cases failed",
        f"{results.cell('breaks', 'numpy').of(Status.ERROR)} cases broke the suite itself",
    ]


def test_results_survive_json():
    with made_up(by_name=by_name, breaks=breaks):
        results = run(CONFIG)
    again = Results.from_json(results.to_json())
    assert again.to_json() == results.to_json() and again.problems == results.problems
    assert json.loads(results.to_json())["ok"] is False


# ---------------------------------------------------------------------- failures
def test_failures_are_shrunk_and_those_that_come_to_the_same_are_one():
    with made_up(by_name=by_name):
        results = run(CONFIG)
    [failure] = results.failures
    spec = Spec.from_json(failure.spec)
    assert [node.name for node in spec.root.walk()] == ["nn.Sequential", "nn.Linear"]
    assert spec.root.children[0].args == (5, 5) and spec.inputs[0].shape == (1, 5)
    assert failure.message == "too wide: 5" and failure.details["module"] == "0"
    assert failure.repeats + 1 == results.cell("by_name", "numpy").red
    assert Spec.from_json(failure.original) != spec


def test_the_same_seed_tells_the_same_failures():
    with made_up(by_name=by_name, breaks=breaks):
        first, again = run(CONFIG), run(CONFIG)
        other = run(dataclasses.replace(CONFIG, seed=2))
    assert first.failures == again.failures
    assert [f.original for f in first.failures] != [f.original for f in other.failures]


def test_an_error_of_the_suite_keeps_its_traceback():
    with made_up(breaks=breaks):
        [failure] = run(CONFIG).failures
    assert failure.status == "error" and "the check itself" in failure.message
    assert "in breaks" in failure.details["traceback"]
    assert Spec.from_json(failure.spec).inputs[0].shape[0] == 3


def failing():
    return next(s for s in draw(chains(), 24, 7) if by_name(type("C", (), {"spec": s}), NUMPY).message)


def test_shrinking_stops_after_so_many_runs():
    with made_up(by_name=by_name):
        found = shrink(chains(), 24, 7, failing(), "by_name", NUMPY, 3, 60.0)
    assert found.note == "shrunk as far as 3 runs went" and found.outcome.status is Status.FAILED


def test_shrinking_stops_when_its_time_is_up():
    with made_up(by_name=by_name):
        found = shrink(chains(), 24, 7, failing(), "by_name", NUMPY, 100, -1.0)
    assert found.note.startswith("the time for shrinking was up") and found.spec == failing()


def test_a_case_that_is_not_drawn_again_is_told_as_it_was():
    strange = Spec(Node("nn.Sequential", children=(Node("nn.Linear", (77, 77)),)), failing().inputs)
    with made_up(by_name=by_name):
        found = shrink(chains(), attempts(3), 7, strange, "by_name", NUMPY, 100, 60.0)
    assert found.spec == strange and "not drawn again" in found.note


def test_a_failure_that_does_not_come_back_is_told():
    outcomes = iter([Outcome(Status.FAILED, "once")] + [Outcome(Status.PASSED)] * 100)

    def once(case, target):
        """Fails the first time."""
        return next(outcomes)

    with made_up(once=once):
        [failure] = run(CONFIG).failures
    assert "depends on what ran before" in failure.shrinking and failure.message == "once"


# ---------------------------------------------------------------------- cut short
class Impatient:
    """Presses Ctrl-C after some outcomes."""

    def __init__(self, patience):
        self.patience = patience

    def phase(self, name, total):
        pass

    def step(self, judged=()):
        self.patience -= len(judged)
        if judged and self.patience <= 0:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_what_was_found():
    with made_up(by_name=by_name):
        results = run(CONFIG, Impatient(10))
    assert results.ended == "interrupted" and results.cell("by_name", "numpy").total == 10
    assert results.failures and all(f.shrinking == "not shrunk" for f in results.failures)


def test_the_time_can_be_up(monkeypatch):
    monkeypatch.setitem(PROFILES, "thorough", dataclasses.replace(PROFILES["thorough"], trees=5))
    with made_up(fine=fine):
        results = run(dataclasses.replace(CONFIG, max_seconds=0.0))
        assert results.ended == "the time was up" and not results.ok, "nothing was judged"
        thorough = run(dataclasses.replace(CONFIG, profile="thorough", max_seconds=3.0))
    assert thorough.ended == "the time was up" and thorough.drawn > 5, "more than one round"


def test_a_backend_that_does_not_load_makes_it_red_once(monkeypatch):
    monkeypatch.setattr("unimodule_conformance.running.tasks.loaded", lambda name: ("", "ImportError: no"))
    with made_up(fine=fine):
        results = run(CONFIG)
    assert results.problems == ["numpy cannot be loaded: ImportError: no", "nothing was judged"]


# ---------------------------------------------------------------------- divergences
def row(**options):
    about = {
        "id": "numpy-x",
        "backend": "numpy",
        "versions": ">=1",
        "op": "nn.Linear",
        "kind": Kind.CHOICE,
        "native": "",
        "expected": "",
        "corrected": False,
        "witness": lambda: True,
    }
    return Divergence(**{**about, **options})


def test_a_failure_that_a_row_excuses_is_known_and_green(monkeypatch):
    excused = row(excuses=lambda spec: "nn.Linear" in spec.names)
    monkeypatch.setattr(known_module, "rows", lambda: (excused,))
    with made_up(by_name=by_name):
        results = run(CONFIG)
    assert results.ok and results.cell("by_name", "numpy").of(Status.KNOWN) and not results.failures
    monkeypatch.setattr(known_module, "rows", lambda: (dataclasses.replace(excused, versions="<1"),))
    with made_up(by_name=by_name):
        assert not run(CONFIG).ok, "the row says nothing of this version"


@pytest.mark.parametrize("verdict", ["shows", "gone", "broken", "elsewhere"])
def test_a_run_is_red_where_a_witness_no_longer_shows(monkeypatch, verdict):
    def fails():
        raise ValueError("no such function any more")

    how = {"shows": lambda: True, "gone": lambda: False, "broken": fails, "elsewhere": fails}[verdict]
    mine = row(witness=how, versions="<1" if verdict == "elsewhere" else ">=1")
    for place in ("known", "session", "tasks"):
        monkeypatch.setattr(f"unimodule_conformance.running.{place}.rows", lambda: (mine,))
    with made_up(fine=fine):
        results = run(CONFIG)
    assert [w.verdict for w in results.witnesses] == [verdict]
    assert results.ok is (verdict in ("shows", "elsewhere"))
    assert witness(mine).verdict == verdict


@pytest.mark.parametrize(
    ("version", "range_", "inside"),
    [
        ("1.9.1", "==1.9.1", True),
        ("2.21.0", ">=2.18,<2.22", True),
        ("2.22", ">=2.18,<2.22", False),
        ("2.13.0+cpu", ">=2.13", True),
        ("0.7.1", "==0.7.*", True),
        ("0.8", "==0.7.*", False),
        ("1.26.4", "!=1.26.4", False),
        ("2.10", ">2.9", True),
        ("3", "<=2", False),
        ("anything", "", True),
    ],
)
def test_versions(version, range_, inside):
    assert within(version, range_) is inside


def test_a_range_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not a version specifier"):
        within("1.0", "about 2")


def test_an_outcome_keeps_its_numbers_when_excused(monkeypatch):
    monkeypatch.setattr(known_module, "rows", lambda: (row(excuses=lambda spec: True),))
    with made_up(by_name=by_name):
        from unimodule_conformance.case import Case
        from unimodule_conformance.checks.registry import CHECKS

        outcome = judge(Case(failing()), CHECKS["by_name"], NUMPY)
    assert outcome.status is Status.KNOWN and outcome.message.startswith("numpy-x: too wide")
