"""``unimodule conformance --mutants``."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

pytest.importorskip("hypothesis")
pytest.importorskip("torch")
from unimodule_conformance.cli import conformance
from unimodule_conformance.faults import telling
from unimodule_conformance.faults.__main__ import main
from unimodule_conformance.faults.runner import Mutants

ONE = ["--mutants", "--backends", "numpy", "--only", "ops.atan2", "--checks", "core values", "--workers", "0"]


def _run(*options: str):
    return CliRunner().invoke(conformance, [*ONE, *options], catch_exceptions=False)


def test_a_fault_is_killed(tmp_path):
    done = _run("--faults", "atan2 forgets", "--report", str(tmp_path))
    assert (
        done.exit_code == 0 and "killed" in done.output and "1 of 1 faults" in " ".join(done.output.split())
    )
    found = Mutants.from_json((tmp_path / "mutants.json").read_text())
    assert found.config.profile == "ci", "unless told otherwise"
    assert main(["--write", str(tmp_path / "page.md"), str(tmp_path / "mutants.json")]) == 0
    assert (tmp_path / "page.md").read_text() == telling.page(found)


def test_a_survivor_is_exit_status_1():
    done = _run("--faults", "tanh has the gradient", "--json", "--profile", "smoke")
    assert done.exit_code == 1
    data = json.loads(done.stdout)
    assert (
        not data["ok"] and data["hunted"][0]["verdict"] == "survived" and data["config"]["profile"] == "smoke"
    )


def test_controls_by_themselves(capsys):
    assert main(["--only", "numpy: tanh"]) == 0
    assert capsys.readouterr().out.startswith("live  numpy: tanh")
