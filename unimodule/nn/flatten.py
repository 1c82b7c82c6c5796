"""Merging and splitting axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError
from .module import Module


class Flatten(Module):
    """Makes the axes from ``start_dim`` to ``end_dim``, both included, one.

    Args:
        start_dim: the first axis to merge.
        end_dim: the last one.

    Shape:
        (N, *sizes) -> (N, product of the sizes), by default. A tensor without axes becomes (1,).

    Raises:
        ShapeError: the input has no such axes, or ``end_dim`` comes before ``start_dim``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Flatten.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.Flatten().to("numpy")(np.ones((32, 1, 5, 5))).shape
        (32, 25)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        shape = tuple(input.shape) or (1,)
        rank, start, end = len(shape), self.start_dim, self.end_dim
        start, end = start + rank if start < 0 else start, end + rank if end < 0 else end
        if not 0 <= start <= end < rank:
            raise ShapeError(
                f"Flatten expected input with axes from start_dim={self.start_dim} to end_dim={self.end_dim}, got {shape}"
            )
        return ops.reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))

    def extra_repr(self) -> str:
        """The two ends."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits an axis into several.

    Args:
        dim: the axis.
        unflattened_size: the sizes that it is split into; one of them may be -1, which stands for what is left.

    Shape:
        (..., product of the sizes, ...) -> (..., *sizes, ...).

    Raises:
        ArgumentError: ``dim`` is no integer (named axes are not supported), or the sizes are not integers.
        ShapeError: the input has no such axis, or it is no product of the sizes.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Unflatten.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.Unflatten(1, (2, 5, 5)).to("numpy")(np.ones((2, 50))).shape
        (2, 2, 5, 5)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        given: Any = unflattened_size
        sizes = tuple(given) if isinstance(given, Sequence) else ()
        if not _is_int(dim):
            raise ArgumentError(f"Unflatten expected dim to be an integer, got {dim!r}")
        if not sizes or not all(_is_int(n) and n >= -1 for n in sizes) or sizes.count(-1) > 1:
            raise ArgumentError(
                f"Unflatten expected unflattened_size to be sizes, one of them -1 at most, got {given!r}"
            )
        self.dim = dim
        self.unflattened_size = sizes

    def forward(self, input: Tensor) -> Tensor:
        shape = tuple(input.shape)
        if not -len(shape) <= self.dim < len(shape):
            raise ShapeError(f"Unflatten expected input with an axis {self.dim}, got {shape}")
        axis = self.dim % len(shape)
        known = math.prod(n for n in self.unflattened_size if n != -1)
        rest = shape[axis] // known if known else 0
        sizes = tuple(rest if n == -1 else n for n in self.unflattened_size)
        if math.prod(sizes) != shape[axis]:
            raise ShapeError(
                f"Unflatten expected axis {self.dim} to be a product of {self.unflattened_size}, got {shape}"
            )
        return ops.reshape(input, (*shape[:axis], *sizes, *shape[axis + 1 :]))

    def extra_repr(self) -> str:
        """The axis and the sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


__all__ = ["Flatten", "Unflatten"]
