"""The scoreboard and the failures, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..outcome import Status
from ..running.results import Failure, Results, Tally
from ..specs import Spec
from .telling import tell

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

SHOWN = 10
"""How many failures are told of; all are in the report's files."""

_APART = (
    (Status.SKIPPED, "skipped", "dim"),
    (Status.KNOWN, "known", "cyan"),
    (Status.WEAK, "weak", "yellow"),
    (Status.VACUOUS, "vacuous", "yellow"),
)


def render(results: Results, *, directory: str = "") -> Any:
    """The results for a rich console; ``directory`` is where the scripts lie, if anywhere."""
    from rich.console import Group
    from rich.text import Text

    lines: list[Any] = [scoreboard(results)]
    lines += [Text.assemble((f"{note}", "dim")) for note in notes(results)]
    for failure in results.failures[:SHOWN]:
        lines.append(_failure(failure, directory))
    if len(results.failures) > SHOWN:
        lines.append(Text(f"... and {len(results.failures) - SHOWN} more"))
    for witness in results.witnesses:
        if not witness.ok:
            lines.append(Text(f"divergence {witness.id}: its witness is {witness.verdict}", style="red"))
    lines.append(_verdict(results))
    return Group(*lines)


def scoreboard(results: Results) -> Any:
    """A line for each check and backend that has seen a case."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    about = f"{results.config.profile}, seed {results.config.seed}: {results.drawn} cases"
    table = Table(title=about, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Check", no_wrap=True)
    table.add_column("Backend", no_wrap=True)
    for heading in ("Passed", "Failed", "Skipped", "Known", "Weak", "Vacuous", "Worst"):
        table.add_column(heading, justify="right", no_wrap=True)
    for check in results.checks:
        label = check
        for target in results.targets:
            cell = results.cell(check, target)
            if not cell.total:
                continue
            failed = Text(str(cell.red), style="bold red") if cell.red else Text("")
            others = [Text(str(cell.of(s)) if cell.of(s) else "", style=style) for s, _, style in _APART]
            passed = Text(str(cell.of(Status.PASSED)), style="green")
            table.add_row(label, target, passed, failed, *others, worst(cell))
            label = ""
        if not label:
            table.add_section()
    return table


def worst(cell: Tally) -> str:
    """The largest error of a pass, in units of the tolerance."""
    return "" if cell.worst == 0 else f"{cell.worst:.2f}" if cell.worst >= 0.005 else "<0.01"


def notes(results: Results) -> list[str]:
    """What to know when reading the scoreboard."""
    found = []
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    if versions:
        found.append(f"Judged: {versions}.")
    found.append("Worst: the largest error of a pass, in units of the tolerance.")
    if results.witnesses:
        shown = sum(w.verdict == "shows" for w in results.witnesses)
        elsewhere = sum(w.verdict == "elsewhere" for w in results.witnesses)
        more = f"; {elsewhere} concern other versions" if elsewhere else ""
        found.append(f"Known divergences: {shown} of {len(results.witnesses)} witnesses show{more}.")
    for target, names in results.uncovered.items():
        found.append(f"{target} was never asked for: {', '.join(names)}.")
    return found


def _failure(failure: Failure, directory: str) -> Group:
    from rich.console import Group
    from rich.text import Text

    repeats = f" (and {failure.repeats} more like it)" if failure.repeats else ""
    text = Text()
    text.append(f"\n{failure.check} on {failure.target}{repeats}\n", style="bold red")
    text.append(f"  {failure.message}\n")
    if first := failure.details.get("module"):
        text.append(f"  first to part: {first}\n")
    for line in tell(Spec.from_json(failure.spec)).splitlines():
        text.append(f"    {line}\n", style="dim")
    where = f"{directory}/failures/{failure.id}.py" if directory else "its script: --report DIR"
    # One line, however narrow the terminal: a path is there to be copied.
    last = Text(f"  {failure.shrinking}; {where}", style="dim", no_wrap=True, overflow="ignore")
    text.rstrip()
    return Group(text, last)


def _verdict(results: Results) -> Text:
    from rich.text import Text

    ended = "" if results.ended == "done" else f" ({results.ended})"
    took = f"{results.seconds:.0f} s"
    if results.ok:
        return Text(f"\nGreen{ended}, in {took}", style="bold green")
    return Text(f"\nRed{ended}, in {took}: {'; '.join(results.problems)}", style="bold red")


__all__ = ["notes", "render", "scoreboard", "worst"]
