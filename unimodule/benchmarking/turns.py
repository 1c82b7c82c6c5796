"""Workers that take turns: what is asked of whom, in which order, and what becomes of it where one is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from ..comparison import Timing
from ..comparison.measure import Case
from ..comparison.places import Place
from ..comparison.portrait import Encoder
from ..comparison.records import RAN
from ..nn.module import Module
from .child import Child, Lost
from .report import BenchPlace, Measurement
from .worker import NO_COMPILER, Cell


# ---------------------------------------------------------------------- workers
class Workers:
    """One worker for each place, started when it is first asked and again after it was lost.

    Attributes:
        places: what is known of each, by label.
    """

    def __init__(self, places: Sequence[Place], source: Module, case: Case, timeout: float) -> None:
        encoder = Encoder()
        self._job = {
            "net": encoder.encode(source, type(source).__name__),
            "case": encoder.encode(case, "case"),
        }
        self._arrays, self._timeout = encoder.arrays, timeout
        self._asked = {place.label: place for place in places}
        self._children: dict[str, Child] = {}
        self.places: dict[str, BenchPlace] = {p.label: BenchPlace(p.label, p.backend) for p in places}

    def ask(self, label: str, do: str, cell: Cell) -> dict[str, Any]:
        """A worker's answer.

        Raises:
            Lost: it ended, did not answer, or could not be started.
        """
        try:
            child = self._children.get(label) or self._start(label)
            return child.ask({"do": do, **cell._asdict()})
        except Lost:
            self._children.pop(label, None)
            raise

    def note(self, label: str, text: str) -> None:
        """Note something about a place, once."""
        place = self.places[label]
        if text not in place.notes:
            self.places[label] = dataclasses.replace(place, notes=(*place.notes, text))

    def _start(self, label: str) -> Child:
        place = self._asked[label]
        if (known := self.places[label]).status != RAN:
            raise Lost(known.status, known.message)
        job = {**self._job, "backend": place.backend, "device": place.device}
        try:
            child = Child(place, job, self._arrays, self._timeout)
            if child.about["status"] != RAN:
                child.close()
                raise Lost(child.about["status"], child.about["message"])
        except Lost as lost:
            self.places[label] = dataclasses.replace(known, status=lost.status, message=lost.message)
            raise
        about = {key: value for key, value in child.about.items() if key != "status"}
        self.places[label] = dataclasses.replace(known, interpreter=place.interpreter, **about)
        self._children[label] = child
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            for child in self._children.values():
                stack.callback(child.close)


# ---------------------------------------------------------------------- turns
@dataclasses.dataclass
class _Found:
    """What is known of one cell on one backend so far."""

    prepared: dict[str, Any] | None = None
    samples: list[float] = dataclasses.field(default_factory=list)
    status: str = RAN
    message: str = ""


class Turns:
    """Prepares every cell, then samples them in rounds."""

    def __init__(
        self,
        workers: Workers,
        cells: Sequence[Cell],
        repeats: int,
        seed: int,
        progress: Callable[[str], None],
    ) -> None:
        self._workers, self._repeats, self._progress = workers, repeats, progress
        self._shuffle = random.Random(seed).shuffle
        groups = dict.fromkeys((cell.what, cell.batch) for cell in cells)
        self._found = {
            (label, cell): _Found()
            for group in groups
            for label in workers.places
            for cell in cells
            if (cell.what, cell.batch) == group
        }

    def run(self) -> list[Measurement]:
        """Every measurement."""
        for label in self._workers.places:
            self._prepare(label)
        for number in range(self._repeats):
            self._progress(f"round {number + 1} of {self._repeats}")
            order = list(self._found)
            self._shuffle(order)
            for label, cell in order:
                if (answer := self._ask(label, "sample", cell)) is not None:
                    self._found[label, cell].samples.append(answer["seconds"])
        return [_measurement(label, cell, found) for (label, cell), found in self._found.items()]

    def _prepare(self, label: str) -> None:
        """Make the first calls of one backend, small batches first: what is too much for it, is so at the end."""
        for cell in sorted(
            (cell for place, cell in self._found if place == label), key=lambda cell: cell.batch
        ):
            self._progress(f"{label}: {cell.mode} {cell.what}, batch {cell.batch}")
            answer = self._ask(label, "prepare", cell)
            if answer is not None and answer["status"] == NO_COMPILER:
                self._workers.note(label, "this backend has no compiler")
                del self._found[label, cell]
            elif answer is not None:
                self._found[label, cell].prepared = answer

    def _ask(self, label: str, do: str, cell: Cell) -> dict[str, Any] | None:
        """The answer; None where there is none, then or before."""
        found = self._found[label, cell]
        if found.status != RAN:
            return None
        try:
            answer = self._workers.ask(label, do, cell)
        except Lost as lost:
            found.status, found.message = lost.status, lost.message
            return None
        if answer["status"] in (RAN, NO_COMPILER):
            return answer
        found.status, found.message = answer["status"], answer["message"]
        return None


def _measurement(label: str, cell: Cell, found: _Found) -> Measurement:
    about = found.prepared or {}
    timing = Timing(tuple(found.samples), about.get("first")) if found.samples else None
    return Measurement(
        label,
        *cell,
        found.status,
        found.message,
        timing,
        about.get("calls", 0),
        about.get("peak"),
        about.get("process"),
    )


__all__ = ["Turns", "Workers"]
