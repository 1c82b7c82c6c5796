"""Normalisation by given statistics, over the batch, over the last axes and over groups of channels.

``tf.nn.moments`` is not used: it hides the mean from the second derivative of the variance.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw
from ._tools import dims, in_float32, rank, reshape, scalar, vector


def _inverse_deviation(var: Tensor, eps: float) -> Tensor:
    return raw.Rsqrt(x=raw.AddV2(x=var, y=scalar(eps, var)))


def _channels(v: Tensor, x: Tensor) -> Tensor:
    """A value for each channel, shaped to stand beside (N, C, *spatial)."""
    return v if rank(x) == 2 else reshape(v, (-1, *(1,) * (rank(x) - 2)))


def _standardised(x: Tensor, axes: Sequence[int], eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x - mean, the factor that makes its variance 1, mean and variance; all but the first with the axes kept."""
    along = vector(axes)
    mean = raw.Mean(input=x, axis=along, keep_dims=True)
    centred = raw.Sub(x=x, y=mean)
    var = raw.Mean(input=raw.Square(x=centred), axis=along, keep_dims=True)
    return centred, _inverse_deviation(var, eps), mean, var


@in_float32
def batch_norm(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    scale = _inverse_deviation(var, eps)
    if weight is not None:
        scale = raw.Mul(x=scale, y=weight)
    # As PyTorch does: one product and one sum over the large tensor.
    shift = raw.Mul(x=mean, y=scale)
    shift = raw.Neg(x=shift) if bias is None else raw.Sub(x=bias, y=shift)
    return raw.AddV2(x=raw.Mul(x=x, y=_channels(scale, x)), y=_channels(shift, x))


@in_float32
def batch_norm_train(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    axes = [a for a in range(rank(x)) if a != 1]
    centred, scale, mean, var = _standardised(x, axes, eps)
    if weight is not None:
        scale = raw.Mul(x=scale, y=_channels(weight, x))
    out = raw.Mul(x=centred, y=scale)
    if bias is not None:
        out = raw.AddV2(x=out, y=_channels(bias, x))
    return out, reshape(mean, (-1,)), reshape(var, (-1,))


@in_float32
def layer_norm(
    x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    n = len(normalized_shape)
    if tuple(x.shape[rank(x) - n :]) != tuple(normalized_shape):
        raise ValueError(f"the last axes of {x.shape} are not {tuple(normalized_shape)}")
    centred, scale, _, _ = _standardised(x, range(-n, 0), eps)
    out = raw.Mul(x=centred, y=scale)
    if weight is not None:
        out = raw.Mul(x=out, y=weight)
    return out if bias is None else raw.AddV2(x=out, y=bias)


@in_float32
def group_norm(x: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    shape = dims(x)
    batch, channels, *spatial = shape
    inner = functools.reduce(lambda a, b: a * b, spatial, channels // num_groups)
    centred, scale, _, _ = _standardised(reshape(x, (batch, num_groups, inner)), (2,), eps)
    out = reshape(raw.Mul(x=centred, y=scale), shape)
    if weight is not None:
        out = raw.Mul(x=out, y=_channels(weight, x))
    return out if bias is None else raw.AddV2(x=out, y=_channels(bias, x))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "batch_norm": batch_norm,
    "batch_norm_train": batch_norm_train,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
}
