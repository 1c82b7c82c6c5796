"""What the checks of several ops have in common."""

from __future__ import annotations

from .. import dtypes
from ..backend import Tensor
from ..errors import DtypeError, ShapeError


def expect_shape(name: str, what: str, tensor: Tensor | None, shape: tuple[int, ...], beside: str) -> None:
    """Raise unless ``tensor`` is None or has a given shape.

    Raises:
        ShapeError: saying ``beside`` what it was to have that shape.
    """
    if tensor is not None and tuple(tensor.shape) != shape:
        raise ShapeError(f"{name} expected {what} {shape} for {beside}, got {tuple(tensor.shape)}")


def expect_one_dtype(name: str, **tensors: Tensor | None) -> None:
    """Raise unless all tensors have the dtype of the first, which is a floating one.

    Raises:
        DtypeError: listing the dtypes.
    """
    found = {what: dtypes.canonical(tensor.dtype) for what, tensor in tensors.items() if tensor is not None}
    if len(set(found.values())) > 1 or not all(map(dtypes.is_floating, found.values())):
        given = ", ".join(f"{what} {dtype}" for what, dtype in found.items())
        raise DtypeError(f"{name} expected tensors of one floating dtype, got {given}")
