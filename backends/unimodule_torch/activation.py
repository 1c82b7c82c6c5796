"""Activations, softmax and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from unimodule.backend import Tensor


def gelu(x: Tensor, approximate: str) -> Tensor:
    return F.gelu(x, approximate=approximate)


def dropout(x: Tensor, p: float) -> Tensor:
    return torch.dropout(x, p, True)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": gelu,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
    "softmax": torch.softmax,
    "log_softmax": torch.log_softmax,
    "dropout": dropout,
}
