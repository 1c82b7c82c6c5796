"""Convolutions over one to three spatial axes, with and without a batch axis."""

from __future__ import annotations

from ... import ops
from ...backend import Tensor
from ...errors import ArgumentError
from ...ops._dispatch import gather
from ...ops.convolution import check_conv, check_conv_transpose
from ._arguments import Ints, Size, batched, first, integer, integers

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

Pairs = tuple[tuple[int, int], ...]


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """1-D cross-correlation: y[n, o, i] = b[o] + sum over c, k of w[o, c, k] x[n, c, s i + d k - p].

    Args:
        input: (N, C, L) or (C, L).
        weight: (out, C / groups, k).
        bias: (out,) or None.
        stride: step of the window.
        padding: zeros on both sides; or ``"valid"`` (none), or ``"same"`` (the output has the input's size; only for
            stride 1).
        dilation: distance between neighbouring kernel cells.
        groups: number of blocks that the channels are split into.

    Returns:
        (N, out, L') or (out, L'), L' = floor((L + 2 p - d (k - 1) - 1) / s) + 1.

    Raises:
        ArgumentError: a stride, padding, dilation or groups that makes no sense.
        ShapeError, DtypeError: the tensors do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv1d.html

    Example:
        >>> import numpy as np
        >>> conv1d(np.asarray([[1.0, 2.0, 4.0]]), np.asarray([[[1.0, 1.0]]]))
        array([[3., 6.]])
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """2-D cross-correlation: ``conv1d`` over (N, C, H, W) or (C, H, W) with weight (out, C / groups, kH, kW).

    ``stride``, ``padding`` and ``dilation`` are one integer or one for each axis.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html

    Example:
        >>> import numpy as np
        >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), padding="same").shape
        (1, 1, 3, 3)
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """3-D cross-correlation: ``conv1d`` over (N, C, D, H, W) or (C, D, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.conv3d(np.ones((1, 2, 3, 4, 5)), np.ones((6, 2, 2, 2, 2))).shape
        (1, 6, 2, 3, 4)
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The gradient of ``conv1d`` with respect to its input, as a map of its own.

    Args:
        input: (N, in, L) or (in, L).
        weight: (in, out / groups, k).
        bias: (out,) or None.
        stride: distance at which neighbouring input cells add the kernel to the output.
        padding: cells cut off on both sides of the output.
        output_padding: so many fewer are cut off on the right; smaller than stride or dilation.
        groups: number of blocks that the channels are split into.
        dilation: distance between neighbouring kernel cells.

    Returns:
        (N, out, L') or (out, L'), L' = (L - 1) s - 2 p + d (k - 1) + output_padding + 1.

    Raises:
        ArgumentError: a stride, padding, dilation or groups that makes no sense.
        ShapeError, DtypeError: the tensors do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose1d.html

    Example:
        >>> import numpy as np
        >>> conv_transpose1d(np.asarray([[1.0, 2.0]]), np.asarray([[[1.0, 10.0]]]), stride=2)
        array([[ 1., 10.,  2., 20.]])
    """
    return _transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, dilation, groups
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """``conv_transpose1d`` over (N, in, H, W) or (in, H, W) with weight (in, out / groups, kH, kW).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.conv_transpose2d(np.ones((1, 2, 3, 4)), np.ones((2, 6, 2, 2)), stride=2).shape
        (1, 6, 6, 8)
    """
    return _transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, dilation, groups
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """``conv_transpose1d`` over (N, in, D, H, W) or (in, D, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.conv_transpose3d(np.ones((1, 2, 3, 4, 5)), np.ones((2, 6, 2, 2, 2)), stride=2).shape
        (1, 6, 6, 8, 10)
    """
    return _transpose(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, dilation, groups
    )


# ---------------------------------------------------------------------- shared with the layers
def conv_padding(name: str, padding: Size | str, kernel: Ints, stride: Ints, dilation: Ints) -> Pairs:
    """The zeros before and after each axis that a ``padding`` argument stands for.

    ``"same"`` puts the odd one of d (k - 1) zeros on the right.

    Raises:
        ArgumentError: an unknown word, ``"same"`` with a stride, or not one or ``len(kernel)`` integers.
    """
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if padding != "same":
            raise ArgumentError(f"{name} expected padding 'same', 'valid' or integers, got {padding!r}")
        if any(s != 1 for s in stride):
            raise ArgumentError(f"{name} with padding='same' expected stride 1, got {stride}")
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((p, p) for p in integers(name, "padding", padding, len(kernel), 0))


def _conv(
    name: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
) -> Tensor:
    _, (input, weight, bias) = gather(name, input, weight, bias, same_dtype=())
    steps = integers(name, "stride", stride, rank, 1)
    spread = integers(name, "dilation", dilation, rank, 1)
    groups = integer(name, "groups", groups, 1)
    x, has_batch = batched(name, input, rank + 2)
    pads = conv_padding(name, padding, tuple(weight.shape)[2:] or (1,) * rank, steps, spread)
    check_conv(x, weight, bias, steps, pads, spread, groups, name=name)
    y = ops.conv(x, weight, bias, steps, pads, spread, groups)
    return y if has_batch else first(y)


def _transpose(
    name: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size,
    output_padding: Size,
    dilation: Size,
    groups: int,
) -> Tensor:
    _, (input, weight, bias) = gather(name, input, weight, bias, same_dtype=())
    steps = integers(name, "stride", stride, rank, 1)
    cut = integers(name, "padding", padding, rank, 0)
    extra = integers(name, "output_padding", output_padding, rank, 0)
    spread = integers(name, "dilation", dilation, rank, 1)
    groups = integer(name, "groups", groups, 1)
    x, has_batch = batched(name, input, rank + 2)
    check_conv_transpose(x, weight, bias, steps, cut, extra, spread, groups, name=name)
    y = ops.conv_transpose(x, weight, bias, steps, cut, extra, spread, groups)
    return y if has_batch else first(y)
