"""Convolution and its transpose, in 1 to 3 spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from unimodule.backend import Tensor

_CONV = {3: torch.conv1d, 4: torch.conv2d, 5: torch.conv3d}
_CONV_TRANSPOSE = {3: torch.conv_transpose1d, 4: torch.conv_transpose2d, 5: torch.conv_transpose3d}


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    same = []
    for before, after in padding:
        if before != after:  # the kernels pad evenly only
            flat = [n for pair in reversed(padding) for n in pair]
            return _CONV[x.ndim](torch.constant_pad_nd(x, flat), weight, bias, stride, 0, dilation, groups)
        same.append(before)
    return _CONV[x.ndim](x, weight, bias, stride, same, dilation, groups)


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    return _CONV_TRANSPOSE[x.ndim](x, weight, bias, stride, padding, output_padding, groups, dilation)


FUNCTIONS: dict[str, Callable[..., Any]] = {"conv": conv, "conv_transpose": conv_transpose}
