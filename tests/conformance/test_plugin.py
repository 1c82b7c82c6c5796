"""The suite under pytest: ``pytest --pyargs unimodule_conformance --unimodule-backend NAME``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("hypothesis")

INNOCENT = """
import sys

def test_nothing_was_imported():
    heavy = {"unimodule", "numpy", "hypothesis", "rich", "click", "jinja2"} & set(sys.modules)
    assert not heavy, heavy
"""


def pytest_run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest of its own, in a folder that knows nothing of this project."""
    (folder / "pytest.ini").touch()
    left = {k: v for k, v in os.environ.items() if k not in ("CI", "UNIMODULE_CONFORMANCE_SEED")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(
        command, cwd=folder, env={**left, **environment}, capture_output=True, text=True, timeout=300
    )


def test_other_peoples_runs_are_left_alone(tmp_path):
    (tmp_path / "test_innocent.py").write_text(INNOCENT)
    done = pytest_run(tmp_path, "-p", "no:hypothesispytest", "-W", "error", "--strict-config")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conformance" not in done.stdout


def test_a_backend_is_judged_family_by_family(tmp_path):
    options = ("--pyargs", "unimodule_conformance", "--unimodule-backend", "numpy", "--unimodule-seed", "4")
    narrow = ("-k", "nn.pooling or ops.joining", "--junit-xml", "junit.xml")
    done = pytest_run(tmp_path, *options, *narrow, "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conformance: numpy on cpu, profile smoke, --unimodule-seed 4" in done.stdout
    tests = re.findall(r"test_conforms\[(numpy-[\w.]+-\w+)\]", done.stdout)
    assert {test.split("-")[1] for test in tests} == {"nn.pooling", "ops.joining"}
    assert "numpy-nn.pooling-values" in tests
    properties = {p.get("name"): p.get("value") for p in ET.parse(tmp_path / "junit.xml").iter("property")}
    assert int(properties["passed"]) > 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "name the backend to judge: --unimodule-backend NAME"),
        (("--unimodule-backend", "nmupy"), "no backend is called 'nmupy'; did you mean numpy"),
        (("--unimodule-backend", "numpy", "--unimodule-device", "gpu"), "has no gpu:0"),
    ],
)
def test_a_wrong_request_is_a_usage_error(tmp_path, options, why):
    done = pytest_run(tmp_path, "--pyargs", "unimodule_conformance", *options)
    assert done.returncode != 0 and why in done.stdout + done.stderr


def test_the_seed_is_new_each_time_but_in_ci(tmp_path):
    options = ("--pyargs", "unimodule_conformance", "--unimodule-backend", "numpy", "--collect-only")

    def seed(**environment: str) -> str:
        return re.search(r"--unimodule-seed (\d+)", pytest_run(tmp_path, *options, **environment).stdout)[1]

    assert seed(CI="true") == "0"
    assert seed() != seed()
