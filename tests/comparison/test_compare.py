"""um.compare: agreement, planted faults, and what it leaves alone."""

from __future__ import annotations

import json
import types
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import init, nn, ops, registry
from unimodule.backend import BackendInfo
from unimodule.comparison import Report

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


def kinds(report: Report, backend: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in report.rows:
        if row.backend == backend:
            found.setdefault(row.kind, []).append(row.name)
    return found


# ---------------------------------------------------------------------- agreement
def test_every_backend_agrees(backend: str) -> None:
    net = nn.Sequential(nn.LazyLinear(6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 2))
    report = um.compare(net, X, backends=[backend])
    assert report.ok, report
    assert report.mode == "training"
    assert kinds(report, backend) == {
        "output": [""],
        "buffer": ["1.running_mean", "1.running_var", "1.num_batches_tracked"],
        "input gradient": ["[0]"],
        "parameter gradient": [f"{i}.{p}" for i in (0, 1, 3) for p in ("weight", "bias")],
    }
    assert all(row.error is not None and row.tolerance is not None for row in report.rows)


def test_nested_inputs_and_outputs(backend: str) -> None:
    inputs = (X, np.array([2, 0])), {"shift": X[:1]}
    report = um.compare(Nested(), *inputs, backends=backend)
    assert report.ok, report
    assert kinds(report, backend) == {
        "output": ["['sum']", "['rest'][0]", "['rest'][1]", "['rest'][2]"],
        "input gradient": ["[0][0]", "[1]['shift']"],
        "parameter gradient": ["linear.weight", "linear.bias"],
    }


def test_a_loss_with_a_target(backend: str) -> None:
    net, labels = nn.Linear(3, 5), np.array([0, 4, 2, 2])
    for loss in (nn.CrossEntropyLoss(weight=np.arange(1.0, 6)), nn.functional.cross_entropy):
        report = um.compare(net, X, loss=loss, target=labels, backends=[backend])
        assert report.ok, report
        assert "loss" in kinds(report, backend)


def test_a_loss_of_the_output_alone() -> None:
    report = um.compare(nn.Linear(3, 1), X, loss=lambda y: ops.mean(y * y), backends=["numpy"])
    assert report.ok and "loss" in kinds(report, "numpy")


def test_all_installed_backends_are_the_default() -> None:
    report = um.compare(nn.ReLU(), X)
    assert list(report.versions) == [name for name in registry.infos() if registry.installed(name)]
    assert report.ok, report


def test_float64(has_float64: bool, backend: str) -> None:
    report = um.compare(nn.Sequential(nn.Linear(3, 4), nn.GELU()).to(dtype="float64"), X, backends=[backend])
    assert report.ok is has_float64
    assert report.dtype == "float64"
    if has_float64:
        assert max(row.error or 0 for row in report.rows) < 1e-14
    else:
        assert [row.verdict for row in report.rows] == ["failed"]


def test_what_overflows_the_dtype_is_infinite() -> None:
    assert um.compare(_Function(lambda x: ops.exp(x * 1000)), np.ones(2), backends=["numpy"]).ok


def test_nets_without_gradients() -> None:
    report = um.compare(_Function(lambda x: ops.argmax(x, axis=-1)), X, backends=["numpy"])
    assert report.ok and kinds(report, "numpy") == {"output": [""]}
    assert um.compare(_Function(lambda x: x + 1), np.arange(3), backends=["numpy"]).ok


class _Function(nn.Module):
    def __init__(self, fn: Any) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Any) -> Any:
        return self.fn(x)


# ---------------------------------------------------------------------- modes
def test_a_net_that_draws_random_numbers_is_compared_in_evaluation_mode() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    report = um.compare(net, X, backends=["numpy"])
    assert report.ok and report.mode == "evaluation" and net.training
    assert len(report.notes) == 2 and "buffer" not in kinds(report, "numpy")


