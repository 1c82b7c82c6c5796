"""The MXNet adapter: ties the files of this package together and answers for devices, data, variables, gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from unimodule.backend import Backend, BackendInfo, Tensor, not_supported
from unimodule.errors import CompileError

from . import (
    INFO,
    activation,
    attention,
    convolution,
    elementwise,
    gradients,
    indexing,
    linear,
    normalization,
    pooling,
    random,
    recurrent,
    reductions,
    seeding,
    shape,
    tracing,
)
from .loading import gpu_count, mx, thread
from .operators import array, dtype_of, known, ndarray

_PARTS = (
    elementwise,
    reductions,
    shape,
    indexing,
    linear,
    convolution,
    pooling,
    normalization,
    activation,
    attention,
    recurrent,
    random,
)


class MXNetBackend(Backend):
    """MXNet 1.9.1 through its NumPy arrays, ``mx.np.ndarray``.

    Legacy ``mx.nd.NDArray``s are no tensors here: theirs are other semantics (no 0-d arrays, float32 comparisons).
    ``x.as_np_ndarray()`` makes one, without a copy.
    """

    info: ClassVar[BackendInfo] = INFO
    functions: Mapping[str, Callable[..., Any]] = {
        name: function for part in _PARTS for name, function in part.FUNCTIONS.items()
    }

    def version(self) -> str:
        return str(mx.__version__)

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, ndarray)

    def is_concrete(self, x: Tensor) -> bool:
        return tracing.is_constant(x)

    def outlives_trace(self, x: Tensor) -> bool:
        return not isinstance(x, tracing.Traced)

    # ------------------------------------------------------------------ dtypes and devices
    def dtype(self, x: Tensor) -> str:
        return dtype_of(x)

    def devices(self) -> list[str]:
        return ["cpu", *(f"gpu:{i}" for i in range(gpu_count(mx)))]

    def device(self, x: Tensor) -> str:
        context = x.ctx
        return f"gpu:{context.device_id}" if context.device_type == "gpu" else "cpu"

    def to_device(self, x: Tensor, device: str) -> Tensor:
        return x if self.device(x) == device else x.as_in_ctx(_context(device))

    # ------------------------------------------------------------------ data in and out
    def from_numpy(self, array_: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        return array(array_, known(dtype), _context(device))

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        thread.ready  # noqa: B018
        return x.asnumpy()

    def item(self, x: Tensor) -> bool | int | float:
        return x.asnumpy().item()

    # ------------------------------------------------------------------ parameters
    def variable(self, value: Tensor, *, trainable: bool) -> Tensor:
        # No attach_grad here: it would double the memory. Whoever records by hand attaches what they need.
        with mx.autograd.pause():
            return value.copy()

    def assign(self, variable: Tensor, value: Tensor) -> Tensor:
        if value is variable:
            return variable
        with mx.autograd.pause():
            try:
                value.copyto(variable)
            except mx.MXNetError:
                # oneDNN has laid a kernel's weight out for itself, through a view of it with one more axis, and MXNet can no
                # longer write there.
                fresh = value.copy()
                if variable.grad is not None:
                    fresh.attach_grad()
                return fresh
        return variable

    # ------------------------------------------------------------------ gradients and random state
    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        if (trace := tracing.recording_here()) is not None:
            return tracing.value_and_grad(trace, fn, values)
        if mx.autograd.is_recording():
            raise not_supported(
                self,
                "gradients of gradients, or value_and_grad inside autograd.record",
                "use torch, tensorflow or jax for these",
            )
        return gradients.value_and_grad(fn, values)

    def watch_gradient(self, x: Tensor, note: Callable[[Tensor], None]) -> Tensor:
        if tracing.recording_here() is not None:
            raise not_supported(self, "watching gradients in compiled functions")
        return gradients.watch(x, note)

    def compile(
        self, fn: Callable[[list[Tensor]], list[Tensor]], **options: Any
    ) -> Callable[[list[Tensor]], list[Tensor]]:
        return tracing.compile_function(fn, options)

    def seed(self, seed: int) -> None:
        if tracing.recording_here() is not None:
            raise CompileError("a compiled function cannot reset the random state; do it around the call")
        random.seed(seed)
        seeding.seed(seed)

    def rng_state(self) -> dict[str, Any]:
        """See the contract. MXNet's own generators, from which no op of unimodule draws, cannot be read."""
        return random.state()

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        random.restore(state)

    def rounded(self, x: Tensor, dtype: str) -> Tensor:
        return elementwise.rounded(x, dtype)

    def call_host(
        self,
        fn: Callable[..., np.ndarray[Any, Any]],
        tensors: list[Tensor],
        shape: tuple[int, ...],
        dtype: str,
    ) -> Tensor:
        return tracing.on_host(fn, tensors, shape, dtype, str(tensors[0].ctx))


def _context(device: str) -> Any:
    kind, _, index = device.partition(":")
    return mx.Context(kind, int(index or 0))
