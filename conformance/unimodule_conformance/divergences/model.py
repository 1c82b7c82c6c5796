"""A known divergence: where a framework's native behaviour differs from the declared semantics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ..specs import Spec


class Kind(StrEnum):
    """Why it differs."""

    BUG = "bug upstream"
    CHOICE = "declared choice"
    UNSUPPORTED = "unsupported"
    PRECISION = "precision"


def nowhere(spec: Spec) -> bool:
    """The adapter corrects it everywhere: no case is excused."""
    return False


@dataclass(frozen=True)
class Divergence:
    """One row of the registry. It is data with a witness: a run executes the witness, and fails when it no longer shows.

    Attributes:
        id: short and unique: ``"mxnet-where-gradient"``.
        backend: whose framework it is.
        versions: a version specifier (``"==1.9.1"``, ``">=2.18,<2.22"``); outside it the row says nothing.
        op: the declared name it concerns: ``"ops.where"``, ``"nn.MaxPool2d"``.
        kind: why it differs.
        native: one sentence: what the framework does.
        expected: one sentence: what the declared semantics ask for.
        corrected: whether the adapter makes up for it. Then ``excuses`` is ``nowhere``.
        witness: runs native code only, nothing of unimodule, so that it can be reported upstream; returns whether the
            divergence shows.
        link: the page or issue that documents it, if any.
        excuses: which specs it explains when they fail on this backend; they count as known, never as passed.
    """

    id: str
    backend: str
    versions: str
    op: str
    kind: Kind
    native: str
    expected: str
    corrected: bool
    witness: Callable[[], bool]
    link: str = ""
    excuses: Callable[[Spec], bool] = nowhere


__all__ = ["Divergence", "Kind", "nowhere"]
