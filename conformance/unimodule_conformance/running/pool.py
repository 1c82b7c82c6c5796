"""Spreads tasks over processes, and outlives what happens in them."""

from __future__ import annotations

import contextlib
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import IO, Any

from .environment import environment
from .tasks import At, Broken, Task

Handle = Callable[[Task, Any], None]

STARTING = 120.0
"""How many seconds a process may take to start, on a machine that has much else to do."""


class Serial:
    """Does tasks in this process. A crash is a crash."""

    def run(self, tasks: Iterable[Task], handle: Handle, deadline: float | None = None) -> bool:
        """As ``Pool.run``."""
        for task in tasks:
            if deadline is not None and time.monotonic() > deadline:
                return False
            for part in task.run():
                if not isinstance(part, At):
                    handle(task, part)
        return True

    def __enter__(self) -> Serial:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Pool:
    """Processes that do tasks, whoever is free the next one.

    Every process loads all the backends: that takes 5 seconds of processor time for four frameworks, once, where the
    reference's answers take a tenth of a second for each case, and would be worked out anew in the process of each backend.

    A process that dies, or says nothing for ``patience`` seconds, is replaced, and its task told (``Task.crashed``).
    """

    def __init__(self, workers: int, *, wide: bool = False, patience: float = 300.0) -> None:
        self.patience = patience
        self._wide = wide
        self._answers: queue.SimpleQueue[tuple[_Worker, str, Any]] = queue.SimpleQueue()
        self._workers = [_Worker(self._answers, wide) for _ in range(workers)]

    def run(self, tasks: Iterable[Task], handle: Handle, deadline: float | None = None) -> bool:
        """Do all tasks, calling ``handle(task, result)`` here for each result as it comes.

        Returns whether all were done: behind ``deadline`` (of ``time.monotonic``) no new one is begun.
        """
        waiting = deque(tasks)
        late = False
        while True:
            late = late or (deadline is not None and time.monotonic() > deadline)
            for worker in list(self._workers):
                if worker.task is None and waiting and not late:
                    task = waiting.popleft()
                    if not worker.give(task):
                        waiting.appendleft(task)
                        self._replace(worker, waiting, handle)
            if all(worker.task is None for worker in self._workers):
                if late or not waiting:
                    return not waiting
                continue
            self._listen(waiting, handle)

    def _listen(self, waiting: deque[Task], handle: Handle) -> None:
        try:
            worker, kind, value = self._answers.get(timeout=1.0)
        except queue.Empty:
            for worker in self._workers:
                patience = self.patience if worker.ready else max(self.patience, STARTING)
                if worker.task is not None and time.monotonic() - worker.heard > patience:
                    worker.silent = True
                    worker.kill()
            return
        if worker not in self._workers:
            return  # the last words of one that has been replaced
        worker.heard = time.monotonic()
        if kind == "ready":
            worker.ready = True
        elif kind == "gone":
            self._replace(worker, waiting, handle)
        elif worker.task is None:
            raise Broken("a worker answered what nobody asked")
        elif kind == "part" and isinstance(value, At):
            worker.at = value.what
        elif kind == "part":
            handle(worker.task, value)
        elif kind == "done":
            worker.task = None
        else:
            raise Broken(f"a task failed:\n{value}")

    def _replace(self, worker: _Worker, waiting: deque[Task], handle: Handle) -> None:
        task, why = worker.task, worker.epitaph(self.patience)
        self._workers[self._workers.index(worker)] = _Worker(self._answers, self._wide)
        worker.end(gently=False)
        if task is None:  # it died between tasks
            return
        results, left = task.crashed(worker.at, why)
        for result in results:
            handle(task, result)
        if left is not None:
            waiting.appendleft(left)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end(gently=kind is None)


class _Worker:
    """A process, and the thread that hears it."""

    def __init__(self, answers: queue.SimpleQueue[tuple[_Worker, str, Any]], wide: bool) -> None:
        self.task: Task | None = None
        self.at: Any = None
        self.heard = time.monotonic()
        self.silent = False
        self.ready = False
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment(wide),
        )
        self._ear = threading.Thread(target=self._hear, args=(answers,), daemon=True)
        self._ear.start()

    def _hear(self, answers: queue.SimpleQueue[tuple[_Worker, str, Any]]) -> None:
        assert self.process.stdout is not None
        try:
            while True:
                answers.put((self, *pickle.load(self.process.stdout)))
        except Exception:  # the end, in the middle of a word or not
            answers.put((self, "gone", None))

    def give(self, task: Task) -> bool:
        """Have it do a task; False where it has died already."""
        assert self.process.stdin is not None
        try:
            pickle.dump(task, self.process.stdin)
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        self.task, self.at, self.heard = task, None, time.monotonic()
        return True

    def epitaph(self, patience: float) -> str:
        """How it died, with its last words."""
        code = self.process.wait()
        if self.silent:
            why = f"did not return within {patience:g} seconds"
        elif code < 0:
            why = f"ended its process: {signal.Signals(-code).name}"
        else:
            why = f"ended its process with status {code}"
        self.errors.seek(0)
        words = self.errors.read().decode(errors="replace").strip().splitlines()
        return "\n".join([why, *words[-30:]])

    def kill(self) -> None:
        """At once."""
        self.process.kill()

    def end(self, *, gently: bool) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        if not gently:
            self.process.kill()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._ear.join()
        self.process.stdout.close()
        self.errors.close()


__all__ = ["Pool", "Serial"]
