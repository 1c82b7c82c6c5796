"""What a comparison found: rows, a verdict, a table, JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

from ..errors import ArgumentError

AGREES, WEAK, DIFFERS, FAILED, MISSING = "agrees", "weak", "differs", "failed", "not installed"
"""Verdicts. ``weak``: within the tolerance, but rounding alone carries this result so far that it proves little."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One result on one backend.

    Attributes:
        backend: the backend's name.
        kind: "output", "loss", "input gradient", "parameter gradient" or "buffer"; "" where the net did not come so far.
        name: which of that kind: a place in the output or inputs (``[0]['logits']``), or a parameter's or buffer's name.
        verdict: "agrees", "weak", "differs", "failed" (an error was raised) or "not installed".
        error: the largest absolute difference from the reference; None where there is no such number.
        relative: ``error`` divided by the largest magnitude in the reference (for gradients: in all of them).
        tolerance: the largest ``error`` that float rounding explains.
        detail: what is wrong, "" if nothing is.
    """

    backend: str
    kind: str
    name: str
    verdict: str
    error: float | None = None
    relative: float | None = None
    tolerance: float | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the backend here."""
        return self.verdict in (AGREES, WEAK)


@dataclasses.dataclass(frozen=True)
class Report:
    """What ``compare`` found; ``print`` shows a table.

    Attributes:
        net: the net's class.
        dtype: the float dtype that the backends computed in.
        mode: "training" or "evaluation", the mode of outputs and gradients.
        reference: the backend that computed the reference in float64.
        versions: each backend's framework's version.
        rows: every result on every backend.
        notes: what to know when reading it.
    """

    net: str
    dtype: str
    mode: str
    reference: str
    versions: dict[str, str]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every backend ran and agrees with the reference."""
        return all(row.ok for row in self.rows)

    @property
    def problems(self) -> list[Row]:
        """The rows that are not ok."""
        return [row for row in self.rows if not row.ok]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        rows = [{key: _plain(value) for key, value in dataclasses.asdict(row).items()} for row in self.rows]
        return {"ok": self.ok, **fields, "rows": rows, "notes": list(self.notes)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file ending in ``.json``.

        Raises:
            ArgumentError: the name ends otherwise.
        """
        target = Path(path)
        if target.suffix != ".json":
            html = target.suffix in (".html", ".htm")
            why = "HTML reports cannot be written yet" if html else "unknown format"
            raise ArgumentError(f"save() expected a name ending in .json, got {target.name!r}: {why}")
        target.write_text(json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")

    def __rich__(self) -> Any:
        """The table, for ``rich.print`` and consoles."""
        from ._table import render

        return render(self)

    def __str__(self) -> str:
        """The table as plain text."""
        import io

        from rich.console import Console

        text = io.StringIO()
        Console(file=text, force_terminal=False, color_system=None, width=120).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())

    __repr__ = __str__


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


__all__ = ["AGREES", "DIFFERS", "FAILED", "MISSING", "WEAK", "Report", "Row"]
