"""``compare``: the same net in several places against a float64 reference."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import dtypes, optim
from ..errors import ArgumentError
from ..inspection import independent_clone
from ..nn.dropout import Dropout
from ..nn.module import Module
from ..nn.parameter import Parameter
from ..optim import Optimizer
from ..registry import get_backend
from ..transforms.functional import materialize
from . import origin
from .collect import Collected
from .judge import pairs_of, row_of
from .measure import (
    BUFFERS,
    FORWARD,
    GRADIENT,
    OUTPUT,
    STEPS,
    Case,
    Key,
    Runner,
    flatten,
    is_float,
    measure,
    on_host,
    set_mode,
)
from .perform import Plan, perform
from .places import Place, parse_places
from .recording import Recorder
from .records import COMPILED, EAGER, LayerRecord, Parting
from .replay import Replay
from .report import Report
from .spill import Spill
from .tolerance import Bound, bounds
from .workers import Job, job, perform_elsewhere

MODES = (EAGER, COMPILED)


def compare(
    net: Module,
    *inputs: Any,
    backends: str | Iterable[str] | None = None,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    reference: str = "numpy",
    modes: str | Iterable[str] = MODES,
    train: bool = False,
    steps: int = 0,
    optimizer: str = "SGD",
    lr: float = 0.01,
    layers: bool = True,
    repeats: int = 5,
    timeout: float = 600.0,
    seed: int = 0,
) -> Report:
    """Run a net in several places, from identical weights and inputs, and compare each with a float64 reference.

    Compared are the outputs, the gradients with respect to parameters and float inputs, the buffers after a call in
    training mode and, with ``steps``, losses, parameters and buffers after so many training steps; each eager and
    compiled, against the reference and against each other. In eager mode every module is watched too, forward and
    backward, and an error is traced to the module whose own code made it. How far a result may be from the reference
    follows from what float rounding does to this very net (``unimodule.comparison.tolerance``). All of it happens on
    copies: the net is not touched.

    A place in which the net does not run is a row of the report that says why; the others still run.

    Args:
        net: a net on any backend or none. Parameters that have no value yet are drawn, the same for all.
        *inputs: what it is called with: NumPy arrays or tensors, nested in tuples, lists and dicts. Floats are rounded
            to the net's dtype, so that every backend is given the same numbers.
        backends: where to run: "torch", "jax:gpu", "mxnet@PATH_TO_PYTHON" or "torch-2.11=PATH_TO_PYTHON" (a label that
            begins with a backend's name), the last two in a worker process under another interpreter; by default every
            installed backend. A worker makes the net again from its classes, which it must be able to import.
        target: what ``loss`` gets beside the output.
        loss: ``loss(output, target)``, or ``loss(output)`` without a target, that gradients are taken of; by default a
            weighted sum of all outputs with fixed random weights.
        reference: the backend that computes the reference in float64.
        modes: "eager", "compiled" or both.
        train: whether outputs and gradients are compared in training mode. What draws random numbers there (dropout) is
            put in evaluation mode, since no two frameworks draw the same.
        steps: how many training steps to take.
        optimizer: by which optimiser: its name in ``unimodule.optim``.
        lr: its learning rate.
        layers: whether to look at the modules one by one.
        repeats: how often forward, backward and step are timed; 0 for not at all.
        timeout: seconds that a worker may take, all in all. What runs in this process has no limit, since nothing can stop
            it there; a place such as ``f"torch@{sys.executable}"`` has one.
        seed: of the random weights of that sum, and of parameters that have no value yet.

    Returns:
        A :class:`Report`: ``report.ok``, ``print(report)``, ``report.rows``, ``report.to_dict()``, ``report.save(path)``.

    Raises:
        ArgumentError: an argument is not what it should be, the net draws random numbers in evaluation mode too, or
            there is something in it that a worker cannot import.
        UnknownBackendError: no backend has such a name.
        Exception: whatever the net raises on the reference backend: there is nothing to compare with then.

    Example:
        >>> import numpy as np, unimodule as um
        >>> report = um.compare(um.nn.Linear(3, 2), np.ones((4, 3), "float32"), backends=["numpy"])
        >>> report.ok
        True
    """
    began = time.perf_counter()
    if origin.SHARED:  # or workers would start workers, without end
        raise ArgumentError(
            "compare() is called where a worker imports the net's class; put the call under if __name__ == '__main__':"
        )
    places = parse_places(backends)
    chosen = _check(net, modes, target, loss, steps, optimizer, repeats)
    net._check_tree()
    dtype = (net._home() or net).dtype
    case = Case(on_host(inputs, dtype), loss, on_host(target, dtype), seed, steps, optimizer, lr)
    source = independent_clone(net, seed).to(reference, device="cpu", dtype=dtype)
    materialize(lambda net, *inputs: net(*inputs), (source, *case.inputs), {})
    notes: list[str] = []
    phases, quiet, expected = _phases(source, case, dtype, train, notes)
    watched = layers and GRADIENT in dict(phases)
    plan = Plan(chosen, tuple(phases.items()), quiet, watched, repeats)
    seconds = {"reference": time.perf_counter() - began}
    work = job(source, case, plan) if any(place.interpreter for place in places) else None
    with Spill() as spill:
        found = [_collect(place, source, case, plan, spill, work, timeout) for place in places]
        oracle = set_mode(source.clone().to(dtype="float64"), phases.get(GRADIENT, False), quiet)
        start = time.perf_counter()
        looks = _layers(oracle, case, found, dtype, spill) if watched else [_NOTHING] * len(found)
        seconds["reference"] += time.perf_counter() - start
        rows = tuple(
            row_of(place, collected, expected, *look)
            for place, collected, look in zip(places, found, looks, strict=True)
        )
        pairs = tuple(pairs_of(places, found, expected))
    for what in ("runs", "timing"):
        seconds[what] = sum(collected.seconds.get(what, 0.0) for collected in found)
    seconds["total"] = time.perf_counter() - began
    return Report(
        net=type(net).__name__,
        dtype=dtype,
        mode="training" if phases[FORWARD] else "evaluation",
        reference=reference,
        inputs=tuple(
            (path, leaf.shape, str(leaf.dtype))
            for path, leaf in flatten(case.inputs)
            if isinstance(leaf, np.ndarray)
        ),
        loss=loss_name(loss),
        steps=steps,
        optimizer=f"{optimizer}(lr={lr:g})" if steps else "",
        seed=seed,
        parameters=counts_of(source),
        machine={
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cpus": str(os.cpu_count()),
        },
        seconds=seconds,
        rows=rows,
        pairs=pairs,
        notes=tuple(notes),
    )


def _collect(
    place: Place, source: Module, case: Case, plan: Plan, spill: Spill, work: Job | None, timeout: float
) -> Collected:
    collected = Collected(spill)
    if place.interpreter is None:
        perform(place, source, case, plan, collected)
    else:
        assert work is not None
        perform_elsewhere(place, work, timeout, collected)
    return collected


Look = tuple[list[LayerRecord], list[Parting]]
_NOTHING: Look = ([], [])


def _layers(oracle: Module, case: Case, found: list[Collected], dtype: str, spill: Spill) -> list[Look]:
    """The modules one by one: each place beside the reference, which runs by itself first."""
    free = Collected(spill)
    recorder = Recorder(get_backend(str(oracle.backend)), free)
    measure(Runner(recorder.attach(oracle.clone()), case), GRADIENT)
    looks = []
    for collected in found:
        replay = Replay(oracle, collected, free, dtype, case.seed)
        replay.run(case)
        looks.append((replay.records, replay.partings))
    return looks


# ---------------------------------------------------------------------- arguments
def _check(
    net: Any, modes: str | Iterable[str], target: Any, loss: Any, steps: int, optimizer: str, repeats: int
) -> tuple[str, ...]:
    """The modes to run in."""
    if not isinstance(net, Module):
        raise ArgumentError(f"compare() expected a Module, got {type(net).__name__}")
    if loss is not None and not callable(loss):
        raise ArgumentError(
            f"compare() expected loss to be a function or a Module, got {type(loss).__name__}"
        )
    if target is not None and loss is None:
        raise ArgumentError("compare() got a target but no loss, such as loss=nn.CrossEntropyLoss()")
    chosen = tuple(dict.fromkeys([modes] if isinstance(modes, str) else modes))
    if not chosen or not set(chosen) <= set(MODES):
        raise ArgumentError(f"compare() expected modes among {', '.join(MODES)}, got {modes!r}")
    for name, number in (("steps", steps), ("repeats", repeats)):
        if type(number) is not int or number < 0:
            raise ArgumentError(f"compare() expected {name} to be a whole number >= 0, got {number!r}")
    kind = getattr(optim, str(optimizer), None)
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise ArgumentError(f"compare(): unimodule.optim has no optimiser {optimizer!r}")
    return chosen


def loss_name(loss: Any) -> str:
    """What reports call a loss."""
    if loss is None:
        return "a random projection of the outputs"
    return str(getattr(loss, "__name__", type(loss).__name__))


def counts_of(net: Module) -> dict[str, int]:
    """How much there is to a net, as reports say it."""
    counts = {"parameters": 0, "trainable": 0, "constants and buffers": 0, "bytes": 0}
    for _, variable in net.named_variables():
        size = int(np.prod([n or 0 for n in variable.shape]))
        counts["bytes"] += size * dtypes.to_numpy_dtype(variable.dtype).itemsize
        if isinstance(variable, Parameter):
            counts["parameters"] += size
            counts["trainable"] += size if variable.requires_grad else 0
        else:
            counts["constants and buffers"] += size
    return counts


# ---------------------------------------------------------------------- what the reference says
def _draws(net: Module, case: Case) -> bool:
    """Whether two calls on the same inputs differ, which means that the net draws random numbers."""
    first, second = (measure(Runner(net.clone(), case), FORWARD) for _ in range(2))
    return any(not np.array_equal(first[k], second[k], equal_nan=first[k].dtype.kind == "f") for k in first)


def _quiet(net: Module, case: Case) -> tuple[str, ...] | None:
    """The modules that must be in evaluation mode for nothing random to be drawn in training; None where it takes all."""
    if not _draws(set_mode(net, True), case):
        return ()
    kinds = [
        (path, isinstance(module, Dropout) or bool(getattr(module, "dropout", None)))
        for path, module in net.named_modules()
    ]
    paths = tuple(path for path, random in kinds if random)
    return None if _draws(set_mode(net, True, paths), case) else paths


def _phases(
    net: Module, case: Case, dtype: str, train: bool, notes: list[str]
) -> tuple[dict[str, bool], tuple[str, ...], dict[Key, Bound]]:
    """What is to be run in every place and whether in training mode, what is to be quiet then, and what is expected."""
    oracle = net.clone().to(dtype="float64")
    if _draws(set_mode(oracle, False), case):
        raise ArgumentError(f"compare(): {type(net).__name__} draws random numbers in evaluation mode too")
    buffers = any(True for _ in oracle.buffers())
    quiet = _quiet(oracle, case) if train or buffers or case.steps else ()
    if quiet:
        notes.append(
            f"In training mode {', '.join(quiet)} did nothing: no two frameworks draw the same random numbers."
        )
    if quiet is None:
        notes.append("Compared in evaluation mode alone: in training mode the net draws random numbers.")
        if case.steps:
            raise ArgumentError(
                f"compare(): steps={case.steps}, but {type(net).__name__} draws random numbers"
            )
    training = train and quiet is not None
    phases: dict[str, bool] = {}
    expected: dict[Key, Bound] = {}

    def add(phase: str, training: bool) -> None:
        set_mode(oracle, training, quiet or ())
        sizes = [bound.reference.size for key, bound in expected.items() if key.kind == OUTPUT]
        sizes += [leaf.size for _, leaf in flatten(case.inputs) if isinstance(leaf, np.ndarray)]
        expected.update(bounds(oracle, case, dtype, phase, max(sizes, default=0)))
        phases[phase] = training

    add(FORWARD, training)
    if not expected:
        raise ArgumentError(
            "compare(): the net returned nothing that can be compared, neither tensors nor numbers"
        )
    floating = any(key.kind == OUTPUT and is_float(bound.reference) for key, bound in expected.items())
    trainable = any(p.requires_grad for p in net.parameters())
    if (floating or case.loss is not None) and (trainable or case.floats):
        add(GRADIENT, training)
    if buffers and not training and quiet is not None:
        add(BUFFERS, True)
    if case.steps:
        if not trainable:
            raise ArgumentError(
                f"compare(): steps={case.steps}, but {type(net).__name__} has nothing to train"
            )
        add(STEPS, True)
    return phases, quiet or (), expected


__all__ = ["MODES", "compare", "counts_of", "loss_name"]
