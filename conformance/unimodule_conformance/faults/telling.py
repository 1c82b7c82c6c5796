"""The table of kills: on the terminal, and as the page of the documentation."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .hunting import Hunted
from .runner import Mutants

_HEAD = """\
# Seeded faults

<!-- Written by `python -m unimodule_conformance.faults --write docs/faults.md results.json` from a real run. -->

What would the [conformance suite](conformance.md) notice? Each fault below is planted while the suite runs, in an adapter
(one of its functions is replaced) or in the core (a method is), without a change to any source, and hunted with the cases
that an ordinary run judges, in their order; cases with the layer or function in question come first, which saves time and
nothing else. It counts as caught when a check fails that passes without it. A *positive control*, a small calculation whose
right answer is known, shows that the fault is live while it is planted and gone afterwards.

```console
$ unimodule conformance --mutants
$ unimodule conformance --mutants --backends torch,numpy --seed 3
```

{summary}

| fault | kind | verdict | caught by | cases | seconds |
|---|---|---|---|---|---|
"""


def summary(found: Mutants) -> str:
    """In a sentence or two."""
    kinds = Counter(h.kind for h in found.killed)
    by_kind = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
    return (
        f"Profile {found.config.profile}, seed {found.config.seed}: {len(found.killed)} of {len(found.hunted)} faults were "
        f"caught, with {found.median:g} cases each at the median, in {found.seconds / 60:.0f} minutes ({by_kind})."
    )


def page(found: Mutants) -> str:
    """The page, as Markdown."""
    lines = [
        f"| {h.fault} | {h.kind} | {h.verdict} | {h.check} | {h.examples} | {h.seconds:.1f} |"
        for h in found.hunted
    ]
    return _HEAD.format(summary=summary(found)) + "\n".join(lines) + "\n"


def line(hunted: Hunted, done: int, total: int) -> str:
    """One result, for progress."""
    by = (
        f" by {hunted.check}, case {hunted.examples}" if hunted.verdict == "killed" else f"  {hunted.message}"
    )
    return f"[{done}/{total}] {hunted.verdict}: {hunted.fault}{by} ({hunted.seconds:.1f} s)"


def table(found: Mutants) -> Any:
    """For ``rich`` to print."""
    from rich.table import Table

    shown = Table(title="Seeded faults", caption=summary(found), title_justify="left", caption_justify="left")
    for name in ("fault", "kind", "verdict", "caught by"):
        shown.add_column(name, overflow="fold")
    for name in ("cases", "seconds"):
        shown.add_column(name, justify="right")
    for h in found.hunted:
        style = None if h.verdict == "killed" else "red"
        row = (h.fault, h.kind, h.verdict, h.check or h.message[:60], str(h.examples), f"{h.seconds:.1f}")
        shown.add_row(*row, style=style)
    return shown


__all__ = ["line", "page", "summary", "table"]
