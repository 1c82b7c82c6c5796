"""What is behind a tracer."""

from __future__ import annotations

from typing import Any

import jax

from ._jit import Array

try:
    from jax.extend.core import concrete_or_error
except ImportError:  # older releases have it here only
    from jax.core import concrete_or_error


def value_of(x: Array) -> Any:
    """The array behind ``x`` (itself, or the value that a gradient's tracer carries), None for a compiler's tracer."""
    if not isinstance(x, jax.core.Tracer):
        return x
    try:
        return concrete_or_error(None, x)
    except jax.errors.ConcretizationTypeError:
        return None
