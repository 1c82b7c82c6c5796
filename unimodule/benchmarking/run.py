"""``bench``: the same net in several worker processes, measured in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from .. import optim
from ..comparison import Timing
from ..comparison.measure import Case, flatten, on_host
from ..comparison.places import Place, parse_places
from ..comparison.portrait import Encoder
from ..comparison.records import COMPILED, EAGER, RAN
from ..comparison.run import MODES, _counts, _loss_name
from ..errors import ArgumentError
from ..inspection import independent_clone
from ..nn.module import Module
from ..optim import Optimizer
from ..transforms.functional import materialize
from .child import Child, Lost
from .report import FORWARD, TRAIN, WHAT, BenchPlace, BenchReport, Measurement
from .worker import _NO_COMPILER, Cell, at_batch, rows_of

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "XLA_FLAGS",
)
"""Environment variables that decide how many threads frameworks use."""


def bench(
    net: Module,
    *inputs: Any,
    backends: str | Iterable[str] | None = None,
    batches: int | Iterable[int] | None = None,
    modes: str | Iterable[str] = (EAGER, COMPILED),
    what: str | Iterable[str] = (FORWARD, TRAIN),
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    optimizer: str = "SGD",
    lr: float = 0.01,
    repeats: int = 20,
    timeout: float = 600.0,
    seed: int = 0,
    progress: Callable[[str], None] = lambda text: None,
) -> BenchReport:
    """Measure what a net costs in time and memory on several backends.

    Each backend runs in a worker process of its own, so that what one takes in memory is not another's. First every
    combination of backend, mode, thing measured and batch size (a cell) is called once, which compiles it, and its memory
    is measured. Then come rounds: in each, every cell is sampled once, in random order, so that what slows the machine
    down slows all alike. A call has ended when its result is there, on accelerators too; a sample is the average of as many
    calls as take 10 ms. What a framework rounds for speed (TF32) it rounds here as it does by default.

    Args:
        net: a net whose class a worker can import from a module or file.
        *inputs: what it is called with: NumPy arrays or tensors, nested in tuples, lists and dicts.
        backends: where to run: "torch", "jax:gpu", "mxnet@PATH_TO_PYTHON" or "torch-2.11=PATH_TO_PYTHON"; by default
            every installed backend.
        batches: batch sizes: every input (and target) as long as the first one is cut or repeated along its first axis
            to have so many rows. By default the inputs are used as they are.
        modes: "eager", "compiled" or both.
        what: among "forward" (a call in evaluation mode), "gradient" (the loss and its gradients, in training mode) and
            "train" (a step of an optimiser).
        target: what ``loss`` gets beside the output.
        loss: ``loss(output, target)``, or ``loss(output)`` without a target; by default a weighted sum of all outputs.
        optimizer: by which optimiser steps are taken: its name in ``unimodule.optim``.
        lr: its learning rate.
        repeats: how many rounds.
        timeout: seconds that a worker may take for one answer (the first call, or a sample).
        seed: of parameters that have no value yet, and of the order in the rounds.
        progress: called with what is being done.

    Returns:
        A :class:`BenchReport`: ``print(report)``, ``report.rows``, ``report.to_dict()``, ``report.save(path)``.

    Raises:
        ArgumentError: an argument is not what it should be, or a worker could not import the net.
        UnknownBackendError: no backend has such a name.
        Exception: whatever the net raises on these inputs on the NumPy backend, on which it is tried first.

    Example:
        >>> import numpy as np, unimodule as um
        >>> from unimodule.benchmarking import bench
        >>> report = bench(um.nn.Linear(3, 2), np.ones((4, 3), "float32"), backends="numpy", modes="eager", repeats=3)
        >>> [(row.what, row.batch, row.ok) for row in report.rows]
        [('forward', 4, True), ('train', 4, True)]
    """
    began = time.perf_counter()
    if not isinstance(net, Module):
        raise ArgumentError(f"bench() expected a Module, got {type(net).__name__}")
    places = [
        dataclasses.replace(place, interpreter=place.interpreter or sys.executable)
        for place in parse_places(backends)
    ]
    net._check_tree()
    dtype = (net._home() or net).dtype
    case = Case(on_host(inputs, dtype), loss, on_host(target, dtype), seed, 0, optimizer, lr)
    sizes = _batches(batches, rows_of(case.inputs))
    chosen = _among("modes", modes, MODES), _among("what", what, WHAT)
    _check(target, loss, optimizer, repeats)
    cells = [Cell(mode, thing, batch) for thing in chosen[1] for batch in sizes for mode in chosen[0]]
    source = independent_clone(net, seed).to("numpy", device="cpu", dtype=dtype)
    _try(source, case, min(sizes))
    if TRAIN in chosen[1] and not any(p.requires_grad for p in source.parameters()):
        raise ArgumentError(f"bench(): {type(net).__name__} has nothing to train; measure what='forward'")
    with Workers(places, source, case, timeout) as workers:
        rows = _Turns(workers, cells, repeats, seed, progress).run()
        found = tuple(workers.places.values())
    return BenchReport(
        net=type(net).__name__,
        dtype=dtype,
        inputs=tuple(
            (path, leaf.shape, str(leaf.dtype))
            for path, leaf in flatten(case.inputs)
            if isinstance(leaf, np.ndarray)
        ),
        loss=_loss_name(loss) if set(chosen[1]) - {FORWARD} else "",
        optimizer=f"{optimizer}(lr={lr:g})" if TRAIN in chosen[1] else "",
        repeats=repeats,
        parameters=_counts(source),
        machine={
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cpus": str(os.cpu_count()),
            **{name: os.environ[name] for name in _THREADS if name in os.environ},
        },
        seconds=time.perf_counter() - began,
        places=found,
        rows=tuple(rows),
    )


# ---------------------------------------------------------------------- arguments
def _among(name: str, given: str | Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys([given] if isinstance(given, str) else given))
    if not chosen or not set(chosen) <= set(known):
        raise ArgumentError(f"bench() expected {name} among {', '.join(known)}, got {given!r}")
    return chosen


def _batches(batches: int | Iterable[int] | None, rows: int) -> tuple[int, ...]:
    if batches is None:
        return (rows,)
    sizes = tuple(dict.fromkeys([batches] if isinstance(batches, int) else batches))
    if not sizes or any(type(size) is not int or size < 1 for size in sizes):
        raise ArgumentError(f"bench() expected batches to be whole numbers >= 1, got {batches!r}")
    if not rows:
        raise ArgumentError("bench() got batches, but no input has rows")
    return sizes


def _check(target: Any, loss: Any, optimizer: str, repeats: int) -> None:
    if loss is not None and not callable(loss):
        raise ArgumentError(f"bench() expected loss to be a function or a Module, got {type(loss).__name__}")
    if target is not None and loss is None:
        raise ArgumentError("bench() got a target but no loss, such as loss=nn.CrossEntropyLoss()")
    if type(repeats) is not int or repeats < 1:
        raise ArgumentError(f"bench() expected repeats to be a whole number >= 1, got {repeats!r}")
    kind = getattr(optim, str(optimizer), None)
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise ArgumentError(f"bench(): unimodule.optim has no optimiser {optimizer!r}")


def _try(source: Module, case: Case, batch: int) -> None:
    """Call the net once, so that what is wrong with it is said once, and lazy parameters have their shapes."""
    inputs = at_batch(case.inputs, batch, rows_of(case.inputs))
    materialize(lambda net, *inputs: net(*inputs), (source, *inputs), {})
    with np.errstate(all="ignore"):
        source.clone().eval()(*inputs)


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


class _Turns:
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
        self._found = {(label, cell): _Found() for cell in cells for label in workers.places}

    def run(self) -> list[Measurement]:
        # In the order of the cells, a backend's come in the order of growing needs: what is too much, is so at the end.
        for label, cell in sorted(
            self._found, key=lambda key: (list(self._workers.places).index(key[0]), key[1].batch)
        ):
            self._progress(f"{label}: {cell.mode} {cell.what}, batch {cell.batch}")
            answer = self._ask(label, "prepare", cell)
            if answer is not None and answer["status"] == _NO_COMPILER:
                self._workers.note(label, "this backend has no compiler")
                del self._found[label, cell]
            elif answer is not None:
                self._found[label, cell].prepared = answer
        for number in range(self._repeats):
            self._progress(f"round {number + 1} of {self._repeats}")
            order = list(self._found)
            self._shuffle(order)
            for label, cell in order:
                if (answer := self._ask(label, "sample", cell)) is not None:
                    self._found[label, cell].samples.append(answer["seconds"])
        return [_measurement(label, cell, found) for (label, cell), found in self._found.items()]

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
        if answer["status"] in (RAN, _NO_COMPILER):
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


__all__ = ["Workers", "bench"]
