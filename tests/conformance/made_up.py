"""Checks that look at the spec alone, and a run of them: the machinery is tested without a framework."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from unittest import mock

from hypothesis import strategies as st

from unimodule_conformance.checks.registry import CHECKS, Check
from unimodule_conformance.outcome import Outcome, Status
from unimodule_conformance.running import Config
from unimodule_conformance.running.groups import Group
from unimodule_conformance.specs import Array, Node, Spec

CONFIG = Config(backends=("numpy",), seed=1)


@st.composite
def chains(draw):
    """A chain of layers: each Linear or ReLU, and at least one."""
    width = draw(st.integers(1, 9))
    kinds = draw(st.lists(st.sampled_from(["nn.ReLU", "nn.Linear"]), min_size=1, max_size=6))
    nodes = tuple(Node(k, (width, width) if k == "nn.Linear" else ()) for k in kinds)
    return Spec(Node("nn.Sequential", children=nodes), (Array((draw(st.integers(1, 5)), width)),))


def by_name(case, target):
    """Fails where there is a Linear with more than four features."""
    wide = [node for node in case.spec.root.walk() if node.name == "nn.Linear" and node.args[0] > 4]
    if wide:
        return Outcome(Status.FAILED, f"too wide: {wide[0].args[0]}", details={"module": "0"})
    return Outcome(Status.PASSED, worst=0.25)


def breaks(case, target):
    """Raises where the batch is 3."""
    if case.spec.inputs[0].shape[0] == 3:
        raise RuntimeError("the check itself")
    return Outcome(Status.SKIPPED, "declared as unsupported")


def fine(case, target):
    """Always passes."""
    return Outcome(Status.WEAK, worst=0.5)


@contextmanager
def made_up(**runs):
    """Inside, there are no checks but these, and one group of cases: chains."""
    table = {name: Check(name, run.__doc__, run, lambda spec: True) for name, run in runs.items()}
    group = {"models": Group("models", "models", chains())}
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(CHECKS, table, clear=True))
        for place in ("running.groups", "running.planning"):
            stack.enter_context(mock.patch(f"unimodule_conformance.{place}.groups", lambda: group))
            stack.enter_context(mock.patch(f"unimodule_conformance.{place}.names", lambda: ()))
        stack.enter_context(mock.patch("unimodule_conformance.running.session.unlisted", list))
        yield
