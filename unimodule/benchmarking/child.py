"""A worker process for one backend, as seen from this one: questions and answers, and what became of it."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from typing import Any, Self

from ..comparison import wire, workers
from ..comparison.measure import Array
from ..comparison.places import Place
from ..comparison.records import TIMEOUT

_WORKER = "unimodule.benchmarking.worker"


class Lost(Exception):
    """The worker is gone: its status ("crashed", "timeout", "out of memory", "failed") and why."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Child:
    """A worker process.

    Args:
        place: which backend, device and interpreter.
        job: the net and what it is given.
        arrays: of the job.
        timeout: seconds that an answer may take.

    Attributes:
        about: its first answer: "status", and versions and device, or the message.

    Raises:
        Lost: it ends or does not answer.
    """

    def __init__(self, place: Place, job: dict[str, Any], arrays: Sequence[Array], timeout: float) -> None:
        self._timeout = timeout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self._killed = workers.out_of_memory_kills()
        self._process: subprocess.Popen[bytes] = workers.start(place, self._errors)
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        head = workers.introduction(place, _WORKER)
        threading.Thread(target=self._feed, args=(head, job, arrays), daemon=True).start()
        self._reader = threading.Thread(target=self._receive, daemon=True)
        self._reader.start()
        self.about = self._answer()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question.

        Raises:
            Lost: the worker ended, or did not answer in time; it is gone then.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it ended; why, is seen when no answer comes
            wire.write(self._process.stdin, question)
        return self._answer()

    def close(self) -> None:
        """End the worker."""
        workers.stop(self._process)
        self._reader.join()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _feed(self, head: bytes, job: dict[str, Any], arrays: Sequence[Array]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it ended; why, is seen when no answer comes
            wire.put(self._process.stdin, head)
            wire.write(self._process.stdin, job, arrays)

    def _receive(self) -> None:
        assert self._process.stdout is not None
        try:
            while (received := wire.read(self._process.stdout)) is not None:
                self._answers.put(received[0])
        except (EOFError, ValueError, OSError):
            pass
        self._answers.put(None)

    def _answer(self) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=self._timeout)
        except queue.Empty:
            self.close()
            raise Lost(TIMEOUT, f"no answer within {self._timeout:g} s") from None
        if answer is not None:
            return answer
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        full = self._killed is not None and (workers.out_of_memory_kills() or 0) > self._killed
        workers.stop(self._process)
        ended = workers.how_it_ended(self._process.returncode, workers.last_words(self._errors), full)
        self.close()
        raise Lost(*ended)


__all__ = ["Child", "Lost"]
