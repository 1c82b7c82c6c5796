"""The minitensor adapter: the methods of ``unimodule.backend.Backend``. See docs/adapters.md."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import minitensor
import numpy as np
from minitensor import Tensor

from unimodule import dtypes
from unimodule.backend import REQUIRED, Backend, BackendInfo, not_supported

from . import INFO
from .functions import FUNCTIONS

_recording: contextvars.ContextVar[bool] = contextvars.ContextVar("minitensor_recording", default=False)


class MinitensorBackend(Backend):
    """Enough of a backend to train perceptrons. What it leaves out it declares, so that nothing goes wrong silently."""

    info: ClassVar[BackendInfo] = INFO
    functions = FUNCTIONS
    unsupported: ClassVar[frozenset[str]] = frozenset(REQUIRED.keys() - FUNCTIONS.keys())

    def version(self) -> str:
        return "0.1.0"

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, Tensor)

    def outlives_trace(self, x: Tensor) -> bool:
        return not x.watched

    # ------------------------------------------------------------------ dtypes and devices
    def dtype(self, x: Tensor) -> str:
        return dtypes.canonical(x.dtype)

    def devices(self) -> list[str]:
        return ["cpu"]

    def device(self, x: Tensor) -> str:
        return "cpu"

    def to_device(self, x: Tensor, device: str) -> Tensor:
        return x

    # ------------------------------------------------------------------ data in and out
    def from_numpy(self, array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        return Tensor(np.array(array, dtypes.to_numpy_dtype(dtype)))

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        return x.data.copy()

    # ------------------------------------------------------------------ parameters
    def variable(self, value: Tensor, *, trainable: bool) -> Tensor:
        return Tensor(value.data.copy())

    # ------------------------------------------------------------------ gradients and random state
    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        if _recording.get():
            raise not_supported(self, "gradients of gradients")
        token = _recording.set(True)
        try:
            leaves = [Tensor(value.data, watched=True) for value in values]
            loss, aux = fn(leaves)
            with np.errstate(all="ignore"):
                found = minitensor.gradients(loss, leaves)
        finally:
            _recording.reset(token)
        return _detached(loss), _detached(aux), [Tensor(g) for g in found]

    def seed(self, seed: int) -> None:
        """Nothing to do: without a ``random_uniform`` of its own a backend draws from unimodule's stream."""


def _detached(tree: Any) -> Any:
    """Nested tuples, lists and dicts of tensors without what they were computed from."""
    if isinstance(tree, Tensor):
        return Tensor(tree.data)
    if isinstance(tree, dict):
        return {key: _detached(value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*map(_detached, tree))
    if isinstance(tree, list | tuple):
        return type(tree)(map(_detached, tree))
    return tree
