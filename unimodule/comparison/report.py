"""What a comparison found, as plain data. Start here to read a report, to draw one, or to write a tool on its JSON.

::

    Report                      what was compared, and how
      .rows: BackendRow         one for each backend asked for: how its run went, versions, device, precision
        .modes: ModeResult      "eager" and "compiled"
          .tensors: TensorError     every output, gradient, buffer, ... against the float64 reference
          .timings: Timing          "forward", "backward", "step"
        .layers: LayerRecord    every call of every module, forward and gradient: error created here, and in all
        .partings: Parting      the calls that created more error than float rounding explains, the first one first
      .pairs: Pair              every tensor of every two backends against each other

Everything is a frozen dataclass of numbers, texts and tuples; ``to_dict`` and ``from_dict`` go to JSON and back.
Errors come as three numbers. ``absolute`` is the largest |y - r|, ``relative`` is that over ``scale``, the largest |r|
(for gradients, among all gradients of the net), and ``conditioned`` is it in units of what one float rounding of every
number and operation does to this very result: up to 16 of these units pass (``unimodule.comparison.tolerance``).
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from ..errors import ArgumentError
from ._plain import from_plain, to_plain
from .records import (
    AGREES,
    COMPILED,
    CRASHED,
    DIFFERS,
    EAGER,
    FAILED,
    FORWARD,
    GRADIENT,
    MEMORY,
    MISSING,
    RAN,
    TIMEOUT,
    WEAK,
    BackendRow,
    LayerRecord,
    ModeResult,
    Pair,
    Parting,
    Picture,
    TensorError,
    Timing,
    badness,
)

SCHEMA = 1
"""Of the JSON: a whole number that grows when a field changes its meaning or goes away."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What ``compare`` found; ``print`` shows a table.

    Attributes:
        net: the net's class.
        dtype: the float dtype that the backends computed in.
        mode: "training" or "evaluation", the mode of outputs and gradients.
        reference: the backend that computed the reference in float64.
        inputs: the place, shape and dtype of each input.
        loss: what gradients are taken of.
        steps: how many training steps were taken.
        optimizer: by what: ``"SGD(lr=0.01)"``; "" without steps.
        seed: of the projection, and of what was drawn for parameters without a value.
        parameters: how many "parameters" there are, how many of them "trainable", "constants and buffers", and "bytes".
        machine: where it ran: "platform", "python", "cpus".
        seconds: what the comparison took: "reference", "runs" (what backends were asked to compute, recording included),
            "timing" (repeats), "total".
        rows: every backend.
        pairs: every two of them, for each result that both have.
        notes: what to know when reading it.
        schema: of this data.
    """

    net: str
    dtype: str
    mode: str
    reference: str
    inputs: tuple[tuple[str, tuple[int, ...], str], ...]
    loss: str
    steps: int
    optimizer: str
    seed: int
    parameters: dict[str, int]
    machine: dict[str, str]
    seconds: dict[str, float]
    rows: tuple[BackendRow, ...]
    pairs: tuple[Pair, ...] = ()
    notes: tuple[str, ...] = ()
    schema: int = SCHEMA

    @property
    def ok(self) -> bool:
        """Whether every backend ran and agrees with the reference."""
        return all(row.ok for row in self.rows)

    @property
    def problems(self) -> list[BackendRow]:
        """The backends that are not ok."""
        return [row for row in self.rows if not row.ok]

    @property
    def tensors(self) -> Iterator[tuple[BackendRow, ModeResult, TensorError]]:
        """Every result with whose it is."""
        return ((row, mode, tensor) for row in self.rows for mode in row.modes for tensor in mode.tensors)

    def row(self, label: str) -> BackendRow:
        """The backend of that label.

        Raises:
            ArgumentError: there is none.
        """
        for row in self.rows:
            if row.label == label:
                return row
        raise ArgumentError(
            f"the report has no backend {label!r}; it has {', '.join(r.label for r in self.rows)}"
        )

    # ------------------------------------------------------------------ as data
    def to_dict(self) -> dict[str, Any]:
        """The report as JSON takes it: its fields, and the verdict as "ok", on rows and modes too."""
        data: dict[str, Any] = to_plain(self)
        for row, plain in zip(self.rows, data["rows"], strict=True):
            plain["ok"] = row.ok
            for mode, plain_mode in zip(row.modes, plain["modes"], strict=True):
                plain_mode["ok"] = mode.ok
        return {"schema": data.pop("schema"), "ok": self.ok, **data}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The report that ``to_dict`` made ``data`` of.

        Raises:
            ArgumentError: it is not of this schema, or fields are missing or of another type.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else type(data).__name__
            raise ArgumentError(f"this is no comparison report of schema {SCHEMA} but {found!r}")
        return from_plain(cls, _without_verdicts(data))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file ending in ``.json``, or in ``.html`` as a page that needs no other file.

        Raises:
            ArgumentError: the name ends otherwise, or the page needs Jinja2 and it is not installed.
        """
        target = Path(path)
        if target.suffix == ".json":
            text = json.dumps(self.to_dict(), allow_nan=False) + "\n"
        elif target.suffix in (".html", ".htm"):
            from .page import page

            text = page(self)
        else:
            raise ArgumentError(f"save() expected a name ending in .json or .html, got {target.name!r}")
        target.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The report in a file that ``save`` wrote as JSON.

        Raises:
            ArgumentError: the file holds no report of this schema.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ArgumentError(f"{path} is no JSON: {error}") from error
        return cls.from_dict(data)

    # ------------------------------------------------------------------ as text
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


def _without_verdicts(data: dict[str, Any]) -> dict[str, Any]:
    """Plain data without what follows from the rest of it."""

    def bare(plain: Any) -> Any:
        return {key: item for key, item in plain.items() if key != "ok"} if isinstance(plain, dict) else plain

    out: dict[str, Any] = bare(data)
    if isinstance(out.get("rows"), list):
        out["rows"] = [bare(row) for row in out["rows"]]
        for row in out["rows"]:
            if isinstance(row, dict) and isinstance(row.get("modes"), list):
                row["modes"] = [bare(mode) for mode in row["modes"]]
    return out


__all__ = [
    "AGREES",
    "COMPILED",
    "CRASHED",
    "DIFFERS",
    "EAGER",
    "FAILED",
    "FORWARD",
    "GRADIENT",
    "MEMORY",
    "MISSING",
    "RAN",
    "SCHEMA",
    "TIMEOUT",
    "WEAK",
    "BackendRow",
    "LayerRecord",
    "ModeResult",
    "Pair",
    "Parting",
    "Picture",
    "Report",
    "TensorError",
    "Timing",
    "badness",
]
