"""Metrics: what a Trainer reports beside the loss.

A metric is a function of the net's output and the target, written in ``ops`` like a loss, because it becomes part of the
compiled step. It returns one of

* a pair ``(total, count)`` of tensors without axes or numbers: totals and counts are added up over the batches;
* a tensor with axes, a value for each sample or element: the mean is taken over all of them;
* a tensor without axes, a mean over the batch: it is weighted by the batch's number of samples.

Either way the value for an epoch is that of all its samples at once, whatever the sizes of the batches.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import dtypes, ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError

Function = Callable[[Any, Any], Any]


# ---------------------------------------------------------------------- the functions
def accuracy(output: Tensor, target: Tensor, ignore_index: int = -100) -> tuple[Tensor, Tensor]:
    """How often the class of the largest output is the target.

    Args:
        output: (N, C) or (N, C, d1, ...), scores or probabilities of the classes; (C,) for a single sample.
        target: integers (N,) or (N, d1, ...), or probabilities of ``output``'s shape, of which the largest counts.
        ignore_index: targets that count for nothing, as in ``nn.CrossEntropyLoss``.

    Raises:
        ShapeError: the shapes do not fit.

    Example:
        >>> import numpy as np
        >>> total, count = accuracy(np.array([[0.2, 0.8], [0.9, 0.1]], "float32"), np.array([1, 1]))
        >>> float(total), float(count)
        (1.0, 2.0)
    """
    axis, target = _classes("accuracy", output, target)
    right = ops.equal(ops.argmax(output, axis=axis), target)
    return _counted(right, ops.not_equal(target, ignore_index))


def top_k_accuracy(
    output: Tensor, target: Tensor, k: int = 5, ignore_index: int = -100
) -> tuple[Tensor, Tensor]:
    """How often the target is among the classes of the k largest outputs; of equal ones, the first come first.

    Args:
        output, target, ignore_index: as for ``accuracy``.
        k: how many.

    Raises:
        ShapeError: the shapes do not fit.

    Example:
        >>> import numpy as np
        >>> total, _ = top_k_accuracy(np.array([[0.2, 0.5, 0.3]], "float32"), np.array([2]), k=2)
        >>> float(total)
        1.0
    """
    axis, target = _classes("top_k_accuracy", output, target)
    counts = ops.not_equal(target, ignore_index)
    places = ops.expand_dims(ops.where(counts, target, ops.zeros_like(target)), axis=axis)
    score = ops.take_along_axis(output, places, axis=axis)
    numbers = ops.arange(ops.shape(output)[axis], like=places)
    numbers = ops.reshape(numbers, (-1,) + (1,) * (len(ops.shape(output)) - axis - 1))
    ahead = ops.logical_or(
        ops.greater(output, score), ops.logical_and(ops.equal(output, score), ops.less(numbers, places))
    )
    rank = ops.sum(ops.astype(ahead, "float32"), axis=axis)
    known = ops.logical_not(ops.isnan(ops.squeeze(score, axis=axis)))  # nothing is ahead of a NaN
    return _counted(ops.logical_and(ops.less(rank, float(k)), known), counts)


def binary_accuracy(output: Tensor, target: Tensor, threshold: float = 0.5) -> tuple[Tensor, Tensor]:
    """How often ``output > threshold`` is ``target > 0.5``.

    Args:
        output: probabilities, of any shape. For logits, ``threshold`` is 0.
        target: of the same shape.
        threshold: where 1 begins.

    Raises:
        ShapeError: the shapes differ.
    """
    _same_shape("binary_accuracy", output, target)
    right = ops.equal(ops.greater(output, threshold), ops.greater(_as_float(target), 0.5))
    return _counted(right, None)


def mean_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """(output - target)^2, element by element.

    Raises:
        ShapeError: the shapes differ.
    """
    _same_shape("mse", output, target)
    return ops.square(ops.subtract(output, target))


def mean_absolute_error(output: Tensor, target: Tensor) -> Tensor:
    """|output - target|, element by element.

    Raises:
        ShapeError: the shapes differ.
    """
    _same_shape("mae", output, target)
    return ops.abs(ops.subtract(output, target))


NAMED: dict[str, Function] = {
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
}
"""Metrics that can be asked for by name, beside ``"top<k>_accuracy"``."""


# ---------------------------------------------------------------------- what a Trainer is given
@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric with its name.

    Attributes:
        name: under which its value is reported.
        function: of (output, target); see the module's text.
        training: False for one that is worked out in evaluation only, and never compiled: it may use NumPy.

    Example:
        >>> import numpy as np, unimodule as um
        >>> from unimodule.train import Metric
        >>> spread = Metric("spread", lambda output, target: np.ptp(um.to_numpy(output), axis=1), training=False)
        >>> spread.name
        'spread'
    """

    name: str
    function: Function
    training: bool = True

    def measure(self, output: Any, target: Any, samples: int, dtype: str) -> tuple[Tensor, Tensor]:
        """Total and count of a batch, as tensors without axes."""
        value = self.function(output, target)
        like = _first_tensor(output)
        if isinstance(value, tuple):
            if len(value) != 2:
                raise ArgumentError(f"metric {self.name!r} returned {len(value)} values, not (total, count)")
            total, count = value
        else:
            value = ops.asarray(value, like=like)
            shape = ops.shape(value)
            if shape:
                total, count = ops.sum(ops.astype(value, dtype)), float(math.prod(shape))
            else:
                total, count = ops.multiply(ops.astype(value, dtype), float(samples)), float(samples)
        return _scalar(self.name, total, like, dtype), _scalar(self.name, count, like, dtype)


