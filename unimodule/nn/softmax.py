"""Softmax layers, and the gated linear unit: activations along an axis."""

from __future__ import annotations

from .. import ops
from ..backend import Tensor
from ..errors import ShapeError
from . import functional as F
from .module import Module


class _Along(Module):
    """What the softmax layers share: the axis."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_Along):
    """y = exp(x) / sum(exp(x)) along ``dim``; NaN where a whole slice is -inf.

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.Softmax(dim=-1).to("numpy")(np.zeros(2))
        array([0.5, 0.5], dtype=float32)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim, _stacklevel=5)


class LogSoftmax(_Along):
    """y = log(softmax(x)) along ``dim``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmin(_Along):
    """y = softmax(-x) along ``dim``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """Softmax over the channels of an image (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError: the input has neither three nor four axes.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.Softmax2d().to("numpy")(np.zeros((1, 4, 1, 2), "float32")).ravel().tolist()
        [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]
    """

    def forward(self, input: Tensor) -> Tensor:
        if len(input.shape) not in (3, 4):
            raise ShapeError(f"Softmax2d expected input (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")
        return ops.softmax(input, -3)


class GLU(_Along):
    """y = a * sigmoid(b), a and b being the two halves of x along ``dim``."""

    dim: int

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)

    def forward(self, input: Tensor) -> Tensor:
        return ops.glu(input, self.dim)


__all__ = ["GLU", "LogSoftmax", "Softmax", "Softmax2d", "Softmin"]
