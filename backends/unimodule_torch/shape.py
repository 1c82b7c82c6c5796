"""Shape manipulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from unimodule.backend import Tensor

from .host import or_numpy


def concat(arrays: Sequence[Tensor], *, axis: int = 0) -> Tensor:
    return torch.cat(arrays, axis)


def flip(x: Tensor, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    if axis is None:
        return torch.flip(x, tuple(range(x.ndim)))
    return torch.flip(x, (axis,) if isinstance(axis, int) else axis)


def pad(x: Tensor, widths: Sequence[tuple[int, int]], *, value: float = 0.0) -> Tensor:
    flat = [n for pair in reversed(widths) for n in pair]
    return torch.constant_pad_nd(x, flat, value)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "reshape": torch.reshape,
    "permute_dims": torch.permute,
    "broadcast_to": torch.broadcast_to,
    "concat": concat,
    "flip": or_numpy(flip, np.flip),
    "pad": pad,
}
