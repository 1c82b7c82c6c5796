"""TensorFlow: eager tensors and ``tf.Variable`` parameters, graphs where the user compiles."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from unimodule import dtypes
from unimodule.backend import Backend, Tensor

from . import (
    INFO,
    activation,
    attention,
    compiling,
    control,
    convolution,
    devices,
    elementwise,
    gradients,
    graphs,
    indexing,
    linear,
    normalization,
    pooling,
    random,
    recurrent,
    reductions,
    shape,
    transforming,
)
from ._framework import raw, tf

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
    recurrent,
    attention,
    random,
    control,
)
_Eager = tf.__internal__.EagerTensor


class TensorFlowBackend(Backend):
    """The adapter. A bound net's parameters, constants and buffers are ``tf.Variable``s."""

    info = INFO
    float_dtypes = frozenset({"float16", "bfloat16", "float32", "float64"})
    keeps_buffers = True  # a tf.function of the caller's holds on to the variable
    packs_below = 1

    def __init__(self) -> None:
        functions: dict[str, Callable[..., Any]] = {}
        for part in _PARTS:
            functions.update(part.FUNCTIONS)
        devices.share_memory()
        self.functions = devices.on_devices(functions)

    # ------------------------------------------------------------------ what it is
    def version(self) -> str:
        return tf.__version__

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, (tf.Tensor, tf.Variable))

    def is_concrete(self, x: Tensor) -> bool:
        return isinstance(x, _Eager) or (isinstance(x, tf.Variable) and tf.executing_eagerly())

    # ------------------------------------------------------------------ dtypes and devices
    def dtype(self, x: Tensor) -> str:
        return x.dtype.name

    def devices(self) -> list[str]:
        return devices.names()

    def device(self, x: Tensor) -> str:
        return devices.device_of(x)

    def to_device(self, x: Tensor, device: str) -> Tensor:
        return x if devices.device_of(x) == device else devices.move(x, device)

    # ------------------------------------------------------------------ data in and out
    def from_numpy(self, array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        host = np.asarray(array).astype(dtypes.to_numpy_dtype(dtype), copy=False)
        # init_scope: a constant of a graph would be of no use outside it.
        with tf.init_scope(), tf.device(devices.native_name(device)):
            return tf.constant(host)

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        return np.asarray(x.numpy())

    # ------------------------------------------------------------------ parameters
    def variable(self, value: Tensor, *, trainable: bool) -> Tensor:
        with tf.init_scope(), tf.device(value.device or None):
            return tf.Variable(value, trainable=trainable)

    def set_trainable(self, variable: Tensor, trainable: bool) -> Tensor:
        if isinstance(variable, tf.Variable) and variable.trainable != trainable:
            # The flag has no setter, but it is all that tapes and optimisers ask, each time anew. A new variable in its
            # place would be another one to a compiled function, an optimiser or a checkpoint.
            variable._trainable = trainable
            if variable.trainable != trainable:
                raise TypeError(f"{type(variable).__name__} does not let itself be frozen or thawed")
        return variable

    def assign(self, variable: Tensor, value: Tensor) -> Tensor:
        if not isinstance(variable, tf.Variable):
            return value
        if type(value) is _Eager and type(variable).__name__ == "ResourceVariable" and tf.executing_eagerly():
            # What ``assign`` arrives at, in a third of its time; a training step does it for each parameter.
            raw.AssignVariableOp(resource=variable.handle, value=value)
        else:
            variable.assign(value, read_value=False)
        return variable

    # ------------------------------------------------------------------ compiling
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

    # ------------------------------------------------------------------ gradients
    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        return gradients.value_and_grad(fn, values)

    def watch_gradient(self, x: Tensor, note: Callable[[Tensor], None]) -> Tensor:
        return gradients.watch(x, note)

    def accelerate(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return graphs.accelerate(fn)

    # ------------------------------------------------------------------ random state
    def seed(self, seed: int) -> None:
        random.seed(operator.index(seed))

    def rng_state(self) -> dict[str, Any]:
        return random.state()

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        random.restore(state)

    # ------------------------------------------------------------------ precision
    @contextmanager
    def full_precision(self) -> Iterator[None]:
        """Compute float32 products in float32; newer GPUs use TensorFloat-32, with ten bits, unless told not to. The
        switch is the whole process's.
        """
        config = tf.config.experimental
        before = config.tensor_float_32_execution_enabled()
        config.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            config.enable_tensor_float_32_execution(before)
