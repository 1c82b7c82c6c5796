"""Writes a report's files into a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ..running.results import Failure, Results
from .junit import junit
from .page import page

FAILURES = "failures"


def write(results: Results, directory: Path) -> None:
    """Write ``results.json``, ``junit.xml``, ``index.html``, and ``failures/ID.py`` and ``ID.json`` for each failure.

    Failures of an earlier run in the same folder are removed, so that what lies there is of one run.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(directory / FAILURES, ignore_errors=True)
    (directory / "results.json").write_text(results.to_json() + "\n", encoding="utf-8")
    (directory / "junit.xml").write_text(junit(results), encoding="utf-8")
    (directory / "index.html").write_text(page(results), encoding="utf-8")
    for failure in results.failures:
        folder = directory / FAILURES
        folder.mkdir(exist_ok=True)
        (folder / f"{failure.id}.json").write_text(_record(failure), encoding="utf-8")
        if failure.script:
            (folder / f"{failure.id}.py").write_text(failure.script, encoding="utf-8")


def _record(failure: Failure) -> str:
    """What ``--replay`` reads: the spec, and which check failed where."""
    about = {
        "check": failure.check,
        "backend": failure.backend,
        "device": failure.device,
        "message": failure.message,
        "seed": failure.seed,
        "spec": json.loads(failure.spec),
        "original": json.loads(failure.original),
    }
    return json.dumps(about, indent=1) + "\n"


__all__ = ["FAILURES", "write"]
