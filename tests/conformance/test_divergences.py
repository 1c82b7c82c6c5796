"""The registry of divergences: every row is well formed, its witness shows, it is native, and the page is up to date."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import unimodule as um
from unimodule import registry

pytest.importorskip("hypothesis")
from unimodule_conformance.divergences import DIVERGENCES
from unimodule_conformance.divergences.__main__ import main
from unimodule_conformance.divergences.model import Kind, nowhere
from unimodule_conformance.divergences.table import page, script
from unimodule_conformance.running.known import within, witness

ROOT = Path(__file__).resolve().parents[2]
ROWS = {row.id: row for row in DIVERGENCES}
PLACES = {"nn": um.nn, "F": um.nn.functional, "ops": um.ops, "um": um}


def test_enough_rows_and_no_id_twice():
    assert len(ROWS) == len(DIVERGENCES) >= 60
    assert {row.backend for row in DIVERGENCES} == {"torch", "tensorflow", "jax", "mxnet"}


def test_a_row_says_what_it_must():
    for row in DIVERGENCES:
        assert row.id.startswith(row.backend + "-") and re.fullmatch(r"[a-z0-9-]+", row.id)
        assert row.native and row.expected and not (row.native + row.expected).endswith("."), row.id
        assert isinstance(row.kind, Kind) and within("9999", row.versions) in (True, False)
        place, _, name = row.op.partition(".")
        here = PLACES[place]
        for part in name.split("."):
            assert hasattr(here, part), f"{row.id}: there is no {row.op}"
            here = getattr(here, part)
        assert not row.corrected or row.excuses is nowhere, (
            f"{row.id}: what is made up for excuses no failure"
        )


def test_witnesses_are_native():
    for row in DIVERGENCES:
        for node in ast.walk(ast.parse(script(row))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any("unimodule" in name for name in names), (row.id, names)


@pytest.mark.parametrize("name", sorted({row.backend for row in DIVERGENCES}))
def test_witnesses_show(name, request):
    if not registry.installed(name):
        pytest.skip(f"{name} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [witness(row) for row in DIVERGENCES if row.backend == name]
        again = [witness(row).verdict for row in DIVERGENCES if row.backend == name]
    assert not [(w.id, w.verdict, w.message) for w in found if not w.ok]
    assert [w.verdict for w in found] == again, "a witness changes what the next one sees"


def test_the_page_is_up_to_date():
    written = (ROOT / "docs" / "divergences.md").read_text(encoding="utf-8")
    hint = "run: python -m unimodule_conformance.divergences --write docs/divergences.md"
    assert written == page(DIVERGENCES), hint


def test_the_command(capsys, tmp_path):
    assert main(["--write", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page(DIVERGENCES)
    assert main(["--show", "mxnet-where-gradient"]) == 0
    assert "_where()" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--show", "no-such-row"])


@pytest.mark.parametrize("name", ["torch-layer-norm-gradient-of-float16", "mxnet-where-gradient"])
def test_a_witness_runs_as_a_script(name, tmp_path):
    if not registry.installed(ROWS[name].backend) or np.__version__ >= "2":
        pytest.skip(f"{ROWS[name].backend} cannot be imported by itself here")
    (tmp_path / "witness.py").write_text(script(ROWS[name]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "witness.py"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "it shows", done.stderr
