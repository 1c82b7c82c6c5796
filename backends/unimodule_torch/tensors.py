"""Dtypes, devices, and data in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from unimodule import dtypes
from unimodule.backend import Tensor
from unimodule.errors import DtypeError

DTYPES = {name: getattr(torch, name) for name in dtypes.ALL if hasattr(torch, name)}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def native_dtype(dtype: str) -> Any:
    try:
        return DTYPES[dtype]
    except KeyError:
        raise DtypeError(f"PyTorch {torch.__version__} has no dtype {dtype}") from None


def native_device(device: str) -> str:
    """PyTorch's name for "cpu" or "gpu:0"."""
    return device.replace("gpu", "cuda")


def device_of(x: Tensor) -> str:
    place = x.device
    return f"gpu:{place.index or 0}" if place.type == "cuda" else str(place)


def devices() -> list[str]:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *[f"gpu:{i}" for i in range(count)]]


def from_numpy(array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
    kind = native_dtype(dtype)
    if (
        torch.compiler.is_dynamo_compiling()
    ):  # where a NumPy array is a tensor in disguise, without NumPy's attributes
        return torch.as_tensor(array).to(native_device(device), kind, copy=True)
    target = dtypes.to_numpy_dtype(dtype)
    if array.dtype == target:
        host = np.array(array, target, order="C", copy=True)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            host = np.array(array, target, order="C", copy=True)
    # What is made inside inference_mode can never be trained, and parameters are drawn at any time.
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False):
            return _own(host, kind, device)
    return _own(host, kind, device)


def _own(host: np.ndarray[Any, Any], kind: Any, device: str) -> Tensor:
    # NumPy's bfloat16 is a foreign type to torch.from_numpy; the bits are the same.
    bits = (
        torch.from_numpy(host.view(np.int16)).view(kind) if kind is torch.bfloat16 else torch.from_numpy(host)
    )
    return bits if device == "cpu" else bits.to(native_device(device))


def to_numpy(x: Tensor) -> np.ndarray[Any, Any]:
    host = x.detach().cpu()
    if host.dtype is torch.bfloat16:
        bits = host.contiguous().view(torch.int16).numpy()
        return bits.view(dtypes.to_numpy_dtype("bfloat16")).copy()
    return np.array(host.numpy(), order="C", copy=True)


def is_concrete(x: Tensor) -> bool:
    if torch.compiler.is_dynamo_compiling():
        return False
    kind = type(x)
    if kind is not torch.Tensor and kind is not torch.nn.Parameter and _is_fake(x):
        return False
    return not (x.device.type == "meta" or torch._C._functorch.is_functorch_wrapped_tensor(x))


def _is_fake(x: Tensor) -> bool:
    from torch._subclasses.fake_tensor import FakeTensor

    return isinstance(x, FakeTensor)


def astype(x: Tensor, dtype: str) -> Tensor:
    return x.to(DTYPES[dtype])


def random_uniform(shape: tuple[int, ...], dtype: str, device: str) -> Tensor:
    return torch.rand(shape, dtype=DTYPES[dtype], device=native_device(device))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "astype": astype,
    "stop_gradient": torch.detach,
    "random_uniform": random_uniform,
}
