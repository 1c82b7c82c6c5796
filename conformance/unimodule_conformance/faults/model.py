"""A seeded fault: a small, live change to an adapter or to the core, which the suite must catch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: short and unique: ``"torch: relu's gradient at 0 is 1"``.
        backend: the adapter it is planted in, or None for the core (then every backend has it).
        kind: ``forward``, ``gradient``, ``state``, ``dtype``, ``error``, ``compiled`` or ``device``.
        plant: a context manager that plants it and takes it out without a trace; no source is changed.
        control: a positive control: runs outside the suite, returns whether the planted fault shows; called inside
            ``plant`` it must be True and outside it False.
        around: what has to be there with the fault and without it: a backend that is made for it.
        focus: names of spec nodes whose strategies to draw first (``"nn.Embedding"``): a hint for time, no more.
    """

    name: str
    backend: str | None
    kind: str
    plant: Callable[[], AbstractContextManager[None]]
    control: Callable[[], bool]
    focus: tuple[str, ...] = ()
    around: Callable[[], AbstractContextManager[None]] = nullcontext


__all__ = ["Fault"]
