"""Convolution and its transpose, with MXNet's (oneDNN's, cuDNN's) kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .operators import (
    Array,
    array,
    broadcast,
    differentiable,
    dtype_of,
    op,
    recording,
    reshape_to,
    slice_axis,
    transpose_to,
)
from .shape import pad

Ints = tuple[int, ...]

_convolution = op("Convolution")
_deconvolution = op("Deconvolution")
_slice = op("_npi_slice")
_add = op("_npi_add")
_flip = op("_npi_flip")


def conv(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Ints,
    padding: tuple[tuple[int, int], ...],
    dilation: Ints,
    groups: int,
) -> Array:
    kernel = weight.shape[2:]
    if x.size == 0:
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        sizes = zip(x.shape[2:], padding, reach, stride, strict=True)
        return _empty(x, weight.shape[0], tuple((n + sum(p) - r) // s + 1 for n, p, r, s in sizes))
    even = all(before == after for before, after in padding)
    if not even:  # MXNet pads both sides alike
        x = pad(x, ((0, 0), (0, 0), *padding))
    return _convolution(
        *((x, weight) if bias is None else (x, weight, bias)),
        kernel=kernel,
        stride=stride,
        dilate=dilation,
        pad=tuple(before for before, _ in padding) if even else (0,) * len(kernel),
        num_filter=weight.shape[0],
        num_group=groups,
        no_bias=bias is None,
    )


def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    dilation: Ints,
    groups: int,
) -> Array:
    # With the zeros of dilation in the kernel: MXNet's dilated deconvolution is wrong in float64.
    weight = _spread(weight, dilation)
    kernel = weight.shape[2:]
    channels = weight.shape[1] * groups
    if x.size == 0:
        sizes = zip(x.shape[2:], stride, padding, kernel, output_padding, strict=True)
        return _empty(x, channels, tuple((n - 1) * s - 2 * p + k + o for n, s, p, k, o in sizes))
    if not _natively(x, weight):
        return _by_convolution(x, weight, bias, stride, padding, output_padding, groups)
    fits = all(o < s for o, s in zip(output_padding, stride, strict=True))
    out = _deconvolution(
        *((x, weight) if bias is None or not fits else (x, weight, bias)),
        kernel=kernel,
        stride=stride,
        pad=padding if fits else (0,) * len(kernel),
        adj=output_padding if fits else (0,) * len(kernel),
        num_filter=channels,
        num_group=groups,
        no_bias=bias is None or not fits,
    )
    if 0 in out.shape[2:]:  # which MXNet takes
        raise ValueError(f"conv_transpose: nothing is left of the spatial axes, {out.shape}")
    if fits:
        return out
    # MXNet takes an output padding below the stride only. Cut and pad its full output instead.
    widths = tuple((-p, o - p) for p, o in zip(padding, output_padding, strict=True))
    size = out.shape[2:]
    out = _slice(
        out,
        begin=(0, 0, *(max(-before, 0) for before, _ in widths)),
        end=(*out.shape[:2], *(n + min(after, 0) for n, (_, after) in zip(size, widths, strict=True))),
    )
    out = pad(out, ((0, 0), (0, 0), *((0, max(after, 0)) for _, after in widths)))
    return out if bias is None else _add(out, reshape_to(bias, newshape=(1, -1, *(1,) * len(kernel))))


def _natively(x: Array, weight: Array) -> bool:
    """Whether MXNet's deconvolution is up to it.

    It has none of three axes in float64, and in float32 the gradient of a weight that is no variable of the tape
    itself fails ("could not execute a primitive"), and all of oneDNN with it from then on.
    """
    if dtype_of(x) == "float64":
        return bool(weight.ndim < 5)
    return not differentiable() or (not recording.by_others and weight.grad is not None)


def _by_convolution(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
) -> Array:
    """The transposed convolution as a convolution of ``x`` with zeros between its cells."""
    kernel, inputs, outputs = weight.shape[2:], weight.shape[0], weight.shape[1]
    weight = _flip(weight, axis=tuple(range(2, weight.ndim)))
    weight = reshape_to(weight, newshape=(groups, inputs // groups, outputs, *kernel))
    weight = transpose_to(weight, axes=(0, 2, 1, *range(3, weight.ndim)))
    weight = reshape_to(weight, newshape=(groups * outputs, inputs // groups, *kernel))
    sides = zip(kernel, padding, output_padding, strict=True)
    margin = [(k - 1 - p, k - 1 - p + o) for k, p, o in sides]
    x = _spread(x, stride)
    x = pad(x, ((0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in margin)))
    out = conv(x, weight, bias, (1,) * len(kernel), ((0, 0),) * len(kernel), (1,) * len(kernel), groups)
    begin = (0, 0, *(max(-a, 0) for a, _ in margin))
    end = (*out.shape[:2], *(n - max(-b, 0) for n, (_, b) in zip(out.shape[2:], margin, strict=True)))
    return _slice(out, begin=begin, end=end)


def _spread(x: Array, steps: Ints) -> Array:
    """``x`` with ``step - 1`` zeros between its cells along each spatial axis."""
    for axis, step in enumerate(steps, start=2):
        shape = x.shape
        if step > 1 and shape[axis] > 1:
            apart = reshape_to(x, newshape=(math.prod(shape[: axis + 1]), 1, math.prod(shape[axis + 1 :])))
            wide = (*shape[:axis], shape[axis] * step, *shape[axis + 1 :])
            x = reshape_to(pad(apart, ((0, 0), (0, step - 1), (0, 0))), newshape=wide)
            x = slice_axis(x, axis=axis, begin=0, end=wide[axis] - step + 1)
    return x


def _empty(x: Array, channels: int, spatial: Ints) -> Array:
    """The output for a batch of nothing, on which MXNet's kernels fail."""
    return broadcast(array(0, dtype_of(x), x.ctx), (x.shape[0], channels, *spatial))


FUNCTIONS: dict[str, Callable[..., Any]] = {"conv": conv, "conv_transpose": conv_transpose}
