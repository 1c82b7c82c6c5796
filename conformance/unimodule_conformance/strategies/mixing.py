"""All that can be drawn, in one strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hypothesis import strategies as st

from ..specs import Spec
from .drawing import NAMES
from .trees import models
from .wrong import refusals


def _named(*spaces: str) -> Callable[[], st.SearchStrategy[Spec]]:
    def strategy() -> st.SearchStrategy[Spec]:
        names = tuple(name for name in NAMES if name.startswith(spaces))
        return st.sampled_from(names).flatmap(NAMES.__getitem__)

    return strategy


KINDS: dict[str, Callable[[], st.SearchStrategy[Spec]]] = {
    "layers": _named("nn."),
    "functions": _named("F.", "ops."),
    "models": models,
    "invalid": refusals,
}
"""What ``cases`` mixes, by name."""


VALID = ("layers", "functions", "models")


def cases(kinds: Iterable[str] = VALID, focus: Iterable[str] = ()) -> st.SearchStrategy[Spec]:
    """Specs of several kinds.

    Args:
        kinds: of which kinds: "layers", "functions", "models", "invalid".
        focus: names of layers and functions; with any, only cases of these are drawn.

    Raises:
        KeyError: there is no such kind or name.

    Example:
        >>> from unimodule_conformance.strategies import cases
        >>> focused = cases(focus=["nn.Embedding", "ops.take"])
    """
    wanted = tuple(focus)
    if wanted:
        return st.one_of(*(NAMES[name] for name in wanted))
    return st.one_of(*(KINDS[kind]() for kind in kinds))


__all__ = ["KINDS", "cases"]
