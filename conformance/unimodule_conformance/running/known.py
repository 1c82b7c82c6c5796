"""The registry of divergences as a run uses it: rows excuse failures, and their witnesses have to show."""

from __future__ import annotations

import re
import traceback
import warnings
from dataclasses import dataclass
from functools import cache

from unimodule import registry

from ..divergences.model import Divergence
from ..outcome import Target
from ..specs import Spec


@dataclass(frozen=True)
class Witnessed:
    """What became of one row's witness.

    Attributes:
        id: the row's.
        backend: the row's.
        versions: the row's range.
        installed: the framework's version here; "" where it is not installed.
        verdict: ``"shows"``, ``"gone"`` (within its range, and no longer to be seen: the row is stale), ``"elsewhere"``
            (outside its range, or not installed) or ``"broken"`` (the witness raised).
        message: the traceback of a broken one.
    """

    id: str
    backend: str
    versions: str
    installed: str
    verdict: str
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done about the row."""
        return self.verdict in ("shows", "elsewhere")


def rows() -> tuple[Divergence, ...]:
    """The registry."""
    from .. import divergences

    return tuple(getattr(divergences, "DIVERGENCES", ()))


def excuse(spec: Spec, target: Target) -> Divergence | None:
    """The first row that covers a failure of this spec on this target, if any."""
    for row in rows():
        if row.backend == target.backend and row.excuses(spec) and within(version(row.backend), row.versions):
            return row
    return None


def witness(row: Divergence) -> Witnessed:
    """Run a row's witness."""
    have = version(row.backend)
    if not have or not within(have, row.versions):
        return Witnessed(row.id, row.backend, row.versions, have, "elsewhere")
    try:
        verdict, message = "shows" if row.witness() else "gone", ""
    except Exception:
        verdict, message = "broken", traceback.format_exc()
    return Witnessed(row.id, row.backend, row.versions, have, verdict, message)


@cache
def version(backend: str) -> str:
    """The version of a backend's framework, "" where it cannot be loaded."""
    return loaded(backend)[0]


@cache
def loaded(backend: str) -> tuple[str, str]:
    """The version of a backend's framework, and why it cannot be loaded: one of them is ""."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # frameworks, when they are imported
            return registry.get_backend(backend).version(), ""
    except Exception as error:
        return "", " ".join(f"{type(error).__name__}: {error}".split())


def within(version: str, specifier: str) -> bool:
    """Whether a version satisfies a specifier such as ``">=2.18,<2.22"``; an empty one takes every version.

    Numbers are compared; what follows them (``+cpu``, ``rc1``) is not looked at.

    Example:
        >>> within("2.21.0", ">=2.18,<2.22"), within("1.9.1", "==1.9.1"), within("2.22", "<2.22")
        (True, True, False)
    """
    have = _numbers(version)
    for part in filter(None, (part.strip() for part in specifier.split(","))):
        match = re.fullmatch(r"(==|!=|<=|>=|<|>)\s*([0-9][0-9.]*?)(\.\*)?", part)
        if match is None:
            raise ValueError(f"not a version specifier: {specifier!r}")
        sign, bound = match[1], _numbers(match[2])
        width = len(bound) if match[3] else max(len(have), len(bound))
        ours, theirs = _padded(have, width), _padded(bound, width)
        holds = {
            "==": ours == theirs,
            "!=": ours != theirs,
            "<": ours < theirs,
            "<=": ours <= theirs,
            ">": ours > theirs,
            ">=": ours >= theirs,
        }
        if not holds[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _padded(numbers: tuple[int, ...], width: int) -> tuple[int, ...]:
    return (numbers + (0,) * width)[:width]


__all__ = ["Witnessed", "excuse", "loaded", "rows", "version", "within", "witness"]
