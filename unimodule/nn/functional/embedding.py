"""Embedding lookups."""

from __future__ import annotations

from ... import ops
from ...backend import Backend, Tensor
from ...errors import ArgumentError
from ...ops._dispatch import gather
from ...ops.embedding import check_embedding
from .normalization import norm

__all__ = ["embedding"]


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """y[...] = weight[input[...]].

    Args:
        input: integers of any shape, 0 <= i < rows.
        weight: (rows, features).
        padding_idx: a row that gets no gradient; counted from the end where negative.
        max_norm: rows that are looked up and longer than this are scaled to it, w * max_norm / (||w|| + 1e-7); the
            gradient does not see the scaling, as in PyTorch. Unlike PyTorch's, this function does not write the scaled
            rows back into ``weight``.
        norm_type: the exponent p of that norm.
        scale_grad_by_freq: divide the gradient of each row by the number of times that ``input`` has it.
        sparse: taken for PyTorch's sake; gradients are dense.

    Returns:
        (*input.shape, features), of ``weight``'s dtype.

    Raises:
        OutOfRangeError: an index is out of range (eager on CPU).
        ArgumentError: ``padding_idx`` is out of range.
        ShapeError, DtypeError: ``weight`` is no table, or ``input`` no integers.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html

    Example:
        >>> import numpy as np
        >>> embedding(np.asarray([2, 0]), np.asarray([[1.0], [2.0], [3.0]]))
        array([[3.],
               [1.]])
    """
    backend, (indices, weight) = gather("embedding", input, weight, same_dtype=())
    check_embedding(indices, weight)
    padding = row_index("embedding", padding_idx, weight.shape[0])
    return lookup(backend, indices, weight, padding, max_norm, norm_type, scale_grad_by_freq)


# ---------------------------------------------------------------------- shared with the layer
def row_index(name: str, padding_idx: int | None, rows: int) -> int | None:
    """``padding_idx`` counted from the front.

    Raises:
        ArgumentError: there is no such row.
    """
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise ArgumentError(f"{name} expected padding_idx within {rows} rows, got {padding_idx}")
    return padding_idx % rows


def lookup(
    backend: Backend,
    indices: Tensor,
    weight: Tensor,
    padding_idx: int | None,
    max_norm: float | None,
    norm_type: float,
    scale_grad_by_freq: bool,
) -> Tensor:
    """``embedding`` with arguments known to be good but for the range of ``indices``."""
    backend.check_indices(indices, weight.shape[0])
    y = ops.embedding(indices, weight)
    if max_norm is not None:
        y = _clamp_norm(y, max_norm, norm_type)
    if scale_grad_by_freq:
        y = _scale_gradient(backend, y, indices)
    if padding_idx is not None:
        y = ops.where(ops.expand_dims(ops.equal(indices, padding_idx), axis=-1), ops.stop_gradient(y), y)
    return y


def _clamp_norm(y: Tensor, max_norm: float, norm_type: float) -> Tensor:
    rows = ops.stop_gradient(y)
    size = norm(rows, norm_type, (len(y.shape) - 1,))
    short = ops.where(size > max_norm, rows * (max_norm / (size + 1e-7)), rows)
    return short + (y - rows)  # the value is `short`, the gradient y's


def _scale_gradient(backend: Backend, y: Tensor, indices: Tensor) -> Tensor:
    """``y`` whose gradient is divided by the number of times that its index occurs."""
    flat = ops.reshape(indices, (-1,))
    if backend.is_concrete(indices):
        ordered = ops.sort(flat)
        count = ops.searchsorted(ordered, flat, side="right") - ops.searchsorted(ordered, flat, side="left")
    else:  # compilers take no search on the host: each index beside each
        same = ops.equal(ops.expand_dims(flat, axis=1), ops.expand_dims(flat, axis=0))
        count = ops.sum(ops.astype(same, y.dtype), axis=1)
    share = 1 / ops.astype(ops.reshape(count, (*tuple(indices.shape), 1)), y.dtype)
    fixed = ops.stop_gradient(y)
    return fixed + (y - fixed) * share
