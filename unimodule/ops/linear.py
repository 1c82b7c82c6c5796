"""Affine maps."""

from __future__ import annotations

from .. import ops
from ..backend import Tensor
from ..errors import ShapeError
from ._dispatch import checks, paired


@paired
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x W^T + b.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,) or None.

    Returns:
        (..., out), of ``x``'s dtype.

    Raises:
        ShapeError: the last axis of ``x`` is not the weight's.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.linear.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.linear(np.ones((1, 2)), np.asarray([[1.0, 2.0]]), np.asarray([0.5]))
        array([[3.5]])
    """
    y = ops.matmul(x, ops.permute_dims(weight, (1, 0)))
    return y if bias is None else y + bias


@checks("linear")
def check_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    """Raise unless the shapes of a call of ``linear`` fit.

    Raises:
        ShapeError: saying which size was expected.
    """
    got, (out, features) = tuple(x.shape), tuple(weight.shape)
    if not got or got[-1] != features:
        raise ShapeError(
            f"linear expected input (..., {features}) for weight {(out, features)} (out, in), got input {got}"
        )
    if bias is not None and tuple(bias.shape) != (out,):
        raise ShapeError(
            f"linear expected bias {(out,)} for weight {(out, features)}, got {tuple(bias.shape)}"
        )


__all__ = ["check_linear", "linear"]
