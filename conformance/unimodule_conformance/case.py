"""A spec made real: nets, inputs and the oracle's answers, each worked out once and shared by all checks and targets."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from unimodule import nn

from .building import arrays, build
from .oracle.reference import REFERENCE, Reference
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
        """The net with the parameters that the spec draws, on the reference backend; clone it before use."""
        net = build(self.spec).to(REFERENCE)
        if not all(variable.has_value for _, variable in net.named_variables()):
            with np.errstate(all="ignore"):
                net.eval()(
                    *self.inputs
                )  # lazy parameters take the shapes, and in eval mode no buffer changes
        return net.train(self.spec.training)

    @cached_property
    def inputs(self) -> tuple[np.ndarray[Any, Any], ...]:
        """What the net is called with."""
        return arrays(self.spec)

    @cached_property
    def reference(self) -> Reference:
        """What the reference says."""
        return Reference(self)

    @cached_property
    def in_float64(self) -> Case:
        """The same case in float64, with the same numbers: the reference's answers are shared."""
        wide = Case(self.spec.with_dtype("float64"))
        wide.model, wide.inputs = self.model, tuple(map(widened, self.inputs))
        wide.reference = self.reference
        return wide

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


def widened(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A float array in float64; others as they are."""
    return array.astype("float64") if array.dtype.kind == "f" else array


__all__ = ["Case", "widened"]
