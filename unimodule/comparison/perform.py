"""Run a net in one place, in all modes and phases, and send what it gives as it comes.

This runs in the process that compares or in a worker under another interpreter; where the messages go is not its affair.
"""

from __future__ import annotations

import copy
import dataclasses
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from .. import registry
from ..backend import Backend
from ..errors import BackendNotInstalledError
from ..nn.module import Module
from ..transforms.functional import leaves
from .measure import BUFFERS, FORWARD, GRADIENT, STEPS, Array, Case, Runner, measure, set_mode
from .memory import peak
from .places import Place
from .recording import Recorder
from .records import COMPILED, EAGER, FAILED, MEMORY, MISSING

Message = dict[str, Any]


class Sink(Protocol):
    """Takes messages: a dict that JSON could hold, and arrays. One that keeps arrays in memory says in an attribute ``held``
    how many bytes of them.
    """

    def __call__(self, message: Message, arrays: Sequence[Array] = ()) -> None:
        """Take one."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done in every place.

    Attributes:
        modes: "eager", "compiled".
        phases: names of phases, in their order, and whether each runs in training mode.
        quiet: paths of modules that stay in evaluation mode, since they draw random numbers in training.
        layers: whether modules are watched.
        repeats: how often each thing is timed; 0 for not at all.
    """

    modes: tuple[str, ...]
    phases: tuple[tuple[str, bool], ...]
    quiet: tuple[str, ...] = ()
    layers: bool = True
    repeats: int = 5


def perform(place: Place, source: Module, case: Case, plan: Plan, send: Sink) -> None:
    """Run a net.

    Args:
        place: where; its interpreter is the one that this runs in.
        source: the net, with all its values, on any backend; it is copied.
        case: what it is given.
        plan: what is to be done.
        send: gets a message for every result and every failure; nothing is raised but what ends the process.
    """
    with warnings.catch_warnings():  # what frameworks warn of is not compared, and must not become an error
        warnings.simplefilter("ignore")
        _perform(place, source, case, plan, send)


def _perform(place: Place, source: Module, case: Case, plan: Plan, send: Sink) -> None:
    try:
        backend = registry.get_backend(place.backend)
        placed = source.clone().to(place.backend, device=place.device)
    except Exception as error:
        status = MISSING if isinstance(error, BackendNotInstalledError) else _status(error)
        send({"what": "ended", "status": status, "message": described(error)})
        return
    send(_about(backend, placed))
    for mode in plan.modes:
        if mode == COMPILED and type(backend).compile is Backend.compile:
            send({"what": "note", "text": "this backend has no compiler"})
            continue
        with backend.full_precision():
            _Mode(backend, placed, case, plan, mode, send).run()


def _about(backend: Backend, net: Module) -> Message:
    from .. import __version__

    return {
        "what": "about",
        "version": backend.version(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "unimodule": __version__,
        },
        "device": str(net.device),
        "precision": {"dtype": net.dtype, "float32 products": "full"},
    }


class _Mode:
    """One mode in one place."""

    def __init__(
        self, backend: Backend, placed: Module, case: Case, plan: Plan, mode: str, send: Sink
    ) -> None:
        self.backend, self.placed, self.case, self.plan = backend, placed, case, plan
        self.mode, self._send = mode, send
        self.runners: dict[str, Runner] = {}
        self.failed: set[str] = set()
        self.first: dict[str, float] = {}

    def send(self, message: Message, arrays: Sequence[Array] = ()) -> None:
        self._send({**message, "mode": self.mode}, arrays)

    @property
    def held(self) -> int:
        """Bytes of arrays that are kept in this process where they are sent."""
        return getattr(self._send, "held", 0)

    def run(self) -> None:
        """Every phase, then the timing. A phase that fails leaves the others be."""
        send = self.send
        for phase, training in self.plan.phases:
            start = time.perf_counter()
            try:
                values = self.phase(phase, training)
            except Exception as error:
                send(
                    {"what": "failed", "phase": phase, "status": _status(error), "message": described(error)}
                )
                self.failed.add(phase)
                continue
            finally:
                send({"what": "seconds", "of": "runs", "seconds": time.perf_counter() - start})
            send({"what": "values", "keys": [list(key) for key in values]}, list(values.values()))
        start = time.perf_counter()
        for phase, training in self.plan.phases if self.plan.repeats else ():
            if phase != BUFFERS and phase not in self.failed:
                self.time(phase, training)
        send({"what": "seconds", "of": "timing", "seconds": time.perf_counter() - start})

    def phase(self, phase: str, training: bool) -> dict[Any, Array]:
        if phase == GRADIENT and self.mode == EAGER and self.plan.layers:
            before = self.held
            with peak() as most:

                def watched(message: Message, arrays: Sequence[Array] = ()) -> None:
                    self._send(message, arrays)
                    most.apart(self.held - before)  # not what the net takes

                net = Recorder(self.backend, watched).attach(self.net(phase, training))
                values = measure(Runner(net, self.case), phase)
        else:
            self.runners[phase] = runner = self.runner(phase, training)
            with peak() as most:
                start = time.perf_counter()
                values = measure(runner, phase)
                if phase != BUFFERS and self.mode == COMPILED:
                    self.first[phase] = (time.perf_counter() - start) / (
                        self.case.steps if phase == STEPS else 1
                    )
        if phase == GRADIENT:
            self.send({"what": "memory", "bytes": most.bytes})
        return values

    def runner(self, phase: str, training: bool) -> Runner:
        return Runner(self.net(phase, training), self.case, self.mode == COMPILED)

    def net(self, phase: str, training: bool) -> Module:
        """A copy for one phase. Only training changes parameters: elsewhere their values, which may be large, are shared."""
        shared = {} if phase == STEPS else {id(p): p.alias() for p in self.placed.parameters()}
        return set_mode(copy.deepcopy(self.placed, shared), training, self.plan.quiet)

    def time(self, phase: str, training: bool) -> None:
        runner = self.runners.get(phase) or self.runner(phase, training)
        call: Callable[[], Any] = {FORWARD: runner.forward, GRADIENT: runner.gradient, STEPS: runner.step}[
            phase
        ]
        samples = []
        for _ in range(self.plan.repeats + 1):
            start = time.perf_counter()
            _wait(self.backend, call())
            samples.append(time.perf_counter() - start)
        name = {FORWARD: "forward", GRADIENT: "backward", STEPS: "step"}[phase]
        self.send(
            {"what": "timing", "of": name, "samples": samples[1:], "first": self.first.get(phase, samples[0])}
        )


_SMALL = 4096


def _wait(backend: Backend, result: Any) -> None:
    """Wait until a result is there, where the framework computes in the background: its small tensors are read, or, if
    it has none, the smallest.
    """
    tensors = [leaf for leaf in leaves(result) if registry.find_backend(leaf) is backend]
    sizes = [int(np.prod(backend.shape(tensor))) for tensor in tensors]
    limit = max(_SMALL, min(sizes, default=0))
    for tensor, size in zip(tensors, sizes, strict=True):
        if size <= limit:
            backend.to_numpy(tensor)


def _status(error: BaseException) -> str:
    text = f"{type(error).__name__} {error}".lower()
    full = isinstance(error, MemoryError) or "out of memory" in text or "resource_exhausted" in text
    return MEMORY if full else FAILED


def described(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


__all__ = ["Message", "Plan", "Sink", "described", "perform"]
