"""Fixtures of the core's tests."""

from __future__ import annotations

import pytest
from conftest import load_backend, selected_backends


@pytest.fixture(scope="session")
def every_backend() -> list[str]:
    """The names of all backends under test, with their frameworks imported."""
    return [load_backend(name).info.name for name in selected_backends()]
