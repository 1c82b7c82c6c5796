"""Run a net in a process of its own, under another interpreter, and survive whatever becomes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from .. import registry
from ..nn.module import Module
from . import wire
from .measure import Case
from .perform import Plan, Sink
from .places import Place
from .portrait import Encoder
from .records import CRASHED, FAILED, MEMORY, TIMEOUT

_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
"""What would have the other interpreter find this one's packages."""

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
_ENDS = 5.0
"""Seconds that a worker has to end in after its last message."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A net and what it is given, on their way to a worker."""

    message: dict[str, Any]
    encoder: Encoder


def job(net: Module, case: Case, plan: Plan) -> Job:
    """A job for workers.

    Raises:
        ArgumentError: the net or the loss has something in it that a worker cannot import.
    """
    encoder = Encoder()
    message = {
        "net": encoder.encode(net, type(net).__name__),
        "case": encoder.encode(case, "case"),
        "plan": encoder.encode(plan, "plan"),
    }
    return Job(message, encoder)


def perform_elsewhere(place: Place, work: Job, timeout: float, send: Sink) -> None:
    """Run a job under the interpreter of a place. Its messages are passed on as they come; the last one says how it ended,
    if it did not end well.

    Args:
        place: where.
        work: what.
        timeout: seconds it may take, all in all.
        send: takes the messages.
    """
    with tempfile.TemporaryFile() as errors:
        killed = out_of_memory_kills()
        process = start(place, errors)
        messages: queue.Queue[Any] = queue.Queue(maxsize=16)
        threads = [
            threading.Thread(target=_feed, args=(process, place, work), daemon=True),
            threading.Thread(target=_receive, args=(process, messages), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            ended = _pass_on(messages, time.monotonic() + timeout, send)
            if ended != TIMEOUT:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_ENDS)
        finally:
            stop(process)
            while threads[1].is_alive():
                with contextlib.suppress(queue.Empty):
                    messages.get(timeout=0.05)
        if ended == TIMEOUT:
            send(_ended(TIMEOUT, f"no answer within {timeout:g} s"))
        elif ended is not None:
            full = killed is not None and (out_of_memory_kills() or 0) > killed
            send(_ended(*how_it_ended(process.returncode, last_words(errors), full)))


def start(place: Place, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a place's interpreter; what is written to standard error goes to ``errors``."""
    environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    for key, value in _QUIET.items():
        environment.setdefault(key, value)
    return subprocess.Popen(
        [str(place.interpreter), str(Path(__file__).with_name("bootstrap.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment,
        start_new_session=True,
    )


def _feed(process: subprocess.Popen[bytes], place: Place, work: Job) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # it ended before it had read all; how it ended says why
        wire.put(process.stdin, introduction(place))
        message = {**work.message, "place": dataclasses.asdict(place)}
        wire.write(process.stdin, message, work.encoder.arrays)
        process.stdin.close()


def introduction(place: Place, worker: str = "unimodule.comparison.worker") -> bytes:
    """The first line that a process reads: which of this one's packages it is to have, and the module that is its main."""
    info = registry.info(place.backend)
    first = {
        "packages": _packages(info.adapter.partition(":")[0].partition(".")[0]),
        "info": dataclasses.asdict(info),
        "worker": worker,
    }
    return json.dumps(first).encode() + b"\n"


def _packages(adapter: str) -> dict[str, str]:
    """The folders of unimodule and of an adapter's package."""
    folders = {}
    for name in ("unimodule", adapter):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            folders[name] = next(iter(spec.submodule_search_locations))
    return folders


def _receive(process: subprocess.Popen[bytes], messages: queue.Queue[Any]) -> None:
    assert process.stdout is not None
    try:
        while (received := wire.read(process.stdout)) is not None:
            messages.put(received)
    except (EOFError, ValueError, OSError):
        pass
    messages.put(None)


def _pass_on(messages: queue.Queue[Any], deadline: float, send: Sink) -> str | None:
    """Pass messages on; returns None after the last, else what became of the worker."""
    while True:
        try:
            received = messages.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return TIMEOUT
        if received is None:
            return CRASHED
        message, arrays = received
        if message["what"] == "done":
            return None
        send(message, arrays)
        if message["what"] == "ended":
            return None


def stop(process: subprocess.Popen[bytes]) -> None:
    """See to it that a worker is gone, with all that it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


# ---------------------------------------------------------------------- how it ended
def _ended(status: str, message: str) -> dict[str, Any]:
    return {"what": "ended", "status": status, "message": message}


def how_it_ended(code: int, words: str, full: bool) -> tuple[str, str]:
    """Status and message for a worker that ended without a last message."""
    more = f": {words}" if words else ""
    if full:
        return MEMORY, "the system ended the worker, since memory ran out"
    if code < 0:
        with contextlib.suppress(ValueError):
            return CRASHED, f"the worker was ended by {signal.Signals(-code).name}{more}"
        return CRASHED, f"the worker was ended by signal {-code}{more}"
    if code > 0:
        return (
            MEMORY if "MemoryError" in words else FAILED,
            words or f"the worker ended with exit status {code}",
        )
    return CRASHED, f"the worker ended without an answer{more}"


def last_words(errors: IO[bytes]) -> str:
    """The line on a worker's standard error that says most: what Python calls fatal, or else the last one."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 2**16))
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    return next(iter(fatal or lines[-1:]), "")


def out_of_memory_kills() -> int | None:
    """How many processes the system has ended here for want of memory; None where it does not tell."""
    for name in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with contextlib.suppress(OSError):
            if match := re.search(r"^oom_kill (\d+)$", Path(name).read_text(), re.MULTILINE):
                return int(match[1])
    return None


__all__ = [
    "Job",
    "how_it_ended",
    "introduction",
    "job",
    "last_words",
    "out_of_memory_kills",
    "perform_elsewhere",
    "start",
    "stop",
]
