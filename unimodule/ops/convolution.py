"""Convolution and its transpose over one to three spatial axes.

All spatial arguments are tuples with one entry for each spatial axis; ``unimodule.nn.functional`` takes PyTorch's
looser forms.
"""

from __future__ import annotations

import math

from .. import ops
from ..backend import Tensor
from ..errors import ShapeError
from ._checks import expect_one_dtype, expect_shape
from ._dispatch import checks, paired
from ._windows import Ints, Pairs, conv_size, expect_output, pad_spatial, spatial, windows


@paired
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Tensor:
    """Cross-correlation: y[n, o, i] = b[o] + sum over c, k of w[o, c, k] x[n, c, s i + d k - p].

    Args:
        x: (N, C, *spatial).
        weight: (out, C / groups, *kernel).
        bias: (out,) or None.
        stride: step of the window, for each axis.
        padding: (before, after) zeros for each axis.
        dilation: distance between neighbouring kernel cells, for each axis.
        groups: channels are split into so many blocks, each with its own part of the weight.

    Returns:
        (N, out, *spatial'), spatial' = floor((L + before + after - d (k - 1) - 1) / s) + 1.

    Raises:
        ShapeError, DtypeError: channels or dtypes do not fit, or the kernel is larger than the padded input.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.conv(np.ones((1, 1, 4)), np.ones((1, 1, 2)), None, (2,), ((0, 0),), (1,), 1)
        array([[[2., 2.]]])
    """
    check_conv(x, weight, bias, stride, padding, dilation, groups)
    n, channels = tuple(x.shape)[:2]
    kernel, outputs = spatial(weight), weight.shape[0]
    out = conv_size(spatial(x), kernel, stride, padding, dilation)
    cells, per_group = math.prod(kernel), channels // groups
    columns = ops.stack(windows(pad_spatial(x, padding), out, kernel, stride, dilation), axis=2)
    columns = ops.reshape(columns, (n, groups, per_group * cells, math.prod(out)))
    rows = ops.reshape(weight, (groups, outputs // groups, per_group * cells))
    y = ops.reshape(ops.matmul(rows, columns), (n, outputs, *out))
    return y if bias is None else y + _per_channel(bias, len(out))


@paired
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    dilation: Ints,
    groups: int,
) -> Tensor:
    """The gradient of ``conv`` with respect to its input, as a map of its own ("deconvolution").

    Every input cell adds its value times the kernel to the output, at a distance of ``stride`` from its neighbours;
    ``padding`` cells are then cut off on both sides, but ``output_padding`` fewer on the right.

    Args:
        x: (N, in, *spatial).
        weight: (in, out / groups, *kernel).
        bias: (out,) or None.
        stride, dilation: as in ``conv``.
        padding: the padding of the ``conv`` that this undoes, one integer for each axis.
        output_padding: extra size on the right of each axis; smaller than stride or dilation.
        groups: as in ``conv``.

    Returns:
        (N, out, *spatial'), spatial' = (L - 1) s - 2 p + d (k - 1) + output_padding + 1.

    Raises:
        ShapeError, DtypeError: channels or dtypes do not fit, or nothing is left of the output.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> x, w = np.asarray([[[1.0, 2.0]]]), np.asarray([[[1.0, 10.0]]])
        >>> ops.conv_transpose(x, w, None, (2,), (0,), (0,), (1,), 1)
        array([[[ 1., 10.,  2., 20.]]])
    """
    check_conv_transpose(x, weight, bias, stride, padding, output_padding, dilation, groups)
    # A convolution of the input, with zeros between its cells, by the mirrored kernel.
    kernel, rank = spatial(weight), len(stride)
    inputs, outputs = weight.shape[0], weight.shape[1] * groups
    rows = ops.reshape(weight, (groups, inputs // groups, outputs // groups, *kernel))
    rows = ops.permute_dims(rows, (0, 2, 1, *range(3, 3 + rank)))
    rows = ops.flip(ops.reshape(rows, (outputs, inputs // groups, *kernel)), axis=tuple(range(2, 2 + rank)))
    margin = tuple(
        (d * (k - 1), d * (k - 1) + extra)
        for k, d, extra in zip(kernel, dilation, output_padding, strict=True)
    )
    y = ops.conv(_spread(x, stride), rows, bias, (1,) * rank, margin, dilation, groups)
    if not any(padding):
        return y
    kept = tuple(slice(p, size - p) for size, p in zip(spatial(y), padding, strict=True))
    return ops.getitem(y, (slice(None), slice(None), *kept))


def _spread(x: Tensor, stride: Ints) -> Tensor:
    """``x`` with s - 1 zeros between neighbours on each spatial axis."""
    if all(s == 1 for s in stride):
        return x
    size, lead = spatial(x), tuple(x.shape)[:2]
    pairs = [k for n in size for k in (n, 1)]
    gaps = [pair for s in stride for pair in ((0, 0), (0, s - 1))]
    x = ops.pad(ops.reshape(x, (*lead, *pairs)), ((0, 0), (0, 0), *gaps))
    x = ops.reshape(x, (*lead, *(n * s for n, s in zip(size, stride, strict=True))))
    kept = tuple(slice(0, (n - 1) * s + 1) for n, s in zip(size, stride, strict=True))
    return ops.getitem(x, (slice(None), slice(None), *kept))


def _per_channel(bias: Tensor, rank: int) -> Tensor:
    return ops.reshape(bias, (1, bias.shape[0], *(1,) * rank))


# ---------------------------------------------------------------------- what a wrong call is told
@checks("conv")
def check_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
    *,
    name: str = "conv",
) -> None:
    """Raise unless the arguments of ``conv`` fit together.

    Raises:
        ShapeError, DtypeError: saying what was expected.
    """
    _check_ranks(name, x, weight, len(stride))
    outputs, per_group = tuple(weight.shape)[:2]
    got = tuple(x.shape)
    if outputs % groups:
        raise ShapeError(
            f"{name} expected a weight with a multiple of groups={groups} outputs, got {outputs}"
        )
    if got[1] != per_group * groups:
        raise ShapeError(
            f"{name} expected input with {per_group * groups} channels on axis 1 for weight {tuple(weight.shape)} and "
            f"groups={groups}, got input {got} with {got[1]}"
        )
    expect_shape(name, "bias", bias, (outputs,), f"weight {tuple(weight.shape)}")
    expect_one_dtype(name, input=x, weight=weight, bias=bias)
    kernel = spatial(weight)
    expect_output(name, x, conv_size(spatial(x), kernel, stride, padding, dilation), kernel)


@checks("conv_transpose")
def check_conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    dilation: Ints,
    groups: int,
    *,
    name: str = "conv_transpose",
) -> None:
    """Raise unless the arguments of ``conv_transpose`` fit together.

    Raises:
        ShapeError, DtypeError: saying what was expected.
    """
    _check_ranks(name, x, weight, len(stride))
    inputs, got = weight.shape[0], tuple(x.shape)
    if got[1] != inputs or inputs % groups:
        raise ShapeError(
            f"{name} expected input with {inputs} channels on axis 1 (a multiple of groups={groups}) for weight "
            f"{tuple(weight.shape)}, got input {got} with {got[1]}"
        )
    for extra, s, d in zip(output_padding, stride, dilation, strict=True):
        if extra >= max(s, d):
            raise ShapeError(
                f"{name} expected output_padding smaller than stride or dilation, got output_padding={output_padding}, "
                f"stride={stride}, dilation={dilation}"
            )
    expect_shape(name, "bias", bias, (weight.shape[1] * groups,), f"weight {tuple(weight.shape)}")
    expect_one_dtype(name, input=x, weight=weight, bias=bias)
    kernel = spatial(weight)
    expect_output(
        name, x, transposed_size(spatial(x), kernel, stride, padding, output_padding, dilation), kernel
    )


def transposed_size(
    size: Ints, kernel: Ints, stride: Ints, padding: Ints, output_padding: Ints, dilation: Ints
) -> Ints:
    """Output size of ``conv_transpose``."""
    return tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        for n, k, s, p, extra, d in zip(size, kernel, stride, padding, output_padding, dilation, strict=True)
    )


def _check_ranks(name: str, x: Tensor, weight: Tensor, rank: int) -> None:
    if len(weight.shape) != rank + 2:
        raise ShapeError(f"{name} expected a weight of {rank + 2} axes, got {tuple(weight.shape)}")
    if len(x.shape) != rank + 2:
        raise ShapeError(f"{name} expected input (N, C, *spatial) of {rank + 2} axes, got {tuple(x.shape)}")


__all__ = ["check_conv", "check_conv_transpose", "conv", "conv_transpose", "transposed_size"]
