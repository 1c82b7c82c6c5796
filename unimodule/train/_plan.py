"""An optimiser's part of a compiled step: which tensors go in, the rules on them, and where the results go."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from .. import dtypes, ops
from ..backend import Tensor
from ..nn.parameter import Parameter
from ..ops._dispatch import kernel
from ..optim import Optimizer
from ..optim.foreach import Foreach
from ..optim.optimizer import Slots, Update


def vectors_of(updates: Sequence[Update], native: bool) -> list[Tensor]:
    """The step-dependent numbers of each update as one vector, so that a change costs one transfer and no new program:
    in its parameters' dtype and on their device, unless a NumPy array will do (``native`` says that it will not).
    """
    vectors = []
    for update in updates:
        _, dtype, device = update.home
        backend, numbers = update.backend, list(update.numbers.values())
        if backend.compiled_takes_arrays and not native:
            vectors.append(np.array(numbers, dtypes.to_numpy_dtype(dtype)))
        else:
            vectors.append(backend.from_numpy(np.array(numbers, "float64"), dtype, device))
    return vectors


def signature(updates: Sequence[Update]) -> Hashable:
    """All of the updates that a program depends on: whose they are, and what picks the operations."""
    return tuple(
        (u.home, tuple(map(id, u.parameters)), tuple(u.on.items()), tuple(u.slots), tuple(u.numbers))
        for u in updates
    )


def slots_of(updates: Sequence[Update]) -> list[Tensor]:
    """The updates' state in one list."""
    return [tensor for update in updates for column in update.slots.values() for tensor in column]


class Rules:
    """The updates as a pure function of lists of tensors. It keeps no tensor and no number of the updates.

    Args:
        optimizer: whose rule it is.
        updates: what the step consists of.
    """

    def __init__(self, optimizer: Optimizer, updates: Sequence[Update]) -> None:
        self._rule = type(optimizer).update
        self._parts = [
            (u.backend, dict(u.on), list(u.parameters), tuple(u.slots), tuple(u.numbers)) for u in updates
        ]

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters in the order of the updates."""
        return [p for _, _, parameters, _, _ in self._parts for p in parameters]

    def __call__(
        self, values: list[Tensor], gradients: list[Tensor], slots: list[Tensor], vectors: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters' new values and their new state, all in lists as they came."""
        new_values: list[Tensor] = []
        new_slots: list[Tensor] = []
        for (backend, on, parameters, names, numbers), vector in zip(self._parts, vectors, strict=True):
            size, done, used = len(parameters), len(new_values), len(new_slots)
            detach = kernel(backend, "stop_gradient")
            scalars = dict(zip(numbers, ops.unstack(detach(vector)), strict=True))
            mine = {
                name: list(map(detach, slots[used + i * size : used + (i + 1) * size]))
                for i, name in enumerate(names)
            }
            own = slice(done, done + size)
            # The ops that overwrite nothing, whatever the adapter has for eager steps: a compiler plans memory itself.
            result, state = self._rule(
                Foreach(backend), on, list(map(detach, values[own])), gradients[own], mine, scalars
            )
            new_values += result
            new_slots += [tensor for name in names for tensor in state[name]]
        return new_values, new_slots


def commit(
    optimizer: Optimizer, updates: Sequence[Update], values: Sequence[Tensor], slots: Sequence[Tensor]
) -> list[tuple[Update, Slots]]:
    """Write the results into the parameters and the optimiser; returns the updates with the state that they left."""
    done = used = 0
    left: list[tuple[Update, Slots]] = []
    for update in updates:
        size = len(update.parameters)
        for parameter, value in zip(update.parameters, values[done : done + size], strict=True):
            parameter.write(value)
        new: Slots = {
            name: list(slots[used + i * size : used + (i + 1) * size]) for i, name in enumerate(update.slots)
        }
        optimizer.finish(update, new)
        left.append((update, new))
        done, used = done + size, used + size * len(new)
    return left


def put_back(
    optimizer: Optimizer, updates: Sequence[Update], values: Sequence[Tensor], slots: Sequence[Tensor]
) -> None:
    """Write what has not changed, where the tensors that held it are gone; nothing is counted as a step."""
    done = used = 0
    for update in updates:
        size = len(update.parameters)
        for parameter, value in zip(update.parameters, values[done : done + size], strict=True):
            parameter.write(value)
        for i, name in enumerate(update.slots):
            column = slots[used + i * size : used + (i + 1) * size]
            optimizer.restore(update.parameters, name, column)
        done, used = done + size, used + size * len(update.slots)


def next_updates(optimizer: Optimizer, left: Sequence[tuple[Update, Slots]]) -> list[Update] | None:
    """The updates that follow those; None where the optimiser's state is no longer what they left."""
    found: list[Update] = []
    for update, slots in left:
        if (following := optimizer.again(update, slots)) is None:
            return None
        found.append(following)
    return found
