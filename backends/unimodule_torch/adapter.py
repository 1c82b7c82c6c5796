"""The PyTorch adapter: what a framework must answer for (``unimodule.backend``), from the files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
import torch

from unimodule.backend import Backend, BackendInfo, Tensor
from unimodule.errors import ArgumentError, OutOfRangeError

from . import (
    INFO,
    activation,
    attention,
    compiling,
    control,
    convolution,
    elementwise,
    foreach,
    gradients,
    indexing,
    linear,
    loss,
    normalization,
    pooling,
    precision,
    recurrent,
    reductions,
    shape,
    tensors,
    transforming,
)


class TorchBackend(Backend):
    """PyTorch. Parameters are leaf ``nn.Parameter``s; constants and buffers plain tensors."""

    info: ClassVar[BackendInfo] = INFO
    float_dtypes: ClassVar[frozenset[str]] = frozenset({"float16", "bfloat16", "float32", "float64"})
    live_variables: ClassVar[bool] = True
    functions: Mapping[str, Callable[..., Any]] = {
        **elementwise.FUNCTIONS,
        **reductions.FUNCTIONS,
        **shape.FUNCTIONS,
        **indexing.FUNCTIONS,
        **linear.FUNCTIONS,
        **convolution.FUNCTIONS,
        **pooling.FUNCTIONS,
        **normalization.FUNCTIONS,
        **activation.FUNCTIONS,
        **attention.FUNCTIONS,
        **recurrent.FUNCTIONS,
        **loss.FUNCTIONS,
        **tensors.FUNCTIONS,
        **control.FUNCTIONS,
    }

    def version(self) -> str:
        return str(torch.__version__)

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, torch.Tensor)

    def is_concrete(self, x: Tensor) -> bool:
        return tensors.is_concrete(x)

    # ------------------------------------------------------------------ dtypes and devices
    def dtype(self, x: Tensor) -> str:
        return tensors.NAMES[x.dtype]

    def devices(self) -> list[str]:
        return tensors.devices()

    def device(self, x: Tensor) -> str:
        return tensors.device_of(x)

    def to_device(self, x: Tensor, device: str) -> Tensor:
        return x.to(tensors.native_device(device))

    # ------------------------------------------------------------------ data in and out
    def from_numpy(self, array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        return tensors.from_numpy(array, dtype, device)

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        return tensors.to_numpy(x)

    def item(self, x: Tensor) -> bool | int | float:
        return x.item()

    # ------------------------------------------------------------------ parameters
    def variable(self, value: Tensor, *, trainable: bool) -> Tensor:
        with torch.inference_mode(False):
            own = value.detach().clone(memory_format=torch.contiguous_format)
            return torch.nn.Parameter(own) if trainable else own

    def set_trainable(self, variable: Tensor, trainable: bool) -> Tensor:
        if trainable and not isinstance(variable, torch.nn.Parameter):
            return torch.nn.Parameter(variable)
        return variable.requires_grad_(trainable)

    def assign(self, variable: Tensor, value: Tensor) -> Tensor:
        with torch.no_grad():
            return variable.copy_(value)

    # ------------------------------------------------------------------ the rest
    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        return gradients.value_and_grad(fn, values)

    def watch_gradient(self, x: Tensor, note: Callable[[Tensor], None]) -> Tensor:
        return gradients.watch(x, note)

    def seed(self, seed: int) -> None:
        # PyTorch's own generators, on every device: its kernels for dropout draw from no other.
        torch.manual_seed(seed)

    def rng_state(self) -> dict[str, Any]:
        state = {"cpu": torch.get_rng_state().numpy().copy()}
        if torch.cuda.is_initialized():  # before that, its generators have nothing but the seed
            state |= {f"gpu:{i}": s.numpy().copy() for i, s in enumerate(torch.cuda.get_rng_state_all())}
        return state

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        try:
            generators = {name: torch.from_numpy(np.array(value, np.uint8)) for name, value in state.items()}
            torch.set_rng_state(generators.pop("cpu"))
            for name, value in generators.items():
                if (index := int(name.removeprefix("gpu:"))) < torch.cuda.device_count():
                    torch.cuda.set_rng_state(value, index)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArgumentError(f"not a state of backend 'torch': {error}") from error

    def check_indices(self, indices: Tensor, size: int, low: int = 0) -> None:
        if indices.is_cuda or not tensors.is_concrete(indices) or not indices.numel():
            return
        smallest, largest = torch.aminmax(indices)
        first, last = smallest.item(), largest.item()
        if first < low or last >= size:
            bad = first if first < low else last
            raise OutOfRangeError(f"index {bad} is out of range: expected {low} <= index < {size}")

    def foreach(self) -> Any:
        return foreach

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
        return precision.full_precision()
