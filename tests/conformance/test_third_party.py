"""An adapter from elsewhere, installed as its own package, is judged; a fault planted in it is found and reproduced."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")
from unimodule_conformance.running import Results

ADAPTER = Path(__file__).resolve().parents[2] / "examples" / "minimal_adapter"
FAULTS = {
    "tanh": (
        '"tanh": _unary(np.tanh, lambda y, x: 1 - y * y)',
        '"tanh": _unary(np.tanh, lambda y, x: 1 - y)',
    ),
    "maximum": ("np.where(x.data == y.data, 0.5, 1.0)", "np.where(x.data == y.data, 1.0, 1.0)"),
    "concat": (
        "np.concatenate([x.data for x in arrays], axis)",
        "np.concatenate([x.data for x in arrays], 0)",
    ),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder as pip leaves it: the package beside its metadata."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("minitensor.py", "unimodule_minitensor"):
        source = ADAPTER / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    project = tomllib.loads((ADAPTER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = folder / "unimodule_minitensor-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: unimodule-minitensor\nVersion: 0.1.0\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def python(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def judged(folder: Path, report: Path, *options: str) -> tuple[int, Results]:
    command = ("-m", "unimodule.cli", "conformance", "--backends", "minitensor", "--report", report)
    done = python(folder, *command, "--workers", "1", *options)
    assert (report / "results.json").exists(), done.stdout + done.stderr
    return done.returncode, Results.from_json((report / "results.json").read_text())


@pytest.fixture
def planted(installed, tmp_path, request):
    """A copy of it with a fault."""
    right, wrong = FAULTS[request.param]
    folder = shutil.copytree(installed, tmp_path / "faulty")
    source = folder / "unimodule_minitensor" / "functions.py"
    text = source.read_text()
    assert text.count(right) == 1
    source.write_text(text.replace(right, wrong))
    return folder


def test_it_conforms_where_it_claims_to(installed, tmp_path):
    status, results = judged(installed, tmp_path, "--seed", "1")
    assert status == 0, [failure.message for failure in results.failures]
    assert results.cell("values", "minitensor").counts["passed"] > 20
    assert results.cell("values", "minitensor").counts["skipped"] > 0, "what it declares unsupported"


@pytest.mark.parametrize(
    ("planted", "only", "check"),
    [
        ("tanh", "nn.Tanh", "gradients"),
        ("maximum", "ops.maximum", "gradients"),
        ("concat", "ops.concat", "values"),
    ],
    indirect=["planted"],
)
def test_a_planted_fault_is_found_and_its_script_reproduces_it(planted, installed, tmp_path, only, check):
    options = ("--only", only, "--checks", check)
    status, results = judged(planted, tmp_path / "report", *options)
    assert status == 1
    failure = results.failures[0]
    assert failure.check == check and failure.backend == "minitensor"

    script = tmp_path / "report" / "failures" / f"{failure.id}.py"
    assert "unimodule_conformance" not in script.read_text(), "it needs unimodule and the framework, no more"
    shown = python(planted, script)
    assert shown.returncode == 1, shown.stdout + shown.stderr
    mended = python(installed, script)
    assert mended.returncode == 0, mended.stdout + mended.stderr

    again, second = judged(planted, tmp_path / "again", *options)
    assert again == 1
    assert [(f.id, f.script) for f in second.failures] == [(f.id, f.script) for f in results.failures]

    case = script.with_suffix(".json")
    replay = ("-m", "unimodule.cli", "conformance", "--backends", "minitensor", "--replay", case, "--json")
    assert json.loads(python(planted, *replay).stdout)[0]["status"] == "failed"
    # Shrunk to a saturated tanh, whose small slope no kernel has exactly, a pass may prove little: still no failure.
    assert json.loads(python(installed, *replay).stdout)[0]["status"] in ("passed", "weak")


def test_it_is_judged_under_pytest(installed, tmp_path):
    (tmp_path / "pytest.ini").touch()
    options = (
        "--pyargs",
        "unimodule_conformance",
        "--unimodule-backend",
        "minitensor",
        "--unimodule-seed",
        "2",
    )
    done = python(
        installed, "-m", "pytest", "--rootdir", tmp_path, "-c", tmp_path / "pytest.ini", *options, "-q"
    )
    assert done.returncode == 0, done.stdout + done.stderr
