"""Normalisation layers that take ``num_features`` from their first input, and are regular layers from then on."""

from __future__ import annotations

from typing import Any

from ..backend import Tensor
from ._layer import place
from .batchnorm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    _Norm,
)
from .module import Module


class _LazyNorm(_Norm):
    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        Module.__init__(self)
        self.num_features = 0
        self._declare(None, eps, momentum, affine, track_running_stats, bias)
        place(self, device, dtype)


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """``BatchNorm1d`` without ``num_features``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm1d.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> layer = nn.LazyBatchNorm1d().to("numpy")
        >>> layer(np.ones((2, 5), "float32")).shape, layer.weight.shape
        ((2, 5), (5,))
    """

    def infer_shapes(self, input: Tensor) -> None:
        """num_features is the size of the input's axis of channels."""
        self._infer(input, LazyBatchNorm1d, BatchNorm1d)


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """``BatchNorm2d`` without ``num_features``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.LazyBatchNorm2d().to("numpy")(np.ones((2, 3, 4, 5), "float32")).shape
        (2, 3, 4, 5)
    """

    def infer_shapes(self, input: Tensor) -> None:
        """num_features is the size of the input's axis of channels."""
        self._infer(input, LazyBatchNorm2d, BatchNorm2d)


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """``BatchNorm3d`` without ``num_features``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.LazyBatchNorm3d().to("numpy")(np.ones((2, 3, 4, 5, 6), "float32")).shape
        (2, 3, 4, 5, 6)
    """

    def infer_shapes(self, input: Tensor) -> None:
        """num_features is the size of the input's axis of channels."""
        self._infer(input, LazyBatchNorm3d, BatchNorm3d)


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """``InstanceNorm1d`` without ``num_features``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm1d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.LazyInstanceNorm1d().to("numpy")(np.ones((2, 3, 4), "float32")).shape
        (2, 3, 4)
    """

    def infer_shapes(self, input: Tensor) -> None:
        """num_features is the size of the input's axis of channels."""
        self._infer(input, LazyInstanceNorm1d, InstanceNorm1d)


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """``InstanceNorm2d`` without ``num_features``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.LazyInstanceNorm2d().to("numpy")(np.ones((2, 3, 4, 5), "float32")).shape
        (2, 3, 4, 5)
    """

    def infer_shapes(self, input: Tensor) -> None:
        """num_features is the size of the input's axis of channels."""
        self._infer(input, LazyInstanceNorm2d, InstanceNorm2d)


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """``InstanceNorm3d`` without ``num_features``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.LazyInstanceNorm3d().to("numpy")(np.ones((2, 3, 4, 5, 6), "float32")).shape
        (2, 3, 4, 5, 6)
    """

    def infer_shapes(self, input: Tensor) -> None:
        """num_features is the size of the input's axis of channels."""
        self._infer(input, LazyInstanceNorm3d, InstanceNorm3d)


__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]
