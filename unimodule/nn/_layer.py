"""What PyTorch's layers have in common beside Module."""

from __future__ import annotations

import math
from typing import Any

from . import init
from .module import Module
from .parameter import Initializer


def place(module: Module, device: str | None, dtype: Any) -> None:
    """Do as a constructor's ``device`` and ``dtype`` say. A device binds the layer to the default backend."""
    if device is not None or dtype is not None:
        module.to(device=device, dtype=dtype)


def settle(module: Module, lazy: type[Module], regular: type[Module]) -> None:
    """Make a lazy layer, now that it knows its sizes, a regular one, as PyTorch does; a user's subclass stays itself."""
    if type(module) is lazy:
        module.__class__ = regular


def bias_init(fan_in: int) -> Initializer:
    """U(-b, b) with b = 1 / sqrt(fan_in), from which PyTorch draws the bias of linear and convolution layers."""
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return init.uniform(-bound, bound)


def weight_init() -> Initializer:
    """U(-b, b) with b = 1 / sqrt(fan_in), in PyTorch's words."""
    return init.kaiming_uniform(a=math.sqrt(5))
