"""``bench``: the same net in several worker processes, measured in turns."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import optim
from ..comparison import origin
from ..comparison.measure import Case, flatten, on_host
from ..comparison.places import parse_places
from ..comparison.records import COMPILED, EAGER
from ..comparison.run import MODES, counts_of, loss_name
from ..errors import ArgumentError
from ..inspection import independent_clone
from ..nn.module import Module
from ..optim import Optimizer
from ..transforms.functional import materialize
from .report import FORWARD, TRAIN, WHAT, BenchReport
from .turns import Turns, Workers
from .worker import Cell, at_batch, rows_of

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
    if origin.SHARED:
        raise ArgumentError(
            "bench() is called where a worker imports the net's class; put the call under if __name__ == '__main__':"
        )
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
        rows = Turns(workers, cells, repeats, seed, progress).run()
        found = tuple(workers.places.values())
    return BenchReport(
        net=type(net).__name__,
        dtype=dtype,
        inputs=tuple(
            (path, leaf.shape, str(leaf.dtype))
            for path, leaf in flatten(case.inputs)
            if isinstance(leaf, np.ndarray)
        ),
        loss=loss_name(loss) if set(chosen[1]) - {FORWARD} else "",
        optimizer=f"{optimizer}(lr={lr:g})" if TRAIN in chosen[1] else "",
        repeats=repeats,
        parameters=counts_of(source),
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


__all__ = ["bench"]
