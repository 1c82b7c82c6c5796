"""um.compare: agreement, what is compared, planted faults, and what it leaves alone."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import init, nn, ops, registry
from unimodule.backend import BackendInfo
from unimodule.comparison import Report, TensorError

X = np.random.default_rng(3).normal(size=(4, 3)).astype("float32")


class Nested(nn.Module):
    """Returns a dict with a tuple in it, takes a tuple, and decides in Python on values."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Constant(init.uniform(), shape=(3,))
        self.linear = nn.LazyLinear(3)

    def forward(self, pair: Any, options: Any) -> Any:
        x, indices = pair
        x = self.linear(x + options["shift"]) * self.scale
        while ops.sum(ops.abs(x)) > 1:
            x = x / 2
        return {"sum": ops.sum(x), "rest": (ops.take(x, indices, axis=0), ops.argmax(x, axis=-1), 3)}


def quick(net: Any, *inputs: Any, **options: Any) -> Report:
    """An eager comparison without timing."""
    return um.compare(net, *inputs, **{"modes": "eager", "repeats": 0, **options})


def kinds(report: Report, label: str, mode: str = "eager") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for tensor in tensors(report, label, mode):
        found.setdefault(tensor.kind, []).append(tensor.name)
    return found


def tensors(report: Report, label: str, mode: str = "eager") -> tuple[TensorError, ...]:
    result = report.row(label).mode(mode)
    return () if result is None else result.tensors


def wrong(report: Report, label: str) -> list[TensorError]:
    return [tensor for tensor in tensors(report, label) if not tensor.ok]


# ---------------------------------------------------------------------- agreement
def test_every_backend_agrees(backend: str) -> None:
    net = nn.Sequential(nn.LazyLinear(6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 2))
    report = quick(net, X, backends=[backend], train=True)
    assert report.ok, report
    assert report.mode == "training" and report.row(backend).status == "ok"
    assert kinds(report, backend) == {
        "output": [""],
        "buffer": ["1.running_mean", "1.running_var", "1.num_batches_tracked"],
        "input gradient": ["[0]"],
        "parameter gradient": [f"{i}.{p}" for i in (0, 1, 3) for p in ("weight", "bias")],
    }
    for tensor in tensors(report, backend):
        assert None not in (tensor.absolute, tensor.relative, tensor.conditioned, tensor.tolerance)
        assert tensor.conditioned is not None and tensor.conditioned <= 16
    layers = report.row(backend).layers
    assert [(r.path, r.direction) for r in layers] == [
        *((path, "forward") for path in ("0", "1", "2", "3", "")),
        *((path, "gradient") for path in ("", "3", "2", "1", "0")),
    ]
    assert all(r.verdict == "agrees" and r.absolute is not None and r.created is not None for r in layers)


def test_both_modes_steps_and_costs(backend: str) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 2))
    loss, labels = nn.CrossEntropyLoss(), np.array([0, 1, 1, 0])
    report = um.compare(net, X, backends=backend, loss=loss, target=labels, steps=2, repeats=3)
    assert report.ok, report
    assert report.optimizer == "SGD(lr=0.01)" and "2 did nothing" in report.notes[0]
    modes = ["eager"] if backend == "numpy" else ["eager", "compiled"]
    assert [mode.mode for mode in report.row(backend).modes] == modes
    for mode in report.row(backend).modes:
        found = kinds(report, backend, mode.mode)
        assert found["step loss"] == ["[0]", "[1]"] and found["loss"] == [""]
        assert found["trained parameter"] == found["parameter gradient"]
        assert found["trained buffer"] == found["buffer"]
        assert set(mode.timings) == {"forward", "backward", "step"}
        for timing in mode.timings.values():
            low, high = timing.spread
            assert len(timing.samples) == 3 and 0 < low <= timing.median <= high
        assert mode.compile_seconds is not None and mode.compile_seconds >= 0


