"""The compiled function."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from unimodule.errors import ArgumentError

from .. import seeding
from ..loading import mx, thread
from ..operators import Array
from .patches import active
from .recorder import record
from .steps import Step

ListFunction = Callable[[list[Array]], list[Array]]

_DEFAULTS = {"static_alloc": True, "static_shape": True}
_OPTIONS = {*_DEFAULTS, "inline_limit", "forward_bulk_size", "backward_bulk_size"}


class CompiledFunction:
    """A function of a list of arrays, recorded at the first call and run as CachedOps.

    All calls have arrays of the same shapes, dtypes and device. Several threads may call it at once. Inside another
    function that is being recorded, it becomes a part of that one.
    """

    def __init__(self, fn: ListFunction, flags: list[tuple[str, Any]]) -> None:
        self._fn = fn
        self._flags = flags
        self._lock = threading.Lock()
        self._steps: list[Step] | None = None
        self._blank: list[Any] = []
        self._constants: set[int] = set()
        self._results: list[int] = []
        self._copied: list[int] = []
        self._draws = False

    def _record(self, arguments: list[Array]) -> None:
        trace, results = record(self._fn, arguments)
        context = arguments[0].ctx if arguments else mx.current_context()
        slot = 0
        if not arguments:
            slot = trace.new_slot()
            trace.held[slot] = mx.np.zeros((1,), ctx=context)
        for step in trace.steps:
            step.build(self._flags, (slot, context))
        self._blank = [trace.held.get(i) for i in range(len(arguments), trace.slots)]
        self._constants = trace.constants
        self._results = results
        # A constant that is returned may be written into by whoever gets it.
        self._copied = [i for i, slot in enumerate(results) if slot in trace.constants]
        self._draws = any(step.graph.draws for step in trace.steps)
        self._steps = trace.steps

    def __call__(self, values: list[Array]) -> list[Array]:
        if active.trace is not None:
            return self._fn(values)
        thread.ready  # noqa: B018
        if self._steps is None:
            with self._lock:
                if self._steps is None:
                    self._record(values)
        if self._draws:
            seeding.join()
        slots = [*values, *self._blank]
        for step in self._steps:  # type: ignore[union-attr]
            step(slots, self._constants)
        results = [slots[i] for i in self._results]
        for i in self._copied:
            results[i] = results[i].copy()
        return results


def compile_function(fn: ListFunction, options: dict[str, Any]) -> CompiledFunction:
    """``Backend.compile``: ``options`` are CachedOp's flags.

    Raises:
        ArgumentError: there is no such flag.
    """
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise ArgumentError(
            f"compiling for mxnet has no option {', '.join(unknown)}; it has {', '.join(sorted(_OPTIONS))}"
        )
    chosen = {**_DEFAULTS, **options}
    if not chosen["static_alloc"]:  # without which MXNet refuses the other
        chosen["static_shape"] = False
    return CompiledFunction(fn, list(chosen.items()))
