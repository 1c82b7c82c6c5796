"""What an optimiser keeps between its steps, as one object for each moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..backend import Tensor
from ._packing import ROWS

if TYPE_CHECKING:
    from .optimizer import Home, Scalars, Slots, Update


class Plain(NamedTuple):
    """By the id of a parameter's handle.

    Attributes:
        scalars: what is counted on the host.
        slots: the tensors, by name.
        homes: where those are; they may have moved with the net.
    """

    scalars: dict[int, Scalars]
    slots: dict[int, dict[str, Tensor]]
    homes: dict[int, Home]

    def copies(self) -> Plain:
        """The same in dicts of their own."""
        return Plain(dict(self.scalars), dict(self.slots), dict(self.homes))


class Kept:
    """The state of all parameters.

    A compiled step hands its state over as one list of tensors, and takes it up again in the next step as it is: it is
    told apart only when somebody asks. Steps replace the object and never change it, so that whoever holds one, in
    whatever thread, has the state of one moment; a training step sees by its identity whether anything else has been at
    the optimiser.

    Args:
        base: the state, but for that in ``tensors``.
        updates: what the last step consisted of, if its state is in ``tensors``.
        scalars: what the parameters of each update have counted.
        tensors: the slots of the updates, packed.
        row: which row of a table with numbers they are to take next.
    """

    __slots__ = ("_plain", "base", "row", "scalars", "tensors", "updates")

    def __init__(
        self,
        base: Plain,
        updates: Sequence[Update] = (),
        scalars: Sequence[Scalars] = (),
        tensors: Sequence[Tensor] = (),
        row: int = 0,
    ) -> None:
        self.base, self.updates, self.scalars, self.tensors, self.row = base, updates, scalars, tensors, row
        self._plain: Plain | None = None

    def after(self, scalars: Sequence[Scalars], tensors: Sequence[Tensor]) -> Kept:
        """What is kept after one more step of the same updates."""
        return Kept(self.base, self.updates, scalars, tensors, (self.row + 1) % ROWS)

    @property
    def untouched(self) -> bool:
        """Whether no step has been made."""
        return not (self.updates or self.base.scalars)

    @property
    def plain(self) -> Plain:
        """The whole state, told apart. Not to be changed where there are updates."""
        if not self.updates:
            return self.base
        if self._plain is None:
            scalars, slots, homes = self.base.copies()
            for (update, tensors), counted in zip(self.parts(), self.scalars, strict=True):
                for parameter, own in zip(update.parameters, by_parameter(update, tensors), strict=True):
                    key = id(parameter)
                    scalars[key], homes[key] = counted, update.home
                    slots[key] = {**slots.get(key, {}), **own}
            self._plain = Plain(scalars, slots, homes)
        return self._plain

    def parts(self) -> Iterator[tuple[Update, Sequence[Tensor]]]:
        """The updates, each with its part of the tensors."""
        used = 0
        for update in self.updates:
            assert update.packing is not None
            yield update, self.tensors[used : used + update.packing.count]
            used += update.packing.count

    def precede(self, updates: Sequence[Update]) -> bool:
        """Whether these updates follow those that left this state."""
        return bool(updates) and [u.packing for u in updates] == [u.packing for u in self.updates]

    def without(self, updates: Sequence[Update]) -> Plain:
        """The state, but for what these updates will leave: nothing is to be held twice."""
        if self.precede(updates):
            return self.base
        scalars, slots, homes = self.plain.copies()
        for update in updates:
            for key in map(id, update.parameters):
                rest = {n: t for n, t in slots.pop(key, {}).items() if n not in update.slots}
                if rest:  # of a slot that other options have
                    slots[key] = rest
                scalars.pop(key, None)
                homes.pop(key, None)
        return Plain(scalars, slots, homes)


def by_parameter(update: Update, tensors: Sequence[Tensor]) -> list[dict[str, Tensor]]:
    """The slots of each parameter."""
    assert update.packing is not None
    flat, size = update.packing.scatter(update, tensors), len(update.parameters)
    columns: Slots = {name: flat[i * size : (i + 1) * size] for i, name in enumerate(update.slots)}
    return [{name: column[i] for name, column in columns.items()} for i in range(size)]
