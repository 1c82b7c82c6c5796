"""Where one call of ``fit`` stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import StateDictError
from ._averages import Averages
from ._data import Reader

History = dict[str, list[float | None]]


class Run:
    """What a run has done so far.

    Args:
        epochs: how many it is to have in the end.
        averages: the sums of the present epoch.
        reader: its batches.
        validation: those of the validation, or None.

    Attributes:
        epoch: the present epoch, from 0.
        batch: batches done in it.
        steps: batches done in the run.
        stopped: whether it was told to end.
        history: quantity -> its value for each epoch.
    """

    def __init__(self, epochs: int, averages: Averages, reader: Reader, validation: Reader | None) -> None:
        self.epochs, self.averages, self.reader, self.validation = epochs, averages, reader, validation
        self.epoch = self.batch = self.steps = 0
        self.stopped = False
        self.history: History = {}

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do."""
        return self.stopped or self.epoch >= self.epochs

    def finish_epoch(self, logs: Mapping[str, float]) -> None:
        """Note what an epoch gave, and go on to the next. A quantity that is not there every time has None in between."""
        for name in {**self.history, **logs}:
            column = self.history.setdefault(name, [])
            column += [None] * (self.epoch - len(column))
            column.append(float(logs[name]) if name in logs else None)
        self.epoch, self.batch = self.epoch + 1, 0
        self.averages.clear()

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain values."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "steps": self.steps,
            "stopped": self.stopped,
            "history": {name: list(values) for name, values in self.history.items()},
            "averages": self.averages.state_dict(),
            "reader": self.reader.state_dict(),
            "validation": None if self.validation is None else self.validation.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            StateDictError: the run cannot go on from there.
        """
        if state["batch"] and self.reader.steps is not None and state["batch"] > self.reader.steps:
            raise StateDictError(
                f"the checkpoint has {state['batch']} batches in its epoch, steps_per_epoch is {self.reader.steps}"
            )
        numbers = [int(state[name]) for name in ("epoch", "batch", "steps")]
        if min(numbers) < 0 or not all(map(_is_column, state["history"].values())):
            raise StateDictError("the checkpoint's history or place is malformed")
        saved = state["validation"]
        self.reader.load_state_dict(state["reader"])
        if saved is not None and self.validation is not None:
            self.validation.load_state_dict(saved)
        self.averages.load_state_dict(state["averages"])
        self.epoch, self.batch, self.steps = numbers
        self.stopped = bool(state["stopped"])
        self.history = {name: list(values) for name, values in state["history"].items()}


def _is_column(values: Any) -> bool:
    return isinstance(values, list) and all(v is None or isinstance(v, float) for v in values)
