"""Losses as modules: torch.nn's names, arguments and defaults.

A loss's weights are buffers, as in PyTorch: they move with the module and stand in its state_dict. They may be given as
NumPy arrays.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..backend import Tensor
from .functional.loss import legacy_reduction
from .module import Module


class _Loss(Module):
    """What all losses share: how they reduce."""

    def __init__(self, size_average: bool | None, reduce: bool | None, reduction: str) -> None:
        super().__init__()
        self.reduction = legacy_reduction(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    """A loss with a ``weight`` buffer, or None."""

    weight: Tensor | None

    def __init__(self, weight: Any, size_average: bool | None, reduce: bool | None, reduction: str) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """Cross entropy of softmax(input) with class indices, or with probabilities of classes.

    loss = -weight[y] * log_softmax(input)[y]; "mean" divides the sum by the sum of the weights of the cases that count.

    Args:
        weight: (C,), the weight of each class.
        size_average, reduce: retired, see ``reduction``.
        ignore_index: targets that count for nothing.
        reduction: "mean", "sum" or "none".
        label_smoothing: in [0, 1]: the share of the uniform distribution in the target.

    Shapes: input (N, C), (N, C, d1, ...) or (C,); target integers (N,), (N, d1, ...) or (), or probabilities of the
    input's shape; output (), or one value for each case.

    Raises:
        ShapeError, DtypeError, ArgumentError: the arguments do not fit.
        OutOfRangeError: a target is no class (eagerly, on the CPU).

    Source: https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> loss = nn.CrossEntropyLoss().to("numpy")
        >>> round(float(loss(np.log([[0.25, 0.75]]), np.asarray([0]))), 4)
        1.3863
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_WeightedLoss):
    """Negative log-likelihood -weight[y] * input[y] of log-probabilities; arguments as ``CrossEntropyLoss``.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.nn.NLLLoss()(np.array([[-0.5, -1.0]], "float32"), np.array([1])))
        1.0
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class MSELoss(_Loss):
    """(input - target)^2, reduced; input and target of one shape.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MSELoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.nn.MSELoss()(np.array([1.0, 3.0], "float32"), np.zeros(2, "float32")))
        5.0
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """abs(input - target), reduced; input and target of one shape.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.L1Loss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.nn.L1Loss()(np.array([1.0, -3.0], "float32"), np.zeros(2, "float32")))
        2.0
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.l1_loss(input, target, self.reduction)


class HuberLoss(_Loss):
    """d^2 / 2 where d = abs(input - target) <= ``delta``, ``delta`` * (d - ``delta`` / 2) elsewhere, reduced.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> loss = um.nn.HuberLoss(reduction="none").to("numpy")
        >>> loss(np.array([0.5, 3.0], "float32"), np.zeros(2, "float32")).tolist()
        [0.125, 2.5]
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(None, None, reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """d^2 / (2 ``beta``) where d = abs(input - target) < ``beta``, d - ``beta`` / 2 elsewhere, reduced.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> loss = um.nn.SmoothL1Loss(reduction="none").to("numpy")
        >>> loss(np.array([0.5, 3.0], "float32"), np.zeros(2, "float32")).tolist()
        [0.125, 2.5]
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.smooth_l1_loss(input, target, self.reduction, self.beta)


class BCELoss(_WeightedLoss):
    """-weight * (y * log(x) + (1 - y) * log(1 - x)) of probabilities x and targets y, reduced.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.BCELoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> round(um.ops.item(um.nn.BCELoss()(np.array([0.5, 0.5], "float32"), np.ones(2, "float32"))), 4)
        0.6931
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """``BCELoss`` of sigmoid(x), without the underflow of its parts.

    Args:
        weight: broadcasts to the input.
        size_average, reduce: retired, see ``reduction``.
        reduction: "mean", "sum" or "none".
        pos_weight: weight of positive targets, broadcasts to the input.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> round(um.ops.item(um.nn.BCEWithLogitsLoss()(np.zeros(2, "float32"), np.ones(2, "float32"))), 4)
        0.6931
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )


class KLDivLoss(_Loss):
    """target * (log(target) - input), reduced: the divergence of exp(input) from target.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.nn.KLDivLoss(reduction="sum")(np.zeros(2, "float32"), np.ones(2, "float32")))
        0.0
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.kl_div(input, target, self.reduction, self.log_target)


__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]
