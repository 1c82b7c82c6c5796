"""The rows of a comparison report, as plain data: one backend, one mode, one result, one module's call.

See ``report`` for how they hang together.
"""

from __future__ import annotations

import dataclasses
import statistics

AGREES, WEAK, DIFFERS = "agrees", "weak", "differs"
"""Verdicts. ``weak``: within the tolerance, but rounding alone carries this result so far that it proves little."""

RAN, FAILED, MISSING = "ok", "failed", "not installed"
CRASHED, TIMEOUT, MEMORY = "crashed", "timeout", "out of memory"
"""How the run of a backend (or a mode) ended. ``ok`` says that it came to its end, not that its numbers agree."""

EAGER, COMPILED = "eager", "compiled"
FORWARD, GRADIENT = "forward", "gradient"
"""Directions of layer records."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A result and its error as two small images, where it has rows and columns. A cell may stand for several elements:
    of the reference the first, of the difference the largest.

    Attributes:
        place: which part of the tensor is shown: ``"[0, 0, :, :]"``.
        cell: how many rows and columns of the tensor one cell covers.
        reference: rows of numbers; None where there is no finite one.
        difference: rows of absolute differences.
    """

    place: str
    cell: tuple[int, int]
    reference: tuple[tuple[float | None, ...], ...]
    difference: tuple[tuple[float | None, ...], ...]


@dataclasses.dataclass(frozen=True)
class TensorError:
    """One result of one backend in one mode.

    Attributes:
        kind: one of ``unimodule.comparison.measure.KINDS``: "output", "loss", "input gradient", "parameter gradient",
            "buffer", "step loss", "trained parameter", "trained buffer".
        name: which of that kind: a place in the output or inputs (``[0]['logits']``), or a parameter's or buffer's name.
        verdict: "agrees", "weak" or "differs".
        absolute: the largest absolute difference from the reference; None where no number says it (shape, NaN).
        relative: ``absolute`` over ``scale``.
        conditioned: ``absolute`` in units of conditioning.
        tolerance: the largest ``absolute`` that float rounding explains.
        scale: the largest magnitude in the reference (for gradients: in all of them).
        shape: the reference's shape.
        dtype: the backend's dtype.
        detail: what is wrong, "" if nothing is.
        picture: where the result is an output with rows and columns.
    """

    kind: str
    name: str
    verdict: str
    absolute: float | None = None
    relative: float | None = None
    conditioned: float | None = None
    tolerance: float | None = None
    scale: float | None = None
    shape: tuple[int, ...] = ()
    dtype: str = ""
    detail: str = ""
    picture: Picture | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it."""
        return self.verdict != DIFFERS


@dataclasses.dataclass(frozen=True)
class Timing:
    """What one thing costs in time.

    Attributes:
        samples: seconds of each repeated call, in the order in which they ran.
        first: seconds of the first call ever, compilation included; None where it was not timed.
    """

    samples: tuple[float, ...]
    first: float | None = None

    @property
    def median(self) -> float:
        """Seconds a call takes."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the samples."""
        if len(self.samples) == 1:
            return self.samples * 2
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high


@dataclasses.dataclass(frozen=True)
class ModeResult:
    """One backend in one mode.

    Attributes:
        mode: "eager" or "compiled".
        status: "ok", or "failed" where an error was raised; what came before it is there.
        message: the error in one line.
        tensors: every result.
        timings: "forward" (a call), "backward" (forward and backward together, as compilers fuse them) and "step" (a
            training step), as far as they were asked for.
        compile_seconds: what the first calls took longer than the later ones, all in all; None where not timed. Eager
            frameworks compile single operations, too.
        peak_bytes: the most memory that the process held while forward and backward ran for the first time, above what
            it held before; None where the system does not tell.
    """

    mode: str
    status: str = RAN
    message: str = ""
    tensors: tuple[TensorError, ...] = ()
    timings: dict[str, Timing] = dataclasses.field(default_factory=dict)
    compile_seconds: float | None = None
    peak_bytes: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it ran to its end and every result agrees."""
        return self.status == RAN and all(tensor.ok for tensor in self.tensors)

    @property
    def worst(self) -> TensorError | None:
        """The result that uses most of its tolerance; one that has no number comes before all others."""
        return max(self.tensors, key=badness, default=None)


def badness(tensor: TensorError) -> tuple[bool, bool, float]:
    """What makes a result the one to show of several: being wrong, then having no number, then the error."""
    return (not tensor.ok, tensor.conditioned is None and not tensor.ok, tensor.conditioned or 0.0)


@dataclasses.dataclass(frozen=True)
class LayerRecord:
    """One call of one module on one backend, in one direction, in eager mode.

    Forward, the error is that of what the module returned; in the gradient, of what it handed back to its inputs and to
    its own parameters. ``created`` compares the module with the float64 reference *on the backend's own numbers*, the
    results of the modules inside it too: it is the error of this module's own code, apart from all that it was given.

    Attributes:
        path: the module's dotted path, "" for the net itself.
        type: its class.
        call: which call of this module, from 0.
        order: its place among all calls, in the order in which they began.
        direction: "forward" or "gradient".
        verdict: "agrees", "differs", or "not compared" where ``detail`` says why.
        created: the largest absolute error that this module's own code made.
        tolerance: the largest ``created`` that float rounding explains.
        spread: the root mean square of the error created, of the tensor that comes closest to its tolerance. Rounding
            errors differ from element to element; a fault that is small but everywhere shows here first.
        spread_tolerance: the largest ``spread`` that float rounding explains.
        scale: the largest magnitude in the reference; ``created`` and ``absolute`` are relative to it.
        absolute: the largest difference from the reference's free run: created here, or passed on.
        shape: of the (first) tensor that the module returned.
        detail: what is wrong, "" if nothing is.
    """

    path: str
    type: str
    call: int
    order: int
    direction: str
    verdict: str
    created: float | None = None
    tolerance: float | None = None
    spread: float | None = None
    spread_tolerance: float | None = None
    scale: float | None = None
    absolute: float | None = None
    shape: tuple[int, ...] = ()
    detail: str = ""

    @property
    def relative(self) -> float | None:
        """``absolute`` over ``scale``."""
        return None if self.absolute is None or not self.scale else self.absolute / self.scale

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the module."""
        return self.verdict != DIFFERS


