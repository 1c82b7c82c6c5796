"""Devices. TensorFlow computes silently on the CPU where a GPU or a kernel for it is missing, and eagerly puts the result
of any op on the first GPU, wherever its inputs are; here both are undone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from unimodule.backend import Tensor
from unimodule.errors import DeviceError

from ._framework import tf
from ._layout import have_gpu


def native_name(device: str) -> str:
    """TensorFlow's name of a device: "/CPU:0" or "/GPU:1"."""
    return "/CPU:0" if device == "cpu" else f"/{device.upper()}"


@functools.cache
def canonical_name(native: str) -> str:
    """Our name of a device that TensorFlow calls "/job:localhost/replica:0/task:0/device:GPU:0"."""
    kind, _, index = native.rpartition("device:")[2].lstrip("/").partition(":")
    return f"gpu:{int(index or 0)}" if kind == "GPU" else "cpu"


def names() -> list[str]:
    """All devices, by our names."""
    if not have_gpu():
        return ["cpu"]
    share_memory()
    return ["cpu", *(f"gpu:{i}" for i in range(len(tf.config.list_logical_devices("GPU"))))]


@functools.cache
def share_memory() -> None:
    """Let GPU memory be taken as it is needed, not nearly all of it at once, if TensorFlow has not started yet and the
    user has not decided otherwise.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            if tf.config.get_logical_device_configuration(gpu) is None:
                tf.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError):  # it has started: too late, and no harm done
            return


def device_of(x: Tensor) -> str:
    """Our name of the device of a tensor. A symbolic one names none: it will be where TensorFlow puts things."""
    native = x.device
    if not native:
        return "gpu:0" if have_gpu() else "cpu"
    return canonical_name(native)


def move(x: Tensor, device: str) -> Tensor:
    """``x`` on ``device``, differentiably.

    Raises:
        DeviceError: TensorFlow put it elsewhere.
    """
    with tf.device(native_name(device)):
        out = tf.identity(x)
    if out.device and canonical_name(out.device) != device:
        raise DeviceError(
            f"TensorFlow has no device {device!r} and put the tensor on {canonical_name(out.device)!r}"
        )
    return out


# ---------------------------------------------------------------------- keeping results where their inputs are
def _place(args: Any) -> str | None:
    """The device of the first variable among the arguments, else of the first tensor."""
    found = None
    for arg in args:
        if isinstance(arg, tf.Variable):
            return arg.device or None
        if found is None:
            if isinstance(arg, tf.Tensor):
                found = arg.device or None
            elif isinstance(arg, (list, tuple)):
                found = _place(arg)
    return found


def _kept(x: Any, device: str) -> Any:
    if isinstance(x, tf.Tensor) and x.device and x.device != device and x.dtype != tf.int32:
        return tf.identity(x)  # a kernel that this device lacks ran on the CPU
    return x


def stay(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``, with its results on the device of its arguments."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        device = _place((*args, *kwargs.values()))
        if device is None:
            return fn(*args, **kwargs)
        with tf.device(device):
            out = fn(*args, **kwargs)
            if isinstance(out, tuple):
                return tuple(_kept(o, device) for o in out)
            return _kept(out, device)

    return call


def beside(tensors: Sequence[Tensor]) -> AbstractContextManager[Any]:
    """A block whose ops run where the tensors are, on a machine where they could run elsewhere: a backward pass is
    placed anew, it does not follow the forward pass.
    """
    device = _place(tensors) if have_gpu() else None
    return nullcontext() if device is None else tf.device(device)


def on_devices(functions: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """``functions`` as they are on a machine without GPU, where there is nowhere else to go; else kept in place."""
    return {name: stay(fn) for name, fn in functions.items()} if have_gpu() else dict(functions)


__all__ = [
    "beside",
    "canonical_name",
    "device_of",
    "move",
    "names",
    "native_name",
    "on_devices",
    "share_memory",
    "stay",
]
