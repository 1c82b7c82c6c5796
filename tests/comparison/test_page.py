"""Reports as pages: what is said, that nothing is fetched or run, and that a browser can show it at any width."""

from __future__ import annotations

import dataclasses
import html
import html.parser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn
from unimodule.comparison import BackendRow, LayerRecord, ModeResult, Parting, Picture, Report, TensorError
from unimodule.comparison.page import images, plots, texts
from unimodule.comparison.records import AGREES, CRASHED, DIFFERS, FAILED, WEAK

pytest.importorskip("jinja2")

SAMPLE = Path(__file__).with_name("sample_report.json")
EVIL = '<script>alert("1")</script>&'


class Reader(html.parser.HTMLParser):
    """Tags that are opened and closed, addresses, and the text."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def written(report: Report, folder: Path) -> str:
    path = folder / "report.html"
    report.save(path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sample() -> Report:
    return Report.load(SAMPLE)


# ---------------------------------------------------------------------- what it says
def test_the_sample(sample: Report, tmp_path: Path) -> None:
    text = Reader(written(sample, tmp_path)).text
    assert "Sequential 3 of 6 do not agree" in text
    assert "torch agrees: 82 results, at most" in text
    assert (
        "First parts forward in 2.1.norm (Norm) its result: 1.99585 at [1, 0, 10, 0], expected 2.2116" in text
    )
    assert "Then in 2.2.norm (Norm), 2.3.norm (Norm)" in text
    assert "torch-2.9 crashed the worker ended with SIGSEGV" in text
    assert "jax-0.5 timeout no answer within 60 s" in text
    assert all(what in text for what in ("2.13.0+cpu", "float32 products", "/env/bin/python", "SGD(lr=0.01)"))
    assert all(what in text for what in ("Training step", "Compilation", "Peak memory", "Against each other"))


def test_all_agree(tmp_path: Path) -> None:
    x = np.ones((2, 3), "float32")
    report = um.compare(nn.Linear(3, 2), x, backends=["numpy"], modes="eager", repeats=1)
    text = Reader(written(report, tmp_path)).text
    assert "Linear all 1 agree" in text and "First parts" not in text and "Against each other" not in text


def test_nothing_is_fetched_and_nothing_runs(sample: Report, tmp_path: Path) -> None:
    page = written(sample, tmp_path)
    reader = Reader(page)
    assert reader.addresses and all(a.startswith("data:image/png;base64,") for a in reader.addresses)
    assert not reader.seen & {"script", "link", "iframe", "object"}
    assert not re.search(r"url\(|@import|https?:", page)


def nasty(sample: Report) -> Report:
    """A report whose every text is markup, and long."""

    def evil(value: Any, name: str = "") -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: evil(getattr(value, f.name), f.name) for f in dataclasses.fields(value)}
            return type(value)(**fields)
        if isinstance(value, dict):
            return {
                k if name in ("timings", "parameters", "seconds") else k + EVIL: evil(v)
                for k, v in value.items()
            }
        if isinstance(value, tuple):
            return tuple(evil(item) for item in value)
        kept = ("kind", "verdict", "direction", "status", "mode", "label", "a", "b")
        return value + EVIL * 4 if isinstance(value, str) and name not in kept else value

    changed: Report = evil(sample)
    rows = tuple(dataclasses.replace(row, label=row.label + EVIL) for row in changed.rows)
    return dataclasses.replace(changed, rows=rows, notes=(EVIL,))


def test_everything_is_escaped(sample: Report, tmp_path: Path) -> None:
    page = written(nasty(sample), tmp_path)
    assert "<script" not in page and html.escape(EVIL, quote=False)[:15] in page
    reader = Reader(page)
    assert "script" not in reader.seen and EVIL in reader.text


def test_what_is_missing_or_infinite(sample: Report, tmp_path: Path) -> None:
    picture = Picture("[:, :]", (1, 2), ((None, 1.0), (2.0, None)), ((None, 0.0), (1.0, 1e9)))
    tensors = (
        TensorError("output", "", DIFFERS, detail="NaN at [0, 1]", picture=picture),
        TensorError("buffer", "n", DIFFERS, 1.0, 1.0, None, 0.0, detail="1, expected 2"),
        TensorError("loss", "", WEAK, float("inf"), None, None, 1e-7),
    )
    layers = (
        LayerRecord("a", "Linear", 0, 1, "forward", AGREES, 0.0, 0.0, absolute=0.0),
        LayerRecord("b", "Linear", 1, 2, "forward", DIFFERS, None, 1e-7, detail="NaN"),
        LayerRecord("", "Net", 0, 0, "forward", "not compared", detail="it has no tensors"),
    )
    parting = Parting("b", "Linear", 1, "forward", None, 1e-7, "NaN")
    modes = (ModeResult("eager", tensors=tensors), ModeResult("compiled", FAILED, "CompileError: no"))
    rows = (
        BackendRow("one", "numpy", modes=modes, layers=layers, partings=(parting,)),
        BackendRow("two", "numpy", CRASHED, "SIGKILL"),
    )
    text = Reader(written(dataclasses.replace(sample, rows=rows, pairs=()), tmp_path)).text
    assert "First parts forward in b (Linear, call 1) NaN" in text
    assert "compiled failed CompileError: no" in text
    assert "eager: 2 of 3 results differ, by up to ∞ times the tolerance" in text
    nothing = dataclasses.replace(sample, rows=rows[1:], pairs=())
    text = Reader(written(nothing, tmp_path)).text
    assert "1 of 1 do not agree" in text and "Errors" not in text and "Time and memory" not in text


def test_without_jinja(sample: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unimodule.comparison import page

    monkeypatch.setitem(sys.modules, "jinja2", None)
    page._template.cache_clear()
    with pytest.raises(um.ArgumentError, match=r'needs Jinja2.*pip install "unimodule\[report\]"'):
        sample.save(tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- its parts
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (1e-7, "1e-7"),
        (5.44e-7, "5.4e-7"),
        (0.25, "0.25"),
        (58986.3, "5.9e4"),
        (float("inf"), "∞"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert texts.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (3.2e-5, "32 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (1234.0, "1234 s")]
)
def test_seconds(value: float, text: str) -> None:
    assert plots.seconds(value) == text


def test_the_first_layer_that_parts_is_marked(sample: Report) -> None:
    found = plots.layers(sample, "forward")
    marked = {plot.label: plot.flag.text for plot in found.plots if plot.flag}
    assert marked == {"jax": "2.1.norm (Norm)"}
    jax = next(plot for plot in found.plots if plot.label == "jax")
    wrong = [point for point in jax.points if point.wrong]
    assert len(wrong) == 3 and all(point.y < found.tolerance for point in wrong)
    right = [point for plot in found.plots for point in plot.points if not point.wrong]
    assert all(point.y >= found.tolerance for point in right)


def test_heat() -> None:
    colors = [images.heat(times) for times in (0.0, 1e-9, 1e-3, 1.0, 1.001, 1e3, float("inf"))]
    assert colors[0] == colors[1] == colors[2] == images._BELOW[0]
    assert colors[3] == images._BELOW[-1] and colors[5] == colors[6] == images._ABOVE[-1]
    assert colors[4][0] > 200 > colors[3][0]


# ---------------------------------------------------------------------- in a browser
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="not installed: chromium")
@pytest.mark.parametrize("which", ["sample", "nasty"])
def test_a_browser_shows_it_without_scrolling_sideways(which: str, sample: Report, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    page = written(sample if which == "sample" else nasty(sample), tmp_path)
    frames = "".join(
        f'<iframe srcdoc="{html.escape(page)}" style="width:{width}px;height:800px;border:0"></iframe>'
        for width in (390, 1280)
    )
    script = """<script>onload = () => { document.title = [...document.querySelectorAll("iframe")].map(frame =>
        frame.contentDocument.documentElement.scrollWidth).join(" ") }</script>"""
    outer = tmp_path / "outer.html"
    outer.write_text(f"<!doctype html><meta charset=utf-8>{script}{frames}", encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run(
        [*command, "--dump-dom", outer.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert "<title>390 1280</title>" in done.stdout, done.stdout[:500] + done.stderr[-500:]