@dataclasses.dataclass(frozen=True)
class Parting:
    """A module in which a backend leaves the reference. The first in a direction is where they part.

    Attributes:
        path: the module's dotted path, "" for the net itself.
        type: its class.
        call: which call of this module, from 0.
        direction: "forward" or "gradient".
        created: the largest absolute error that this module's own code made; None where no number says it.
        tolerance: the largest that float rounding explains.
        detail: what is wrong.
    """

    path: str
    type: str
    call: int
    direction: str
    created: float | None
    tolerance: float | None
    detail: str


@dataclasses.dataclass(frozen=True)
class BackendRow:
    """One backend, as it was asked for.

    Attributes:
        label: what it is called in the report, unique: "torch", or the name given to a worker ("torch-2.11").
        backend: the backend's name.
        status: "ok", "failed", "not installed", "crashed", "timeout" or "out of memory".
        message: why, in one line, where it is not "ok".
        version: its framework's version.
        versions: of Python, NumPy and unimodule where it ran.
        device: where it ran: "cpu", "gpu:0".
        interpreter: the Python that ran it, None for the one that compared.
        precision: "dtype", "float32 products" ("full" unless asked otherwise).
        modes: what it gave, by mode; those that it came to before it ended.
        layers: every call of every module in eager mode; empty where layers were not looked at.
        partings: the calls that created more error than rounding explains: forward in the order in which they returned,
            then gradients in the order in which they were computed, that is from the last module to the first.
        notes: what to know when reading it.
    """

    label: str
    backend: str
    status: str = RAN
    message: str = ""
    version: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    device: str = ""
    interpreter: str | None = None
    precision: dict[str, str] = dataclasses.field(default_factory=dict)
    modes: tuple[ModeResult, ...] = ()
    layers: tuple[LayerRecord, ...] = ()
    partings: tuple[Parting, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it ran to its end, every result agrees, and no module parts from the reference."""
        return self.status == RAN and all(mode.ok for mode in self.modes) and not self.partings

    def first(self, direction: str) -> Parting | None:
        """The first module that parts from the reference in "forward" or "gradient"."""
        return next((p for p in self.partings if p.direction == direction), None)

    def mode(self, name: str) -> ModeResult | None:
        """What it gave in a mode."""
        return next((mode for mode in self.modes if mode.mode == name), None)


@dataclasses.dataclass(frozen=True)
class Pair:
    """One result of two backends against each other, in one mode.

    Attributes:
        mode: "eager" or "compiled".
        a: the label of one.
        b: the label of the other.
        kind: as in ``TensorError``.
        name: as in ``TensorError``.
        absolute: the largest absolute difference; None where no number says it.
        relative: over the largest magnitude in the reference.
        conditioned: in units of conditioning.
    """

    mode: str
    a: str
    b: str
    kind: str
    name: str
    absolute: float | None
    relative: float | None
    conditioned: float | None


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
    "TIMEOUT",
    "WEAK",
    "BackendRow",
    "LayerRecord",
    "ModeResult",
    "Pair",
    "Parting",
    "Picture",
    "TensorError",
    "Timing",
    "badness",
]
