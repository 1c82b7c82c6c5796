"""A process that does tasks: ``python -m unimodule_conformance.running.worker``. Pickles in, pickles out.

The suite is its own parent here: it trusts what comes through its pipes.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import sys
from typing import BinaryIO


def serve(tasks: BinaryIO, answers: BinaryIO) -> None:
    """Say that it is ready, and do tasks until there are no more: each is answered by any number of ``("part", result)``, then ``("done", None)``,
    or ``("raised", error as text)``.
    """
    from .tasks import Task

    _send(answers, "ready", None)
    while True:
        try:
            task: Task = pickle.load(tasks)
        except EOFError:
            return
        try:
            for part in task.run():
                _send(answers, "part", part)
            _send(answers, "done", None)
        except Exception:
            import traceback

            _send(answers, "raised", traceback.format_exc())


def _send(answers: BinaryIO, kind: str, value: object) -> None:
    pickle.dump((kind, value), answers)
    answers.flush()


def main() -> None:
    """Frameworks print what they like: to standard error, never into the answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us, when it has what it wants
    faulthandler.enable()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    tasks = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.stdin = open(os.devnull)  # noqa: SIM115 (open as long as the process)
    try:
        serve(tasks, answers)
    except BrokenPipeError:  # the parent is gone
        os._exit(1)
    # Frameworks' threads sometimes hang or crash while the interpreter is taken down, when all is said.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
