"""Affine and bilinear maps."""

from __future__ import annotations

from ... import ops
from ...backend import Tensor
from ...errors import ShapeError
from ...ops._dispatch import gather
from ...ops.linear import check_linear

__all__ = ["bilinear", "linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x W^T + b.

    Args:
        input: (..., in).
        weight: (out, in), or (in,) for one output without an axis.
        bias: (out,), or () beside a weight (in,).

    Returns:
        (..., out), or (...).

    Raises:
        ShapeError: sizes do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.linear.html

    Example:
        >>> import numpy as np
        >>> linear(np.ones((1, 2)), np.asarray([[1.0, 2.0]]))
        array([[3.]])
    """
    _, (input, weight, bias) = gather("linear", input, weight, bias, same_dtype=())
    if len(weight.shape) == 2:
        check_linear(input, weight, bias)
        return ops.linear(input, weight, bias)
    if len(weight.shape) != 1 or (bias is not None and len(bias.shape)):
        raise ShapeError(
            f"linear expected weight (out, in) with bias (out,), or weight (in,) with bias (), got weight "
            f"{tuple(weight.shape)}{'' if bias is None else f' and bias {tuple(bias.shape)}'}"
        )
    row = ops.reshape(weight, (1, weight.shape[0]))
    check_linear(input, row)
    y = ops.linear(input, row, None if bias is None else ops.reshape(bias, (1,)))
    return ops.squeeze(y, axis=-1)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_o = x1^T W_o x2 + b_o.

    Args:
        input1: (..., in1).
        input2: (..., in2), with the same leading axes.
        weight: (out, in1, in2).
        bias: (out,) or None.

    Returns:
        (..., out).

    Raises:
        ShapeError: sizes do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.bilinear.html

    Example:
        >>> import numpy as np
        >>> bilinear(np.asarray([1.0, 2.0]), np.asarray([3.0]), np.asarray([[[1.0], [10.0]]]))
        array([63.])
    """
    _, (input1, input2, weight, bias) = gather("bilinear", input1, input2, weight, bias, same_dtype=())
    left, right, sizes = tuple(input1.shape), tuple(input2.shape), tuple(weight.shape)
    if len(sizes) != 3 or left[-1:] != sizes[1:2] or right[-1:] != sizes[2:] or left[:-1] != right[:-1]:
        raise ShapeError(
            f"bilinear expected inputs (..., in1) and (..., in2) for weight (out, in1, in2), got {left}, {right} and "
            f"{sizes}"
        )
    if bias is not None and tuple(bias.shape) != sizes[:1]:
        raise ShapeError(f"bilinear expected bias {sizes[:1]} for weight {sizes}, got {tuple(bias.shape)}")
    outputs, in1, in2 = sizes
    rows = ops.reshape(ops.permute_dims(weight, (0, 2, 1)), (outputs * in2, in1))
    half = ops.reshape(ops.linear(input1, rows, None), (*left[:-1], outputs, in2))
    y = ops.squeeze(ops.matmul(half, ops.expand_dims(input2, axis=-1)), axis=-1)
    return y if bias is None else y + bias
