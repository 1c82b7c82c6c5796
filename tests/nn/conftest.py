"""A test draws the same numbers on every backend, whichever tests ran before it."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def fresh_numbers(request: pytest.FixtureRequest) -> None:
    """Start the module's generator ``RNG`` anew."""
    if hasattr(request.module, "RNG"):
        request.module.RNG = np.random.default_rng(0)
