"""The benchmarks of compiled calls, training steps and long runs run, and their contenders agree. No timings are asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.benchmark
@pytest.mark.parametrize("script", ["compiled", "train_step"])
def test_by_hand_and_ours(script: str, backend: str) -> None:
    if backend == "numpy":
        pytest.skip("it has no compiler")
    command = [
        sys.executable,
        str(FOLDER / f"{script}.py"),
        "--here",
        "--backends",
        backend,
        "--seconds",
        "0.02",
    ]
    done = subprocess.run([*command, "--cases", "MLP, 2"], capture_output=True, text=True, check=True)
    for row in json.loads(done.stdout.splitlines()[-1])["cases"].values():
        assert len(row["low_us"]) >= 2 and all(low > 0 for low in row["low_us"].values())
        assert row["ratios"].keys() == row["low_us"].keys() - {"unimodule"}
