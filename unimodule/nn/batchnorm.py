"""Batch and instance normalisation: layers with running statistics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from .. import dtypes, ops
from ..backend import Tensor
from ..errors import ShapeError
from ..registry import on_forget
from . import init
from ._layer import place, settle
from .functional._arguments import first, integer
from .functional.normalization import expect_many
from .module import Module
from .parameter import Buffer, Parameter


class _Norm(Module):
    """Arguments, parameters and buffers of layers with running statistics."""

    ranks: ClassVar[tuple[int, ...]]
    """Numbers of axes that an input may have."""

    num_features: int
    weight: Any
    bias: Any
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = integer(type(self).__name__, "num_features", num_features, 1)
        self._declare(self.num_features, eps, momentum, affine, track_running_stats, bias)
        place(self, device, dtype)

    def _declare(
        self,
        channels: int | None,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
    ) -> None:
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        shape = (channels,)
        self.weight = Parameter(init.ones(), shape=shape) if affine else None
        self.bias = Parameter(init.zeros(), shape=shape) if affine and bias else None
        self.running_mean = Buffer(init.zeros(), shape=shape) if track_running_stats else None
        self.running_var = Buffer(init.ones(), shape=shape) if track_running_stats else None
        self.num_batches_tracked = Buffer(0) if track_running_stats else None

    def _infer(self, input: Tensor, lazy: type[Module], regular: type[Module]) -> None:
        self._check_rank(input)
        self.num_features = int(input.shape[self._channel_axis(input)])
        for variable in self._variables.values():
            if not variable.shape_known:
                variable.shape = (self.num_features,)
        settle(self, lazy, regular)

    def _channel_axis(self, input: Tensor) -> int:
        return 1

    def _check_rank(self, input: Tensor) -> None:
        if len(input.shape) not in self.ranks:
            ranks = " or ".join(map(str, self.ranks))
            raise ShapeError(f"expected input of {ranks} axes, got {tuple(input.shape)}")

    def _move(self, mean: Tensor, var: Tensor, momentum: Any, unbias: float = 1.0) -> None:
        """Move the running statistics towards those of a batch; ``unbias`` is what its variance is multiplied by."""
        assert self._backend is not None
        name = self._backend.info.name
        rule = _RULES.get(name)
        if rule is None:
            rule = _RULES[name] = self._backend.accelerate(_moved)
        self.running_mean, self.running_var = rule(
            self.running_mean, self.running_var, mean, var, momentum, unbias
        )

    def extra_repr(self) -> str:
        """The number of channels, and all options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


_RULES: dict[str, Callable[..., Any]] = {}
"""By backend, ``_moved`` as the framework runs it fastest."""
on_forget(_RULES.clear)


def _moved(
    running_mean: Tensor, running_var: Tensor, mean: Tensor, var: Tensor, momentum: Any, unbias: float
) -> tuple[Tensor, Tensor]:
    """running = (1 - momentum) running + momentum new, cut off from the gradient."""
    keep = 1 - momentum
    return (
        running_mean * keep + ops.stop_gradient(mean) * momentum,
        running_var * keep + ops.stop_gradient(var) * (momentum * unbias),
    )


class _BatchNorm(_Norm):
    def forward(self, input: Tensor) -> Tensor:
        shape = input.shape
        if len(shape) not in self.ranks or shape[1] != self.num_features:
            self._refuse(input)
        if not self.training and self.running_mean is not None:
            return ops.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, self.eps
            )
        return self._train(input)

    def _refuse(self, input: Tensor) -> None:
        self._check_rank(input)
        if self.affine or self.track_running_stats:  # otherwise nothing depends on it
            raise ShapeError(
                f"expected input with {self.num_features} channels on axis 1, got {tuple(input.shape)}"
            )

    def _train(self, input: Tensor) -> Tensor:
        count = math.prod(input.shape) // max(int(input.shape[1]), 1)
        expect_many(type(self).__name__, input, count if self.training else 0)
        y, mean, var = ops.batch_norm_train(input, self.weight, self.bias, self.eps)
        if self.training and self.running_mean is not None:
            self.num_batches_tracked = ops.add(self.num_batches_tracked, 1)
            momentum: Any = self.momentum
            if momentum is None:  # a plain mean over all batches so far
                momentum = 1 / ops.astype(self.num_batches_tracked, dtypes.canonical(mean.dtype))
            self._move(mean, var, momentum, count / (count - 1) if count > 1 else 1.0)
        return y


