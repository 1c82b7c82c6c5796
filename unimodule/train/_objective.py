"""The loss with its metrics beside it, as one module, so that both come out of the same compiled step.

A training step returns its loss alone. What else its forward works out leaves through a buffer, the way of running
statistics: no second forward is run for the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..backend import Tensor
from ..nn.module import Module
from ..nn.parameter import Buffer
from ..registry import find_backend
from ..transforms.functional import leaves, map_tree
from .metrics import Metric


class Objective(Module):
    """``loss(output, target)``, which also measures.

    Args:
        loss: a module or function.
        metrics: what to measure.
        dtype: of the measurements.

    Attributes:
        metrics: what it measures.
        measured: buffer (metrics, 2): total and count of each metric for the last batch in training.
    """

    measured: Any

    def __init__(self, loss: Callable[..., Any], metrics: Sequence[Metric], dtype: str) -> None:
        super().__init__()
        self.loss = loss
        self.metrics, self._dtype_measured = tuple(metrics), dtype
        if metrics:
            self.measured = Buffer(np.zeros((len(metrics), 2)), dtype=dtype, persistent=False)

    def forward(self, output: Any, target: Any) -> Tensor:
        """The loss; the measurements go to the buffer."""
        loss = self.loss(output, target)
        if self.metrics and self.training:
            self.measured = self.measure(output, target)
        return loss

    def measure(self, output: Any, target: Any) -> Tensor:
        """Total and count of each metric, (metrics, 2)."""
        output, target = map_tree(_detached, (output, target))
        samples = samples_of((output, target))
        found = [metric.measure(output, target, samples, self._dtype_measured) for metric in self.metrics]
        return ops.stack([ops.stack(list(pair)) for pair in found])


def samples_of(batch: Any) -> int:
    """The number of samples of ``(*inputs, target)``: the length of the target's first axis, or else of the first tensor
    that has axes; 1 where none has.
    """
    for leaf in [*leaves(batch[-1]), *leaves(batch[:-1])]:
        backend = find_backend(leaf)
        if backend is not None and (shape := backend.shape(leaf)):
            return int(shape[0])
    return 1


def _detached(leaf: Any) -> Any:
    return leaf if find_backend(leaf) is None else ops.stop_gradient(leaf)
