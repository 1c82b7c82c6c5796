"""Products of matrices, and embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from unimodule.backend import Tensor

from .host import or_numpy
from .indexing import INDEX_DTYPES


def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    if indices.dtype not in INDEX_DTYPES:
        indices = indices.to(torch.int64)
    return torch.embedding(weight, indices)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "matmul": or_numpy(torch.matmul, np.matmul),
    "linear": F.linear,
    "embedding": embedding,
}
