"""What a check says about one case on one backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a check ended. Only ``PASSED`` counts as passed; ``FAILED`` and ``ERROR`` make a run red."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"  # the suite itself broke: never blamed on the backend, never ignored
    SKIPPED = "skipped"  # the backend declares that it does not support it, or has no such dtype or device
    KNOWN = "known divergence"  # a row of the registry covers it
    WEAK = "weak"  # within a tolerance so wide that it proves little
    VACUOUS = "vacuous"  # the output does not depend on what was to be checked


@dataclass(frozen=True)
class Target:
    """What is judged: a backend on a device."""

    backend: str
    device: str = "cpu"

    def __str__(self) -> str:
        return self.backend if self.device == "cpu" else f"{self.backend} on {self.device}"


@dataclass(frozen=True)
class Outcome:
    """The result of one check of one case on one target.

    Attributes:
        status: how it ended.
        message: for anything but a pass, one or two sentences: what was expected and what came.
        worst: the largest error, in units of the tolerance: at most 1 for a pass.
        details: JSON-able findings for the report: the tensor's name, place, values, the first module that parts.
    """

    status: Status
    message: str = ""
    worst: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)


__all__ = ["Outcome", "Status", "Target"]
