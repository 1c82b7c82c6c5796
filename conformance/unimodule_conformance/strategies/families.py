"""The modules that fill the tables ``NAMES`` and ``LINKS`` as they are imported, in the order of the tables."""

from __future__ import annotations

from . import (
    activations,
    creation,
    linear,
    losses,
    manipulation,
    math,
    normalization,
    reductions,
    sequence,
    spatial,
)

FAMILIES = (
    linear,
    activations,
    spatial,
    normalization,
    sequence,
    losses,
    math,
    reductions,
    manipulation,
    creation,
)
"""One for each family of layers and functions."""

__all__ = ["FAMILIES"]
