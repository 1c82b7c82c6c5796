"""Long runs keep their memory: the short form of benchmarks/lasting.py, which must also tell a leak when there is one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("what", ["train_step", "compiled", "eager"])
def test_memory_does_not_grow(what: str, backend: str) -> None:
    command = [sys.executable, str(FOLDER / "lasting.py"), "--here", "--backends", backend]
    command += ["--runs", what, "--calls", "1500"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    growth = json.loads(done.stdout.splitlines()[-1])["growth"]
    assert growth["objects"] < 100, growth  # one object in fifteen calls
    assert growth["KiB"] < 2000, (
        growth
    )  # a tensor of the smallest net here, with what holds it, kept in each call


LEAKS = """
import json
from lasting import grown, observe

kept = []
leak = grown(observe(lambda: kept.append([bytearray(2048)]), 4000))
print(json.dumps([leak, grown(observe(lambda: [bytearray(2048)], 4000))]))
"""


def test_a_leak_is_told() -> None:
    # In a process of its own: one that has run tests has free memory to keep things in, and a leak then takes no more of it.
    done = subprocess.run(
        [sys.executable, "-c", LEAKS], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [["KiB", "objects"], []]


def test_growth_is_the_median_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    from lasting import slope

    assert slope([5.0, 1.0, 1.0, 1.0, 1.0]) == 0.0 and slope([0.0, 2.0, 4.0, 6.0]) == 2.0
