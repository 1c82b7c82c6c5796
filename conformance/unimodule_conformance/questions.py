"""Modules that ask ``ops`` what a tensor is, and compute with the answer; they use unimodule only."""

from __future__ import annotations

from typing import Any

import unimodule as um
from unimodule import nn, ops

Tensor = Any


class Shaped(nn.Module):
    """x times the number of its elements and of its axes: ``ops.shape``."""

    def forward(self, x: Tensor) -> Tensor:
        count = 1
        for size in ops.shape(x):
            count *= size
        return x * float(count + len(ops.shape(x)))


class Typed(nn.Module):
    """x plus ones of its own dtype: ``ops.dtype``."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.add(x, ops.ones((), dtype=ops.dtype(x), like=x))


class Placed(nn.Module):
    """x moved to the device where it is: ``ops.device`` and ``ops.to_device``."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.to_device(x * 2.0, ops.device(x))


class Converted(nn.Module):
    """x converted to the backend that it is of: ``ops.convert``. The copy has no gradient of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.multiply(x, ops.convert(ops.stop_gradient(x), um.backend_of(x)))


class Item(nn.Module):
    """x times its sum as a Python number: ``ops.item``."""

    def forward(self, x: Tensor) -> Tensor:
        return x * float(ops.item(ops.sum(ops.stop_gradient(x))))


class HostSum(nn.Module):
    """x plus the sum of its magnitudes, worked out by NumPy: ``ops.to_numpy``."""

    def forward(self, x: Tensor) -> Tensor:
        return x + float(abs(ops.to_numpy(ops.stop_gradient(x))).sum())


class Dtypes(nn.Module):
    """x times what ``ops`` says of dtypes: ``can_cast``, ``isdtype``, ``finfo``, ``iinfo``, ``result_type``."""

    def __init__(self, about: str, *dtypes: str) -> None:
        super().__init__()
        self.about, self.dtypes = about, dtypes

    def forward(self, x: Tensor) -> Tensor:
        names = self.dtypes
        if self.about == "can_cast":
            return x * (2.0 if ops.can_cast(names[0], names[1]) else 3.0)
        if self.about == "isdtype":
            return x * (2.0 if ops.isdtype(names[0], names[1]) else 3.0)
        if self.about == "finfo":
            info = ops.finfo(names[0])
            return x * float(info.bits) + float(info.eps)
        if self.about == "iinfo":
            return x * float(ops.iinfo(names[0]).bits)
        return ops.astype(ops.astype(ops.round(x), ops.result_type(*names)), ops.dtype(x))


__all__ = ["Converted", "Dtypes", "HostSum", "Item", "Placed", "Shaped", "Typed"]