def test_pairs() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    names = [name for name in registry.infos() if registry.installed(name)]
    report = quick(net, X)
    assert report.ok, report
    keys = {(pair.a, pair.b) for pair in report.pairs}
    assert keys == {(a, b) for i, a in enumerate(names) for b in names[i + 1 :]}
    for pair in report.pairs:
        assert pair.absolute is not None and pair.conditioned is not None and pair.conditioned < 32


def test_nested_inputs_and_outputs(backend: str) -> None:
    inputs = (X, np.array([2, 0])), {"shift": X[:1]}
    report = quick(Nested(), *inputs, backends=backend)
    assert report.ok, report
    assert kinds(report, backend) == {
        "output": ["['sum']", "['rest'][0]", "['rest'][1]", "['rest'][2]"],
        "input gradient": ["[0][0]", "[1]['shift']"],
        "parameter gradient": ["linear.weight", "linear.bias"],
    }
    assert [place for place, _, _ in report.inputs] == ["[0][0]", "[0][1]", "[1]['shift']"]


def test_a_loss_with_a_target(backend: str) -> None:
    net, labels = nn.Linear(3, 5), np.array([0, 4, 2, 2])
    for loss in (nn.CrossEntropyLoss(weight=np.arange(1.0, 6)), nn.functional.cross_entropy):
        report = quick(net, X, loss=loss, target=labels, backends=[backend])
        assert report.ok, report
        assert "loss" in kinds(report, backend)


def test_a_loss_of_the_output_alone() -> None:
    report = quick(nn.Linear(3, 1), X, loss=lambda y: ops.mean(y * y), backends=["numpy"], steps=1)
    assert report.ok and "loss" in kinds(report, "numpy")


def test_all_installed_backends_are_the_default() -> None:
    report = quick(nn.ReLU(), X)
    assert [row.label for row in report.rows] == [n for n in registry.infos() if registry.installed(n)]
    assert report.ok and all(row.version for row in report.rows), report


def test_float64(has_float64: bool, backend: str) -> None:
    report = quick(nn.Sequential(nn.Linear(3, 4), nn.GELU()).to(dtype="float64"), X, backends=[backend])
    assert report.ok is has_float64
    assert report.dtype == "float64"
    if has_float64:
        assert max(tensor.absolute or 0 for tensor in tensors(report, backend)) < 1e-14
    else:
        assert report.row(backend).status == "failed"


def test_what_overflows_the_dtype_is_infinite() -> None:
    assert quick(_Function(lambda x: ops.exp(x * 1000)), np.ones(2), backends=["numpy"]).ok


def test_nets_without_gradients() -> None:
    report = quick(_Function(lambda x: ops.argmax(x, axis=-1)), X, backends=["numpy"])
    assert report.ok and kinds(report, "numpy") == {"output": [""]}
    assert quick(_Function(lambda x: x + 1), np.arange(3), backends=["numpy"]).ok


class _Function(nn.Module):
    def __init__(self, fn: Any) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Any) -> Any:
        return self.fn(x)


# ---------------------------------------------------------------------- modes
def test_what_draws_random_numbers_is_quiet_in_training() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    report = quick(net, X, backends=["numpy"], train=True)
    assert report.ok and report.mode == "training" and net.training
    assert report.notes == (
        "In training mode 1 did nothing: no two frameworks draw the same random numbers.",
    )
    assert len(kinds(report, "numpy")["buffer"]) == 3


def test_random_numbers_of_unknown_origin_leave_evaluation_mode() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Any) -> Any:
            return ops.dropout(x, 0.5) if self.training else x

    net = nn.Sequential(nn.Linear(3, 40), Noisy(), nn.BatchNorm1d(40))
    report = quick(net, X, backends=["numpy"], train=True)
    assert report.ok and report.mode == "evaluation" and "buffer" not in kinds(report, "numpy")
    with pytest.raises(um.ArgumentError, match="steps=1, but Sequential draws random numbers"):
        quick(net, X, backends=["numpy"], steps=1)


def test_buffers_of_a_net_in_evaluation_mode() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    report = quick(net, X, backends=["numpy"])
    assert report.ok and report.mode == "evaluation" and len(kinds(report, "numpy")["buffer"]) == 3
    assert net.training


