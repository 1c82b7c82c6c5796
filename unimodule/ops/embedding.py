"""Looking rows up in a table."""

from __future__ import annotations

import functools
from typing import Any

from .. import dtypes, ops
from ..backend import Tensor
from ..errors import DtypeError, ShapeError
from ._dispatch import checks, paired


@paired
def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    """y[...] = weight[indices[...]].

    Args:
        indices: integers of any shape, 0 <= i < rows. They are not checked here; ``nn.functional.embedding`` does.
        weight: (rows, features).

    Returns:
        (*indices.shape, features), of the weight's dtype. Gradients of a row that is looked up repeatedly add up.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.embedding(np.asarray([2, 0]), np.asarray([[1.0], [2.0], [3.0]]))
        array([[3.],
               [1.]])
    """
    return ops.take(weight, indices, axis=0)


@checks("embedding")
def check_embedding(indices: Tensor, weight: Tensor) -> None:
    """Raise unless ``indices`` are integers and ``weight`` is a table.

    Raises:
        ShapeError, DtypeError: saying what was expected.
    """
    if len(weight.shape) != 2:
        raise ShapeError(f"embedding expected a weight (rows, features), got {tuple(weight.shape)}")
    expect_integers(indices)


def expect_integers(indices: Tensor) -> None:
    """Raise unless ``indices`` are integers.

    Raises:
        DtypeError: they are not.
    """
    if not _is_integer(indices.dtype):
        raise DtypeError(f"embedding expected integer indices, got {dtypes.canonical(indices.dtype)}")


@functools.cache
def _is_integer(native_dtype: Any) -> bool:
    return dtypes.is_integer(dtypes.canonical(native_dtype))


__all__ = ["check_embedding", "embedding", "expect_integers"]
