"""Casts, and what becomes of 64-bit dtypes while JAX computes in 32 bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from unimodule.errors import DtypeError, IntegerRangeError

from ._jit import Array, jit, x64_enabled
from .tracing import value_of

WIDE_INTEGERS = ("int64", "uint64")


def require(dtype: str) -> None:
    """Raise ``DtypeError`` for float64 where JAX would silently make it float32."""
    if dtype == "float64" and not x64_enabled():
        raise DtypeError(
            "JAX has no float64 unless the process-wide switch jax_enable_x64 is on: "
            'jax.config.update("jax_enable_x64", True) before any work, or the environment variable JAX_ENABLE_X64=1'
        )


@jit("dtype")
def _cast(x: Array, dtype: str) -> Array:
    return x != 0 if dtype == "bool" else lax.convert_element_type(x, dtype)


def astype(x: Array, dtype: str) -> Array:
    """``x`` in another dtype.

    Raises:
        DtypeError: float64 while JAX computes in 32 bits.
        IntegerRangeError: 64-bit integers are carried in 32 bits, and one does not fit (seen on CPU, eagerly).
    """
    require(dtype)
    if dtype in WIDE_INTEGERS and not x64_enabled():
        narrow = dtype.replace("64", "32")
        _check_fits(x, narrow)
        dtype = narrow
    return _cast(x, dtype)


def _check_fits(x: Array, dtype: str) -> None:
    """Refuse what XLA would silently saturate; only floats and the other sign of 32 bits can be too large."""
    value = value_of(x)
    if (
        value is None
        or x.dtype.name == dtype
        or (x.dtype.itemsize < 4 and jnp.issubdtype(x.dtype, jnp.integer))
    ):
        return
    if any(d.platform != "cpu" for d in value.devices()):
        return
    host = np.asarray(value).astype(np.float64)
    limits = np.iinfo(dtype)
    bad = host[(np.trunc(host) > limits.max) | (np.trunc(host) < limits.min)]
    if bad.size:
        raise IntegerRangeError(
            f"{bad.flat[0]} does not fit {dtype}, in which JAX carries 64-bit integers here"
        )


FUNCTIONS: dict[str, Callable[..., Any]] = {"astype": astype}
