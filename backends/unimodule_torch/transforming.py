"""Batching and rematerialisation."""

from __future__ import annotations

from collections.abc import Callable

import torch

from unimodule.backend import Tensor

from .control import recording

Flat = Callable[[list[Tensor]], list[Tensor]]


def vmap(fn: Flat, values: list[Tensor], axes: list[int]) -> list[Tensor]:
    batched = torch.func.vmap(
        lambda *slices: tuple(fn(list(slices))), in_dims=tuple(axes), randomness="different"
    )
    return list(batched(*values))


def checkpoint(fn: Flat, values: list[Tensor]) -> list[Tensor]:
    from torch.utils.checkpoint import checkpoint as native
    from torch.utils.checkpoint import set_checkpoint_early_stop

    if (
        recording()
    ):  # into one graph, of which inductor decides what is kept; random numbers would be drawn twice
        return fn(values)
    # The form that is not reentrant finds what fn closes over; it also puts the random state back. It would leave fn
    # early, by an exception, which is not for fn to see.
    with set_checkpoint_early_stop(False):
        out: list[Tensor] = native(lambda *tensors: fn(list(tensors)), *values, use_reentrant=False)
    return out
