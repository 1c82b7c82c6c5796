"""The README and the documentation keep their word: Python runs, commands exist, links lead somewhere.

A page's Python blocks run in order in one namespace and one fresh process. ``python requires=torch,jax`` in a fence says
what a block needs; where that is not installed the block is skipped, and the test says so.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import blocks
import click
import pytest

from unimodule_conformance import plugin

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _each(*languages: str):
    """The blocks of some languages on all pages, as test parameters."""
    return [
        pytest.param(page, block, id=f"{page.relative_to(ROOT).as_posix()}:{block.line}")
        for page in PAGES
        for block in blocks.blocks(page)
        if block.language in languages
    ]


# ---------------------------------------------------------------------- Python
@functools.cache
def results(page: Path) -> dict[int, str | None]:
    """What became of each Python block of a page."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, str(Path(blocks.__file__)), str(page), str(report)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            return dict.fromkeys((block.line for block in blocks.blocks(page)), done.stderr)
        return {int(line): why for line, why in json.loads(report.read_text()).items()}


@pytest.mark.parametrize(("page", "block"), _each("python"))
def test_python_block_runs(page, block):
    if lacking := blocks.missing(block):
        pytest.skip(f"not installed: {', '.join(lacking)}")
    why = results(page)[block.line]
    assert why is None, f"{page.name}, the block at line {block.line}:\n{block.code}\n{why}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_fence_has_a_language_that_is_checked_or_needs_no_check(page):
    assert {b.language for b in blocks.blocks(page)} <= {"python", "console", "text", "toml"}


# ---------------------------------------------------------------------- commands
def _make(arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for argument in arguments:
        assert "=" in argument or argument in targets, f"make has no target {argument!r}"


def _pip(arguments: list[str]) -> None:
    assert arguments[0] == "install", arguments
    extras = PROJECT["project"]["optional-dependencies"].keys()
    for argument in arguments[1:]:
        if match := re.fullmatch(r"(?:unimodule|\.)\[(.+)\]", argument):
            assert set(match[1].split(",")) <= extras, f"unimodule has no extra {match[1]!r}"
        elif argument.startswith("./") or "/" in argument:
            assert (ROOT / argument / "pyproject.toml").is_file(), f"{argument} is no project"


def _unimodule(arguments: list[str]) -> None:
    from unimodule.cli import main

    command = main
    if arguments and not arguments[0].startswith("-"):
        command = main.get_command(click.Context(main), arguments[0])
        assert command is not None, f"unimodule has no command {arguments[0]!r}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--version"}
    for argument in arguments:
        option = argument.partition("=")[0]
        assert not option.startswith("--") or option in known, f"unimodule has no option {option!r}"


def _pytest(arguments: list[str]) -> None:
    markers = [line.partition(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]]
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        if previous == "--pyargs":
            assert importlib.util.find_spec(argument), f"there is no package {argument}"
        elif previous.startswith("--unimodule-"):
            assert previous in Path(plugin.__file__).read_text(encoding="utf-8"), f"no option {previous}"
        elif previous == "-m":
            assert set(argument.replace("not ", "").split(" and ")) <= set(markers), f"no marker {argument!r}"
        elif previous not in ("-k", "-n") and not argument.startswith("-"):
            assert (ROOT / argument).exists(), f"there is no {argument}"


def _python(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        _COMMANDS[arguments[1]](arguments[2:])
        return
    if arguments[0] == "-c":
        return
    script = ROOT / arguments[0]
    assert script.is_file(), f"there is no {arguments[0]}"
    text = script.read_text(encoding="utf-8")
    for beside in re.findall(
        r"^from (\w+) import .*\bmain\b", text, re.MULTILINE
    ):  # whose command line it has
        text += script.with_name(f"{beside}.py").read_text(encoding="utf-8")
    for option in (a.partition("=")[0] for a in arguments[1:] if a.startswith("--")):
        assert option == "--help" or f'"{option}"' in text, f"{arguments[0]} has no {option}"


def _tox(arguments: list[str]) -> None:
    environments = set()
    for line in (ROOT / "tox.ini").read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"    ([a-z0-9-]+)(?:\{([\w, ]+)\})?", line):
            environments |= {match[1] + part.strip() for part in (match[2] or "").split(",")}
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        if argument == "--":
            break
        if previous == "-e":
            assert argument in environments, f"tox has no environment {argument!r}"


def _divergences(arguments: list[str]) -> None:
    from unimodule_conformance.divergences import __main__ as command

    text = Path(command.__file__).read_text(encoding="utf-8")
    for option in (a for a in arguments if a.startswith("--")):
        assert f'"{option}"' in text, f"divergences has no {option}"


def _anything(arguments: list[str]) -> None:
    """A command that every machine has."""


_COMMANDS = {
    "make": _make,
    "pip": _pip,
    "unimodule": _unimodule,
    "unimodule.cli": _unimodule,
    "unimodule_conformance.divergences": _divergences,
    "pytest": _pytest,
    "python": _python,
    "tox": _tox,
    "ruff": _anything,
    "mypy": _anything,
    "git": _anything,
    "cd": _anything,
}


@pytest.mark.parametrize(("page", "block"), _each("console"))
def test_commands_exist(page, block):
    commands = [line[2:] for line in block.code.splitlines() if line.startswith("$ ")]
    assert commands, "a console block shows its commands behind '$ '"
    for command in commands:
        words = shlex.split(command, comments=True)
        while re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
            words.pop(0)
        _COMMANDS[Path(words[0]).name](words[1:])


# ---------------------------------------------------------------------- links
def _anchor(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name} links to {target}, which is not there"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), (
                f"{page.name} links to {target}; there is no such heading"
            )
