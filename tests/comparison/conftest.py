"""The planted backend, registered for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from unimodule import registry

from . import planted


@pytest.fixture
def plant() -> Iterator[Callable[..., str]]:
    """``plant(tanh=fault)`` registers a backend whose ``tanh`` is ``fault(right, x)``; it returns its name."""

    def register(**faults: Callable[..., Any]) -> str:
        planted.FAULTS.update(faults)
        registry.register(planted.INFO)
        return planted.INFO.name

    yield register
    planted.FAULTS.clear()
    registry.infos().pop(planted.INFO.name, None)
    registry._loaded.pop(planted.INFO.name, None)
    registry._by_type.clear()
