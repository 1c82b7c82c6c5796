"""Dropout, of cells and of whole channels."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...backend import Tensor
from ...errors import ArgumentError, ShapeError
from ...ops._dispatch import expect_tensor

__all__ = ["dropout", "dropout1d", "dropout2d", "dropout3d"]


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """y = x * mask / (1 - p), where each cell of the mask is 0 with probability ``p`` and else 1.

    Args:
        input: of any shape.
        p: 0 <= p <= 1.
        training: False returns ``input`` as it is.
        inplace: taken for PyTorch's sake; arguments are never written.

    Returns:
        A tensor of ``input``'s shape and dtype; masks come from the random state that ``um.seed`` resets.

    Raises:
        ArgumentError: ``p`` is no probability.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html

    Example:
        >>> import numpy as np
        >>> dropout(np.ones(3), p=1.0), dropout(np.ones(2), training=False)
        (array([0., 0., 0.]), array([1., 1.]))
    """
    expect_tensor("dropout", input)
    p = probability("dropout", p)
    if not training or p == 0:
        return input
    return ops.multiply(input, 0) if p == 1 else ops.dropout(input, p)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``dropout`` of whole channels: input (N, C, L) or (C, L), one cell of the mask for each channel of each sample.

    Raises:
        ArgumentError: ``p`` is no probability.
        ShapeError: ``input`` has another number of axes.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.dropout1d.html

    Example:
        >>> import numpy as np
        >>> y = dropout1d(np.ones((4, 3, 5)))
        >>> bool((y == y[:, :, :1]).all())
        True
    """
    return drop_channels("dropout1d", 1, input, p, training)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``dropout`` of whole channels of an input (N, C, H, W). Three axes are, as in PyTorch, (N, C, L).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.dropout2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> y = um.nn.functional.dropout2d(np.ones((4, 3, 2, 2)))
        >>> set(y.sum((2, 3)).ravel().tolist()) <= {0.0, 8.0}
        True
    """
    return drop_channels("dropout2d", 1 if len(input.shape) == 3 else 2, input, p, training)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``dropout`` of whole channels of an input (N, C, D, H, W) or (C, D, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.dropout3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.functional.dropout3d(np.ones((1, 1, 1, 1, 2)), training=False).ravel().tolist()
        [1.0, 1.0]
    """
    return drop_channels("dropout3d", 3, input, p, training)


# ---------------------------------------------------------------------- shared with the layers
def probability(name: str, p: Any) -> float:
    """``p`` as a float.

    Raises:
        ArgumentError: it is no probability.
    """
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise ArgumentError(f"{name} expected a probability between 0 and 1, got p={p!r}")
    return float(p)


def drop_channels(name: str, rank: int, input: Tensor, p: float, training: bool) -> Tensor:
    """``dropout`` with a mask of (N, C), or (C,) without a batch axis, over ``rank`` spatial axes."""
    expect_tensor(name, input)
    p = probability(name, p)
    shape = tuple(input.shape)
    if not rank + 1 <= len(shape) <= rank + 2:
        raise ShapeError(f"{name} expected input of {rank + 1} or {rank + 2} axes, got {shape}")
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0
    ones = ops.ones((*shape[:-rank], *(1,) * rank), dtype=input.dtype, like=input)
    return input * ops.dropout(ones, p)
