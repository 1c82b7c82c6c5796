"""Sliding windows over the spatial axes, of which convolution and pooling are made.

A tensor here is (N, C, *spatial); a size, kernel, stride or dilation is a tuple with one entry for each spatial axis,
and padding is one ``(before, after)`` pair for each.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .. import ops
from ..backend import Tensor
from ..errors import ShapeError

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def spatial(x: Tensor) -> Ints:
    """The sizes of the axes after batch and channels."""
    return tuple(x.shape)[2:]


def span(kernel: Sequence[int], dilation: Sequence[int]) -> Ints:
    """How many cells a dilated kernel reaches over: d (k - 1) + 1."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def conv_size(size: Sequence[int], kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Ints:
    """Output size of a convolution: floor((L + before + after - d (k - 1) - 1) / s) + 1."""
    reach = span(kernel, dilation)
    return tuple((n + sum(p) - r) // s + 1 for n, p, r, s in zip(size, padding, reach, stride, strict=True))


def pool_size(
    size: Sequence[int], kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Ints:
    """Output size of a pooling, as PyTorch has it.

    ``ceil_mode`` rounds up, but drops a last window that would start in the padding on the right.
    """
    out = []
    for n, r, s, p in zip(size, span(kernel, dilation), stride, padding, strict=True):
        count = (n + 2 * p - r + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        out.append(count)
    return tuple(out)


def pool_padding(
    size: Sequence[int], out: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> Pairs:
    """Padding that makes room for every window: on the right more than was asked for where ``ceil_mode`` adds one."""
    reach = span(kernel, dilation)
    return tuple(
        (p, max(p, (o - 1) * s + r - n - p))
        for n, o, r, s, p in zip(size, out, reach, stride, padding, strict=True)
    )


def pad_spatial(x: Tensor, padding: Pairs, value: float = 0.0) -> Tensor:
    """``x`` with ``value`` around its spatial axes."""
    if not any(map(any, padding)):
        return x
    return ops.pad(x, ((0, 0), (0, 0), *padding), value=value)


def windows(x: Tensor, out: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> list[Tensor]:
    """For each offset in the kernel, row-major, the cells of ``x`` under it: a list of (N, C, *out)."""
    steps = [
        [slice(i * d, i * d + (o - 1) * s + 1, s) for i in range(k)]
        for o, k, s, d in zip(out, kernel, stride, dilation, strict=True)
    ]
    return [ops.getitem(x, (slice(None), slice(None), *step)) for step in itertools.product(*steps)]


def expect_output(name: str, x: Tensor, out: Ints, kernel: Ints) -> None:
    """Raise unless every output axis has at least one cell.

    Raises:
        ShapeError: the kernel is larger than the padded input.
    """
    if min(out, default=1) < 1:
        raise ShapeError(
            f"{name} got input {tuple(x.shape)}, which is too small for kernel {kernel}: the output would be {out}"
        )