class BatchNorm1d(_BatchNorm):
    """y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias, for each channel over the batch.

    In training E and Var (the biased one) are those of the batch, and the running statistics move towards them:
    running = (1 - momentum) running + momentum new, where the new variance is the unbiased one. In evaluation E and Var
    are the running statistics.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: see above; None makes the running statistics the plain mean over all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; without, the batch's serve in evaluation too.
        device, dtype: where the layer is to be, and its float dtype.
        bias: False leaves the bias out.

    Attributes:
        weight, bias: (C,), ones and zeros at first; or None.
        running_mean, running_var: buffers (C,), zeros and ones at first; or None.
        num_batches_tracked: an int64 buffer (); or None.

    Shape:
        (N, C) or (N, C, L) -> the same.

    Raises:
        ShapeError: an input with other axes or channels; in training, one with a single value for each channel.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html; Ioffe and Szegedy,
    https://arxiv.org/abs/1502.03167

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> layer = nn.BatchNorm1d(1).to("numpy")
        >>> y = layer(np.asarray([[1.0], [3.0]], "float32"))
        >>> layer.running_mean, layer.running_var
        (array([0.2], dtype=float32), array([1.1], dtype=float32))
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """``BatchNorm1d`` over (N, C, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.BatchNorm2d(3).to("numpy")(np.ones((2, 3, 4, 5), "float32")).shape
        (2, 3, 4, 5)
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """``BatchNorm1d`` over (N, C, D, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.BatchNorm3d(3).to("numpy")(np.ones((2, 3, 4, 5, 6), "float32")).shape
        (2, 3, 4, 5, 6)
    """

    ranks = (5,)


class _InstanceNorm(_Norm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _channel_axis(self, input: Tensor) -> int:
        return len(input.shape) - self.ranks[0]

    def forward(self, input: Tensor) -> Tensor:
        self._check_rank(input)
        if len(input.shape) == self.ranks[0]:
            return first(self.forward(ops.expand_dims(input, axis=0)))
        if input.shape[1] != self.num_features:
            self._refuse(input)
        if not self.training and self.running_mean is not None:
            return ops.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, self.eps
            )
        cells = math.prod(tuple(input.shape)[2:])
        expect_many(type(self).__name__, input, cells)
        if self.training and self.running_mean is not None:
            axes = tuple(range(2, len(input.shape)))
            var = ops.mean(ops.var(input, axis=axes, correction=1), axis=0)
            self._move(ops.mean(input, axis=(0, *axes)), var, self.momentum or 0.0)
        return ops.group_norm(input, int(input.shape[1]), self.weight, self.bias, self.eps)

    def _refuse(self, input: Tensor) -> None:
        text = f"expected input with {self.num_features} channels, got {tuple(input.shape)}"
        if self.affine or self.track_running_stats:
            raise ShapeError(text)
        warnings.warn(
            f"{type(self).__name__} {text}; without weight and bias it does not matter", stacklevel=4
        )


class InstanceNorm1d(_InstanceNorm):
    """y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias, for each sample and channel over its spatial axes.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: as for ``BatchNorm1d``.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics, which then serve in evaluation.
        device, dtype: where the layer is to be, and its float dtype.
        bias: False leaves the bias out.

    Shape:
        (N, C, L) or (C, L) -> the same.

    Raises:
        ShapeError: an input with other axes or channels, or with a single spatial cell.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html; Ulyanov et al.,
    https://arxiv.org/abs/1607.08022

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.InstanceNorm1d(1, eps=0.0).to("numpy")(np.asarray([[[1.0, 3.0]]], "float32"))
        array([[[-1.,  1.]]], dtype=float32)
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """``InstanceNorm1d`` over (N, C, H, W) or (C, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.InstanceNorm2d(3).to("numpy")(np.ones((2, 3, 4, 5), "float32")).shape
        (2, 3, 4, 5)
    """

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """``InstanceNorm1d`` over (N, C, D, H, W) or (C, D, H, W).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.InstanceNorm3d(3).to("numpy")(np.ones((2, 3, 4, 5, 6), "float32")).shape
        (2, 3, 4, 5, 6)
    """

    ranks = (4, 5)


__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
]
