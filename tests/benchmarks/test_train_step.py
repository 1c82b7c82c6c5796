"""The benchmark of training steps runs, and its variants agree. No timings are asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "train_step.py"


@pytest.mark.benchmark
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_train_step(name: str) -> None:
    pytest.importorskip(name)
    command = [sys.executable, str(SCRIPT), "--here", "--backends", name, "--seconds", "0.02"]
    done = subprocess.run([*command, "--model", "mlp, batch 2"], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    rows = result["models"]["mlp, batch 2"]
    assert {"unimodule", "unimodule, eager"} < set(rows)
    assert all(row["low_us"] > 0 for row in rows.values())
