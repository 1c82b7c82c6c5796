"""The benchmark of memory runs, and finds the parameters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "memory.py"


@pytest.mark.benchmark
@pytest.mark.parametrize("way", ["by hand", "unimodule"])
def test_memory(backend: str, way: str) -> None:
    if backend not in ("torch", "jax"):
        pytest.skip("not written by hand there")
    command = [sys.executable, str(SCRIPT), "--here", backend, way, "training", "--width", "1024"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["held"] > 0.5 and found["peak"] > 0.5, found
