"""A spec made real: nets, inputs and the oracle's answers, each worked out once and shared by all checks and targets."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from unimodule import nn

from .oracle.reference import Reference
from .outcome import Target
from .specs import Spec

T = TypeVar("T")


class Case:
    """One spec, with what the checks need of it.

    It is used by one thread, and thrown away when every check on every target has seen it.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._kept: dict[Hashable, tuple[Any, Exception | None]] = {}

    @cached_property
    def key(self) -> str:
        """Identifies the case in reports."""
        return self.spec.to_json()

    @cached_property
    def model(self) -> nn.Module:
        """The net, on no backend, with the parameters that the spec draws; clone it before use."""
        from .building import build  # only here: what reads reports needs no blocks

        return build(self.spec)

    @cached_property
    def inputs(self) -> tuple[np.ndarray[Any, Any], ...]:
        """What the net is called with."""
        from .building import arrays

        return arrays(self.spec)

    @cached_property
    def reference(self) -> Reference:
        """What the reference says."""
        return Reference(self)

    def net(self, target: Target) -> nn.Module:
        """A fresh net on the target, with the parameters that every target gets, in the spec's dtype and mode."""
        return self.model.clone().to(target.backend, device=target.device, dtype=self.spec.dtype)

    def once(self, what: Hashable, run: Callable[[], T]) -> T:
        """What ``run`` returned, or raised, when it was first asked for ``what``."""
        if what not in self._kept:
            try:
                self._kept[what] = (run(), None)
            except Exception as error:
                self._kept[what] = (None, error)
        value, raised = self._kept[what]
        if raised is not None:
            raise raised
        return value  # type: ignore[no-any-return]


__all__ = ["Case"]
