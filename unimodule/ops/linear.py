"""Affine maps."""

from __future__ import annotations

from .. import ops
from ..backend import Tensor
from ..errors import ShapeError
from ._checks import expect_one_dtype, expect_shape
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
        ShapeError, DtypeError: sizes or dtypes do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.linear.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.linear(np.ones((1, 2)), np.asarray([[1.0, 2.0]]), np.asarray([0.5]))
        array([[3.5]])
    """
    check_linear(x, weight, bias)
    y = ops.matmul(x, ops.permute_dims(weight, (1, 0)))
    return y if bias is None else y + bias


@checks("linear")
def check_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    """Raise unless the arguments of ``linear`` fit together.

    Raises:
        ShapeError, DtypeError: saying what was expected.
    """
    got, (out, features) = tuple(x.shape), tuple(weight.shape)
    beside = f"weight {(out, features)} (out, in)"
    if not got or got[-1] != features:
        raise ShapeError(f"linear expected input (..., {features}) for {beside}, got input {got}")
    expect_shape("linear", "bias", bias, (out,), beside)
    expect_one_dtype("linear", input=x, weight=weight, bias=bias)


__all__ = ["check_linear", "linear"]
