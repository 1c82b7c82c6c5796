"""A run that is killed by SIGKILL at random moments, and resumed each time, ends bit for bit as one that was let alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import selected_backends

SCRIPT = Path(__file__).with_name("killed.py")
KILLS = {"numpy": 32, "torch": 18}
"""By forking, after the framework has been imported; elsewhere a fork would meet its threads."""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


@pytest.mark.parametrize("backend", [name for name in selected_backends() if name in KILLS])
def test_killed_often(backend, tmp_path):
    finish(start(backend, tmp_path / "checkpoints", tmp_path / "result.json", KILLS[backend]))
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["kills"] == KILLS[backend]


@pytest.mark.slow
@pytest.mark.parametrize("backend", [name for name in selected_backends() if name not in KILLS])
def test_killed_compiled(backend, tmp_path):
    whole = start(backend, "-", tmp_path / "whole.json")
    moments = random.Random(0)
    for _ in range(2):
        process = start(backend, tmp_path / "checkpoints", tmp_path / "result.json")
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            process.wait(moments.uniform(0.0, 0.15))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=300)
        assert line == "started\n", errors
    finish(start(backend, tmp_path / "checkpoints", tmp_path / "result.json"))
    finish(whole)
    assert (tmp_path / "result.json").read_text() == (tmp_path / "whole.json").read_text()
