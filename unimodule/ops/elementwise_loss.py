"""Losses that compare input and target cell by cell: regression, binary cross entropy, divergence.

The two are promoted to one dtype. A reduction is ``"none"``, ``"mean"`` (over cells, whatever their weights are, unless
it says otherwise) or ``"sum"``.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .. import ops
from ..backend import Backend, Tensor
from ..errors import ArgumentError, ShapeError
from ._dispatch import call, declare, gather, to_float
from .loss import REDUCTIONS, check_reduction, reduce

LOG_FLOOR = -100.0
"""PyTorch's bound for the logarithms of binary cross entropy, and below it the bound of the slope's denominator."""
SLOPE_FLOOR = 1e-12


# ---------------------------------------------------------------------- what an adapter may override
def mse_loss_(input: Tensor, target: Tensor, reduction: str) -> Tensor:
    """What an adapter may override of ``mse_loss``."""
    difference = ops.subtract(input, target)
    return reduce(ops.multiply(difference, difference), reduction)


def l1_loss_(input: Tensor, target: Tensor, reduction: str) -> Tensor:
    """What an adapter may override of ``l1_loss``."""
    return reduce(ops.abs(ops.subtract(input, target)), reduction)


def huber_loss_(input: Tensor, target: Tensor, reduction: str, delta: float) -> Tensor:
    """What an adapter may override of ``huber_loss``."""
    far = ops.abs(ops.subtract(input, target))
    inside = ops.less_equal(far, delta)
    near = ops.where(inside, far, 0.0)
    square = ops.multiply(ops.multiply(near, near), 0.5)
    return reduce(ops.where(inside, square, ops.multiply(ops.subtract(far, 0.5 * delta), delta)), reduction)


def smooth_l1_loss_(input: Tensor, target: Tensor, reduction: str, beta: float) -> Tensor:
    """What an adapter may override of ``smooth_l1_loss``; ``beta`` is positive."""
    far = ops.abs(ops.subtract(input, target))
    inside = ops.less(far, beta)
    near = ops.where(inside, far, 0.0)
    square = ops.divide(ops.multiply(ops.multiply(near, near), 0.5), beta)
    return reduce(ops.where(inside, square, ops.subtract(far, 0.5 * beta)), reduction)


def binary_cross_entropy_with_logits_(
    input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Tensor:
    """What an adapter may override of ``binary_cross_entropy_with_logits``."""
    hit = ops.logsigmoid(input)
    if pos_weight is not None:
        hit = ops.multiply(hit, ops.add(ops.multiply(ops.subtract(pos_weight, 1.0), target), 1.0))
    loss = ops.subtract(ops.multiply(ops.subtract(1.0, target), input), hit)
    return reduce(loss if weight is None else ops.multiply(loss, weight), reduction)


def binary_cross_entropy_(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """What an adapter may override of ``binary_cross_entropy``."""
    loss = _binary_cross_entropy(input, target)
    return reduce(loss if weight is None else ops.multiply(loss, weight), reduction)


for _default in (
    mse_loss_,
    l1_loss_,
    huber_loss_,
    smooth_l1_loss_,
    binary_cross_entropy_with_logits_,
    binary_cross_entropy_,
):
    declare(_default)


def _binary_cross_entropy(input: Tensor, target: Tensor) -> Tensor:
    # Within SLOPE_FLOOR of 0 and 1 PyTorch bounds the slope, and bounds the logarithm elsewhere: there the loss is a
    # constant value on a line of that slope.
    fixed = ops.stop_gradient(input)
    edge = ops.less(ops.multiply(fixed, ops.subtract(1.0, fixed)), SLOPE_FLOOR)
    inner = ops.where(edge, 0.5, input)
    bent = _mixed(ops.log(inner), ops.log1p(ops.negative(inner)), target)
    low = ops.log(ops.where(edge, fixed, 0.5))
    high = ops.log1p(ops.negative(ops.where(edge, fixed, 0.5)))
    value = _mixed(ops.maximum(low, LOG_FLOOR), ops.maximum(high, LOG_FLOOR), target)
    slope = ops.divide(ops.subtract(fixed, ops.stop_gradient(target)), SLOPE_FLOOR)
    straight = ops.add(value, ops.multiply(slope, ops.subtract(input, fixed)))
    return ops.where(edge, straight, bent)


def _mixed(if_one: Tensor, if_zero: Tensor, target: Tensor) -> Tensor:
    return ops.negative(
        ops.add(ops.multiply(target, if_one), ops.multiply(ops.subtract(1.0, target), if_zero))
    )


# ---------------------------------------------------------------------- arguments
def _pair(
    name: str, input: Tensor, target: Tensor, *more: Tensor | None, reduction: str, same_shape: bool = False
) -> tuple[Any, ...]:
    """The backend and the tensors, floats of one dtype and of shapes that broadcast.

    Warns:
        UserWarning: input and target differ in shape and will broadcast, which is seldom meant.
    """
    check_reduction(name, reduction)
    backend, tensors = gather(name, input, target, *more)
    tensors = [None if t is None else to_float(backend, t) for t in tensors]
    shape, got = backend.shape(tensors[0]), backend.shape(tensors[1])
    if shape != got:
        try:
            np.broadcast_shapes(shape, got)
        except ValueError:
            same_shape = True
        if same_shape:
            raise ShapeError(f"{name} expected target of the input's shape {shape}, got {got}")
        warnings.warn(
            f"{name}: target {got} differs from input {shape} and broadcasts, which is seldom meant; give both one shape",
            UserWarning,
            stacklevel=3,
        )
    return backend, *tensors


def _check_weight(name: str, backend: Backend, weight: Tensor | None, shape: tuple[int, ...]) -> None:
    """Raise ``ShapeError`` unless a weight broadcasts to ``shape``."""
    if weight is None:
        return
    got = backend.shape(weight)
    try:
        fits = np.broadcast_shapes(got, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{name} that broadcasts to {shape}, got {got}")


def _cell_weight(name: str, backend: Backend, weight: Tensor, input: Tensor) -> None:
    if backend.shape(weight) != backend.shape(input):
        raise ShapeError(f"{name} expected weight {backend.shape(input)}, got {backend.shape(weight)}")


# ---------------------------------------------------------------------- what users call
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(input - target)^2, reduced.

    With a ``weight`` of the input's shape each square is multiplied by it, and "mean" divides by the weights' sum.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.ops.mse_loss(np.array([1.0, 3.0]), np.zeros(2)))
        5.0
    """
    backend, input, target, weight = _pair("mse_loss", input, target, weight, reduction=reduction)
    if weight is None:
        return call(backend, "mse_loss", input, target, reduction)
    _cell_weight("mse_loss", backend, weight, input)
    loss = ops.multiply(mse_loss_(input, target, "none"), weight)
    return ops.divide(ops.sum(loss), ops.sum(weight)) if reduction == "mean" else reduce(loss, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """abs(input - target), reduced; ``weight`` as for ``mse_loss``.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.l1_loss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.ops.l1_loss(np.array([1.0, -3.0]), np.zeros(2)))
        2.0
    """
    backend, input, target, weight = _pair("l1_loss", input, target, weight, reduction=reduction)
    if weight is None:
        return call(backend, "l1_loss", input, target, reduction)
    _cell_weight("l1_loss", backend, weight, input)
    loss = ops.multiply(l1_loss_(input, target, "none"), weight)
    return ops.divide(ops.sum(loss), ops.sum(weight)) if reduction == "mean" else reduce(loss, reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d^2 / 2 where d = abs(input - target) <= ``delta``, ``delta`` * (d - ``delta`` / 2) elsewhere, reduced.

    With a ``weight`` of the input's shape each loss is multiplied by it; "mean" divides by the number of cells.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit, or ``delta`` is not positive.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.huber_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none").tolist()
        [0.125, 2.5]
    """
    if delta <= 0:
        raise ArgumentError(f"huber_loss expected delta > 0, got {delta}")
    backend, input, target, weight = _pair("huber_loss", input, target, weight, reduction=reduction)
    if weight is None:
        return call(backend, "huber_loss", input, target, reduction, float(delta))
    _cell_weight("huber_loss", backend, weight, input)
    return reduce(ops.multiply(huber_loss_(input, target, "none", delta), weight), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d^2 / (2 ``beta``) where d = abs(input - target) < ``beta``, d - ``beta`` / 2 elsewhere, reduced.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit, or ``beta`` is negative. With 0 it is ``l1_loss``.

    Source: Girshick, "Fast R-CNN", 2015; https://pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none").tolist()
        [0.125, 2.5]
    """
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss expected beta >= 0, got {beta}")
    backend, input, target = _pair("smooth_l1_loss", input, target, reduction=reduction)
    if beta == 0:
        return call(backend, "l1_loss", input, target, reduction)
    return call(backend, "smooth_l1_loss", input, target, reduction, float(beta))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-weight * (pos_weight * y * log(sigmoid(x)) + (1 - y) * log(1 - sigmoid(x))), reduced.

    Args:
        input: scores x, any shape.
        target: y in [0, 1], of the input's shape.
        weight: broadcasts to the input.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        pos_weight: weight of the positive cases, broadcasts to the input.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.ops.binary_cross_entropy_with_logits(np.zeros(2), np.array([0.0, 1.0])))
        0.6931471805599453
    """
    name = "binary_cross_entropy_with_logits"
    backend, input, target, weight, pos_weight = _pair(
        name, input, target, weight, pos_weight, reduction=reduction, same_shape=True
    )
    _check_weight(f"{name} expected weight", backend, weight, backend.shape(input))
    _check_weight(f"{name} expected pos_weight", backend, pos_weight, backend.shape(input))
    return call(backend, name, input, target, weight, pos_weight, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-weight * (y * log(x) + (1 - y) * log(1 - x)), reduced; logarithms are at least -100.

    Args:
        input: probabilities x in [0, 1], any shape.
        target: y in [0, 1], of the input's shape.
        weight: broadcasts to the input.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit, or (eagerly, on the CPU) an input or target is no probability.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.BCELoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.ops.binary_cross_entropy(np.array([0.5, 0.5]), np.array([0.0, 1.0])))
        0.6931471805599453
    """
    name = "binary_cross_entropy"
    backend, input, target, weight = _pair(name, input, target, weight, reduction=reduction, same_shape=True)
    _check_weight(f"{name} expected weight", backend, weight, backend.shape(input))
    for what, values in (("input", input), ("target", target)):
        if backend.is_concrete(values) and backend.device(values) == "cpu":
            host = backend.to_numpy(values)
            if ((host < 0) | (host > 1)).any():
                raise ArgumentError(
                    f"{name} expected {what} in [0, 1], got values in [{host.min()}, {host.max()}]"
                )
    return call(backend, name, input, target, weight, reduction)


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target * (log(target) - input), reduced: the divergence of exp(input) from target.

    Args:
        input: log-probabilities, any shape.
        target: probabilities, or log-probabilities with ``log_target``; 0 log 0 is 0.
        reduction: ``"none"``, ``"mean"`` (over cells), ``"sum"``, or ``"batchmean"``: the sum divided by the first
            axis's size, which is the divergence's definition.
        log_target: whether ``target`` is given as logarithms.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.ops.kl_div(np.log(np.array([0.5, 0.5])), np.array([0.5, 0.5])))
        0.0
    """
    check_reduction("kl_div", reduction, (*REDUCTIONS, "batchmean"))
    backend, input, target = _pair("kl_div", input, target, reduction="none")
    if log_target:
        loss = ops.multiply(ops.exp(target), ops.subtract(target, input))
    else:
        nothing = ops.equal(target, 0)
        entropy = ops.multiply(target, ops.log(ops.where(nothing, 1.0, target)))
        loss = ops.subtract(entropy, ops.multiply(target, input))
    if reduction == "batchmean":
        total = ops.sum(loss)
        return ops.divide(total, backend.shape(input)[0]) if backend.shape(input) else total
    return reduce(loss, reduction)


__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]
