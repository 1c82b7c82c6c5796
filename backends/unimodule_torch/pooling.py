"""Pooling, in 1 to 3 spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from unimodule.backend import Tensor

_MAX = {3: torch.max_pool1d, 4: torch.max_pool2d, 5: torch.max_pool3d}
_MAX_INDICES = {3: F.max_pool1d_with_indices, 4: F.max_pool2d_with_indices, 5: F.max_pool3d_with_indices}
_ADAPTIVE = {3: F.adaptive_avg_pool1d, 4: F.adaptive_avg_pool2d, 5: F.adaptive_avg_pool3d}
_HALF = frozenset({torch.float16, torch.bfloat16})

Ints = tuple[int, ...]


def max_pool(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool) -> Tensor:
    return _MAX[x.ndim](x, kernel, stride, padding, dilation, ceil_mode)


def max_pool_with_indices(
    x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> tuple[Tensor, Tensor]:
    return _MAX_INDICES[x.ndim](x, kernel, stride, padding, dilation, ceil_mode)


def avg_pool(
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    if x.ndim == 4:
        return F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    if x.ndim == 5:
        if x.dtype in _HALF and not x.is_cuda:  # the one pooling kernel that the CPU lacks for them
            wide = (kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
            return _avg_pool3d(x.to(torch.float32), *wide).to(x.dtype)
        return _avg_pool3d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    if divisor_override is None:
        return F.avg_pool1d(x, kernel, stride, padding, ceil_mode, count_include_pad)
    # avg_pool1d knows no divisor: pool rows one high
    kernel, stride, padding = (1, *kernel), (1, *stride), (0, *padding)
    rows = F.avg_pool2d(
        x.unsqueeze(2), kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
    return rows.squeeze(2)


def _avg_pool3d(
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    sizes = tuple(x.shape[2:])
    if all(k <= n for k, n in zip(kernel, sizes, strict=True)):
        return F.avg_pool3d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    # Unlike its siblings, avg_pool3d wants an input as large as the window without its padding: sums of a padded input.
    margin = tuple(p for p in reversed(padding) for _ in range(2))

    def summed(cells: Tensor) -> Tensor:
        return F.avg_pool3d(cells, kernel, stride, 0, ceil_mode, divisor_override=1)

    if divisor_override is not None:
        count: Tensor | int = divisor_override
    else:
        ones = torch.ones((1, 1, *sizes), dtype=x.dtype, device=x.device)
        count = summed(F.pad(ones, margin, value=1.0 if count_include_pad else 0.0))
    pooled = summed(F.pad(x, margin)) / count
    # In ceil mode a window that starts in the padding behind the input does not count.
    starts = (-(-(n + p) // s) for n, p, s in zip(sizes, padding, stride, strict=True))
    return pooled[(..., *(slice(0, most) for most in starts))]


def adaptive_avg_pool(x: Tensor, output_size: Ints) -> Tensor:
    return _ADAPTIVE[x.ndim](x, output_size)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max_pool": max_pool,
    "max_pool_with_indices": max_pool_with_indices,
    "avg_pool": avg_pool,
    "adaptive_avg_pool": adaptive_avg_pool,
}