def test_random_numbers_in_evaluation_mode_are_refused() -> None:
    with pytest.raises(um.ArgumentError, match="random numbers in evaluation mode"):
        quick(_Function(lambda x: ops.dropout(x, 0.5)), np.ones(99), backends=["numpy"])


# ---------------------------------------------------------------------- the net is left alone
def test_the_net_is_untouched(backend: str) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to(backend)
    before = {name: um.to_numpy(value) for name, value in net.state_dict().items()}
    held = [p.data for p in net.parameters()]
    quick(net, ops.asarray(X, backend=backend), backends=[backend, "numpy"], steps=1)
    assert net.backend == backend
    assert all(a is b.data for a, b in zip(held, net.parameters(), strict=True))
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(um.to_numpy(value), before[name])


def test_an_unbound_net_stays_unbound_and_draws_what_it_would_have_drawn() -> None:
    def drawn(compare: bool) -> np.ndarray:
        um.seed(5)
        net = nn.LazyLinear(4)
        if compare:
            quick(net, X, backends=["numpy"])
            assert net.backend is None and not net.parameter("weight").has_value
        return net.to("numpy")(X)

    np.testing.assert_array_equal(drawn(True), drawn(False))


# ---------------------------------------------------------------------- faults
def test_a_faithful_planted_backend_agrees(plant: Any) -> None:
    report = quick(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), X, backends=[plant()])
    assert report.ok, report


@pytest.mark.parametrize("size", [1e-5, 1e-2])
def test_a_wrong_value_is_reported(plant: Any, size: float) -> None:
    name = plant(tanh=lambda right, x: right(x) * np.float32(1 + size))
    report = quick(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), X, backends=["numpy", name])
    assert not report.ok and [row.label for row in report.problems] == [name]
    output = next(tensor for tensor in wrong(report, name) if tensor.kind == "output")
    assert output.absolute is not None and output.tolerance is not None
    assert output.relative == pytest.approx(size, rel=0.2) and output.absolute > output.tolerance
    assert output.conditioned is not None and output.conditioned > 16
    assert "expected" in output.detail
    assert "1 of 2 backends do not agree: planted" in str(report)
    assert any(pair.absolute == pytest.approx(output.absolute, rel=0.01) for pair in report.pairs)


def test_a_wrong_gradient_alone_is_reported(plant: Any) -> None:
    from autograd.tracer import getval

    # half of the value is cut off from the tape
    name = plant(
        tanh=lambda right, x: right(x) / np.float32(2) + np.asarray(getval(right(x))) / np.float32(2)
    )
    report = quick(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), X, backends=[name])
    assert {t.kind for t in wrong(report, name)} == {"input gradient", "parameter gradient"}
    assert [(p.path, p.direction) for p in report.row(name).partings] == [("1", "gradient")]


def test_a_wrong_shape_dtype_or_nan_is_reported(plant: Any) -> None:
    faults = {
        "shape (3,), expected (4, 3)": lambda right, x: right(x)[0],
        "dtype int32, expected float": lambda right, x: np.asarray(right(x), "int32"),
        "nan at [0, 0], expected": lambda right, x: right(x) * np.float32("nan"),
    }
    for detail, fault in faults.items():
        name = plant(tanh=fault)
        report = quick(nn.Tanh(), X, backends=[name])
        assert any(detail in t.detail and t.kind == "output" for t in wrong(report, name)), report


def test_a_wrong_integer_is_reported(plant: Any) -> None:
    name = plant(argmax=lambda right, x, **options: (right(x, **options) + 1) % x.shape[-1])
    report = quick(_Function(lambda x: ops.argmax(x, axis=-1)), X, backends=[name])
    assert [tensor.verdict for tensor in tensors(report, name)] == ["differs"]


def test_a_backend_that_raises_is_a_row_and_the_others_run(plant: Any) -> None:
    def broken(right: Any, x: Any) -> Any:
        raise RuntimeError("out of order")

    report = quick(nn.Tanh(), X, backends=[plant(tanh=broken), "numpy"])
    failed = report.row("planted")
    assert failed.status == "failed" and "out of order" in failed.message and not report.ok
    assert report.row("numpy").ok


