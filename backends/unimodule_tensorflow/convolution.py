"""Convolutions.

TensorFlow's kernels compute every forward convolution in two dimensions, but on CPU not the gradients of those with
dilation or groups. Both gradients of a convolution are convolutions themselves, with the parts of stride and dilation
exchanged; ``_closed`` writes them so, and thereby any order of derivative comes down to the forward kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._layout import FORMAT_FIRST, FORMAT_LAST, add_bias, channels_first, to_first, to_last
from ._tools import custom_gradient, dims, pad_or_crop, rank, reshape, transpose, vector

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Tensor:
    return add_bias(
        _conv(x, weight, tuple(stride), tuple((a, b) for a, b in padding), tuple(dilation), groups), bias
    )


def _conv(x: Tensor, w: Tensor, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Tensor:
    """A convolution of any rank without bias, differentiable as often as one likes."""
    spatial = len(stride)
    if rank(x) != spatial + 2 or rank(w) != spatial + 2:
        raise ValueError(f"conv of {spatial} spatial axes got input {x.shape} and weight {w.shape}")
    known = None not in (x.shape[1], *w.shape[:2])
    if known and (x.shape[1] != w.shape[1] * groups or w.shape[0] % groups):  # the kernels read other groups
        raise ValueError(f"input {x.shape} and weight {w.shape} do not fit with {groups} groups")
    if spatial == 1:
        x, w = raw.ExpandDims(input=x, axis=2), raw.ExpandDims(input=w, axis=2)
        out = _conv(x, w, (1, *stride), ((0, 0), *padding), (1, *dilation), groups)
        return raw.Squeeze(input=out, axis=[2])
    if x.shape[0] == 0:
        return _of_nothing(x, w, stride, padding, dilation, groups)
    simple = groups == 1 and all(d == 1 for d in dilation)
    if spatial == 3:
        return (
            _conv3d(x, w, stride, padding) if simple else _by_depth(x, w, stride, padding, dilation, groups)
        )
    if simple or channels_first(x, w):
        return _conv2d(x, w, stride, padding, dilation)
    if groups == x.shape[1] and stride[0] == stride[1] and dilation == (1, 1):
        return _depthwise(x, w, stride, padding)
    return _closed(stride, padding, dilation, groups)(x, w)


def _of_nothing(x: Tensor, w: Tensor, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Tensor:
    """The convolution of an empty batch: oneDNN's kernels give it the shape of the input."""
    size = [
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    ]
    return tf.zeros((0, w.shape[0], *size), x.dtype)


# ---------------------------------------------------------------------- on the kernels
def _conv2d(x: Tensor, w: Tensor, stride: Ints, padding: Pairs, dilation: Ints) -> Tensor:
    filters = transpose(w, (2, 3, 1, 0))
    (top, bottom), (left, right) = padding
    if channels_first(x, w):
        return raw.Conv2D(
            input=x,
            filter=filters,
            strides=[1, 1, *stride],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 0, 0, top, bottom, left, right],
            dilations=[1, 1, *dilation],
            data_format="NCHW",
        )
    if stride[0] == 1 < stride[1] and x.shape[1] == 1 and _one_column(x, w, stride, padding, dilation):
        across = (0, 1, 3, 2)
        out = _conv2d(transpose(x, across), transpose(w, across), stride[::-1], padding[::-1], dilation[::-1])
        return transpose(out, across)
    padded = top or bottom or left or right
    out = raw.Conv2D(
        input=to_last(x),
        filter=filters,
        strides=[1, *stride, 1],
        padding="EXPLICIT" if padded else "VALID",
        explicit_paddings=[0, 0, top, bottom, left, right, 0, 0] if padded else [],
        dilations=[1, *dilation, 1],
    )
    return to_first(out)


