"""Normalisation: batch, layer and group."""

from __future__ import annotations

import math

from .. import ops
from ..backend import Tensor
from ..errors import ShapeError
from ._checks import expect_one_dtype, expect_shape
from ._dispatch import checks, unary


@unary
def batch_norm(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise each channel with given statistics: y = (x - mean) / sqrt(var + eps) * weight + bias.

    Args:
        x: (N, C, *spatial); spatial may be empty.
        mean, var: (C,).
        weight, bias: (C,) or None.
        eps: added to the variance.

    Returns:
        A tensor of ``x``'s shape and dtype.

    Source: Ioffe and Szegedy, https://arxiv.org/abs/1502.03167

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.batch_norm(np.asarray([[3.0]]), np.asarray([1.0]), np.asarray([4.0]), None, None, 0.0)
        array([[1.]])
    """
    check_batch_norm(x, mean, var, weight, bias, eps)
    y = (x - _channels(mean, x)) / ops.sqrt(_channels(var, x) + eps)
    return _affine(
        y, None if weight is None else _channels(weight, x), None if bias is None else _channels(bias, x)
    )


@unary
def batch_norm_train(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each channel with the statistics of this very batch.

    Args:
        x: (N, C, *spatial); spatial may be empty.
        weight, bias: (C,) or None.
        eps: added to the variance.

    Returns:
        y of ``x``'s shape; the mean (C,) and the biased variance (C,) over all axes but 1, from which a layer updates
        its running statistics.

    Source: Ioffe and Szegedy, https://arxiv.org/abs/1502.03167

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> y, mean, var = ops.batch_norm_train(np.asarray([[1.0], [3.0]]), None, None, 0.0)
        >>> float(mean[0]), float(var[0]), y[:, 0]
        (2.0, 1.0, array([-1.,  1.]))
    """
    check_batch_norm_train(x, weight, bias, eps)
    axes = tuple(a for a in range(len(x.shape)) if a != 1)
    mean = ops.mean(x, axis=axes)
    off = x - _channels(mean, x)
    var = ops.mean(off * off, axis=axes)
    return ops.batch_norm(x, mean, var, weight, bias, eps), mean, var


@unary
def layer_norm(
    x: Tensor, normalized_shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise over the last axes: y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias, with the biased variance.

    Args:
        x: (..., *normalized_shape).
        normalized_shape: sizes of the axes over which mean and variance are taken.
        weight, bias: of shape ``normalized_shape``, or None.
        eps: added to the variance.

    Returns:
        A tensor of ``x``'s shape and dtype.

    Raises:
        ShapeError: ``x`` does not end in ``normalized_shape``.

    Source: Ba, Kiros and Hinton, https://arxiv.org/abs/1607.06450

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.layer_norm(np.asarray([[1.0, 3.0]]), (2,), None, None, 0.0)
        array([[-1.,  1.]])
    """
    check_layer_norm(x, normalized_shape, weight, bias, eps)
    return _affine(_standardize(x, tuple(range(-len(normalized_shape), 0)), eps), weight, bias)


@unary
def group_norm(x: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Normalise each sample over blocks of channels: y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias.

    Args:
        x: (N, C, *spatial); mean and biased variance are taken over C / num_groups channels and all of spatial.
        num_groups: a divisor of C.
        weight, bias: (C,) or None.
        eps: added to the variance.

    Returns:
        A tensor of ``x``'s shape and dtype.

    Raises:
        ShapeError: C is no multiple of ``num_groups``.

    Source: Wu and He, https://arxiv.org/abs/1803.08494

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.group_norm(np.asarray([[1.0, 3.0, 5.0, 9.0]]), 2, None, None, 0.0)
        array([[-1.,  1., -1.,  1.]])
    """
    check_group_norm(x, num_groups, weight, bias, eps)
    shape = tuple(x.shape)
    blocks = ops.reshape(x, (shape[0], num_groups, math.prod(shape[1:]) // num_groups))
    y = ops.reshape(_standardize(blocks, (-1,), eps), shape)
    return _affine(
        y, None if weight is None else _channels(weight, x), None if bias is None else _channels(bias, x)
    )


def _channels(t: Tensor, x: Tensor) -> Tensor:
    """A (C,) tensor shaped to broadcast against ``x``."""
    return ops.reshape(t, (1, t.shape[0], *(1,) * (len(x.shape) - 2)))


def _standardize(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    off = x - ops.mean(x, axis=axes, keepdims=True)
    return off / ops.sqrt(ops.mean(off * off, axis=axes, keepdims=True) + eps)


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


# ---------------------------------------------------------------------- what a wrong call is told
@checks("batch_norm")
def check_batch_norm(
    x: Tensor, mean: Tensor | None, var: Tensor | None, weight: Tensor | None, bias: Tensor | None, eps: float
) -> None:
    """Raise unless statistics, weight and bias have one entry for each channel.

    Raises:
        ShapeError, DtypeError: saying what was expected.
    """
    if len(x.shape) < 2:
        raise ShapeError(f"batch_norm expected input (N, C, *spatial), got {tuple(x.shape)}")
    _check_affine("batch_norm", x, (x.shape[1],), {"mean": mean, "var": var, "weight": weight, "bias": bias})


@checks("batch_norm_train")
def check_batch_norm_train(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> None:
    """``check_batch_norm`` without statistics."""
    check_batch_norm(x, None, None, weight, bias, eps)


@checks("layer_norm")
def check_layer_norm(
    x: Tensor, normalized_shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float
) -> None:
    """Raise unless ``x`` ends in ``normalized_shape``, which weight and bias have.

    Raises:
        ShapeError, DtypeError: saying what was expected.
    """
    got, wanted = tuple(x.shape), tuple(normalized_shape)
    if not wanted or got[-len(wanted) :] != wanted:
        raise ShapeError(f"layer_norm expected input that ends in normalized_shape {wanted}, got {got}")
    _check_affine("layer_norm", x, wanted, {"weight": weight, "bias": bias})


@checks("group_norm")
def check_group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> None:
    """Raise unless the channels divide into ``num_groups`` and weight and bias have one entry for each.

    Raises:
        ShapeError, DtypeError: saying what was expected.
    """
    if len(x.shape) < 2:
        raise ShapeError(f"group_norm expected input (N, C, *spatial), got {tuple(x.shape)}")
    if x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm expected a multiple of num_groups={num_groups} channels on axis 1, got input {tuple(x.shape)}"
        )
    _check_affine("group_norm", x, (x.shape[1],), {"weight": weight, "bias": bias})


def _check_affine(name: str, x: Tensor, wanted: tuple[int, ...], given: dict[str, Tensor | None]) -> None:
    for what, tensor in given.items():
        expect_shape(name, what, tensor, wanted, f"input {tuple(x.shape)}")
    expect_one_dtype(name, input=x, **given)


__all__ = [
    "batch_norm",
    "batch_norm_train",
    "check_batch_norm",
    "check_group_norm",
    "check_layer_norm",
    "group_norm",
    "layer_norm",
]
