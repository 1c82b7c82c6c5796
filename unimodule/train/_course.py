"""Training steps that follow each other while nothing changes but values, which is what nearly all steps do.

A course notes what the last step left, and sees at little cost whether that still stands. The numbers of the steps to come
are worked out ahead, in blocks, since sending one table to the device costs little more than sending one step's numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Tensor
from ..optim import Optimizer
from ..optim._kept import Kept
from ..optim._packing import ROWS
from ..optim.optimizer import Scalars, Update
from ._plan import packing_of

if TYPE_CHECKING:
    from ._compiled import Entry

PATIENCE = 8
"""Steps without a change of options before that is done: a schedule may set a learning rate for each step."""
_PLAIN: tuple[type, ...] = (int, float, bool, str, type(None))


class Course:
    """What stays the same from one step to the next.

    Args:
        optimizer: the optimiser.
        updates: what the last step consisted of.
        signature: what a program depends on in them.
        kept: the state that it left.
        version: the count of changes to modules.

    Attributes:
        kept: the state that the last step left.
        entries: the programs for batches of other shapes, by their keys.
        rows: the numbers of the coming steps, as tensors, and what will have been counted after each.
        at: which row is the next.
    """

    __slots__ = (
        "_groups",
        "_optimizer",
        "_patience",
        "_steady",
        "_updates",
        "_version",
        "at",
        "entries",
        "kept",
        "rows",
        "signature",
    )

    def __init__(
        self,
        optimizer: Optimizer,
        updates: Sequence[Update],
        signature: Hashable,
        kept: Kept,
        version: int,
    ) -> None:
        self._optimizer, self._updates, self._version = optimizer, updates, version
        self.signature, self.kept = signature, kept
        self.entries: dict[Hashable, Entry] = {}
        self.rows: list[tuple[Sequence[Tensor], Sequence[Scalars]]] = []
        self.at = 0
        self._patience = PATIENCE
        self._groups = _options(optimizer)
        self._steady = type(optimizer).switches is Optimizer.switches  # asks for nothing but options

    def stands(self, version: int) -> bool:
        """Whether the next step is as the last one, but for numbers, which are ready then."""
        optimizer = self._optimizer
        return (
            version == self._version
            and optimizer._kept is self.kept
            and (optimizer.param_groups == self._groups or self._renew())
            and (self.at < len(self.rows) or self._fill())
        )

    def went_on(self, kept: Kept) -> None:
        """Another step has been made by the same updates, and left this."""
        self.kept = self._optimizer._kept = kept
        self.at += 1

    def _renew(self) -> bool:
        """Options have changed: see whether the rule is the same."""
        optimizer, before = self._optimizer, self._groups
        self._groups = _options(optimizer)
        if before is None or self._groups is None:
            return False
        if [group["params"] for group in before] != [group["params"] for group in self._groups]:
            return False
        for update in self._updates:
            if not any(group is update.group for group in optimizer.param_groups):
                return False
            if optimizer.slots_of(update.group) != tuple(update.slots):
                return False
        self.rows, self.at, self._patience = [], 0, PATIENCE
        return True

    def _fill(self) -> bool:
        """Work out the numbers of the next steps; False if the rule is not the same in the very next one."""
        kept = self.kept
        size = 1 if self._patience else ROWS - kept.row
        self._patience -= 1 if self._patience else 0
        coming = []
        for update, counted in zip(self._updates, kept.scalars, strict=True):
            after, numbers = self._ahead(update, counted, size)
            size = len(after)
            coming.append((after, numbers))
        if size == 0:
            return False
        vectors = [
            packing_of(update).table(update, numbers[:size], kept.row, native=False)
            for update, (_, numbers) in zip(self._updates, coming, strict=True)
        ]
        counts = [after[:size] for after, _ in coming]
        self.rows = list(zip(zip(*vectors, strict=True), zip(*counts, strict=True), strict=True))
        self.at = 0
        return True

    def _ahead(self, update: Update, counted: Scalars, size: int) -> tuple[list[Scalars], list[list[float]]]:
        """What will be counted after each of the next steps, and their numbers; fewer where a step takes other operations
        than the last.
        """
        optimizer, group = self._optimizer, update.group
        advance, numbers_of = optimizer.advance, optimizer.numbers
        after: list[Scalars] = []
        numbers: list[list[float]] = []
        try:
            for number in range(size):
                counted = advance(group, counted)
                if not (number and self._steady) and optimizer.switches(group, counted) != update.on:
                    break
                numbers.append([*numbers_of(group, counted, False).values()])
                after.append(counted)
        except Exception:
            if not after:
                raise  # else options may well be others by then
        return after, numbers


def _options(optimizer: Optimizer) -> list[dict[str, Any]] | None:
    """A copy of the groups that can be compared with them; None where a value could change unseen."""
    copies = [
        {key: list(value) if type(value) is list else value for key, value in group.items()}
        for group in optimizer.param_groups
    ]
    values = [value for group in copies for key, value in group.items() if key != "params"]
    return copies if all(map(_is_plain, values)) else None


def _is_plain(value: Any) -> bool:
    if type(value) in (tuple, list):
        return all(type(item) in _PLAIN or isinstance(item, np.generic) for item in value)
    return type(value) in _PLAIN or isinstance(value, np.generic)
