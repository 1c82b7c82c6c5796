"""Scripts that reproduce a failure: they stand alone, say the same each time, and tell a failure from none."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings

from unimodule import ops, registry
from unimodule_conformance import building
from unimodule_conformance.checks.registry import CHECKS
from unimodule_conformance.outcome import Target
from unimodule_conformance.reproducing.inlining import inlined
from unimodule_conformance.scripts import script
from unimodule_conformance.specs import Array, Fn, In, Node, Spec
from unimodule_conformance.strategies import cases

LINEAR = Node("nn.Linear", (3, 3))
NET = Node("nn.Sequential", (), {}, (LINEAR, Node("nn.ReLU"), Node("block.Residual", (), {}, (LINEAR,))))
PLAIN = Spec(NET, (Array((4, 3), seed=1),), training=True, seed=3)
RANDOM = Spec(Node("nn.Dropout", (), {"p": 0.5}), (Array((8, 9), fill="positive"),), training=True)
WRONG = Spec(Node("nn.Linear", (2, 2)), (Array((1, 3)),), error="ShapeError")
CONSTANT = Node("block.WithConstant", (Array((3,)), "multiply"))
FITTING = {
    "errors": WRONG,
    **dict.fromkeys(("determinism", "statistics", "random gradient"), RANDOM),
    "constants": Spec(Node("nn.Sequential", (), {}, (LINEAR, CONSTANT)), PLAIN.inputs),
    "tied": Spec(Node("block.Tied", (), {}, (LINEAR, LINEAR)), PLAIN.inputs),
    "control flow": Spec(Node("block.Cond", (), {}, (LINEAR, Node("nn.Tanh"))), PLAIN.inputs),
}


def outcome(text: str) -> tuple[int, str]:
    """The exit status of a script, and what it prints, run in this process."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended, np.errstate(all="ignore"):
        executed(text)
    return int(ended.value.code), printed.getvalue()


def executed(text: str) -> dict[str, object]:
    """What a text defines, run as a module."""
    module = types.ModuleType("script")
    sys.modules["script"] = module
    exec(compile(text, "script", "exec"), vars(module))
    return vars(module)


def definitions(text: str) -> dict[str, object]:
    """What a script defines, before it runs anything."""
    return executed(text.partition("# What it finds.")[0])


# ---------------------------------------------------------------------- what is written
def test_the_same_text_each_time():
    texts = {script(PLAIN, Target("numpy"), "values", "off by 3") for _ in range(3)}
    again = Spec.from_json(PLAIN.to_json())
    assert texts == {script(again, Target("numpy"), "values", "off by 3")}


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_nothing_of_the_suite_is_needed(check):
    if check.startswith("core") and not registry.installed("torch"):
        pytest.skip("the core's checks have nothing to judge by")
    spec = FITTING.get(check, PLAIN)
    text = script(spec, Target("numpy"), check, 'a message with """quotes""" and \\ in it')
    assert not [line for line in text.splitlines() if "import" in line and "conformance" in line]
    status, printed = outcome(text)
    assert (status, printed.strip()) == (0, "The failure does not show.")


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(cases())
def test_net_and_inputs_are_the_specs(spec):
    found = definitions(script(spec, Target("numpy"), "values", ""))
    for ours, theirs in zip(found["inputs"](), building.arrays(spec), strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, theirs)
    net, expected = found["make"](), building.build(spec)
    assert (net.training, net.dtype) == (expected.training, expected.dtype)
    for (name, ours), (other, theirs) in zip(net.named_variables(), expected.named_variables(), strict=True):
        assert name == other and ours.shape == theirs.shape and ours.has_value == theirs.has_value
        if ours.has_value:
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_special_arguments():
    node = Node(
        "ops.getitem",
        (In(0), (..., slice(None, None, -1), Array((2,), "int64", values=(0, 1)))),
    )
    inputs = (Array((2, 3, 40), seed=2), Array((2,), values=(float("nan"), float("-inf"))))
    spec = Spec(Node("block.Pick", (), {}, (node,)), inputs, dtype="float64")
    text = script(spec, Target("numpy"), "values", "")
    assert "normal(np.random.default_rng(2), (2, 3, 40))" in text and "JAX_ENABLE_X64" in text
    nan, infinite = definitions(text)["inputs"]()[1]
    assert np.isnan(nan) and infinite == -np.inf
    text = script(Spec(Node("nn.Function", (Fn("ops.relu"),)), (Array((2,)),)), Target("numpy"), "values", "")
    assert "nn.Function(ops.relu)" in text


# ---------------------------------------------------------------------- what it finds
def faulty(x):
    return ops.multiply(ops.where(ops.greater(x, 0.0), x, 0.0), 1.001)


@pytest.fixture
def other():
    """A backend that is not the reference."""
    found = [name for name in ("torch", "jax", "tensorflow") if registry.installed(name)]
    if not found:
        pytest.skip("the reference cannot judge itself")
    return found[0]


@pytest.mark.parametrize("check", ["values", "gradients", "compiled", "training", "modes", "optimiser"])
def test_a_fault_shows_and_is_placed(other, check):
    text = script(PLAIN, Target(other), check, "off")
    with registry.replaced(other, {"relu": faulty}):
        status, printed = outcome(text)
    if check == "optimiser":  # no forward pass is in it
        assert status == 0
        return
    assert status == 1 and "reference:" in printed and "here:" in printed
    assert "the first module that parts from the reference: 1" in printed


def test_another_error_shows(other):
    text = script(WRONG, Target(other), "errors", "raised something else")

    def refuses(*args):
        raise KeyError("linear")

    assert outcome(text)[0] == 0
    with registry.replaced(other, {"linear": refuses}):
        status, printed = outcome(text)
    assert (status, "expected ShapeError" in printed) in ((1, True), (0, False))  # the core may check first


def test_it_runs_on_its_own(tmp_path):
    path = tmp_path / "failure.py"
    path.write_text(script(PLAIN, Target("numpy"), "gradients", "off by 3"), encoding="utf-8")
    # Only unimodule and the adapters can be imported, not the suite.
    block = (
        "import sys, runpy; sys.modules['unimodule_conformance'] = None; "
        f"runpy.run_path({str(path)!r}, run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, env=dict(os.environ)
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "The failure does not show."


# ---------------------------------------------------------------------- copying definitions
def test_what_is_used_is_copied():
    imports, text = inlined([("unimodule_conformance.pools", "draw")])
    assert "import numpy as np" in imports
    assert "def saturated(" in text and text.index("POOLS") < text.index("def draw(")
