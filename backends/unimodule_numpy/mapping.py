"""Batching, as the loop that it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import indexing, shaping

Flat = Callable[[list[Any]], list[Any]]


def vmap(fn: Flat, values: list[Any], axes: list[int]) -> list[Any]:
    size = values[0].shape[axes[0]]
    rows = [
        fn([indexing.take(x, np.asarray(i), axis=axis) for x, axis in zip(values, axes, strict=True)])
        for i in range(size)
    ]
    return [
        shaping.concat([shaping.reshape(y, (1, *y.shape)) for y in column], axis=0)
        for column in zip(*rows, strict=True)
    ]
