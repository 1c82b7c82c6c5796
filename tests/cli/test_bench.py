"""``unimodule bench``, and ``unimodule compare --html``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from unimodule import registry
from unimodule.backend import BackendInfo
from unimodule.cli import main

NETS = """
from unimodule import nn

def MLP():
    return nn.Sequential(nn.LazyLinear(4), nn.Tanh(), nn.LazyLinear(2))
"""


@pytest.fixture
def nets(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(NETS)
    return str(tmp_path / "nets.py")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_bench(nets: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "bench.svg"
    options = ("--backends", "numpy", "--batch", "1,6", "--repeats", "2", "--plot", str(plot), "--json")
    result = run("bench", f"{nets}:MLP", "--input", "5,3", *options)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["ok"] and [(r["what"], r["batch"]) for r in report["rows"]] == [
        ("forward", 1),
        ("forward", 6),
        ("train", 1),
        ("train", 6),
    ]
    assert "train: time" in plot.read_text()


def test_bench_of_a_backend_that_is_not_there(nets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = BackendInfo("absent", "absent:X", "absent_framework", (), (), "pip install absent_framework")
    monkeypatch.setitem(registry.infos(), "absent", absent)
    options = ("--backends", "numpy,absent", "--what", "forward", "--repeats", "1")
    result = run("bench", f"{nets}:MLP", "--input", "5,3", *options)
    assert result.exit_code == 1 and "absent not installed: " in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "there is no input"),
        (("--input", "5,3", "--batch", "1,x"), "--batch 1,x: expected whole numbers >= 1"),
        (("--input", "5,3", "--what", "sleep"), "what among forward, gradient, train"),
        (("--input", "5,3", "--plot", "a.gif"), "a plot of it as .svg, .png, .pdf"),
        (("--input", "5,3", "--plot", "nowhere/a.svg"), "there is no folder nowhere"),
        (("--input", "5,3", "--backends", "torhc"), "torhc"),
        (("--input", "5,x"), "--input 5,x: expected SHAPE"),
    ],
)
def test_bench_says_in_one_line_what_is_wrong(nets: str, options: tuple[str, ...], message: str) -> None:
    result = run("bench", f"{nets}:MLP", *options)
    assert result.exit_code == 2 and result.stdout == "", result.output
    assert len(result.stderr.strip().splitlines()) == 1 and message in result.stderr


def test_compare_html(nets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jinja2")
    page = tmp_path / "report.html"
    options = (
        "--input",
        "5,3",
        "--backends",
        "numpy",
        "--modes",
        "eager",
        "--repeats",
        "0",
        "--html",
        str(page),
    )
    assert run("compare", f"{nets}:MLP", *options).exit_code == 0
    assert "all 1 agree" in page.read_text(encoding="utf-8")
    bad = run("compare", f"{nets}:MLP", *options[:-1], str(tmp_path / "report.txt"))
    assert bad.exit_code == 2 and "ending in .html" in bad.stderr
