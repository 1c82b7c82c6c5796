"""Activations, softmax and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from unimodule.backend import Tensor

from .tensors import is_concrete

_GELU_IS_EXACT = 1e30
"""From here on (from 14, in truth) gelu is its argument."""
_VECTORIZED = frozenset({torch.float32, torch.bfloat16})


def gelu(x: Tensor, approximate: str) -> Tensor:
    y = F.gelu(x, approximate=approximate)
    if approximate == "none" and x.device.type == "cpu" and x.dtype in _VECTORIZED and _may_be_large(x):
        # The vectorized kernel overflows on its way, from half the largest number on, and makes NaN of infinity.
        return torch.where(x > _GELU_IS_EXACT, x, y)
    return y


def _may_be_large(x: Tensor) -> bool:
    """Whether gelu is to be corrected: looking for it costs a small part of what the correction does."""
    if not is_concrete(x):
        return True
    return x.numel() > 0 and not x.detach().amax().item() <= _GELU_IS_EXACT  # NaN, too


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    # one slope, or one a channel with an axis of size 1 for each axis after it
    return torch.prelu(x, slope.reshape(-1) if slope.ndim else slope)


def dropout(x: Tensor, p: float) -> Tensor:
    return torch.dropout(x, p, True)


# Not celu and hardsigmoid: PyTorch computes them with float32 constants, in float64 too.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": gelu,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
    "glu": F.glu,
    "hardshrink": F.hardshrink,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "logsigmoid": F.logsigmoid,
    "mish": F.mish,
    "prelu": prelu,
    "selu": F.selu,
    "softshrink": F.softshrink,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "threshold": F.threshold,
    "softmax": torch.softmax,
    "log_softmax": torch.log_softmax,
    "dropout": dropout,
}
