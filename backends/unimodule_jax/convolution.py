"""Convolutions of rank 1 to 3 in PyTorch's layouts, as one ``lax.conv_general_dilated`` each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from ._jit import Array, jit

Sizes = tuple[int, ...]


def _layout(rank: int) -> tuple[str, str, str]:
    spatial = "DHW"[3 - rank :]
    return f"NC{spatial}", f"OI{spatial}", f"NC{spatial}"


def _finish(y: Array, bias: Array | None) -> Array:
    if 0 in y.shape[2:]:  # JAX takes a kernel that is larger than its input
        raise ValueError(f"convolution: nothing is left of the spatial axes, {y.shape}")
    return y if bias is None else y + bias.reshape((-1,) + (1,) * (y.ndim - 2))


@jit("stride", "padding", "dilation", "groups")
def conv(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: tuple[tuple[int, int], ...],
    dilation: Sizes,
    groups: int,
) -> Array:
    y = lax.conv_general_dilated(
        x,
        weight,
        window_strides=stride,
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=_layout(len(stride)),
        feature_group_count=groups,
    )
    return _finish(y, bias)


@jit("stride", "padding", "output_padding", "dilation", "groups")
def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    # The gradient of a convolution is one with its input spread out by the stride and its kernel flipped.
    inputs, outputs, *kernel = weight.shape
    spatial = tuple(range(2, weight.ndim))
    swapped = jnp.swapaxes(weight.reshape(groups, inputs // groups, outputs, *kernel), 1, 2)
    flipped = jnp.flip(swapped.reshape(groups * outputs, inputs // groups, *kernel), spatial)
    edges = [d * (k - 1) - p for k, p, d in zip(kernel, padding, dilation, strict=True)]
    y = lax.conv_general_dilated(
        x,
        flipped,
        window_strides=(1,) * len(stride),
        padding=[(edge, edge + extra) for edge, extra in zip(edges, output_padding, strict=True)],
        lhs_dilation=stride,
        rhs_dilation=dilation,
        dimension_numbers=_layout(len(stride)),
        feature_group_count=groups,
    )
    return _finish(y, bias)


FUNCTIONS: dict[str, Callable[..., Any]] = {"conv": conv, "conv_transpose": conv_transpose}
