"""Callbacks: what happens during ``Trainer.fit`` beside the training itself.

The order of the hooks in a run::

    on_fit_start
        on_epoch_start
            on_step_end, on_state_complete      after each batch
        on_epoch_end, on_state_complete         after each epoch, its validation included
    on_fit_end                                  at the end, also where an error ends the run

A run that is resumed calls ``on_fit_start``, then ``load_state_dict``, and goes on; ``on_epoch_start`` is not called again
for an epoch that had begun.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ArgumentError, StateDictError
from ..optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

if TYPE_CHECKING:
    from .trainer import Trainer

Logs = dict[str, float]


class Callback:
    """Base class: every hook does nothing. A subclass overrides those that it needs.

    Hooks may read ``trainer.epoch`` (from 0), ``trainer.batch`` (batches done in this epoch), ``trainer.steps`` (batches
    done in this run), ``trainer.history``, ``trainer.net``, ``trainer.optimizer``, and may call ``trainer.averages()``,
    ``trainer.stop()`` and ``trainer.save(path)``.

    Example:
        >>> from unimodule.train import Callback
        >>> class Goal(Callback):
        ...     def on_epoch_end(self, trainer, logs):
        ...         if logs["loss"] < 0.1:
        ...             trainer.stop()
    """

    essential: ClassVar[bool] = True
    """Whether training depends on its state: a run cannot be resumed without it then."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before anything else in a call of ``fit``."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After each batch."""

    def on_epoch_end(self, trainer: Trainer, logs: Logs) -> None:
        """After an epoch. ``logs`` has its loss and metrics, those of the validation as ``"val_..."``; what a callback puts
        there goes into the history.
        """

    def on_state_complete(self, trainer: Trainer, epoch_ended: bool) -> None:
        """After the hooks of a batch or an epoch, where the run is between two batches: the place to save it. By the
        end of an epoch ``trainer.history`` has it and ``trainer.epoch`` is the next one.
        """

    def on_fit_end(self, trainer: Trainer) -> None:
        """At the end of ``fit``."""

    def state_dict(self) -> dict[str, Any]:
        """What a run that is resumed must know: numbers, strings, arrays, tensors, and lists, tuples and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            StateDictError: it does not fit.
        """


class Best:
    """The best value of a quantity so far.

    Args:
        monitor: its name among the logs.
        mode: ``"min"``, where less is better, or ``"max"``.
        min_delta: what an improvement must exceed.

    Raises:
        ArgumentError: an argument is not what it is said to be.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if not isinstance(monitor, str):
            raise ArgumentError(f"monitor expected a name, such as 'val_loss', got {monitor!r}")
        if mode not in ("min", "max"):
            raise ArgumentError(f"mode expected 'min' or 'max', got {mode!r}")
        if not min_delta >= 0:
            raise ArgumentError(f"min_delta expected a number >= 0, got {min_delta!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.reset()

    def reset(self) -> None:
        """Forget it."""
        self.value = math.inf if self.mode == "min" else -math.inf

    def improved(self, logs: Mapping[str, float]) -> bool:
        """Whether the logs have a better value, which then is the best. NaN is never better."""
        value = value_of(self.monitor, logs)
        gain = self.value - value if self.mode == "min" else value - self.value
        if not gain > self.min_delta:
            return False
        self.value = value
        return True


def value_of(monitor: str, logs: Mapping[str, float]) -> float:
    """A quantity among the logs.

    Raises:
        ArgumentError: there is none of that name.
    """
    if monitor not in logs:
        hint = "; give fit(validation=...)" if monitor.startswith("val_") else ""
        raise ArgumentError(f"there is no {monitor!r} to monitor, only {', '.join(logs)}{hint}")
    return logs[monitor]


class EarlyStopping(Callback):
    """End the run when a quantity has stopped improving.

    Args:
        monitor: the quantity: ``"val_loss"``, ``"val_accuracy"``, ...
        patience: epochs without improvement after which the run ends, >= 1.
        mode: ``"min"``, where less is better, or ``"max"``.
        min_delta: what an improvement must exceed.
        restore_best: give the net the values of the best epoch at the end, whatever ended the run.

    Attributes:
        best: the best value, infinite before there is one.
        best_epoch: its epoch, from 0; None before there is one.

    Raises:
        ArgumentError: an argument is not what it is said to be.

    Example:
        >>> from unimodule.train import EarlyStopping
        >>> EarlyStopping("val_accuracy", mode="max", patience=5).best
        -inf
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 1,
        mode: str = "min",
        min_delta: float = 0.0,
        restore_best: bool = False,
    ) -> None:
        if type(patience) is not int or patience < 1:
            raise ArgumentError(f"patience expected a whole number >= 1, got {patience!r}")
        self._best = Best(monitor, mode, min_delta)
        self.patience, self.restore_best = patience, restore_best
        self._forget()

    def _forget(self) -> None:
        self._best.reset()
        self.best_epoch: int | None = None
        self._waited = 0
        self._values: dict[str, np.ndarray[Any, Any]] | None = None

    @property
    def best(self) -> float:
        """See the class."""
        return self._best.value

    def on_fit_start(self, trainer: Trainer) -> None:
        """Every run starts anew."""
        self._forget()

    def on_epoch_end(self, trainer: Trainer, logs: Logs) -> None:
        """Compare."""
        if self._best.improved(logs):
            self._waited, self.best_epoch = 0, trainer.epoch
            if self.restore_best:
                self._values = trainer.net_state()
            return
        self._waited += 1
        if self._waited >= self.patience:
            trainer.stop()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Restore."""
        if self._values is not None:
            trainer.load_net_state(self._values)

    def state_dict(self) -> dict[str, Any]:
        """See ``Callback``."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self._waited,
            "values": None if self._values is None else dict(self._values),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``Callback``."""
        expect(self, state, ("best", "best_epoch", "waited", "values"))
        self._best.value, self.best_epoch = state["best"], state["best_epoch"]
        self._waited, self._values = state["waited"], state["values"]


class LRSchedule(Callback):
    """Step a learning-rate schedule of ``optim.lr_scheduler``, and report the rate as ``"lr"``.

    Args:
        scheduler: the schedule, of the optimiser that the trainer has.
        every: ``"epoch"``, or ``"step"``: after each update of the optimiser (with ``accumulate``, not after each batch).
        monitor: what a ``ReduceLROnPlateau`` listens to, by default ``"val_loss"`` where there is a validation, else
            ``"loss"``; within an epoch, the averages so far.

    Raises:
        ArgumentError: an argument is not what it is said to be.

    Example:
        >>> import unimodule as um
        >>> from unimodule.train import LRSchedule
        >>> opt = um.optim.SGD(um.nn.Linear(2, 1).parameters(), lr=0.1)
        >>> schedule = LRSchedule(um.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=100), every="step")
    """

    def __init__(self, scheduler: LRScheduler, every: str = "epoch", monitor: str | None = None) -> None:
        if not isinstance(scheduler, LRScheduler):
            raise ArgumentError(
                f"LRSchedule expected a schedule of optim.lr_scheduler, got {type(scheduler).__name__}"
            )
        if every not in ("epoch", "step"):
            raise ArgumentError(f"every expected 'epoch' or 'step', got {every!r}")
        if monitor is not None and not isinstance(scheduler, ReduceLROnPlateau):
            raise ArgumentError(f"{type(scheduler).__name__} listens to nothing, got monitor={monitor!r}")
        self.scheduler, self.every, self.monitor = scheduler, every, monitor

    def on_fit_start(self, trainer: Trainer) -> None:
        """Check that the schedule is of the trainer's optimiser."""
        if self.scheduler.optimizer is not trainer.optimizer:
            raise ArgumentError("LRSchedule has the schedule of another optimiser than the trainer's")

    def on_step_end(self, trainer: Trainer) -> None:
        """A step, if they count."""
        if self.every == "step" and not trainer.pending:
            self._step(trainer.averages() if isinstance(self.scheduler, ReduceLROnPlateau) else {})

    def on_epoch_end(self, trainer: Trainer, logs: Logs) -> None:
        """A step, if epochs count. The rate reported is the one that the epoch ended with."""
        logs["lr"] = float(trainer.optimizer.param_groups[0]["lr"])
        if self.every == "epoch":
            self._step(logs)

    def _step(self, logs: Mapping[str, float]) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            monitor = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
            self.scheduler.step(value_of(monitor, logs))
        else:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """See ``Callback``."""
        kind = type(self.scheduler).__name__
        return {"kind": kind, "every": self.every, "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``Callback``."""
        expect(self, state, ("kind", "every", "scheduler"))
        own = (type(self.scheduler).__name__, self.every)
        if (state["kind"], state["every"]) != own:
            raise StateDictError(
                f"the checkpoint has a {state['kind']} by {state['every']}, the trainer a {own[0]} by {own[1]}"
            )
        self.scheduler.load_state_dict(copy.deepcopy(state["scheduler"]))


def expect(callback: Callback, state: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raise StateDictError unless a state has the entries that a callback's has."""
    if set(state) != set(names):
        raise StateDictError(
            f"the state of {type(callback).__name__} expected {', '.join(names)}, got {', '.join(state) or 'nothing'}"
        )