def test_buffers_of_a_net_in_evaluation_mode() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()
    report = um.compare(net, X, backends=["numpy"])
    assert report.ok and report.mode == "evaluation" and len(kinds(report, "numpy")["buffer"]) == 3
    assert not net.training


def test_random_numbers_in_evaluation_mode_are_refused() -> None:
    with pytest.raises(um.ArgumentError, match="random numbers in evaluation mode"):
        um.compare(_Function(lambda x: ops.dropout(x, 0.5)), np.ones(99), backends=["numpy"])


# ---------------------------------------------------------------------- the net is left alone
def test_the_net_is_untouched(backend: str) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to(backend)
    before = {name: um.to_numpy(value) for name, value in net.state_dict().items()}
    held = [p.data for p in net.parameters()]
    um.compare(net, ops.asarray(X, backend=backend), backends=[backend, "numpy"])
    assert net.backend == backend
    assert all(a is b.data for a, b in zip(held, net.parameters(), strict=True))
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(um.to_numpy(value), before[name])


def test_an_unbound_net_stays_unbound_and_draws_what_it_would_have_drawn() -> None:
    def drawn(compare: bool) -> np.ndarray:
        um.seed(5)
        net = nn.LazyLinear(4)
        if compare:
            um.compare(net, X, backends=["numpy"])
            assert net.backend is None and not net.parameter("weight").has_value
        return net.to("numpy")(X)

    np.testing.assert_array_equal(drawn(True), drawn(False))


# ---------------------------------------------------------------------- faults
def test_a_faithful_planted_backend_agrees(plant: Any) -> None:
    report = um.compare(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), X, backends=[plant()])
    assert report.ok, report


@pytest.mark.parametrize("size", [1e-5, 1e-2])
def test_a_wrong_value_is_reported(plant: Any, size: float) -> None:
    name = plant(tanh=lambda right, x: right(x) * np.float32(1 + size))
    report = um.compare(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), X, backends=["numpy", name])
    assert not report.ok
    assert {row.backend for row in report.problems} == {name}
    output = next(row for row in report.problems if row.kind == "output")
    assert output.error is not None and output.tolerance is not None
    assert output.relative == pytest.approx(size, rel=0.2) and output.error > output.tolerance
    assert "expected" in output.detail
    assert "1 of 2 backends do not agree: planted" in str(report)


def test_a_wrong_gradient_alone_is_reported(plant: Any) -> None:
    from autograd.tracer import getval

    # half of the value is cut off from the tape
    name = plant(
        tanh=lambda right, x: right(x) / np.float32(2) + np.asarray(getval(right(x))) / np.float32(2)
    )
    report = um.compare(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), X, backends=[name])
    assert {row.kind for row in report.problems} == {"input gradient", "parameter gradient"}


def test_a_wrong_shape_dtype_or_nan_is_reported(plant: Any) -> None:
    faults = {
        "shape (3,), expected (4, 3)": lambda right, x: right(x)[0],
        "dtype int32, expected float": lambda right, x: np.asarray(right(x), "int32"),
        "nan at [0, 0], expected": lambda right, x: right(x) * np.float32("nan"),
    }
    for detail, fault in faults.items():
        report = um.compare(nn.Tanh(), X, backends=[plant(tanh=fault)])
        assert any(detail in row.detail and row.kind == "output" for row in report.problems), report


def test_a_wrong_integer_is_reported(plant: Any) -> None:
    name = plant(argmax=lambda right, x, **options: (right(x, **options) + 1) % x.shape[-1])
    report = um.compare(_Function(lambda x: ops.argmax(x, axis=-1)), X, backends=[name])
    assert [row.verdict for row in report.rows] == ["differs"]


def test_a_backend_that_raises_is_a_row_and_the_others_run(plant: Any) -> None:
    def broken(right: Any, x: Any) -> Any:
        raise RuntimeError("out of order")

    report = um.compare(nn.Tanh(), X, backends=[plant(tanh=broken), "numpy"])
    failed = [row for row in report.rows if row.backend == "planted"]
    assert failed and all(row.verdict == "failed" and "out of order" in row.detail for row in failed)
    assert all(row.ok for row in report.rows if row.backend == "numpy") and not report.ok