def test_a_backend_that_is_not_installed_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = BackendInfo(
        "absent", "absent:Adapter", "absent_framework", (), (), "pip install absent_framework"
    )
    monkeypatch.setitem(registry.infos(), "absent", absent)
    report = quick(nn.Tanh(), X, backends=["absent", "numpy"])
    assert [(row.label, row.status) for row in report.problems] == [("absent", "not installed")]
    assert "pip install absent_framework" in report.problems[0].message


# ---------------------------------------------------------------------- tolerance
def test_a_net_that_amplifies_rounding_is_no_false_alarm() -> None:
    """Values around 1e4 with a spread of 1: float32 has three digits left after the mean is taken off."""
    x = (1e4 + np.random.default_rng(0).normal(size=(8, 16))).astype("float32")
    report = quick(nn.LayerNorm(16), x, backends=["numpy"])
    assert report.ok, report
    assert max(tensor.relative or 0 for tensor in tensors(report, "numpy")) > 1e-5


def test_a_result_that_rounding_destroys_is_called_weak() -> None:
    net = nn.Sequential(_Function(lambda x: x + 1e6), _Function(lambda x: x - 1e6))
    report = quick(net, X, backends=["numpy"])
    assert report.ok, report
    assert [t.verdict for t in tensors(report, "numpy") if t.kind == "output"] == ["weak"]
    assert "too sensitive to rounding" in str(report)


def test_a_saturated_softmax_is_no_false_alarm(backend: str) -> None:
    """Its gradient is exactly zero in the reference; a fused kernel's is the difference of two rounded products."""
    x = np.random.default_rng(0).normal(size=(2, 5, 16)) * 1000
    net = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    report = quick(net, x, backends=[backend])
    assert report.ok, report


def test_gradients_that_cancel_are_judged_by_the_largest(backend: str) -> None:
    """The bias in front of a batch norm has no effect: its gradient is rounding alone."""
    net = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    report = quick(net, X, backends=[backend])
    assert report.ok, report


# ---------------------------------------------------------------------- bad arguments
@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (np.tanh, {}, "expected a Module, got ufunc"),
        (nn.Tanh(), {"target": X}, "a target but no loss"),
        (nn.Tanh(), {"loss": 3}, "expected loss to be a function or a Module, got int"),
        (nn.Tanh(), {"backends": []}, "the names of backends, got none"),
        (nn.Tanh(), {"backends": [3]}, "the name of a backend, got 3"),
        (nn.Tanh(), {"backends": "numpy@/nowhere/python"}, "no Python interpreter '/nowhere/python'"),
        (nn.Tanh(), {"backends": ["numpy=", "numpy"]}, "no Python interpreter ''"),
        (nn.Tanh(), {"modes": "lazy"}, "modes among eager, compiled, got 'lazy'"),
        (nn.Tanh(), {"steps": -1}, "steps to be a whole number >= 0, got -1"),
        (nn.Tanh(), {"steps": 1, "backends": "numpy"}, "Tanh has nothing to train"),
        (nn.Tanh(), {"optimizer": "SDG"}, "no optimiser 'SDG'"),
        (_Function(lambda x: None), {"backends": ["numpy"]}, "nothing that can be compared"),
    ],
)
def test_bad_arguments(net: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(um.ArgumentError, match=message):
        um.compare(net, X, **options)


def test_unknown_backends_are_refused_before_any_work() -> None:
    with pytest.raises(um.UnknownBackendError, match="tourch"):
        um.compare(nn.Tanh(), X, backends=["tourch"])


def test_a_net_that_does_not_run_says_so() -> None:
    with pytest.raises(um.ShapeError):
        quick(nn.Linear(7, 2), X, backends=["numpy"])


def test_the_module_may_be_imported_by_name() -> None:
    assert isinstance(um.compare, types.FunctionType)
