"""Reports as data: JSON and back, the sample, timings, pictures, text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn
from unimodule.comparison import BackendRow, LayerRecord, Report, Timing
from unimodule.comparison.judge import picture
from unimodule.comparison.memory import peak

SAMPLE = Path(__file__).with_name("sample_report.json")
X = np.random.default_rng(3).normal(size=(4, 3)).astype("float32")


def make(plant: Any) -> Report:
    name = plant(tanh=lambda right, x: right(x) * np.float32("inf"))
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    return um.compare(net, X, backends=[name, "numpy"], repeats=2, steps=1)


# ---------------------------------------------------------------------- JSON
def test_to_dict_save_and_load(tmp_path: Path, plant: Any) -> None:
    report = make(plant)
    path = tmp_path / "report.json"
    report.save(path)
    data = json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(text))
    assert data == report.to_dict()
    assert data["schema"] == 1 and data["ok"] is False and data["reference"] == "numpy"
    assert [(row["label"], row["ok"]) for row in data["rows"]] == [("planted", False), ("numpy", True)]
    again = Report.load(path)
    assert again.to_dict() == data and again.ok is False
    assert type(again.rows[0]) is BackendRow and type(again.rows[0].layers[0]) is LayerRecord
    assert again.row("numpy") == report.row("numpy")


def test_the_sample_is_of_this_schema() -> None:
    report = Report.load(SAMPLE)
    assert report.to_dict() == json.loads(SAMPLE.read_text())
    first = report.row("jax").first("forward")
    assert first is not None and (first.path, first.type) == ("2.1.norm", "Norm")
    assert [row.label for row in report.problems] == ["jax", "torch-2.9", "jax-0.5"]
    assert "jax parts from the reference forward in 2.1.norm (Norm)" in str(report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"schema": 99}, "no comparison report of schema 1 but 99"),
        (lambda d: [], "but 'list'"),
        (lambda d: d | {"colour": 1}, "Report has no field colour"),
        (lambda d: {k: v for k, v in d.items() if k != "net"}, "Report lacks net"),
        (lambda d: d | {"steps": "2"}, "Report.steps is str, expected int"),
        (lambda d: d | {"rows": [{"label": 1, "backend": "numpy"}]}, r"Report.rows\[0\].label is int"),
    ],
)
def test_what_is_no_report_is_refused(change: Any, message: str) -> None:
    with pytest.raises(um.ArgumentError, match=message):
        Report.from_dict(change(json.loads(SAMPLE.read_text())))


def test_other_formats_are_refused(tmp_path: Path) -> None:
    report = Report.load(SAMPLE)
    with pytest.raises(um.ArgumentError, match="expected a name ending in"):
        report.save(tmp_path / "report.txt")
    (tmp_path / "damaged.json").write_text("{")
    with pytest.raises(um.ArgumentError, match="is no JSON"):
        Report.load(tmp_path / "damaged.json")


# ---------------------------------------------------------------------- its parts
def test_timing() -> None:
    assert Timing((2.0,)).spread == (2.0, 2.0)
    timing = Timing((4.0, 1.0, 2.0, 3.0, 5.0))
    assert timing.median == 3.0 and timing.spread == (2.0, 4.0)


def test_pictures() -> None:
    reference = np.arange(2 * 100 * 3, dtype="float64").reshape(2, 100, 3)
    found = reference.astype("float32")
    found[0, 99, 2] += 7
    image = picture(found, reference)
    assert image is not None and image.place == "[0, :, :]" and image.cell == (4, 1)
    assert len(image.reference) == len(image.difference) == 25 and len(image.reference[0]) == 3
    assert image.difference[-1][-1] == 7.0 and sum(map(sum, image.difference)) == 7.0
    assert picture(found[:, :, 0], reference) is None and picture(found[0, 0], reference[0, 0]) is None
    assert picture(np.arange(4).reshape(2, 2), np.arange(4).reshape(2, 2)) is None


def test_peak_memory() -> None:
    with peak() as most:
        block = np.ones(2**24)
        del block
    assert most.bytes is None or 2**26 < most.bytes < 2**29


def test_print_needs_no_terminal() -> None:
    report = um.compare(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), X, backends=["numpy"])
    text = str(report)
    assert "param grad (2)" in text and "All 1 agree" in text and "Backward" in text
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 80


def test_a_row_that_is_not_there() -> None:
    with pytest.raises(um.ArgumentError, match="no backend 'torhc'; it has torch, tensorflow"):
        Report.load(SAMPLE).row("torhc")
