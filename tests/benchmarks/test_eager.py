"""The benchmarks run, and their variants agree. No timings are asserted: machines differ."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.benchmark
def test_eager(backend: str) -> None:
    command = [sys.executable, str(FOLDER / "eager.py"), "--here", "--backends", backend, "--seconds", "0.02"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["backend"] == backend and {"raw", "unimodule"} <= set(result["variants"])
    assert all(row["low_us"] > 0 for row in result["variants"].values())


@pytest.mark.benchmark
def test_interleaved_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    from timing import Timing, interleaved

    times = interleaved({"short": lambda: sum(range(10)), "long": lambda: sum(range(10_000))}, seconds=0.05)
    assert len(times["short"].slices) == len(times["long"].slices) > 0
    ratio = Timing([2.0, 4.0, 9.0]).ratio(Timing([1.0, 2.0, 3.0]))
    assert (ratio.lower, ratio.median, ratio.low) == (2.0, 2.0, 2.0)


@pytest.mark.benchmark
def test_importing_unimodule_imports_no_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    from eager import measure_import

    found = measure_import(runs=2)
    assert found["median_s"] >= found["lowest_s"] > 0
