"""Dropout layers: active in training, identities in evaluation."""

from __future__ import annotations

from .. import ops
from ..backend import Tensor
from .functional.dropout import drop_channels, probability
from .functional.dropout import dropout as _dropout
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = probability(type(self).__name__, p)
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training sets each cell to 0 with probability ``p`` and multiplies the others by 1 / (1 - p).

    Args:
        p: a probability.
        inplace: taken for PyTorch's sake; the input is never written.

    Shape:
        any -> the same.

    Raises:
        ArgumentError: ``p`` is no probability.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Dropout.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> sorted(set(nn.Dropout(0.75).to("numpy")(np.ones(1000)).tolist()))
        [0.0, 4.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        return ops.dropout(input, self.p) if self.p < 1 else _dropout(input, self.p)


class Dropout1d(_Dropout):
    """In training drops whole channels of an input (N, C, L) or (C, L).

    Args:
        p: probability of a channel to be dropped.
        inplace: taken for PyTorch's sake; the input is never written.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Dropout1d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> y = um.nn.Dropout1d(0.5).to("numpy")(np.ones((4, 3, 5), "float32"))
        >>> set(y.sum(-1).ravel().tolist()) <= {0.0, 10.0}
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        return drop_channels("Dropout1d", 1, input, self.p, self.training)


class Dropout2d(_Dropout):
    """In training drops whole channels of an input (N, C, H, W) or (N, C, L).

    Args:
        p: probability of a channel to be dropped.
        inplace: taken for PyTorch's sake; the input is never written.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Dropout2d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> y = um.nn.Dropout2d(0.5).to("numpy")(np.ones((4, 3, 2, 2), "float32"))
        >>> set(y.sum((2, 3)).ravel().tolist()) <= {0.0, 8.0}
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        return drop_channels("Dropout2d", 1 if len(input.shape) == 3 else 2, input, self.p, self.training)


class Dropout3d(_Dropout):
    """In training drops whole channels of an input (N, C, D, H, W) or (C, D, H, W).

    Args:
        p: probability of a channel to be dropped.
        inplace: taken for PyTorch's sake; the input is never written.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Dropout3d.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.nn.Dropout3d(0.5).to("numpy").eval()(np.ones((1, 1, 1, 1, 2), "float32")).ravel().tolist()
        [1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        return drop_channels("Dropout3d", 3, input, self.p, self.training)


__all__ = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d"]
