"""The NumPy backend: arrays, and autograd's boxes around them while a gradient is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import getval

from unimodule import dtypes
from unimodule.backend import REQUIRED, Backend, Tensor
from unimodule.errors import ArgumentError

from . import INFO, elementwise, indexing, mapping, reductions, shaping, tape

_TENSORS = (np.ndarray, np.generic, ArrayBox)  # no union of types: another framework's compiler may read this
_SIGNIFICANT_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


class NumpyBackend(Backend):
    """Plain NumPy on the host. Its functions are those of ``REQUIRED``: every layer runs as its definition."""

    info = INFO
    float_dtypes = frozenset(dtypes.FLOATING)

    def __init__(self) -> None:
        own: dict[str, tape.Op] = {
            "astype": lambda x, dtype: shaping.cast(x, dtypes.to_numpy_dtype(dtype)),
            "stop_gradient": lambda x: np.asarray(getval(x)),
            "random_uniform": self._random_uniform,
        }
        modules = (elementwise, reductions, shaping, indexing)
        found = {name: getattr(m, name) for m in modules for name in REQUIRED if hasattr(m, name)}
        self.functions = {**found, **own}
        self._generator = np.random.Generator(np.random.Philox())

    def version(self) -> str:
        return np.__version__

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, _TENSORS)

    def outlives_trace(self, x: Tensor) -> bool:
        return not isinstance(x, ArrayBox)

    def dtype(self, x: Tensor) -> str:
        return dtypes.canonical(x.dtype)

    def devices(self) -> list[str]:
        return ["cpu"]

    def device(self, x: Tensor) -> str:
        return "cpu"

    def to_device(self, x: Tensor, device: str) -> Tensor:
        return x

    def from_numpy(self, array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        with np.errstate(all="ignore"):
            return np.array(array, dtypes.to_numpy_dtype(dtype))

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        return np.array(getval(x))

    def variable(self, value: Tensor, *, trainable: bool) -> Tensor:
        return np.array(value)

    def assign(self, variable: Tensor, value: Tensor) -> Tensor:
        return np.array(value)  # the caller may write into its own

    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        return tape.value_and_grad(fn, values)

    def watch_gradient(self, x: Tensor, note: Callable[[Tensor], None]) -> Tensor:
        return tape.watch(x, note)

    def vmap(
        self, fn: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor], axes: list[int]
    ) -> list[Tensor]:
        return mapping.vmap(fn, values, axes)

    def seed(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(seed))

    def rng_state(self) -> dict[str, Any]:
        return dict(self._generator.bit_generator.state)

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        philox = np.random.Philox()
        try:
            inner = {name: np.asarray(value, np.uint64) for name, value in state["state"].items()}
            whole: Any = {**state, "state": inner, "buffer": np.asarray(state["buffer"], np.uint64)}
            philox.state = whole
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArgumentError(f"not a state of backend 'numpy': {error}") from error
        self._generator = np.random.Generator(philox)

    def _random_uniform(self, shape: tuple[int, ...], dtype: str, device: str) -> Tensor:
        # Multiples of 2**-bits are exact in the dtype: rounding never reaches 1.
        bits = _SIGNIFICANT_BITS[dtype]
        draws = self._generator.integers(0, 1 << bits, shape).astype(np.float64) * 2.0**-bits
        return np.asarray(draws, dtypes.to_numpy_dtype(dtype))
