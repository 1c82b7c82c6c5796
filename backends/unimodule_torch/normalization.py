"""Batch, layer and group normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from unimodule.backend import Tensor

_HALF = frozenset({torch.float16, torch.bfloat16})
_CUDNN = True  # let PyTorch choose its fused kernel, as torch.nn does


def _channels(t: Tensor, x: Tensor) -> Tensor:
    return t.reshape([-1 if axis == 1 else 1 for axis in range(x.ndim)])


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        y = y * _channels(weight, y)
    return y if bias is None else y + _channels(bias, y)


def _exact(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` in float32 for 16-bit floats on the CPU, whose kernels round the statistics that the gradient needs to
    16 bits (on a GPU they keep 32): where a mean is larger than the deviation the gradient comes out as noise.
    """

    def call(x: Tensor, *args: Any) -> Any:
        dtype = x.dtype
        if dtype not in _HALF or x.is_cuda:
            return fn(x, *args)
        wide = [a.to(torch.float32) if isinstance(a, torch.Tensor) else a for a in (x, *args)]
        out = fn(*wide)
        return tuple(o.to(dtype) for o in out) if isinstance(out, tuple) else out.to(dtype)

    return call


def _flat(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` with one spatial axis on the CPU. With two or three the kernel for the gradient takes some gradients whose
    axes lie in another order than the input's for what they are not, and gives wrong numbers.
    """

    def call(x: Tensor, *args: Any) -> Any:
        if x.ndim < 4 or x.is_cuda:
            return fn(x, *args)
        out = fn(x.flatten(2), *args)
        return (out[0].reshape(x.shape), *out[1:]) if isinstance(out, tuple) else out.reshape(x.shape)

    return call


def batch_norm(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    if mean.requires_grad or var.requires_grad:  # the fused kernel has no gradient for the statistics
        return _affine((x - _channels(mean, x)) * torch.rsqrt(_channels(var, x) + eps), weight, bias)
    return torch.batch_norm(x, weight, bias, mean, var, False, 0.0, eps, _CUDNN)


def batch_norm_train(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    channels = x.shape[1]
    count = x.numel() // channels if channels else 0
    if count < 2:  # the kernel divides by count - 1
        axes = [axis for axis in range(x.ndim) if axis != 1]
        var, mean = torch.var_mean(x, axes, correction=0)
        y = (x - _channels(mean, x)) * torch.rsqrt(_channels(var, x) + eps)
        return _affine(y, weight, bias), mean.detach(), var.detach()
    # With momentum 1 the kernel leaves the batch's own statistics in its running ones, which saves a pass over x; the
    # inverse deviation that it returns as well does not tell small variances from eps.
    mean, var = x.new_zeros(channels), x.new_zeros(channels)
    y = torch.batch_norm(x, weight, bias, mean, var, True, 1.0, eps, _CUDNN)
    return y, mean, var * ((count - 1) / count)


def group_norm(x: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    if weight is None and bias is not None:  # "tensor does not have a device", says PyTorch 2.13
        return torch.group_norm(x, num_groups, None, None, eps) + _channels(bias, x)
    return torch.group_norm(x, num_groups, weight, bias, eps)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "batch_norm": _exact(_flat(batch_norm)),
    "batch_norm_train": _exact(_flat(batch_norm_train)),
    "layer_norm": _exact(torch.layer_norm),
    "group_norm": _exact(group_norm),
}
