"""How the state of an update travels through compiled steps.

Some frameworks spend a microsecond on each argument and each result of a compiled call, more than on the arithmetic of a
small parameter. There, small tensors of the state travel in one vector, and so does the number of the step's row in a
table with the numbers of several steps: one table then serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dtypes, ops
from ..backend import Tensor

if TYPE_CHECKING:
    from .optimizer import Update

ROWS = 64
"""Steps whose numbers are in one table."""
MOST = 32
"""Tensors in one vector; compilers take more than their time over joining many."""


class Packing:
    """The way from an update's slots, one after the other, to the tensors that stand for them, and back.

    Args:
        update: the update.

    Attributes:
        on: whether anything is packed; otherwise the tensors are the slots.
        count: how many tensors there are.
    """

    __slots__ = ("_large", "_shapes", "_sizes", "_small", "count", "on")

    def __init__(self, update: Update) -> None:
        shapes = [update.backend.shape(p.data) for _ in update.slots for p in update.parameters]
        self._shapes, self._sizes = shapes, [math.prod(shape) for shape in shapes]
        limit = update.backend.packs_below
        self.on = bool(limit and shapes)
        small = [i for i, size in enumerate(self._sizes) if self.on and size < limit]
        self._small = small if len(small) <= MOST else []
        self._large = sorted(set(range(len(shapes))) - set(self._small))
        self.count = len(self._large) + self.on

    # ------------------------------------------------------------------ in a program
    def unpack(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Tensor | None]:
        """The slots, and the number of the row."""
        if not self.on:
            return list(tensors), None
        *large, vector = tensors
        row, *parts = ops.split(vector, [1, *(self._sizes[i] for i in self._small)])
        small = [
            part if len(self._shapes[i]) == 1 else ops.reshape(part, self._shapes[i])
            for i, part in zip(self._small, parts, strict=True)
        ]
        return self._in_order(large, small), ops.reshape(row, ())

    def pack(self, slots: Sequence[Tensor], row: Tensor | None) -> list[Tensor]:
        """The tensors after a step that took a row."""
        if row is None:
            return list(slots)
        following = ops.where(ops.greater_equal(row, ROWS - 1), ops.zeros_like(row), ops.add(row, 1))
        parts = [slots[i] if len(self._shapes[i]) == 1 else ops.reshape(slots[i], (-1,)) for i in self._small]
        return [*(slots[i] for i in self._large), ops.concat([ops.reshape(following, (1,)), *parts])]

    def numbers(self, table: Tensor, row: Tensor | None) -> Tensor:
        """The numbers of a step."""
        return table if row is None else ops.take(table, ops.astype(row, "int32"), axis=0)

    # ------------------------------------------------------------------ outside of one
    def gather(self, update: Update) -> list[Tensor]:
        """The tensors for the update's slots, to begin with: the first row is the next."""
        slots = [tensor for column in update.slots.values() for tensor in column]
        if not self.on:
            return slots
        backend, (_, dtype, device) = update.backend, update.home
        parts = [backend.to_numpy(slots[i]).ravel() for i in self._small]
        vector = np.concatenate([np.zeros(1, parts[0].dtype if parts else "float32"), *parts])
        return [*(slots[i] for i in self._large), backend.from_numpy(vector, dtype, device)]

    def scatter(self, update: Update, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The slots that these tensors stand for."""
        if not self.on:
            return list(tensors)
        backend, (_, dtype, device) = update.backend, update.home
        *large, vector = tensors
        ends = np.cumsum([1, *(self._sizes[i] for i in self._small)])
        _, *parts, _ = np.split(backend.to_numpy(vector), ends)
        small = [
            backend.from_numpy(part.reshape(self._shapes[i]), dtype, device)
            for i, part in zip(self._small, parts, strict=True)
        ]
        return self._in_order(large, small)

    def _in_order(self, large: Sequence[Tensor], small: Sequence[Tensor]) -> list[Tensor]:
        """The slots, from those that travel by themselves and those that travel together."""
        found = dict(zip((*self._large, *self._small), (*large, *small), strict=True))
        return [found[i] for i in range(len(found))]

    def table(self, update: Update, rows: Sequence[Sequence[float]], at: int, native: bool) -> list[Tensor]:
        """For each of the steps from row ``at`` on, what a program takes as its numbers: in the parameters' dtype and on
        their device, unless a NumPy array will do (``native`` says that it will not).
        """
        _, dtype, device = update.home
        backend, host = update.backend, np.asarray(rows, "float64")
        as_array = backend.compiled_takes_arrays and not native and len(rows) == 1

        def sent(numbers: np.ndarray[Any, Any]) -> Tensor:
            if as_array:
                with np.errstate(all="ignore"):
                    return numbers.astype(dtypes.to_numpy_dtype(dtype))
            return backend.send(numbers, dtype, device)

        if self.on:
            table = np.zeros((ROWS, host.shape[1]))
            table[at : at + len(rows)] = host
            return [sent(table)] * len(rows)
        if len(rows) > 1 and not (host == host[0]).all():
            return [sent(row) for row in host]
        return [sent(host[0])] * len(rows)