def resolve(metrics: Any) -> tuple[Metric, ...]:
    """Names, functions and ``Metric`` objects, or a dict of names and functions, as metrics.

    Raises:
        ArgumentError: a name is unknown, stands twice or is taken, or something is none of these.
    """
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise ArgumentError(f"metrics expected a list of names and functions, or a dict, got {metrics!r}")
    if isinstance(metrics, Mapping):
        found = [
            dataclasses.replace(_resolve(value, str(name)), name=str(name)) for name, value in metrics.items()
        ]
    else:
        found = [_resolve(value, None) for value in metrics]
    names = [metric.name for metric in found]
    for name in names:
        if name in ("loss", "lr") or name.startswith("val_") or names.count(name) > 1:
            raise ArgumentError(
                f"metric {name!r} cannot have this name: it stands twice or means something else"
            )
    return tuple(found)


def _resolve(metric: Any, name: str | None) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if top := re.fullmatch(r"top(\d+)_accuracy", metric):
            return Metric(metric, functools.partial(top_k_accuracy, k=int(top[1])))
        if metric in NAMED:
            return Metric(metric, NAMED[metric])
        raise ArgumentError(
            f"no metric is called {metric!r}; there are {', '.join(NAMED)} and top<k>_accuracy, such as top5_accuracy"
        )
    if not callable(metric) or isinstance(metric, type):
        raise ArgumentError(f"a metric is a name or a function of (output, target), got {metric!r}")
    own = str(name or getattr(metric, "__name__", ""))
    if not own.isidentifier() and name is None:
        raise ArgumentError(f"{metric!r} has no name; give metrics as a dict, such as {{'name': function}}")
    return Metric(own, metric)


# ---------------------------------------------------------------------- their arithmetic
def _classes(what: str, output: Tensor, target: Tensor) -> tuple[int, Tensor]:
    """The axis of the classes, and targets as integers."""
    shape, wanted = ops.shape(output), ops.shape(target)
    axis = 1 if len(shape) > 1 else 0
    if shape and wanted == shape and dtypes.is_floating(ops.dtype(target)):
        return axis, ops.argmax(target, axis=axis)
    if not shape or wanted != shape[:axis] + shape[axis + 1 :]:
        raise ShapeError(f"{what} expected a target for output {shape}, got {wanted}")
    return axis, target


def _counted(right: Tensor, counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """How many of those that count are right, and how many count."""
    if counts is None:
        counts = ops.ones_like(right)
    both = ops.logical_and(right, counts)
    return ops.sum(ops.astype(both, "float32")), ops.sum(ops.astype(counts, "float32"))


def _same_shape(what: str, output: Tensor, target: Tensor) -> None:
    if ops.shape(output) != ops.shape(target):
        raise ShapeError(
            f"{what} expected target and output of one shape, got {ops.shape(target)} and {ops.shape(output)}"
        )


def _as_float(x: Tensor) -> Tensor:
    return x if dtypes.is_floating(ops.dtype(x)) else ops.astype(x, "float32")


def _first_tensor(tree: Any) -> Tensor:
    while isinstance(tree, tuple | list | dict):
        tree = next(iter(tree.values() if isinstance(tree, dict) else tree))
    return tree


def _scalar(name: str, value: Any, like: Tensor, dtype: str) -> Tensor:
    value = ops.asarray(value, like=like)
    if ops.shape(value):
        raise ArgumentError(
            f"metric {name!r} returned a total or count of shape {ops.shape(value)}, not of ()"
        )
    return ops.astype(value, dtype)
