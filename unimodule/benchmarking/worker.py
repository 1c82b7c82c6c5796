"""The other end of ``child``: holds a net on one backend and does what it is asked, one thing after the other.

Asked to ``prepare`` a cell (a mode, what to measure, a batch size) it makes the first call and measures memory; asked for a
``sample`` it times some calls. Nothing runs between two questions, so that workers may take turns.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import math
import os
import platform
import time
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .. import registry
from ..backend import Backend, BackendInfo
from ..comparison import origin, wire
from ..comparison._plain import from_plain
from ..comparison.measure import Array, Case, Runner, map_structure, set_mode
from ..comparison.memory import peak
from ..comparison.perform import described
from ..comparison.portrait import Decoder
from ..comparison.records import COMPILED, FAILED, MEMORY, MISSING, RAN
from ..errors import BackendNotInstalledError
from ..nn.module import Module
from ..transforms.functional import Tree, leaves
from .report import FORWARD, GRADIENT

SAMPLE_SECONDS = 0.01
"""How long a sample takes at least: short calls are repeated and averaged."""

_SMALL = 4096
"""Numbers that are read as fast as one."""

_WARM = 3
"""Calls after the first one before anything is timed: some frameworks compile again when they see that a call is frequent."""

NO_COMPILER = "no compiler"

Reply = dict[str, Any]


def main(stream: BinaryIO, out: BinaryIO, first: dict[str, Any]) -> None:
    """Answer every message that comes, until there are no more.

    Args:
        stream: where messages come from: first the net and what it is given, then questions.
        out: where the answers go.
        first: what the parent said first: ``packages``, the backend's ``info``.
    """
    origin.SHARED.update(first["packages"])
    registry.register(from_plain(BackendInfo, first["info"]))
    received = wire.read(stream)
    assert received is not None
    try:
        bench = Bench(*received)
        answer = bench.about()
    except Exception as error:
        answer = _failure(error)
    wire.write(out, answer)
    while answer["status"] == RAN and (received := wire.read(stream)) is not None:
        question = received[0]
        cell = Cell(question["mode"], question["what"], question["batch"])
        try:
            reply = getattr(bench, question["do"])(cell)
        except Exception as error:
            reply = _failure(error)
        wire.write(out, reply)
    out.flush()
    os._exit(0)  # not through the frameworks' own ends, some of which hang or crash


class Cell(NamedTuple):
    """What is measured: the mode, "forward", "gradient" or "train", and the batch size."""

    mode: str
    what: str
    batch: int


class Bench:
    """A net on one backend, and the calls that are measured."""

    def __init__(self, job: dict[str, Any], arrays: list[Array]) -> None:
        decoder = Decoder(arrays)
        net, case = decoder.decode(job["net"]), decoder.decode(job["case"])
        assert isinstance(net, Module) and isinstance(case, Case)
        self.backend: Backend = registry.get_backend(job["backend"])
        self.placed, self.case = net.to(job["backend"], device=job["device"]), case
        self.calls: dict[Cell, Callable[[], None]] = {}
        self.counts: dict[Cell, int] = {}

    def about(self) -> Reply:
        """What this is."""
        from .. import __version__

        versions = {"python": platform.python_version(), "numpy": np.__version__, "unimodule": __version__}
        return {
            "status": RAN,
            "version": self.backend.version(),
            "versions": versions,
            "device": str(self.placed.device),
        }

    def prepare(self, cell: Cell) -> Reply:
        """Make the first call, and measure what a later one takes in memory."""
        if cell.mode == COMPILED and type(self.backend).compile is Backend.compile:
            return {"status": NO_COMPILER}
        self.calls[cell] = call = self._call(cell)
        first = _seconds(call)
        for _ in range(_WARM):
            quick = _seconds(call)
        _trim()
        with peak() as most:
            quick = min(quick, _seconds(call))
        self.counts[cell] = calls = max(1, math.ceil(SAMPLE_SECONDS / max(quick, 1e-7)))
        seen = self.placed.device == "cpu"
        return {
            "status": RAN,
            "first": first,
            "calls": calls,
            "peak": most.bytes if seen else None,
            "process": most.total if seen else None,
        }

    def sample(self, cell: Cell) -> Reply:
        """Seconds that a call takes, on average."""
        if cell not in self.calls:  # this worker took the place of one that was lost
            self.prepare(cell)
        call, calls = self.calls[cell], self.counts[cell]
        if calls > 1:
            call()  # what another left in the caches is not this one's fault
        gc.collect(0)
        gc.disable()
        try:
            start = time.perf_counter()
            for _ in range(calls):
                call()
            return {"status": RAN, "seconds": (time.perf_counter() - start) / calls}
        finally:
            gc.enable()

    def _call(self, cell: Cell) -> Callable[[], None]:
        """A function that makes one call and returns when what it computes is there."""
        net = set_mode(self.placed.clone(), cell.what != FORWARD)
        case = dataclasses.replace(
            self.case,
            inputs=at_batch(self.case.inputs, cell.batch, rows_of(self.case.inputs)),
            target=at_batch(self.case.target, cell.batch, rows_of(self.case.inputs)),
        )
        runner, backend = Runner(net, case, cell.mode == COMPILED), self.backend
        if cell.what == FORWARD:
            return lambda: wait(backend, runner.forward())
        if cell.what == GRADIENT:
            return lambda: wait(backend, *runner.gradient())
        state = [variable for _, variable in net.named_parameters() if variable.requires_grad]
        return lambda: wait(backend, runner.step(), [variable.data for variable in state])


# ---------------------------------------------------------------------- batches
def rows_of(inputs: Tree) -> int:
    """The batch size of inputs: the length of the first array that has one; 0 where none has."""
    return next((len(leaf) for leaf in leaves(inputs) if isinstance(leaf, np.ndarray) and leaf.ndim), 0)


def at_batch(tree: Tree, batch: int, rows: int) -> Tree:
    """Arrays of ``rows`` rows with ``batch`` of them, over and over again; whatever has another length as it is."""

    def take(_: str, leaf: Any) -> Any:
        if not (isinstance(leaf, np.ndarray) and leaf.ndim and len(leaf) == rows) or batch == rows:
            return leaf
        return np.ascontiguousarray(leaf[np.arange(batch) % rows])

    return map_structure(take, tree)


# ---------------------------------------------------------------------- measuring
def wait(backend: Backend, *results: Tree) -> None:
    """Wait until results are there, where the framework computes in the background.

    Of the first and the last tensor of each something is read: what lies between them was begun before the one or the
    other, and reading all would cost more than a small net does.
    """
    for result in results:
        tensors = [leaf for leaf in leaves(result) if registry.find_backend(leaf) is backend]
        for tensor in tensors[:1] + tensors[1:][-1:]:
            shape = backend.shape(tensor)
            whole = math.prod(shape) <= _SMALL
            backend.to_numpy(tensor if whole else tensor[(0,) * len(shape)])


def _seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _trim() -> None:
    """Give memory that is free back to the system, so that what the next call takes is seen."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only the GNU C library has it
        ctypes.CDLL(None).malloc_trim(0)


def _failure(error: Exception) -> Reply:
    text = f"{type(error).__name__} {error}".lower()
    if isinstance(error, BackendNotInstalledError):
        status = MISSING
    elif isinstance(error, MemoryError) or "out of memory" in text or "resource_exhausted" in text:
        status = MEMORY
    else:
        status = FAILED
    return {"status": status, "message": described(error)}


__all__ = ["NO_COMPILER", "Bench", "Cell", "at_batch", "main", "rows_of", "wait"]
