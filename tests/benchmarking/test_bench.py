"""Benchmarks: what is measured, what becomes of workers that do not come back, and reports as data, text and plots."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn
from unimodule.benchmarking import BenchPlace, BenchReport, Measurement, bench
from unimodule.benchmarking.worker import Bench, Cell, at_batch, rows_of
from unimodule.comparison import Timing
from unimodule.comparison.measure import Case
from unimodule.comparison.portrait import Encoder
from unimodule.comparison.records import CRASHED, FAILED, MEMORY, MISSING, TIMEOUT

from .nets import Doomed

X = np.random.default_rng(3).normal(size=(4, 3)).astype("float32")
NET = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.LazyLinear(2))


def quick(net: Any = NET, *inputs: Any, **options: Any) -> BenchReport:
    return bench(net, *(inputs or (X,)), **{"backends": "numpy", "modes": "eager", "repeats": 3, **options})


# ---------------------------------------------------------------------- what is measured
def test_every_cell_is_measured() -> None:
    said: list[str] = []
    report = quick(what=["forward", "gradient", "train"], batches=[1, 8], progress=said.append)
    assert report.ok and [(r.what, r.batch) for r in report.rows] == [
        (what, batch) for what in ("forward", "gradient", "train") for batch in (1, 8)
    ]
    for row in report.rows:
        assert row.timing is not None and len(row.timing.samples) == 3 and row.timing.first is not None
        assert row.calls >= 1 and row.timing.median > 0 and row.compile_seconds is not None
    assert report.parameters["parameters"] == 3 * 5 + 5 + 5 * 2 + 2
    assert (
        report.places[0].interpreter == sys.executable
        and report.places[0].versions["numpy"] == np.__version__
    )
    assert said[0] == "numpy: eager forward, batch 1" and said[-1] == "round 3 of 3"
    assert NET[2].parameter("weight").shape == (2, None)  # the net is not touched


@pytest.mark.slow
def test_every_backend(backend: str) -> None:
    report = quick(
        backends=backend, loss=nn.MSELoss(), target=np.ones((4, 2), "float32"), batches=6, optimizer="Adam"
    )
    assert report.ok, report
    assert report.optimizer == "Adam(lr=0.01)" and report.loss == "MSELoss"
    assert {(r.label, r.batch) for r in report.rows} == {(backend, 6)} and report.places[0].version


def test_a_backend_without_a_compiler_has_no_compiled_rows() -> None:
    report = quick(modes=["eager", "compiled"], what="forward")
    assert report.ok and [r.mode for r in report.rows] == ["eager"]
    assert report.places[0].notes == ("this backend has no compiler",)


def test_batches() -> None:
    tree = ({"a": X, "b": np.float32(2.0)}, np.arange(4), np.ones(3), "text")
    assert rows_of(tree) == 4 and rows_of((1.0, np.float64(3))) == 0
    more = at_batch(tree, 6, 4)
    np.testing.assert_array_equal(more[0]["a"], X[[0, 1, 2, 3, 0, 1]])
    np.testing.assert_array_equal(more[1], [0, 1, 2, 3, 0, 1])
    assert more[2].shape == (3,) and more[3] == "text"
    assert at_batch(tree, 2, 4)[0]["a"].shape == (2, 3)


def test_memory_is_what_a_call_takes() -> None:
    """A layer that makes 2**22 floats of 2**12: no more and no less than those is in memory at once, give or take."""
    um.seed(0)
    encoder = Encoder()
    net = nn.Linear(1, 2**10).to("numpy")
    x = np.ones((2**12, 1), "float32")
    job = {"net": encoder.encode(net, "net"), "case": encoder.encode(Case((x,)), "case"), "backend": "numpy"}
    worker = Bench({**job, "device": "cpu"}, encoder.arrays)
    answer = worker.prepare(Cell("eager", "forward", 2**12))
    assert answer["peak"] is None or 2**24 <= answer["peak"] <= 3.5 * 2**24
    assert answer["process"] is None or answer["process"] > answer["peak"]
    assert answer["calls"] >= 1 and worker.sample(Cell("eager", "forward", 2**12))["seconds"] > 0


# ---------------------------------------------------------------------- what goes wrong
@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("killed", CRASHED, "SIGKILL"),
        ("hangs", TIMEOUT, "no answer within 5 s"),
        ("memory", MEMORY, "Unable to allocate"),
        ("raises", FAILED, "ValueError: no such luck"),
    ],
)
def test_what_fails_is_a_row_and_the_rest_is_measured(how: str, status: str, message: str) -> None:
    report = quick(Doomed(how), batches=[2, 4], what="forward", timeout=5.0 if how == "hangs" else 60.0)
    good, bad = report.rows
    assert not report.ok and good.ok and good.timing is not None and len(good.timing.samples) == 3
    assert (bad.status, bad.timing) == (status, None) and message in bad.message
    assert report.places[0].status == "ok" and message in str(report)


def test_a_backend_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    about = um.backend.BackendInfo(
        "absent", "absent:X", "absent_framework", (), (), "pip install absent_framework"
    )
    monkeypatch.setitem(um.registry.infos(), "absent", about)
    report = quick(backends=["absent", "numpy"], what="forward")
    assert [(r.label, r.status) for r in report.rows] == [("absent", MISSING), ("numpy", "ok")]
    assert report.places[0].status == MISSING and str(report).count("pip install absent_framework") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modes": "quick"}, "modes among eager, compiled, got 'quick'"),
        ({"what": ["forward", "x"]}, "what among forward, gradient, train"),
        ({"batches": [0]}, "batches to be whole numbers >= 1"),
        ({"batches": []}, "batches to be whole numbers >= 1"),
        ({"repeats": 0}, "repeats to be a whole number >= 1"),
        ({"target": X}, "got a target but no loss"),
        ({"loss": "MSE"}, "loss to be a function or a Module"),
        ({"optimizer": "SDG"}, "no optimiser 'SDG'"),
        ({"backends": []}, "names of backends"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(um.ArgumentError, match=message):
        quick(**options)


def test_bad_nets_and_inputs() -> None:
    with pytest.raises(um.ArgumentError, match="expected a Module, got int"):
        quick(3)
    with pytest.raises(um.ShapeError):
        quick(nn.Linear(7, 2))
    with pytest.raises(um.ArgumentError, match="has nothing to train; measure what='forward'"):
        quick(nn.ReLU())
    with pytest.raises(um.ArgumentError, match="lambdas"):
        quick(NET, what="gradient", loss=lambda y: y.sum())


SCRIPT = """
import sys
import numpy as np
import unimodule as um
from unimodule import nn
from unimodule.benchmarking import bench

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x)

