"""What ``Trainer.fit`` shows while it runs: a bar in a terminal, a line for each epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from .callbacks import Callback, Logs

if TYPE_CHECKING:
    from .trainer import Trainer

REFRESH = 0.1
"""Seconds between updates of the bar: reading a loss may wait for an accelerator."""


def reporter(verbose: int) -> list[Callback]:
    """What reports at a level: 0 nothing, 1 a bar in a terminal and else lines, 2 lines."""
    if verbose == 0:
        return []
    return [Bar() if verbose == 1 and sys.stdout.isatty() else Lines()]


def described(logs: Logs) -> str:
    """Loss, metrics and the rest in a line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in logs.items())


class Lines(Callback):
    """One line for each epoch."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._since = time.perf_counter()

    def on_epoch_end(self, trainer: Trainer, logs: Logs) -> None:
        """The line."""
        now = time.perf_counter()
        print(
            f"epoch {trainer.epoch + 1}/{trainer.epochs}  {described(logs)}  ({now - self._since:.1f} s)",
            flush=True,
        )
        self._since = now


class Bar(Callback):
    """A bar for the present epoch, above it the lines of those before."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Make the bar."""
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[logs]}"),
            console=Console(file=sys.stdout),
            transient=True,
        )
        self._task: Any = None
        self._shown = 0.0
        self._lines = Lines()
        self._lines.on_fit_start(trainer)
        self._bar.start()

    def on_step_end(self, trainer: Trainer) -> None:
        """Move it."""
        now = time.monotonic()
        if self._task is not None and now - self._shown < REFRESH:
            return
        self._shown = now
        if self._task is None:
            description = f"epoch {trainer.epoch + 1}/{trainer.epochs}"
            self._task = self._bar.add_task(description, total=trainer.batches, logs="")
        self._bar.update(self._task, completed=trainer.batch, logs=described(trainer.averages()))

    def on_epoch_end(self, trainer: Trainer, logs: Logs) -> None:
        """Leave a line in its place."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._bar.refresh()
        self._lines.on_epoch_end(trainer, logs)  # the bar takes over printing while it is shown

    def on_fit_end(self, trainer: Trainer) -> None:
        """Take it away."""
        self._bar.stop()
