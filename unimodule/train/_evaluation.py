"""A net over batches in evaluation mode: means and outputs. It leaves the net as it finds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..backend import Tensor
from ..nn.module import Module
from ..registry import find_backend, get_backend
from ..transforms import compile, functional_call
from ..transforms.functional import Tree, call_net, common_backend, leaves, map_tree, materialize, prepare
from ._averages import Averages
from ._data import Batch
from ._objective import Objective, samples_of
from .metrics import Metric
from .step import train_step

STEP_ONLY = {*inspect.signature(train_step).parameters, "donate"}
"""Options that are not the native compiler's, or not for a program whose arguments live on."""


class Evaluation:
    """What a net and its loss give on batches, compiled where the training step is.

    Args:
        net: the net.
        loss: a function or module of (output, target).
        metrics: what to measure.
        dtype: of the measurements.
        options: of the training step.
    """

    def __init__(
        self,
        net: Module,
        loss: Callable[..., Any],
        metrics: Sequence[Metric],
        dtype: str,
        options: Mapping[str, Any],
    ) -> None:
        self._net, self._dtype = net, dtype
        self._objective = Objective(loss, [metric for metric in metrics if metric.training], dtype)
        self._plain = [metric for metric in metrics if not metric.training]
        self._order = [metric.name for metric in metrics]
        self._judge: Callable[..., Any] = _judge
        self._forward: Callable[..., Any] = _forward
        if options.get("compile", True):
            own = {name: value for name, value in options.items() if name not in STEP_ONLY}
            self._judge, self._forward = compile(_judge, **own), compile(_forward, **own)

    def means(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Loss and metrics over the batches."""
        objective = self._objective
        averages = Averages([m.name for m in objective.metrics])
        plain = Averages([m.name for m in self._plain])
        with _evaluating(self._net, objective):
            for batch in batches:
                *inputs, target = self._ready(batch, -1)
                samples = samples_of(batch)
                loss, measured, output = self._judge(self._net, objective, inputs, target, bool(self._plain))
                averages.add(loss, measured, samples)
                if self._plain:
                    plain.add(loss, self._measured(output, target, samples), samples)
        found = {**plain.result(), **averages.result()}
        return {name: found[name] for name in ("loss", *self._order)}

    def _measured(self, output: Any, target: Any, samples: int) -> Tensor:
        pairs = [metric.measure(output, target, samples, self._dtype) for metric in self._plain]
        return ops.stack([ops.stack(list(pair)) for pair in pairs])

    def outputs(self, batches: Iterable[Batch]) -> Iterator[Tree]:
        """The net's output for each batch of inputs."""
        with _evaluating(self._net):
            for batch in batches:
                yield self._forward(self._net, self._ready(batch, None))

    def _ready(self, batch: Batch, inputs: int | None) -> list[Any]:
        """A batch where the net is, once net and loss are somewhere and the net's shapes are known; ``inputs``: where in
        the batch the inputs end.
        """
        net, objective = self._net, self._objective
        if net.backend is None:
            net.to(common_backend((net, batch)).info.name)
        assert net.backend is not None
        if (objective.backend, objective.device) != (net.backend, net.device):
            objective.to(net.backend, device=net.device, dtype=None if objective.backend else net.dtype)
        native = list(prepare((net, adapted(net, batch)), get_backend(net.backend))[1])
        materialize(call_net, (net, *native[:inputs]), {})
        return native


def _judge(net: Module, objective: Objective, inputs: list[Any], target: Any, keep: bool) -> tuple[Any, ...]:
    """Loss, measurements, and the output if it is wanted. The net's buffers stay as they are."""
    output, _ = functional_call(net, {}, *inputs)
    loss, _ = functional_call(objective, {}, output, target)
    measured = objective.measure(output, target) if objective.metrics else None
    return loss, measured, output if keep else None


def _forward(net: Module, inputs: list[Any]) -> Any:
    """The output. The net's buffers stay as they are."""
    return functional_call(net, {}, *inputs)[0]


# ---------------------------------------------------------------------- modes
@contextmanager
def keeping_modes(*nets: Module) -> Iterator[None]:
    """Give every module its own mode again at the end of the block."""
    modes = [(module, module.training) for net in nets for module in net.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            if module.training is not mode:
                module.training = mode


@contextmanager
def _evaluating(*nets: Module) -> Iterator[None]:
    with keeping_modes(*nets):
        for net in nets:
            net.eval()
        yield


# ---------------------------------------------------------------------- batches
def adapted(net: Module, batch: Batch) -> Batch:
    """A batch with its tensors on the net's backend and device, floats in its dtype. NumPy arrays are left to whoever
    takes the batch, and so is all of it where the net is nowhere yet.
    """
    if net.backend is None or all(type(item) is np.ndarray for item in batch):
        return batch
    backend, device, dtype = get_backend(net.backend), net.device, net.dtype

    def convert(leaf: Any) -> Any:
        found = None if isinstance(leaf, np.ndarray | np.generic) else find_backend(leaf)
        if found is None:
            return leaf
        if found is not backend:
            return found.to_numpy(leaf)
        if dtypes.is_floating(backend.dtype(leaf)) and backend.dtype(leaf) != dtype:
            leaf = ops.astype(leaf, dtype)
        return leaf if device is None or backend.device(leaf) == device else backend.to_device(leaf, device)

    adapted: Batch = map_tree(convert, batch)
    return adapted


def concatenated(outputs: Iterable[Tree]) -> Tree:
    """Outputs of batches as NumPy arrays, joined along their first axes; those without axes give one element each."""
    columns: list[list[Any]] = []
    first: Tree = None
    for output in outputs:
        parts = [_on_host(leaf) for leaf in leaves(output)]
        if not columns:
            first, columns = output, [[] for _ in parts]
        for column, part in zip(columns, parts, strict=True):
            column.append(part)
    joined = iter(columns)
    return map_tree(lambda leaf: _joined(next(joined)), first)


def _on_host(leaf: Any) -> Any:
    backend = find_backend(leaf)
    return leaf if backend is None else np.atleast_1d(backend.to_numpy(leaf))


def _joined(parts: list[Any]) -> Any:
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else parts[0]
