"""Channels first or last: TensorFlow's CPU kernels want them last, its GPU kernels take them first as PyTorch does."""

from __future__ import annotations

import functools

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._tools import transpose, vector

TO_LAST = {2: (0, 2, 3, 1), 3: (0, 2, 3, 4, 1)}
TO_FIRST = {2: (0, 3, 1, 2), 3: (0, 4, 1, 2, 3)}
FORMAT_LAST = {2: "NHWC", 3: "NDHWC"}
FORMAT_FIRST = {2: "NCHW", 3: "NCDHW"}


@functools.cache
def have_gpu() -> bool:
    """Whether TensorFlow sees a GPU; asking does not initialise it."""
    return bool(tf.config.list_physical_devices("GPU"))


def channels_first(*tensors: Tensor) -> bool:
    """Whether the kernels will run where they take channels first. A graph's tensors name no device, its variables do;
    where nothing does, channels last is right everywhere, and TensorFlow's layout optimiser sees to GPUs.
    """
    return have_gpu() and any("GPU" in x.device for x in tensors)


def to_last(x: Tensor) -> Tensor:
    """(N, C, *spatial) -> (N, *spatial, C), for two or three spatial axes."""
    return transpose(x, TO_LAST[x.shape.rank - 2])


def to_first(x: Tensor) -> Tensor:
    """(N, *spatial, C) -> (N, C, *spatial)."""
    return transpose(x, TO_FIRST[x.shape.rank - 2])


def add_bias(x: Tensor, bias: Tensor | None) -> Tensor:
    """``x`` (N, C, *spatial) plus a bias for each channel."""
    if bias is None:
        return x
    if 0 in tuple(x.shape):  # which the CPU kernel takes for a wrong number of biases
        return raw.AddV2(x=x, y=raw.Reshape(tensor=bias, shape=vector((-1, *(1,) * (x.shape.rank - 2)))))
    return raw.BiasAdd(value=x, bias=bias, data_format="NCHW")
