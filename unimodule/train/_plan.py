"""An optimiser's part of a compiled step: which tensors go in, the rules on them, and where the results go."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from .. import ops
from ..backend import Backend, Tensor
from ..nn.parameter import Parameter
from ..ops._dispatch import kernel
from ..optim import Optimizer
from ..optim._kept import Kept
from ..optim._packing import Packing
from ..optim.foreach import Foreach
from ..optim.optimizer import Update


def vectors_of(updates: Sequence[Update], native: bool) -> list[Tensor]:
    """The step-dependent numbers of each update in one tensor, so that a change costs one transfer and no new program;
    ``native`` says that a NumPy array will not do.
    """
    return [packing_of(u).table(u, [list(u.numbers.values())], u.row, native)[0] for u in updates]


def packing_of(update: Update) -> Packing:
    """How the state of a packed update travels."""
    assert update.packing is not None
    return update.packing


def signature(updates: Sequence[Update]) -> Hashable:
    """All of the updates that a program depends on: whose they are, and what picks the operations."""
    return tuple(
        (u.home, tuple(map(id, u.parameters)), tuple(u.on.items()), tuple(u.slots), tuple(u.numbers))
        for u in updates
    )


def slots_of(updates: Sequence[Update]) -> list[Tensor]:
    """The updates' state in one list, packed."""
    return [tensor for update in updates for tensor in update.tensors]


class Part(NamedTuple):
    """What a rule needs of one update, without its tensors and numbers."""

    backend: Backend
    on: dict[str, bool]
    parameters: list[Parameter]
    names: tuple[str, ...]
    numbers: tuple[str, ...]
    packing: Packing


class Rules:
    """The updates as a pure function of lists of tensors. It keeps no tensor and no number of the updates.

    Args:
        optimizer: whose rule it is.
        updates: what the step consists of.
    """

    def __init__(self, optimizer: Optimizer, updates: Sequence[Update]) -> None:
        self._rule = type(optimizer).update
        self._parts = [
            Part(u.backend, dict(u.on), list(u.parameters), tuple(u.slots), tuple(u.numbers), packing_of(u))
            for u in updates
        ]

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters in the order of the updates."""
        return [p for part in self._parts for p in part.parameters]

    def __call__(
        self, values: list[Tensor], gradients: list[Tensor], slots: list[Tensor], vectors: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters' new values and their new state, all in lists as they came."""
        new_values: list[Tensor] = []
        new_slots: list[Tensor] = []
        for (backend, on, parameters, names, numbers, packing), vector in zip(
            self._parts, vectors, strict=True
        ):
            size, done, used = len(parameters), len(new_values), len(new_slots)
            detach = kernel(backend, "stop_gradient")
            own, row = packing.unpack(list(map(detach, slots[used : used + packing.count])))
            scalars = dict(zip(numbers, ops.unstack(packing.numbers(detach(vector), row)), strict=True))
            mine = {name: own[i * size : (i + 1) * size] for i, name in enumerate(names)}
            part = slice(done, done + size)
            # The ops that overwrite nothing, whatever the adapter has for eager steps: a compiler plans memory itself.
            result, state = self._rule(
                Foreach(backend), on, list(map(detach, values[part])), gradients[part], mine, scalars
            )
            new_values += result
            new_slots += packing.pack([tensor for name in names for tensor in state[name]], row)
        return new_values, new_slots


def commit(
    optimizer: Optimizer, updates: Sequence[Update], values: Sequence[Tensor], slots: Sequence[Tensor]
) -> Kept:
    """Write the results into the parameters and the optimiser; returns the state that it now has."""
    parameters = [p for update in updates for p in update.parameters]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.write(value)
    return optimizer.keep(updates, slots)


def put_back(
    optimizer: Optimizer, updates: Sequence[Update], values: Sequence[Tensor], slots: Sequence[Tensor]
) -> None:
    """Write what has not changed, where the tensors that held it are gone; nothing is counted as a step."""
    parameters = [p for update in updates for p in update.parameters]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.write(value)
    optimizer.replace(updates, slots)
