"""The JAX backend: dtypes, devices, data, gradients and random state. Its functions are in the modules beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from unimodule import dtypes
from unimodule.backend import Backend, BackendInfo, Tensor, check_int32
from unimodule.errors import DtypeError, ShapeError

from . import (
    INFO,
    activation,
    attention,
    casting,
    compiling,
    control,
    convolution,
    devices,
    elementwise,
    indexing,
    loss,
    normalization,
    pooling,
    random,
    recurrent,
    reductions,
    shape,
    transforming,
)
from ._jit import Array, x64_enabled
from ._leaves import put_in, take_out
from .casting import WIDE_INTEGERS, require
from .tracing import value_of


class JaxBackend(Backend):
    """JAX, eager and under its transformations. No global configuration is read at import, and none is ever changed."""

    info: ClassVar[BackendInfo] = INFO
    float_dtypes: ClassVar[frozenset[str]] = frozenset(dtypes.FLOATING)
    compiled_takes_arrays: ClassVar[bool] = True
    rebinds: ClassVar[bool] = True
    packs_below: ClassVar[int] = 1025

    def __init__(self) -> None:
        parts = (
            elementwise, reductions, shape, indexing, convolution, pooling, normalization, activation, recurrent,
            attention, loss, random, casting, control,
        )  # fmt: skip
        self.functions = {name: fn for part in parts for name, fn in part.FUNCTIONS.items()}
        self._dtype_names: dict[Any, str] = {}

    # ------------------------------------------------------------------ what it is
    def version(self) -> str:
        return str(jax.__version__)

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, jax.Array)

    def is_concrete(self, x: Tensor) -> bool:
        """False under ``jit`` and ``vmap``. The tracers of an eager gradient carry values, and count as concrete."""
        return value_of(x) is not None

    def outlives_trace(self, x: Tensor) -> bool:
        return not isinstance(x, jax.core.Tracer)  # a gradient's tracer has a value, yet dies with its call

    # ------------------------------------------------------------------ dtypes and devices
    def dtype(self, x: Tensor) -> str:
        native = x.dtype
        try:
            return self._dtype_names[native]
        except KeyError:
            return self._dtype_names.setdefault(native, dtypes.canonical(native.name))

    def devices(self) -> list[str]:
        return devices.names()

    def device(self, x: Tensor) -> str:
        value = value_of(x)
        if value is None:  # a compiler's tracer will be wherever the compiled function runs
            return devices.name(devices.default())
        held = value.devices()
        return devices.name(next(iter(held)) if len(held) == 1 else min(held, key=lambda d: d.id))

    def to_device(self, x: Tensor, device: str) -> Tensor:
        return jax.device_put(x, devices.find(device))

    # ------------------------------------------------------------------ data in and out
    def from_numpy(self, array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        require(dtype)
        host = np.array(
            array, dtypes.to_numpy_dtype(dtype), order="C"
        )  # a copy: JAX may keep its memory as it is
        if dtype in WIDE_INTEGERS and not x64_enabled():
            host = check_int32(host)
        with jax.ensure_compile_time_eval():
            return jax.device_put(host, devices.target(device))

    def send(self, numbers: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        if devices.target(device) is not None:
            return self.from_numpy(numbers, dtype, device)
        with np.errstate(all="ignore"):
            return _sent(numbers.astype(dtypes.to_numpy_dtype(dtype)))

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        value = value_of(x)
        return np.array(x if value is None else value)  # on a compiler's tracer this raises JAX's own error

    def item(self, x: Tensor) -> bool | int | float:
        return x.item()

    # ------------------------------------------------------------------ parameters
    def variable(self, value: Tensor, *, trainable: bool) -> Tensor:
        with jax.ensure_compile_time_eval():
            return jnp.array(value, copy=True)  # a donated parameter must not take the caller's array with it

    def assign(self, variable: Tensor, value: Tensor) -> Tensor:
        if getattr(variable, "is_deleted", bool)():  # donated to the function that computed the value
            return value
        if getattr(value, "sharding", None) == variable.sharding:  # a training step asks for each parameter
            return value
        here = self.device(variable)
        return value if self.device(value) == here else self.to_device(value, here)

    # ------------------------------------------------------------------ gradients
    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        """See the contract. The tensors that ``fn`` gets are tracers that carry values (``is_concrete``).

        Raises:
            DtypeError: a value or the loss is not a floating tensor.
            ShapeError: the loss is not a scalar.
        """
        for value in values:
            if not jnp.issubdtype(value.dtype, jnp.floating):
                raise DtypeError(
                    f"gradients are taken with respect to float tensors, not {self.dtype(value)}"
                )
        outline: Any = None

        def run(arrays: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            nonlocal outline
            loss, aux = fn(arrays)
            self._check_loss(loss)
            outline, tensors = take_out(aux)
            return loss, tensors

        (loss, tensors), gradients = jax.value_and_grad(run, has_aux=True)(list(values))
        return loss, put_in(outline, tensors), gradients

    def _check_loss(self, loss: Any) -> None:
        if not self.is_tensor(loss):
            raise DtypeError(f"a loss must be a floating JAX tensor, got {type(loss).__name__}")
        if not jnp.issubdtype(loss.dtype, jnp.floating):
            raise DtypeError(f"a loss must be a floating tensor, got {self.dtype(loss)}")
        if loss.shape != ():
            raise ShapeError(
                f"a loss must be a scalar, got shape {tuple(loss.shape)}; reduce it with ops.sum or ops.mean"
            )

    def watch_gradient(self, x: Tensor, note: Callable[[Tensor], None]) -> Tensor:
        return transforming.watch(note, x)

    # ------------------------------------------------------------------ random state
    def seed(self, seed: int) -> None:
        random.STATE.reset(seed)

    def rng_state(self) -> dict[str, Any]:
        return random.STATE.state()

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        random.STATE.restore(state)

    def fresh_key(self) -> Tensor:
        """A random key for one call of a compiled function, to be passed to it and given to :meth:`use_key` inside."""
        return random.STATE.fresh_key()

    def use_key(self, key: Tensor) -> AbstractContextManager[Any]:
        """Draw from ``key``, an argument of the function being traced, instead of baking a mask into the code."""
        return random.use_key(key)

    # ------------------------------------------------------------------ speed and precision
    def accelerate(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(fn)

    def compile(
        self, fn: Callable[[list[Tensor]], list[Tensor]], **options: Any
    ) -> Callable[[list[Tensor]], list[Tensor]]:
        return compiling.compile(fn, **options)

    def vmap(
        self, fn: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor], axes: list[int]
    ) -> list[Tensor]:
        return transforming.vmap(fn, values, axes)

    def checkpoint(self, fn: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor]) -> list[Tensor]:
        return transforming.checkpoint(fn, values)

    def is_trace_error(self, error: BaseException) -> bool:
        return compiling.is_trace_error(error)

    def full_precision(self) -> AbstractContextManager[None]:
        """Products of float32 in float32, not TF32 or bfloat16, inside the block."""
        return jax.default_matmul_precision("highest")


@jax.jit
def _sent(numbers: Array) -> Array:
    """The same: an argument of a compiled call takes a tenth of the time of ``device_put`` while others are running."""
    return numbers * 1
