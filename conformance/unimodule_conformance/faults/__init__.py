"""Seeded faults: the proof that the suite would notice."""

from __future__ import annotations

from . import arithmetic, compiled, devices, forward, gradients, layers, state, types
from .model import Fault

FAULTS: tuple[Fault, ...] = tuple(
    fault
    for file in (forward, layers, arithmetic, gradients, state, types, compiled, devices)
    for fault in file.FAULTS
)
"""All of them."""

__all__ = ["FAULTS", "Fault"]
