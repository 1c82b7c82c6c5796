"""Runs a case on the backend under judgement; what several checks look at is run once."""

from __future__ import annotations

import functools
import itertools
import json
import os
import time
from typing import Any, NamedTuple

import numpy as np

import unimodule as um
from unimodule import ops
from unimodule.backend import Backend
from unimodule.registry import get_backend

from ..case import Case
from ..oracle.judging import judge
from ..oracle.measuring import Values, arrays, backward, buffers, differentiated
from ..oracle.phases import PHASES
from ..outcome import Outcome, Target
from .judged import on
from .outlining import outline

SLOW = 3e-3
"""Seconds. A backend that needs more for a tiny op on a shape that it has not seen compiles each op by itself."""

_sizes = itertools.count(101)


class Call(NamedTuple):
    """What one call of a net gave.

    Attributes:
        values: its outputs, and the buffers that it left.
        outline: what each place of the output is.
    """

    values: Values
    outline: dict[str, str]


def called(case: Case, target: Target) -> Call:
    """One call of the case's net on the target."""

    def run() -> Call:
        with on(target):
            net = case.net(target)
            call = compiling(target)(net) if jitted(target) and not case.spec.reads_values else net
            output = call(*case.inputs)
            return Call({**arrays(output), **buffers(net)}, outline(output, target))

    return case.once(("called", target), run)


def found(case: Case, target: Target, phase: str) -> Values:
    """What a phase leaves on the target."""
    if phase == "forward":
        return called(case, target).values

    def run() -> Values:
        with on(target):
            net = case.net(target)
            if phase == "backward" and jitted(target) and not case.spec.reads_values:
                return backward(net, case.inputs, case.spec.seed, differentiated(compiling(target)))
            return PHASES[phase](case)(net, case.inputs)

    return case.once((phase, target), run)


def held(case: Case, target: Target, phase: str, *kinds: str) -> Outcome:
    """Run a phase on the target and hold the results of some kinds (all, if none is named) against the reference's."""
    return judge(case, phase, found(case, target, phase), case.spec.dtype, *kinds)


def compile_options() -> dict[str, dict[str, Any]]:
    """Options of the native compilers, by backend: what the environment variable ``UNIMODULE_CONFORMANCE_COMPILE`` has as
    JSON. A compiler that takes seconds for each program may be told here to take less.
    """
    return dict(json.loads(os.environ.get("UNIMODULE_CONFORMANCE_COMPILE", "{}")))


def compiling(target: Target) -> functools.partial[Any]:
    """``um.compile`` with the target's options."""
    return functools.partial(um.compile, **compile_options().get(target.backend, {}))


@functools.cache
def jitted(target: Target) -> bool:
    """Whether the target compiles every op for every new shape, so that a case costs much less compiled as a whole. Its
    values are then judged compiled, and ``compiled`` judges eager and compiled alike.
    """
    if not has_compiler(target.backend):
        return False
    return min(_first_call(target) for _ in range(4)) > SLOW


def _first_call(target: Target) -> float:
    """Seconds for a tiny op on a new shape."""
    x = ops.asarray(np.ones(next(_sizes), "float32"), backend=target.backend, device=target.device)
    started = time.perf_counter()
    ops.to_numpy(ops.exp(x))
    return time.perf_counter() - started


def has_compiler(backend: str) -> bool:
    """Whether ``um.compile`` does anything on a backend."""
    return type(get_backend(backend)).compile is not Backend.compile


__all__ = ["Call", "called", "compile_options", "compiling", "found", "has_compiler", "held", "jitted"]