def test_a_backend_that_is_not_installed_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = BackendInfo(
        "absent", "absent:Adapter", "absent_framework", (), (), "pip install absent_framework"
    )
    monkeypatch.setitem(registry.infos(), "absent", absent)
    report = um.compare(nn.Tanh(), X, backends=["absent", "numpy"])
    assert [(row.backend, row.verdict) for row in report.problems] == [("absent", "not installed")]
    assert "pip install absent_framework" in report.problems[0].detail


# ---------------------------------------------------------------------- tolerance
def test_a_net_that_amplifies_rounding_is_no_false_alarm() -> None:
    """Values around 1e4 with a spread of 1: float32 has three digits left after the mean is taken off."""
    x = (1e4 + np.random.default_rng(0).normal(size=(8, 16))).astype("float32")
    report = um.compare(nn.LayerNorm(16), x, backends=["numpy"])
    assert report.ok, report
    assert max(row.relative or 0 for row in report.rows) > 1e-5


def test_a_result_that_rounding_destroys_is_called_weak() -> None:
    net = nn.Sequential(_Function(lambda x: x + 1e6), _Function(lambda x: x - 1e6))
    report = um.compare(net, X, backends=["numpy"])
    assert report.ok, report
    assert [row.verdict for row in report.rows if row.kind == "output"] == ["weak"]
    assert "too sensitive to rounding" in str(report)


def test_a_saturated_softmax_is_no_false_alarm(backend: str) -> None:
    """Its gradient is exactly zero in the reference; a fused kernel's is the difference of two rounded products."""
    x = np.random.default_rng(0).normal(size=(2, 5, 16)) * 1000
    net = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    report = um.compare(net, x, backends=[backend])
    assert report.ok, report


def test_gradients_that_cancel_are_judged_by_the_largest(backend: str) -> None:
    """The bias in front of a batch norm has no effect: its gradient is rounding alone."""
    net = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    report = um.compare(net, X, backends=[backend])
    assert report.ok, report


# ---------------------------------------------------------------------- reports
def test_to_dict_and_save(tmp_path: Any, plant: Any) -> None:
    name = plant(tanh=lambda right, x: right(x) * np.float32("inf"))
    report = um.compare(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), X, backends=[name, "numpy"])
    path = tmp_path / "report.json"
    report.save(path)
    data = json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(text))
    assert data == json.loads(json.dumps(report.to_dict()))
    assert data["ok"] is False and data["reference"] == "numpy" and set(data["versions"]) == {name, "numpy"}
    assert set(data["rows"][0]) == {
        "backend",
        "kind",
        "name",
        "verdict",
        "error",
        "relative",
        "tolerance",
        "detail",
    }


def test_other_formats_are_refused(tmp_path: Any) -> None:
    report = um.compare(nn.Tanh(), X, backends=["numpy"])
    for name, why in {"r.html": "HTML reports cannot be written yet", "r.txt": "unknown format"}.items():
        with pytest.raises(um.ArgumentError, match=why):
            report.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_print_needs_no_terminal() -> None:
    report = um.compare(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), X, backends=["numpy"])
    text = str(report)
    assert "param grad (2)" in text and "All 1 agree" in text
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 80


# ---------------------------------------------------------------------- bad arguments
@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (np.tanh, {}, "expected a Module, got ufunc"),
        (nn.Tanh(), {"target": X}, "a target but no loss"),
        (nn.Tanh(), {"loss": 3}, "expected loss to be a function or a Module, got int"),
        (nn.Tanh(), {"backends": []}, "the names of backends, got none"),
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
        um.compare(nn.Linear(7, 2), X, backends=["numpy"])


def test_the_module_may_be_imported_by_name() -> None:
    assert isinstance(um.compare, types.FunctionType)
