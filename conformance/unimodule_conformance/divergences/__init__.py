"""The registry of known divergences: where a framework's native behaviour differs from the declared semantics.

Each row is data with a witness in native code. A run of the suite executes the witnesses, and is red where one no longer
shows: the row is then stale, and so is the correction in the adapter. The rows stand in one file for each framework and
theme; ``python -m unimodule_conformance.divergences`` checks them here and writes the table of the documentation.
"""

from __future__ import annotations

from . import (
    jax_gradients,
    jax_values,
    mxnet_gradients,
    mxnet_integers,
    mxnet_values,
    pytorch,
    pytorch_compiled,
    tensorflow_gradients,
    tensorflow_limits,
    tensorflow_values,
)
from .model import Divergence, Kind, nowhere

_FILES = (
    pytorch,
    pytorch_compiled,
    tensorflow_gradients,
    tensorflow_values,
    tensorflow_limits,
    jax_gradients,
    jax_values,
    mxnet_gradients,
    mxnet_values,
    mxnet_integers,
)

DIVERGENCES: tuple[Divergence, ...] = tuple(row for file in _FILES for row in file.ROWS.found)
"""All rows, framework by framework."""

__all__ = ["DIVERGENCES", "Divergence", "Kind", "nowhere"]
