"""What there is to draw from: a strategy for each public name, one for whole models, one for invalid cases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis.strategies import SearchStrategy

import unimodule as um

from .. import strategies
from ..specs import Spec

TREES, INVALID = "models", "invalid"
"""The groups that are of no single name."""


@dataclass(frozen=True)
class Group:
    """Cases that are drawn from one strategy.

    Attributes:
        name: ``"nn.Conv2d"``, or ``TREES`` or ``INVALID``.
        family: under what reports count them: the module that defines the name, ``"nn.convolution"``.
        strategy: of specs.
    """

    name: str
    family: str
    strategy: SearchStrategy[Spec]


@cache
def groups() -> dict[str, Group]:
    """All groups by name, in the order of the tables."""
    found = {name: Group(name, family(name), strategy) for name, strategy in strategies.NAMES.items()}
    if hasattr(strategies, "models"):
        found[TREES] = Group(TREES, TREES, strategies.models())
    if hasattr(strategies, "refusals"):
        found[INVALID] = Group(INVALID, INVALID, strategies.refusals())
    return found


def names() -> tuple[str, ...]:
    """The public names that have a strategy."""
    return tuple(strategies.NAMES)


def family(name: str) -> str:
    """Where a public name is defined: ``"nn.convolution"`` for ``"nn.Conv2d"``, ``"F.loss"``, ``"ops.reductions"``.

    Example:
        >>> family("nn.Conv2d"), family("ops.sum")
        ('nn.convolution', 'ops.reductions')
    """
    kind, _, attribute = name.partition(".")
    spaces: dict[str, Any] = {"nn": um.nn, "F": um.nn.functional, "ops": um.ops}
    if kind not in spaces:
        return kind
    home = str(getattr(getattr(spaces[kind], attribute, None), "__module__", "") or "")
    leaf = home.rpartition(".")[2].strip("_")
    return f"{kind}.{leaf}" if home.startswith("unimodule.") and leaf != kind else kind


__all__ = ["INVALID", "TREES", "Group", "family", "groups", "names"]
