"""What is drawn and who sees it follows from the seed and the costs, and from nothing else."""

from __future__ import annotations

import sys
import types
from collections import Counter

import pytest
from hypothesis import strategies as st

from unimodule_conformance.checks.registry import CHECKS, Check
from unimodule_conformance.outcome import Outcome, Status, Target
from unimodule_conformance.running import PROFILES, Config, ConfigError, draw, plan, wishes
from unimodule_conformance.running.config import checked
from unimodule_conformance.running.groups import family, groups, names
from unimodule_conformance.running.planning import Wish
from unimodule_conformance.specs import Array, Node, Spec


@st.composite
def linear(draw):
    sizes = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return Spec(Node("nn.Linear", sizes), (Array((draw(st.integers(1, 4)), sizes[0])),))


def config(**options):
    return Config(backends=("cheap", "dear"), **options)


# ---------------------------------------------------------------------- drawing
def test_the_same_seed_draws_the_same_specs():
    first, again, other = (draw(linear(), 8, seed) for seed in (1, 1, 2))
    assert first == again and first != other
    assert len({spec.to_json() for spec in first}) == len(first) == 8


def test_what_is_imported_does_not_change_what_is_drawn(tmp_path, monkeypatch):
    """Hypothesis looks for numbers in the sources of modules that are not installed packages."""
    before = draw(st.builds(lambda n: Spec(Node("nn.Linear", (n,))), st.integers()), 60, 3)
    source = tmp_path / "full_of_numbers.py"
    source.write_text("\n".join(f"n{i} = {i * 7919 + 123456}" for i in range(400)))
    module = types.ModuleType("full_of_numbers")
    module.__file__ = str(source)
    monkeypatch.setitem(sys.modules, "full_of_numbers", module)
    assert draw(st.builds(lambda n: Spec(Node("nn.Linear", (n,))), st.integers()), 60, 3) == before


def test_a_strategy_with_few_specs_gives_what_it_has():
    one = Spec(Node("nn.ReLU"))
    assert draw(st.just(one), 5, 0) == [one]


# ---------------------------------------------------------------------- wishes
def test_smoke_comes_round_to_every_name():
    stride = round(1 / PROFILES["smoke"].names)
    drawn = [wish.group for seed in range(stride) for wish in wishes(config(seed=seed))]
    assert set(names()) <= set(drawn)


def test_ci_wishes_for_every_name_and_never_for_the_same_cases_twice():
    rounds = [wishes(config(profile="ci"), i) for i in range(2)]
    assert all(set(names()) <= {wish.group for wish in each} for each in rounds)
    assert len({wish.seed for each in rounds for wish in each}) == sum(map(len, rounds))


def test_only_some_names():
    assert {wish.group for wish in wishes(config(only=("nn.Linear",)))} == {"nn.Linear"}


# ---------------------------------------------------------------------- plans
@pytest.fixture
def two_checks(monkeypatch):
    """A cheap check and one that is dear on one backend; values they never compute."""

    def run(case, target):
        return Outcome(Status.PASSED)

    for name in list(CHECKS):
        monkeypatch.delitem(CHECKS, name)
    for name in ("values", "compiled"):
        monkeypatch.setitem(CHECKS, name, Check(name, "about", run, lambda spec: not spec.training))
    costs = {"values": {"cheap": 1.0, "dear": 400.0}, "compiled": {"cheap": 2.0, "dear": 1e6}}
    monkeypatch.setattr("unimodule_conformance.running.costs.table", lambda: costs)


def planned(**options):
    asked = config(**options)
    linears = [Spec(Node("nn.Linear", (i, 1)), training=i % 4 == 0) for i in range(200)]
    relus = [Spec(Node("nn.ReLU"), seed=i) for i in range(3)]
    return plan(asked, [(Wish("nn.Linear", 200, 1), linears), (Wish("nn.ReLU", 3, 2), relus)])


def seen(items):
    return Counter((check, target.backend) for item in items for check, target in item.pairs)


def test_a_dear_pair_sees_fewer_cases_and_never_less_than_the_minimum(two_checks):
    counts = seen(planned())
    smoke = PROFILES["smoke"]
    assert counts["values", "cheap"] == 153, "all that it applies to"
    assert counts["values", "dear"] == max(smoke.minimum, int(smoke.pair_seconds / 0.4))
    assert counts["compiled", "dear"] == smoke.minimum


def test_a_check_sees_only_what_it_applies_to(two_checks):
    assert not any(item.spec.training for item in planned())


def test_ci_covers_every_name_on_every_backend(two_checks):
    roots = {
        (target.backend, item.spec.root.name)
        for item in planned(profile="ci")
        for check, target in item.pairs
        if check == "values"
    }
    assert roots == {(b, name) for b in ("cheap", "dear") for name in ("nn.Linear", "nn.ReLU")}


def test_the_same_seed_makes_the_same_plan(two_checks):
    assert planned(seed=5) == planned(seed=5) != planned(seed=6)
    assert [i.index for i in planned(seed=5)] != sorted(i.index for i in planned(seed=5)), "mixed"


# ---------------------------------------------------------------------- names
def test_families_are_the_modules_that_define_a_name():
    assert family("nn.Conv2d") == "nn.convolution" and family("ops.sum") == "ops.reductions"
    assert all(group.family for group in groups().values())


def test_an_unknown_name_is_refused_with_a_near_one():
    with pytest.raises(ConfigError, match=r"no layer is called 'nn.Conv2'; did you mean nn\.Conv2d"):
        checked(("nn.Conv2d", "nn.ReLU"), ("nn.Conv2",), "layer")
    with pytest.raises(ConfigError, match="there are: values"):
        checked(("values",), ("zzz",), "check")


def test_a_config_survives_json():
    asked = config(only=("nn.Linear",), max_seconds=3.0)
    assert Config.from_dict(asked.to_dict()) == asked
    assert Target("cheap") in asked.targets
