"""Random numbers, drawn by NumPy's Philox on the host.

MXNet's own generators cannot be read, so that a state could not be saved, and seeding them costs 1.5 ms. Drawing on the
host costs what MXNet's ``Dropout`` does on a CPU, and 20 us more for few cells. A compiled function draws whenever it runs (``tracing.on_host``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unimodule.errors import ArgumentError

from .elementwise import multiply
from .operators import Array, dtype_of
from .tracing import on_host

_lock = threading.Lock()
_generator = np.random.Generator(np.random.Philox())
_HALF_BITS = 11  # what float16 holds: numbers of more would round up to 1


def seed(value: int) -> None:
    """Start the sequence that belongs to ``value``."""
    global _generator
    with _lock:
        _generator = np.random.Generator(np.random.Philox(abs(value)))


def state() -> dict[str, Any]:
    """Philox's state."""
    with _lock:
        return dict(_generator.bit_generator.state)


def restore(state: Mapping[str, Any]) -> None:
    """Go back to what ``state`` returned.

    Raises:
        ArgumentError: it is something else.
    """
    global _generator
    philox = np.random.Philox()
    try:
        inner = {name: np.asarray(value, np.uint64) for name, value in state["state"].items()}
        whole: Any = {**state, "state": inner, "buffer": np.asarray(state["buffer"], np.uint64)}
        philox.state = whole
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(f"not a state of backend 'mxnet': {error}") from error
    with _lock:
        _generator = np.random.Generator(philox)


# ---------------------------------------------------------------------- functions
def random_uniform(shape: tuple[int, ...], dtype: str, device: str) -> Array:
    def draw() -> np.ndarray[Any, Any]:
        with _lock:
            if dtype == "float16":
                return _generator.integers(0, 2**_HALF_BITS, shape).astype(np.float32) / 2**_HALF_BITS
            return _generator.random(shape, dtype)  # type: ignore[call-overload]

    kind, _, index = device.partition(":")
    return on_host(draw, [], shape, dtype, f"{kind}({index or 0})")


def dropout(x: Array, p: float) -> Array:
    scale = 1 / (1 - p)
    shape, dtype = x.shape, dtype_of(x)

    def draw() -> np.ndarray[Any, Any]:
        with _lock:
            drawn = _generator.random(shape, np.float32)
        return np.where(drawn >= np.float32(p), scale, 0.0).astype(dtype)

    return multiply(x, on_host(draw, [], shape, dtype, str(x.ctx)))


FUNCTIONS: dict[str, Callable[..., Any]] = {"random_uniform": random_uniform, "dropout": dropout}
