"""What a benchmark found, as plain data.

::

    BenchReport                 what was measured, and how
      .places: BenchPlace           one for each backend asked for: how it went, versions, device
      .rows: Measurement            one for each backend, mode, thing measured and batch size

Everything is a frozen dataclass of numbers, texts and tuples; ``to_dict`` and ``from_dict`` go to JSON and back.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from ..comparison import Timing
from ..comparison._plain import from_plain, to_plain
from ..comparison.records import RAN
from ..errors import ArgumentError

SCHEMA = 1
"""Of the JSON: a whole number that grows when a field changes its meaning or goes away."""

FORWARD, GRADIENT, TRAIN = WHAT = ("forward", "gradient", "train")
"""What is measured: a call in evaluation mode; the loss and its gradients in training mode; a step of an optimiser."""


@dataclasses.dataclass(frozen=True)
class BenchPlace:
    """One backend, as it was asked for.

    Attributes:
        label: what it is called: "torch", or the name given to an interpreter ("torch-2.11").
        backend: the backend's name.
        status: "ok", or how its worker could not be started: "failed", "not installed", "crashed", "timeout".
        message: why, in one line, where it is not "ok".
        version: its framework's version.
        versions: of Python, NumPy and unimodule there.
        device: where it ran: "cpu", "gpu:0".
        interpreter: the Python that ran it.
        notes: what to know when reading its numbers.
    """

    label: str
    backend: str
    status: str = RAN
    message: str = ""
    version: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    device: str = ""
    interpreter: str | None = None
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one thing costs on one backend in one mode at one batch size.

    Attributes:
        label: of the backend.
        mode: "eager" or "compiled".
        what: "forward", "gradient" or "train".
        batch: how many rows the inputs have.
        status: "ok", "failed", "crashed", "timeout", "out of memory", or "not installed".
        message: why, in one line.
        timing: seconds of a call, one sample for each round, and of the first call; None where it did not run.
        calls: how many calls each sample is the average of.
        peak_bytes: the most memory that a call takes at once beyond what the process held before it: activations,
            gradients, temporaries. None where the system does not tell, and on accelerators.
        process_bytes: the most memory that the process held meanwhile, the framework itself and the net included.
    """

    label: str
    mode: str
    what: str
    batch: int
    status: str = RAN
    message: str = ""
    timing: Timing | None = None
    calls: int = 0
    peak_bytes: int | None = None
    process_bytes: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it ran."""
        return self.status == RAN

    @property
    def compile_seconds(self) -> float | None:
        """What the first call took longer than the later ones: mostly compilation."""
        if self.timing is None or self.timing.first is None:
            return None
        return max(0.0, self.timing.first - self.timing.median)


@dataclasses.dataclass(frozen=True)
class BenchReport:
    """What ``bench`` found; ``print`` shows a table.

    Attributes:
        net: the net's class.
        dtype: its float dtype.
        inputs: the place, shape and dtype of each input, as given.
        loss: what gradients are taken of.
        optimizer: what steps are taken by; "" where there are none.
        repeats: how many rounds were measured.
        parameters: how many "parameters" there are, how many of them "trainable", "constants and buffers", and "bytes".
        machine: where it ran: "platform", "python", "cpus", and the environment variables that say how many threads.
        seconds: what all of it took.
        places: every backend.
        rows: every measurement.
        schema: of this data.
    """

    net: str
    dtype: str
    inputs: tuple[tuple[str, tuple[int, ...], str], ...]
    loss: str
    optimizer: str
    repeats: int
    parameters: dict[str, int]
    machine: dict[str, str]
    seconds: float
    places: tuple[BenchPlace, ...]
    rows: tuple[Measurement, ...]
    schema: int = SCHEMA

    @property
    def ok(self) -> bool:
        """Whether everything that was to be measured ran."""
        return all(row.ok for row in self.rows) and all(place.status == RAN for place in self.places)

    def select(
        self,
        label: str | None = None,
        mode: str | None = None,
        what: str | None = None,
        batch: int | None = None,
    ) -> list[Measurement]:
        """The measurements of a backend, a mode, a thing measured and a batch size; all of them where None is given."""
        wanted = {"label": label, "mode": mode, "what": what, "batch": batch}
        return [r for r in self.rows if all(v is None or getattr(r, k) == v for k, v in wanted.items())]

    # ------------------------------------------------------------------ as data
    def to_dict(self) -> dict[str, Any]:
        """The report as JSON takes it: its fields, and the medians, quartiles and compile times beside the samples."""
        data: dict[str, Any] = to_plain(self)
        for row, plain in zip(self.rows, data["rows"], strict=True):
            if row.timing is not None:
                low, high = row.timing.spread
                plain["seconds"] = {"median": row.timing.median, "low": low, "high": high}
                plain["seconds"]["compile"] = row.compile_seconds
        return {"schema": data.pop("schema"), "ok": self.ok, **data, "took": data.pop("seconds")}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The report that ``to_dict`` made ``data`` of.

        Raises:
            ArgumentError: it is not of this schema, or fields are missing or of another type.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA or "took" not in data:
            found = data.get("schema") if isinstance(data, dict) else type(data).__name__
            raise ArgumentError(f"this is no benchmark report of schema {SCHEMA} but {found!r}")
        bare = {key: value for key, value in data.items() if key not in ("ok", "took")}
        rows = bare.get("rows")
        if isinstance(rows, Iterable):
            bare["rows"] = [
                {key: value for key, value in row.items() if key != "seconds"}
                if isinstance(row, dict)
                else row
                for row in rows
            ]
        return from_plain(cls, {**bare, "seconds": data["took"]})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file ending in ``.json``, or a plot of it to one ending in ``.svg``, ``.png`` or ``.pdf``.

        Raises:
            ArgumentError: the name ends otherwise, or a plot needs Matplotlib and it is not installed.
        """
        target = Path(path)
        if target.suffix == ".json":
            target.write_text(json.dumps(self.to_dict(), allow_nan=False) + "\n", encoding="utf-8")
            return
        from .plot import save

        save(self, target)

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


__all__ = ["FORWARD", "GRADIENT", "SCHEMA", "TRAIN", "WHAT", "BenchPlace", "BenchReport", "Measurement"]
