"""What is drawn: every public name, valid always, shrinking to little."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import unimodule as um
from unimodule import nn
from unimodule_conformance import building, strategies
from unimodule_conformance.pools import POOLS, draw
from unimodule_conformance.specs import Array, Node, Spec
from unimodule_conformance.strategies import NAMES, arrays, cases, models, refusals
from unimodule_conformance.strategies.drawing import LINKS, specs
from unimodule_conformance.strategies.shapes import after

FEW = settings(max_examples=3, derandomize=True, deadline=None, database=None)
MANY = settings(max_examples=120, derandomize=True, deadline=None, database=None)


def run(spec: Spec):
    """What the spec's net computes on the reference backend."""
    with np.errstate(all="ignore"):
        return building.build(spec).to("numpy")(*building.arrays(spec))


# ---------------------------------------------------------------------- the table
def test_no_public_name_is_forgotten():
    assert strategies.missing() == () and strategies.stale() == ()
    assert all(reason for reason in strategies.EXCLUDED.values())


def test_a_new_name_is_noticed(monkeypatch):
    monkeypatch.setattr(nn, "__all__", [*nn.__all__, "Brandnew"])
    monkeypatch.setattr(um.ops, "__all__", [name for name in um.ops.__all__ if name != "where"])
    assert strategies.missing() == ("nn.Brandnew",)
    assert strategies.stale() == ("ops.where",)


def test_a_strategy_is_registered_once():
    with pytest.raises(ValueError, match=r"already.*nn\.Linear"):
        strategies.add("nn.Linear", lambda d: Node("nn.Linear", (1, 1)))


# ---------------------------------------------------------------------- validity
@pytest.mark.parametrize("name", NAMES)
def test_what_is_drawn_is_valid(name):
    """A draw that breaks a health check, or raises on the reference backend, fails."""

    @FEW
    @given(NAMES[name])
    def drawn(spec: Spec) -> None:
        assert repr(Spec.from_json(spec.to_json())) == repr(spec)
        assert spec.error is None
        run(spec)

    drawn()


@settings(MANY, max_examples=200)
@given(models())
def test_models_are_valid_and_their_shapes_are_known(spec):
    output = run(spec)
    if spec.root.name != "block.Outputs":
        assert output.shape == after(spec.root, spec.inputs[0].shape)


@pytest.mark.parametrize("name", LINKS)
def test_shapes_of_links_are_known(name):
    link, drawn = LINKS[name], []

    def body(d):
        drawn.append(link.some(d))
        assert link.fits(drawn[-1]) or len(drawn[-1]) < 5  # alone, a batch axis may be left out
        d.tensor(drawn[-1], "normal")
        return link.node(d, drawn[-1])

    @FEW
    @given(specs(body))
    def agrees(spec: Spec) -> None:
        assert run(spec).shape == after(spec.root, drawn[-1])

    agrees()


@MANY
@given(refusals())
def test_what_is_invalid_raises_what_it_says(spec):
    with pytest.raises(um.UnimoduleError) as raised:
        run(spec)
    assert type(raised.value).__name__ == spec.error


def test_cases_of_chosen_kinds_and_names():
    @settings(MANY, max_examples=30)
    @given(st.data())
    def drawn(data: st.DataObject) -> None:
        assert data.draw(cases(kinds=["invalid"])).error
        assert data.draw(cases(focus=["nn.Embedding"])).root.name == "nn.Embedding"
        assert data.draw(cases(kinds=["functions"])).error is None

    drawn()
    with pytest.raises(KeyError):
        cases(kinds=["everything"])


# ---------------------------------------------------------------------- shrinking
def follows(spec: Spec, first: str, second: str) -> bool:
    """Whether a module of one name stands right behind one of another."""
    return any(
        (a.name, b.name) == (first, second)
        for node in spec.root.walk()
        for a, b in zip(node.children, node.children[1:], strict=False)
    )


@pytest.mark.parametrize(
    ("fails", "most"),
    [
        (lambda spec: follows(spec, "nn.Linear", "nn.Tanh"), 3),
        (lambda spec: "nn.Conv2d" in spec.names, 1),
        (lambda spec: "block.Residual" in spec.names, 2),
        (lambda spec: "nn.BatchNorm1d" in spec.names and spec.training, 1),
    ],
    ids=["two layers", "a layer", "a holder", "a layer in a mode"],
)
def test_models_shrink_to_what_a_failure_needs(fails, most):
    options = settings(
        max_examples=3000, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    spec = find(models(), fails, settings=options)
    assert sum(1 for _ in spec.root.walk()) <= most, spec.root
    assert math.prod(spec.inputs[0].shape) <= 8


def test_a_planted_fault_is_found_and_shrinks():
    """As a run would meet it: dilation and stride mixed up, seen where they differ."""

    def mixed_up(spec: Spec) -> bool:
        kwargs = spec.root.kwargs
        return kwargs.get("stride", 1) != kwargs.get("dilation", 1)

    spec = find(
        NAMES["nn.Conv2d"], mixed_up, settings=settings(max_examples=500, derandomize=True, database=None)
    )
    assert len(spec.to_json()) < 420 and spec.dtype == "float32"


# ---------------------------------------------------------------------- arrays
@MANY
@given(arrays.specs_of(arrays.shapes(zero=True), fills=tuple(POOLS)[:-6]))
def test_floats_are_float32_and_never_subnormal(given):
    narrow, wide = building.array(given, "float32"), building.array(given, "float64")
    assert narrow.shape == given.shape and wide.dtype == "float64"
    np.testing.assert_array_equal(narrow, wide)
    magnitudes = np.abs(narrow[np.isfinite(narrow) & (narrow != 0)])
    assert (magnitudes >= np.finfo("float32").tiny).all()


@pytest.mark.parametrize("fill", [*POOLS, "below:3", "labels:3", "ignored:3"])
def test_pools_are_the_same_each_time(fill):
    first, again, other = (draw(fill, seed, (5, 4)) for seed in (1, 1, 2))
    assert first.shape == (5, 4)
    np.testing.assert_array_equal(first, again)
    assert fill == "equal" or not np.array_equal(first, other, equal_nan=first.dtype.kind == "f")


def test_pools_hold_their_edges():
    assert {-100, 0} <= set(draw("ignored:3", 0, (40,)))
    assert np.isnan(draw("special", 0, (40,))).any() and np.isinf(draw("special", 0, (40,))).any()
    assert set(np.unique(draw("mask", 0, (9, 9)))) == {-np.inf, 0.0}
    assert (draw("mask", 0, (9, 9))[:, 0] == 0).all() and not draw("hidden", 0, (9, 9))[:, 0].any()
    assert len(np.unique(draw("apart", 0, (60,)))) == 60


@MANY
@given(arrays.numpy_arrays(arrays.shapes(2, 2), fills=["ties"], dtype="float64"))
def test_arrays_for_tests_of_ones_own(x):
    assert isinstance(x, np.ndarray) and x.ndim == 2 and x.dtype == "float64"


def test_literals():
    given = Array((2, 2), values=(1.5, float("nan"), 0.0, -2.0))
    np.testing.assert_array_equal(building.array(given), np.array([[1.5, np.nan], [0, -2]], "float32"))
