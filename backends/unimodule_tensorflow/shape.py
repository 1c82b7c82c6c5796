"""Shapes, dtypes, and joining tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._tools import axes_of, pad_or_crop, reshape, tensor, transpose, vector


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return raw.BroadcastTo(input=x, shape=vector(shape))


def concat(arrays: Sequence[Tensor], *, axis: int = 0) -> Tensor:
    if len(arrays) == 1:
        return tensor(arrays[0])
    return raw.ConcatV2(values=list(arrays), axis=axis)


def flip(x: Tensor, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    return raw.ReverseV2(tensor=x, axis=vector(axes_of(x, axis)))


def pad(x: Tensor, widths: Sequence[tuple[int, int]], *, value: float = 0.0) -> Tensor:
    return tensor(pad_or_crop(x, widths, value))


def astype(x: Tensor, dtype: str) -> Tensor:
    return tf.cast(tensor(x), dtype)  # cast alone would return a variable of that dtype


def stop_gradient(x: Tensor) -> Tensor:
    return tf.stop_gradient(x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "reshape": reshape,
    "permute_dims": transpose,
    "broadcast_to": broadcast_to,
    "concat": concat,
    "flip": flip,
    "pad": pad,
    "astype": astype,
    "stop_gradient": stop_gradient,
}
