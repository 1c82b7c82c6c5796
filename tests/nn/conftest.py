"""Layers against the real ``torch.nn``: without it there is no oracle, and these tests are skipped.

A test draws the same numbers on every backend, whichever tests ran before it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest


class _WithoutOracle(pytest.Module):
    def collect(self) -> NoReturn:
        pytest.skip("the oracle is the real torch.nn, which is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Do not import what imports torch where there is none."""
    if importlib.util.find_spec("torch") is None:
        return _WithoutOracle.from_parent(parent, path=module_path)
    return None


@pytest.fixture(autouse=True)
def fresh_numbers(request: pytest.FixtureRequest) -> None:
    """Start the module's generator ``RNG`` anew."""
    if hasattr(request.module, "RNG"):
        request.module.RNG = np.random.default_rng(0)
