"""The seeded faults: enough of them, each live while it is planted and gone without a trace; the hunt finds, and can fail."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections import Counter

import pytest

from unimodule import registry

pytest.importorskip("hypothesis")
from unimodule_conformance.checks.registry import CHECKS
from unimodule_conformance.faults import FAULTS, hunting, telling, twin
from unimodule_conformance.faults.hunting import Hunt, Hunted, hunt, in_order, not_live
from unimodule_conformance.faults.model import Fault
from unimodule_conformance.faults.planting import patch, swap, wrong
from unimodule_conformance.faults.runner import Mutants, backends_of, run_mutants
from unimodule_conformance.outcome import Target
from unimodule_conformance.running.config import Config
from unimodule_conformance.running.planning import Item, Wish
from unimodule_conformance.specs import Array, In, Node, Spec

NAMED = {fault.name: fault for fault in FAULTS}
KINDS = {"forward", "gradient", "state", "dtype", "error", "compiled", "device"}
NEEDED = (  # by CONFORMANCE's list of what other suites miss
    "relu's gradient at 0",
    "padding_idx",
    "takes its strides",
    "takes its padding",
    "takes its dilation",
    "ceil_mode",
    "counts the padding",
    "softmax goes over",
    "cumulative_sum is exclusive",
    "cond takes the other branch",
    "a constant receives a gradient",
    "tied weights count once",
    "dropout is active in evaluation",
)


def _here(fault: Fault) -> bool:
    return fault.backend in (None, twin.TWIN) or registry.installed(fault.backend)


# ---------------------------------------------------------------------- the faults
def test_enough_faults_of_every_kind_on_every_backend():
    assert len(NAMED) == len(FAULTS) >= 60
    assert {fault.kind for fault in FAULTS} == KINDS
    places = Counter(fault.backend for fault in FAULTS)
    assert all(places[name] >= 5 for name in (None, "torch", "tensorflow", "jax", "mxnet", "numpy"))
    for part in NEEDED:
        assert any(part in name for name in NAMED), part
    assert all(name.startswith(f"{fault.backend or 'core'}: ") for name, fault in NAMED.items())


SLOW = ("compiled",)


@pytest.mark.parametrize("place", ["core", "torch", "tensorflow", "jax", "mxnet", "numpy", twin.TWIN])
def test_controls(place):
    """Live while planted, gone afterwards, with nothing left behind."""
    mine = [f for f in FAULTS if (f.backend or "core") == place and _here(f)]
    if not mine:
        pytest.skip(f"{place} is not installed")
    infos = dict(registry.infos())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for fault in mine:
            if fault.backend is None and not registry.installed("mxnet") and fault.kind == "compiled":
                continue  # shown where compiling is quickest
            with fault.around():
                adapter = registry.get_backend(fault.backend or "numpy")
                functions, held = adapter.functions, dict(vars(adapter))
                assert not_live(fault) == "", fault.name
                assert adapter.functions is functions and vars(adapter) == held, fault.name
    assert registry.infos() == infos


def test_an_error_inside_takes_a_fault_out_too():
    fault = NAMED["numpy: tanh has the gradient 1 - y"]
    with contextlib.suppress(KeyError), fault.plant():
        raise KeyError
    assert not fault.control()


def test_patch_puts_back_what_was_inherited():
    class Base:
        def method(self):
            return 1

        @staticmethod
        def still():
            return 3

    class Derived(Base):
        pass

    with patch(lambda: Derived, "method", lambda native: lambda self: native(self) + 1)():
        assert Derived().method() == 2
    with patch(lambda: Derived, "still", lambda native: lambda: native() + 1)():
        assert Derived.still() == Derived().still() == 4
    one = Derived()
    with patch(lambda: one, "method", lambda native: lambda: native() + 5)():
        assert one.method() == 6
    assert (Derived().method(), one.method(), Derived.still()) == (1, 1, 3)
    assert "method" not in vars(Derived) and not vars(one)


# ---------------------------------------------------------------------- the hunt
def _item(spec: Spec, *checks: str, group: str = "ops.tanh") -> Item:
    return Item(0, Wish(group, 1, 0), "ops", spec, tuple((name, Target("numpy")) for name in checks))


def _call(name: str, fill: str = "normal", **kwargs: object) -> Spec:
    return Spec(Node(name, (In(0),), kwargs), (Array((2, 3), fill=fill),))


FOUND = _item(_call("ops.tanh"), "values", "core values", "core gradients")
OTHER = _item(_call("ops.exp"), "values", "core values", group="ops.exp")


def _hunted(fault: Fault, *items: Item, seconds: float = 60.0) -> Hunted:
    return [part for part in hunt(fault, items, seconds) if isinstance(part, Hunted)][-1]


def test_a_fault_is_found_and_counted():
    pytest.importorskip("torch")
    assert "core gradients" in CHECKS
    fault = NAMED["numpy: tanh has the gradient 1 - y"]
    found = _hunted(Fault(fault.name, "numpy", "gradient", fault.plant, fault.control), OTHER, FOUND)
    assert (found.verdict, found.check, found.examples) == ("killed", "core gradients on numpy", 2)
    assert Spec.from_json(found.spec) == FOUND.spec and found.message
    assert _hunted(fault, OTHER, FOUND).examples == 1, "focus puts it first"


def test_a_fault_can_survive():
    fault = NAMED["numpy: tanh has the gradient 1 - y"]
    found = _hunted(fault, OTHER)
    assert (found.verdict, found.examples, found.check) == ("survived", 1, "")
    assert _hunted(fault, FOUND, seconds=-1.0).examples == 0


def test_what_fails_without_the_fault_is_no_kill(monkeypatch):
    fault = NAMED["numpy: erf has seven digits"]
    failing = hunting.judge_all

    def all_fail(spec, pairs):
        from dataclasses import replace

        from unimodule_conformance.outcome import Outcome, Status

        return (replace(judged, outcome=Outcome(Status.FAILED)) for judged in failing(spec, pairs))

    monkeypatch.setattr(hunting, "judge_all", all_fail)
    assert _hunted(fault, OTHER).verdict == "survived"


def test_a_dead_fault_is_told(tmp_path):
    still = swap("numpy", exp=lambda native: native)
    control = wrong("numpy", lambda b: b.run(lambda x: x, [1.0]), [1.0])
    assert "shows nothing" in not_live(Fault("x", "numpy", "forward", still, control))
    assert "before it is planted" in not_live(Fault("x", "numpy", "forward", still, lambda: True))
    assert "failed" in not_live(Fault("x", "numpy", "forward", still, lambda: 1 / 0))


def test_the_task(tmp_path):
    pytest.importorskip("torch")
    cases = tmp_path / "cases"
    cases.write_bytes(pickle.dumps({"numpy": [FOUND]}))
    task = Hunt("numpy: tanh has the gradient 1 - y", str(cases), ("numpy",), 60.0)
    assert [part.verdict for part in task.run() if isinstance(part, Hunted)] == ["killed"]
    (crashed,), left = task.crashed((3, "values", Target("numpy"), "{}"), "ended its process")
    assert (crashed.verdict, crashed.check, crashed.examples, left) == ("survived", "", 3, None)
    assert crashed.message == "values on numpy ended its process"
    assert task.crashed(None, "ended its process")[0][0].verdict == "not live"


def test_focus_reorders_and_leaves_none_out():
    items = [OTHER, FOUND, OTHER]
    assert in_order(items, ("ops.tanh",)) == [FOUND, OTHER, OTHER]
    assert in_order(items, ()) == items


# ---------------------------------------------------------------------- the run
def test_where_faults_of_the_core_are_looked_for():
    config = Config(backends=("torch", "jax", "numpy"))
    core = next(fault for fault in FAULTS if fault.backend is None)
    assert backends_of(core, config) == ("numpy", "jax")
    assert backends_of(NAMED["numpy: log1p is log(1 + x)"], config) == ("numpy",)


def test_a_run_of_one_fault():
    pytest.importorskip("torch")
    told = []
    name = "numpy: atan2 forgets the quadrant"
    config = Config(backends=("numpy",), only=("ops.atan2",), checks=("core values",))
    found = run_mutants(config, only=(name,), tell=lambda *what: told.append(what))
    assert found.ok and [h.fault for h in found.killed] == [name] and told[0][1:] == (1, 1)
    again = Mutants.from_json(found.to_json())
    assert again.hunted == found.hunted and again.median == found.median and again.config == found.config
    assert name in telling.page(found) and name in telling.line(found.hunted[0], 1, 1)


def test_survivors_make_a_run_red():
    kill = Hunted("a", "numpy", "forward", "killed", "values on numpy", 3)
    found = Mutants(Config(backends=("numpy",)), [kill])
    assert found.ok and found.median == 3
    for verdict in ("survived", "not live"):
        assert not Mutants(found.config, [kill, Hunted("b", "numpy", "state", verdict)]).ok
    assert not Mutants(found.config).ok


def test_the_twin_keeps_its_devices_apart():
    import numpy as np

    from unimodule import nn, ops
    from unimodule.errors import DeviceError

    with twin.registered():
        backend = registry.get_backend(twin.TWIN)
        here, there = (backend.from_numpy(np.ones(2), "float32", place) for place in ("cpu", "gpu:0"))
        assert backend.device(ops.exp(there) * 2.0) == "gpu:0"
        with pytest.raises(DeviceError):
            ops.add(here, there)
        net = nn.Linear(2, 1).to(twin.TWIN, device="gpu:0")
        assert backend.device(net(np.ones((1, 2), "float32"))) == "gpu:0"
    assert twin.TWIN not in registry.infos()
