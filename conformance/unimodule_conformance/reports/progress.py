"""Shows how a run is getting on: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TextIO

from ..running.judging import Judged
from ..running.results import RED

EVERY = 15.0
"""Seconds between plain lines."""


class Lines:
    """Plain lines, for logs."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.name, self.total, self.done = "", 0, 0
        self.red: Counter[str] = Counter()
        self._said = 0.0

    def phase(self, name: str, total: int) -> None:
        """A phase begins: a line."""
        self.name, self.total, self.done = name, total, 0
        self._say()

    def step(self, judged: Sequence[Judged] = ()) -> None:
        """Another step: a line now and then, and always for the first failure of a check on a backend."""
        self.done += 1
        for one in judged:
            if one.outcome.status in RED:
                key = f"{one.check} on {one.target}"
                if not self.red[key]:
                    print(f"{one.outcome.status.value}: {key}: {one.outcome.message}", file=self.stream)
                self.red[key] += 1
        if time.monotonic() - self._said > EVERY:
            self._say()

    def _say(self) -> None:
        failed = f", {sum(self.red.values())} failed" if self.red else ""
        print(f"{self.name}: {self.done} of {self.total}{failed}", file=self.stream, flush=True)
        self._said = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Bar:
    """A bar on a terminal, with the number of failures of each backend."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[red]}"),
        )
        self._bar = Progress(*columns, console=Console(file=stream), transient=True)
        self._task: Any = None
        self._red: Counter[str] = Counter()

    def phase(self, name: str, total: int) -> None:
        """A phase begins: the bar starts anew."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=total, red=self._failed())

    def step(self, judged: Sequence[Judged] = ()) -> None:
        """Another step."""
        for one in judged:
            if one.outcome.status in RED:
                self._red[str(one.target)] += 1
        self._bar.update(self._task, advance=1, red=self._failed())

    def _failed(self) -> str:
        return "  ".join(f"[red]{target} {count} failed[/red]" for target, count in self._red.items())

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def progress(stream: TextIO) -> Lines | Bar:
    """What fits the stream."""
    return Bar(stream) if stream.isatty() else Lines(stream)


__all__ = ["Bar", "Lines", "progress"]
