"""Normalisation. All functions here are pure: running statistics are read, never written."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ... import ops
from ...backend import Tensor
from ...errors import ArgumentError, ShapeError
from ...ops._dispatch import expect_tensor, gather
from ...ops.normalization import check_batch_norm, check_group_norm, check_layer_norm
from ._arguments import Size, integer

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "normalize"]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel.

    Unlike PyTorch's, this function never writes ``running_mean`` and ``running_var``, so ``momentum`` changes nothing.
    Who needs the batch's own statistics takes ``ops.batch_norm_train(x, weight, bias, eps)``, which returns them beside
    y; with n values for each channel, PyTorch's update is ``running_mean + momentum * (mean - running_mean)`` and the
    same with ``var * n / (n - 1)``. ``nn.BatchNorm2d`` does all this.

    Args:
        input: (N, C, *spatial); spatial may be empty.
        running_mean, running_var: (C,); the statistics to use when not training. Ignored, and may be None, in training.
        weight, bias: (C,) or None.
        training: use mean and biased variance of this batch.
        momentum: taken for PyTorch's sake.
        eps: added to the variance.

    Returns:
        A tensor of ``input``'s shape and dtype.

    Raises:
        ArgumentError: no statistics, and not training.
        ShapeError, DtypeError: sizes or dtypes do not fit; only one value for each channel in training.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html

    Example:
        >>> import numpy as np
        >>> batch_norm(np.asarray([[1.0], [3.0]]), None, None, training=True, eps=0.0)
        array([[-1.],
               [ 1.]])
    """
    _, (input, mean, var, weight, bias) = gather(
        "batch_norm", input, running_mean, running_var, weight, bias, same_dtype=()
    )
    check_batch_norm(input, mean, var, weight, bias, eps)
    if training:
        expect_many("batch_norm", input, math.prod(input.shape) // max(input.shape[1], 1))
        return ops.batch_norm_train(input, weight, bias, eps)[0]
    if mean is None or var is None:
        raise ArgumentError("batch_norm expected running_mean and running_var when not training, got None")
    return ops.batch_norm(input, mean, var, weight, bias, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: Size,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias over the last axes, with the biased variance.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: sizes of the last axes, over which mean and variance are taken.
        weight, bias: of shape ``normalized_shape``, or None.
        eps: added to the variance.

    Returns:
        A tensor of ``input``'s shape and dtype.

    Raises:
        ArgumentError: ``normalized_shape`` is empty or not integers.
        ShapeError, DtypeError: sizes or dtypes do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html

    Example:
        >>> import numpy as np
        >>> layer_norm(np.asarray([[1.0, 3.0]]), (2,), eps=0.0)
        array([[-1.,  1.]])
    """
    _, (input, weight, bias) = gather("layer_norm", input, weight, bias, same_dtype=())
    shape = normal_shape("layer_norm", normalized_shape)
    check_layer_norm(input, shape, weight, bias, eps)
    return ops.layer_norm(input, shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias, for each sample and block of channels.

    Args:
        input: (N, C, *spatial).
        num_groups: number of blocks, a divisor of C.
        weight, bias: (C,) or None.
        eps: added to the variance.

    Returns:
        A tensor of ``input``'s shape and dtype.

    Raises:
        ArgumentError: ``num_groups`` is no positive integer.
        ShapeError, DtypeError: sizes or dtypes do not fit; one value in all for each channel of a block.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.group_norm.html

    Example:
        >>> import numpy as np
        >>> group_norm(np.asarray([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0)
        array([[-1.,  1., -1.,  1.]])
    """
    _, (input, weight, bias) = gather("group_norm", input, weight, bias, same_dtype=())
    groups = integer("group_norm", "num_groups", num_groups, 1)
    check_group_norm(input, groups, weight, bias, eps)
    expect_many("group_norm", input, math.prod(input.shape) // groups)
    return ops.group_norm(input, groups, weight, bias, eps)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias, for each sample and channel.

    Args:
        input: (N, C, *spatial).
        running_mean, running_var: (C,); used instead of the input's own where ``use_input_stats`` is False. Never
            written.
        weight, bias: (C,) or None.
        use_input_stats: take mean and biased variance over the spatial axes of each sample and channel.
        momentum: taken for PyTorch's sake.
        eps: added to the variance.

    Returns:
        A tensor of ``input``'s shape and dtype.

    Raises:
        ArgumentError: no statistics, and ``use_input_stats`` is False.
        ShapeError, DtypeError: sizes or dtypes do not fit; only one spatial cell to take statistics of.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.instance_norm.html

    Example:
        >>> import numpy as np
        >>> instance_norm(np.asarray([[[1.0, 3.0], [5.0, 9.0]]]), eps=0.0)
        array([[[-1.,  1.],
                [-1.,  1.]]])
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    _, (input, mean, var, weight, bias) = gather(
        "instance_norm", input, running_mean, running_var, weight, bias, same_dtype=()
    )
    check_batch_norm(input, mean, var, weight, bias, eps)
    expect_many("instance_norm", input, math.prod(tuple(input.shape)[2:]))
    return ops.group_norm(input, input.shape[1], weight, bias, eps)


def normalize(input: Tensor, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12) -> Tensor:
    """y = x / max(||x||_p, eps) along ``dim``.

    Args:
        input: a float tensor.
        p: the exponent of the norm; infinity is the largest absolute value, 0 the number of nonzero cells.
        dim: the axis, or axes, along which the norm is taken.
        eps: the smallest divisor.

    Returns:
        A tensor of ``input``'s shape and dtype. The norm's gradient at a zero vector is 0.

    Raises:
        ShapeError: there is no such axis.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html

    Example:
        >>> import numpy as np
        >>> normalize(np.asarray([[3.0, 4.0]]))
        array([[0.6, 0.8]])
    """
    expect_tensor("normalize", input)
    axes = (dim,) if isinstance(dim, int) else tuple(dim)
    rank = len(input.shape)
    if any(not -rank <= a < rank for a in axes):
        raise ShapeError(
            f"normalize expected dim of an input with {rank} axes, got {dim!r} for {tuple(input.shape)}"
        )
    return ops.divide(input, ops.clip(norm(input, p, tuple(a % rank for a in axes)), eps, None))


# ---------------------------------------------------------------------- shared with the layers
def norm(x: Tensor, p: float, axes: tuple[int, ...]) -> Tensor:
    """(sum |x|^p)^(1/p) over ``axes``, which stay with size 1; its gradient where the norm is 0 is 0."""
    size = ops.abs(x)
    if p == math.inf:
        return ops.max(size, axis=axes, keepdims=True)
    if p == -math.inf:
        return ops.min(size, axis=axes, keepdims=True)
    if p == 0:
        return ops.sum(ops.where(size > 0, ops.ones_like(x), ops.zeros_like(x)), axis=axes, keepdims=True)
    if p == 1:
        return ops.sum(size, axis=axes, keepdims=True)
    total = ops.sum(x * x if p == 2 else ops.pow(size, p), axis=axes, keepdims=True)
    # The root has no slope at 0, where a chain of gradients would make NaN of infinity times zero.
    zero = ops.equal(total, 0)
    one = ops.ones_like(total)
    root = ops.sqrt(ops.where(zero, one, total)) if p == 2 else ops.pow(ops.where(zero, one, total), 1 / p)
    return ops.where(zero, ops.zeros_like(total), root)


def normal_shape(name: str, value: Size) -> tuple[int, ...]:
    """``normalized_shape`` as a tuple.

    Raises:
        ArgumentError: it is empty or not non-negative integers.
    """
    items = (value,) if isinstance(value, int) else tuple(value)
    if not items:
        raise ArgumentError(f"{name} expected normalized_shape with at least one size, got {value!r}")
    return tuple(integer(name, "normalized_shape", n, 0) for n in items)


def expect_many(name: str, x: Tensor, values: int) -> None:
    """Raise where a variance would be taken of a single value.

    Raises:
        ShapeError: ``values`` is 1.
    """
    if values == 1:
        raise ShapeError(
            f"{name} expected more than one value for each channel to take a variance of, got input {tuple(x.shape)}"
        )
