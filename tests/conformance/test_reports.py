"""What a run tells: terminal, JSON, JUnit, HTML, files."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from unimodule_conformance.outcome import Outcome, Status, Target
from unimodule_conformance.reports.files import write
from unimodule_conformance.reports.junit import junit
from unimodule_conformance.reports.page import page
from unimodule_conformance.reports.progress import Bar, Lines, progress
from unimodule_conformance.reports.telling import tell
from unimodule_conformance.reports.terminal import render
from unimodule_conformance.running import Results, run
from unimodule_conformance.running.judging import Judged
from unimodule_conformance.running.known import Witnessed
from unimodule_conformance.specs import Array, In, Node, Spec

from .made_up import CONFIG, breaks, by_name, fine, made_up


@pytest.fixture(scope="module")
def red():
    with made_up(by_name=by_name, breaks=breaks, fine=fine):
        results = run(CONFIG)
    results.witnesses = [
        Witnessed("numpy-a", "numpy", ">=1", "1.26.4", "shows"),
        Witnessed("numpy-b", "numpy", "<1", "1.26.4", "elsewhere"),
        Witnessed("numpy-c", "numpy", ">=1", "1.26.4", "gone"),
    ]
    results.missing = ["nn.Forgotten"]
    failure = next(f for f in results.failures if f.check == "by_name")
    failure.message = "<b>expected</b> 1 & got \x00 2"
    failure.script = "print('<script>')\n"
    return results


@pytest.fixture(scope="module")
def green():
    with made_up(fine=fine):
        return run(CONFIG)


def text(results: Results) -> str:
    stream = io.StringIO()
    Console(file=stream, width=110, color_system=None).print(render(results, directory="out"))
    return stream.getvalue()


# ---------------------------------------------------------------------- terminal
def test_the_terminal_shows_counts_failures_and_where_their_scripts_lie(red):
    told = text(red)
    line = next(line for line in told.splitlines() if line.strip().startswith("by_name"))
    cell = red.cell("by_name", "numpy")
    assert line.split() == ["by_name", "numpy", str(cell.of(Status.PASSED)), str(cell.red), "0.25"]
    failure = next(f for f in red.failures if f.check == "by_name")
    assert f"out/failures/{failure.id}.py" in told and "nn.Linear(5, 5)" in told
    assert "first to part: 0" in told
    assert "divergence numpy-c: its witness is gone" in told
    assert "Red, in" in told and "nn.Forgotten" in told


def test_the_terminal_says_green(green):
    assert "Green, in" in text(green) and "Failed" in text(green)


def test_a_spec_is_told_as_a_tree():
    child = Node("ops.where", (In(0), Array((), values=(1.0,)), 0.5))
    spec = Spec(
        Node("nn.Sequential", children=(child,)), (Array((2,), "bool", "flags", 3),), error="ShapeError"
    )
    assert tell(spec).splitlines() == [
        "nn.Sequential()",
        "  ops.where(x0, float32 () values [1.0], 0.5)",
        "called with bool (2,) flags, seed 3",
        "in eval mode, float32, seed 0; must raise ShapeError",
    ]


# ---------------------------------------------------------------------- JUnit
def test_junit_has_a_case_for_each_check_and_family(red):
    root = ET.fromstring(junit(red))
    suites = {suite.get("name"): suite for suite in root}
    cases = {case.get("name"): case for case in suites["numpy"]}
    assert set(cases) == {"by_name", "breaks", "fine"}
    assert {case.get("classname") for case in suites["numpy"]} == {"numpy.models"}
    assert "print('<script>')" in cases["by_name"].find("failure").text
    assert cases["breaks"].find("error") is not None and cases["fine"].find("failure") is None
    assert suites["numpy"].get("tests") == "3" and suites["numpy"].get("failures") == "1"
    divergences = {case.get("name"): [child.tag for child in case] for case in suites["divergences"]}
    assert divergences == {"numpy-a": [], "numpy-b": ["skipped"], "numpy-c": ["failure"]}
    assert suites["strategies"][0].find("failure") is not None


# ---------------------------------------------------------------------- HTML
class Parsed(HTMLParser):
    """Which tags and attributes there are, and whether tags close."""

    VOID = ("meta", "br", "link", "img", "input")

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(markup)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, name, value) for name, value in attributes]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_stands_alone(red):
    markup = page(red)
    parsed = Parsed(markup)
    assert not [a for a in parsed.attributes if a[1] in ("src", "href", "srcset", "data")], (
        "nothing is fetched"
    )
    assert not re.search(r"url\(|@import|https?://", markup)
    assert ("meta", "name", "viewport") in parsed.attributes


def test_the_page_has_failures_scripts_and_verdict(red, green):
    parsed = Parsed(page(red))
    assert "<b>expected</b> 1 & got" in parsed.text and "print('<script>')" in parsed.text, "escaped"
    assert "nn.Linear(5, 5)" in parsed.text and "numpy-c" in parsed.text and "red" in parsed.text
    assert "declared as unsupported" in parsed.text
    quiet = Parsed(page(green)).text
    alone = dataclasses.replace(green, config=dataclasses.replace(green.config, backends=("numpy", "absent")))
    assert "absent" in Parsed(page(alone)).text, "a backend that saw no case"
    assert "Nothing speaks against numpy." in quiet and "Failures" not in quiet


# ---------------------------------------------------------------------- files
def test_files_are_of_one_run(red, green, tmp_path):
    write(red, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"results.json", "junit.xml", "index.html", "failures"}
    assert Results.from_json((tmp_path / "results.json").read_text()).failures == red.failures
    for failure in red.failures:
        record = json.loads((tmp_path / "failures" / f"{failure.id}.json").read_text())
        assert Spec.from_json(json.dumps(record["spec"])) == Spec.from_json(failure.spec)
        assert (tmp_path / "failures" / f"{failure.id}.py").read_text() == failure.script
    write(green, tmp_path)
    assert not (tmp_path / "failures").exists()


# ---------------------------------------------------------------------- progress
def outcome(status: Status) -> Judged:
    return Judged("values", Target("numpy"), Outcome(status, "too far"))


def test_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    with progress(stream) as shown:
        assert isinstance(shown, Lines)
        shown.phase("judging", 3)
        for status in (Status.PASSED, Status.FAILED, Status.FAILED):
            shown.step([outcome(status)])
        shown.phase("shrinking", 1)
    assert stream.getvalue().splitlines() == [
        "judging: 0 of 3",
        "failed: values on numpy: too far",
        "shrinking: 0 of 1, 2 failed",
    ]


def test_a_bar_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with progress(Terminal()) as shown:
        assert isinstance(shown, Bar)
        shown.phase("drawing", 1)
        shown.step()
        shown.phase("judging", 2)
        shown.step([outcome(Status.FAILED)])
        assert "numpy 1 failed" in shown._failed()