"""


@pytest.mark.parametrize(
    "call",
    [
        'bench(Net(), np.ones((2, 3), "float32"), backends="numpy", repeats=1)',
        'um.compare(Net(), np.ones((2, 3), "float32"), backends=["numpy@" + sys.executable], repeats=0)',
    ],
)
def test_a_script_that_workers_import_starts_no_more_of_them(call: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"{SCRIPT}\nprint({call})\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert "under if __name__ == '__main__':" in " ".join(done.stdout.split()), done
    script.write_text(f"{SCRIPT}\nif __name__ == '__main__':\n    assert {call}.ok\n")
    subprocess.run([sys.executable, script], check=True, timeout=120)


# ---------------------------------------------------------------------- reports
def made_up(batches: tuple[int, ...] = (1, 8)) -> BenchReport:
    rows = []
    for what in ("forward", "train"):
        for batch in batches:
            for i, label in enumerate(("one", "two")):
                for mode in ("eager", "compiled"):
                    base = batch * 1e-3 * (1 + i)
                    timing = Timing((base, 2 * base, 3 * base), 1.0 + base)
                    rows.append(
                        Measurement(label, mode, what, batch, timing=timing, calls=1, peak_bytes=batch << 20)
                    )
    rows[-1] = Measurement("two", "compiled", "train", batches[-1], CRASHED, "SIGSEGV")
    places = (BenchPlace("one", "numpy"), BenchPlace("two", "numpy", notes=("a note",)))
    inputs = (("[0]", (4, 3), "float32"),)
    return BenchReport(
        "Net", "float32", inputs, "", "SGD(lr=0.01)", 3, {"parameters": 1234}, {}, 1.0, places, tuple(rows)
    )


def test_to_dict_save_and_load(tmp_path: Path) -> None:
    report = made_up()
    path = tmp_path / "bench.json"
    report.save(path)
    data = json.loads(path.read_text())
    assert data == report.to_dict() and BenchReport.load(path) == report
    assert data["ok"] is False and data["rows"][0]["seconds"] == pytest.approx(
        {"median": 0.002, "low": 0.0015, "high": 0.0025, "compile": 0.999}
    )
    assert [r.batch for r in report.select("one", "eager", "train")] == [1, 8]
    for broken in ([], {"schema": 9}, {"schema": 1}, {**data, "rows": [1]}, {**data, "colour": 1}):
        with pytest.raises(um.ArgumentError):
            BenchReport.from_dict(broken)  # type: ignore[arg-type]
    path.write_text("{")
    with pytest.raises(um.ArgumentError, match="is no JSON"):
        BenchReport.load(path)


def test_the_table() -> None:
    text = str(made_up())
    assert "Net in float32, 1,234 parameters: medians of 3 rounds" in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "one eager 2 ms 1.5..2.5 fastest 999 ms 1 MiB" in lines
    assert "two eager 4 ms 3..5 ×2 998 ms 1 MiB" in lines
    assert "two compiled crashed" in lines and "two: a note" in lines
    assert lines[-1] == "two compiled train, batch 8, crashed: SIGSEGV"
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("batches", [(1, 8), (4,)])
def test_plots(batches: tuple[int, ...], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = made_up(batches)
    report.save(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    report.save(tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert "forward: time" in text and "train: memory" in text and "one eager" in text
    rows = tuple(dataclasses.replace(r, peak_bytes=None, timing=None) for r in report.rows)
    dataclasses.replace(report, rows=rows).save(tmp_path / "nothing.svg")


def test_plots_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        um.ArgumentError, match=r"saved as .json, a plot of it as .svg, .png, .pdf; got 'a.gif'"
    ):
        made_up().save(tmp_path / "a.gif")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(um.ArgumentError, match=r'needs Matplotlib.*pip install "unimodule\[report\]"'):
        made_up().save(tmp_path / "a.png")
