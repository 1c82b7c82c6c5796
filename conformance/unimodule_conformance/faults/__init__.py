"""Seeded faults: the proof that the suite would notice."""

from __future__ import annotations

from . import forward, layers
from .model import Fault

FAULTS: tuple[Fault, ...] = tuple(fault for file in (forward, layers) for fault in file.FAULTS)
"""All of them."""

__all__ = ["FAULTS", "Fault"]
