"""A spec made real: nets, inputs and the oracle's answers, each worked out once and shared by all checks and targets."""

from __future__ import annotations

from functools import cached_property

from .specs import Spec


class Case:
    """One spec, with what the checks need of it.

    It is used by one thread, and thrown away when every check on every target has seen it.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @cached_property
    def key(self) -> str:
        """Identifies the case in reports."""
        return self.spec.to_json()


__all__ = ["Case"]