def _one_column(x: Tensor, w: Tensor, stride: Ints, padding: Pairs, dilation: Ints) -> bool:
    """Whether a result may be several rows of one column: oneDNN's kernel loses some of those for batches of one channel
    where only columns have a stride. Rows and columns exchanged are right.
    """
    rows, columns = (
        None if n is None else (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    )
    return rows != 1 and columns in (1, None)


def _depthwise(x: Tensor, w: Tensor, stride: Ints, padding: Pairs) -> Tensor:
    """One group for each channel."""
    out, _, height, width = w.shape
    filters = reshape(transpose(w, (2, 3, 0, 1)), (height, width, x.shape[1], out // x.shape[1]))
    (top, bottom), (left, right) = padding
    y = raw.DepthwiseConv2dNative(
        input=to_last(x),
        filter=filters,
        strides=[1, *stride, 1],
        padding="EXPLICIT",
        explicit_paddings=[0, 0, top, bottom, left, right, 0, 0],
    )
    return to_first(y)


def _conv3d(x: Tensor, w: Tensor, stride: Ints, padding: Pairs) -> Tensor:
    x = pad_or_crop(x, ((0, 0), (0, 0), *padding))  # the kernel knows no explicit padding
    filters = transpose(w, (2, 3, 4, 1, 0))
    if channels_first(x, w):
        return raw.Conv3D(
            input=x, filter=filters, strides=[1, 1, *stride], padding="VALID", data_format=FORMAT_FIRST[3]
        )
    out = raw.Conv3D(
        input=to_last(x), filter=filters, strides=[1, *stride, 1], padding="VALID", data_format=FORMAT_LAST[3]
    )
    return to_first(out)


def _by_depth(x: Tensor, w: Tensor, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Tensor:
    """Three dimensions as a sum of two-dimensional convolutions, one for each depth of the kernel: the 3-D kernel has
    neither groups nor, in float64, dilation.
    """
    x = transpose(pad_or_crop(x, ((0, 0), (0, 0), padding[0], (0, 0), (0, 0))), (0, 2, 1, 3, 4))
    batch, depth, channels, height, width = dims(x)
    taps, step, gap = w.shape[2], stride[0], dilation[0]
    count = (depth - gap * (taps - 1) - 1) // step + 1
    if isinstance(count, int) and count <= 0:
        raise ValueError(f"kernel of depth {gap * (taps - 1) + 1} does not fit an input of depth {depth}")
    terms = []
    for tap in range(taps):
        first = tap * gap
        planes = x[:, first : first + (count - 1) * step + 1 : step]
        planes = reshape(planes, (batch * count, channels, height, width))
        terms.append(_conv(planes, w[:, :, tap], stride[1:], padding[1:], dilation[1:], groups))
    out = terms[0] if len(terms) == 1 else raw.AddN(inputs=terms)
    return transpose(reshape(out, (batch, count, *dims(out)[1:])), (0, 2, 1, 3, 4))


# ---------------------------------------------------------------------- gradients that are convolutions
@functools.lru_cache(maxsize=512)
def _closed(stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A two-dimensional convolution whose gradients are convolutions."""

    def run(x: Tensor, w: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        out = _conv2d(x, w, stride, padding, dilation)

        def gradient(dy: Tensor) -> tuple[Tensor, Tensor]:
            to_x = _to_input(dy, w, dims(x)[2:], stride, padding, dilation, groups)
            return to_x, _to_weight(x, dy, w, stride, padding, dilation, groups)

        return out, gradient

    return custom_gradient(run)


def _to_input(
    dy: Tensor,
    w: Tensor,
    size: Sequence[int],
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Tensor:
    """What a convolution with ``w`` from an input of ``size`` gives back for ``dy``: ``dy`` with zeros between its
    cells, convolved with the mirrored kernels.
    """
    spread = _spread(dy, stride)
    kernel = w.shape[2:]
    widths = []
    for n, length, k, d, (before, _) in zip(size, dims(spread)[2:], kernel, dilation, padding, strict=True):
        reach = d * (k - 1)
        widths.append((reach - before, n - length - (reach - before) + reach))
    spread = pad_or_crop(spread, ((0, 0), (0, 0), *widths))
    n = len(stride)
    return _conv(spread, _turned(w, groups), (1,) * n, ((0, 0),) * n, dilation, groups)


def _to_weight(
    x: Tensor, dy: Tensor, w: Tensor, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Tensor:
    """The gradient for the weight of a two-dimensional convolution: ``x`` convolved with ``dy``, with batch and
    channels exchanged, and stride and dilation, too.
    """
    batch, channels, *size = dims(x)
    if x.shape[0] == 0:
        return tf.zeros_like(w)
    inner = channels // groups
    planes = transpose(reshape(x, (batch, groups, inner, *size)), (2, 1, 0, 3, 4))
    planes = reshape(planes, (inner, groups * batch, *size))
    out = _conv(planes, transpose(dy, (1, 0, 2, 3)), dilation, padding, stride, groups)
    out = raw.Slice(input=out, begin=vector((0, 0, 0, 0)), size=vector((-1, -1, *w.shape[2:])))
    return transpose(out, (1, 0, 2, 3))


def _spread(x: Tensor, stride: Ints) -> Tensor:
    """``x`` (N, C, *spatial) with ``stride - 1`` zeros between neighbours."""
    if all(s == 1 for s in stride):
        return x
    batch, channels, *size = dims(x)
    n = len(stride)
    split = reshape(x, (batch, channels, *(m for length in size for m in (length, 1))))
    widths = [(0, 0), (0, 0)]
    for s in stride:
        widths += [(0, 0), (0, s - 1)]
    # Pad takes eight axes at most; three spatial ones make eight.
    filled = reshape(
        pad_or_crop(split, widths), (batch, channels, *(m * s for m, s in zip(size, stride, strict=True)))
    )
    return pad_or_crop(filled, ((0, 0), (0, 0), *((0, 1 - s) for s in stride[:n])))


def _turned(w: Tensor, groups: int) -> Tensor:
    """Kernels (out, in/groups, *kernel) of the convolution that goes the other way: (in, out/groups, *kernel), each
    mirrored in space.
    """
    out, inner, *kernel = w.shape
    n = len(kernel)
    w = raw.ReverseV2(tensor=w, axis=vector(range(2, 2 + n)))
    if groups == 1:
        return transpose(w, (1, 0, *range(2, 2 + n)))
    w = reshape(w, (groups, out // groups, inner, *kernel))
    w = transpose(w, (0, 2, 1, *range(3, 3 + n)))
    return reshape(w, (groups * inner, out // groups, *kernel))


# ---------------------------------------------------------------------- transposed
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
    spatial = len(stride)
    if rank(x) != spatial + 2 or rank(weight) != spatial + 2 or x.shape[1] != weight.shape[0]:
        raise ValueError(
            f"conv_transpose of {spatial} spatial axes got input {x.shape}, weight {weight.shape}"
        )
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + extra
        for n, s, p, d, k, extra in zip(
            dims(x)[2:], stride, padding, dilation, weight.shape[2:], output_padding, strict=True
        )
    ]
    if any(isinstance(n, int) and n <= 0 for n in size):
        raise ValueError(f"conv_transpose of input {x.shape} would have an output of spatial size {size}")
    pairs = tuple((p, p) for p in padding)
    native = spatial == 2 and groups == 1 and dilation == (1, 1)
    native = native and all(extra < s for extra, s in zip(output_padding, stride, strict=True))
    if native and all(p < k for p, k in zip(padding, weight.shape[2:], strict=True)):
        out = _backprop_input(x, weight, size, stride, pairs)
    else:
        out = _to_input(x, weight, size, tuple(stride), pairs, tuple(dilation), groups)
    return add_bias(out, bias)


def _backprop_input(x: Tensor, w: Tensor, size: Sequence[Any], stride: Ints, padding: Pairs) -> Tensor:
    filters = transpose(w, (2, 3, 1, 0))
    (top, bottom), (left, right) = padding
    if channels_first(x, w):
        return raw.Conv2DBackpropInput(
            input_sizes=vector((dims(x)[0], w.shape[1], *size)),
            filter=filters,
            out_backprop=x,
            strides=[1, 1, *stride],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 0, 0, top, bottom, left, right],
            data_format=FORMAT_FIRST[2],
        )
    out = raw.Conv2DBackpropInput(
        input_sizes=vector((dims(x)[0], *size, w.shape[1])),
        filter=filters,
        out_backprop=to_last(x),
        strides=[1, *stride, 1],
        padding="EXPLICIT",
        explicit_paddings=[0, 0, top, bottom, left, right, 0, 0],
    )
    return to_first(out)


FUNCTIONS: dict[str, Callable[..., Any]] = {"conv": conv, "conv_transpose": conv_transpose}
