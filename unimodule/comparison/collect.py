"""What came from one place: the messages of ``perform`` and ``recording``, put in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from .measure import Array, Key
from .records import MEMORY, RAN, Timing
from .spill import Ref, Spill


@dataclasses.dataclass
class Call:
    """One call of one module, as it was watched.

    Attributes:
        order: its place among all calls, in the order in which they began.
        path: the module's dotted path.
        call: which call of this module.
        children: the calls that it made, in their order.
        values: what came in ("in") and went out ("out"), by side and place.
        slopes: the gradients that came back there.
        ended: whether it returned.
    """

    order: int
    path: str
    call: int
    children: list[Call] = dataclasses.field(default_factory=list)
    values: dict[tuple[str, str], Ref] = dataclasses.field(default_factory=dict)
    slopes: dict[tuple[str, str], Ref] = dataclasses.field(default_factory=dict)
    ended: bool = False


@dataclasses.dataclass
class Mode:
    """What one mode gave."""

    values: dict[Key, Ref] = dataclasses.field(default_factory=dict)
    failures: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    timings: dict[str, Timing] = dataclasses.field(default_factory=dict)
    peak_bytes: int | None = None


class Collected:
    """A sink for the messages from one place.

    Attributes:
        status: how the run ended.
        message: why, where it did not end well.
        about: versions, device, precision.
        modes: what each mode gave.
        calls: the calls of modules by their order; a gradient that comes back may come more than once and is summed.
        seconds: what was spent on "runs" and "timing".
    """

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self.status, self.message = RAN, ""
        self.about: dict[str, Any] = {}
        self.modes: dict[str, Mode] = {}
        self.calls: dict[int, Call] = {}
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self._numbers: dict[int, Ref] = {}

    def __call__(self, message: dict[str, Any], arrays: Sequence[Array] = ()) -> None:
        """Take a message."""
        getattr(self, f"_take_{message['what']}")(message, arrays)

    @property
    def held(self) -> int:
        """Bytes of arrays that are kept in memory."""
        return self._spill.held

    def array(self, ref: Ref) -> Array:
        """An array, which is not to be written into."""
        return self._spill.get(ref)

    def _mode(self, message: dict[str, Any]) -> Mode:
        return self.modes.setdefault(message["mode"], Mode())

    # ------------------------------------------------------------------ results
    def _take_ended(self, message: dict[str, Any], _: Sequence[Array]) -> None:
        self.status, self.message = message["status"], message["message"]

    def _take_about(self, message: dict[str, Any], _: Sequence[Array]) -> None:
        self.about = message

    def _take_values(self, message: dict[str, Any], arrays: Sequence[Array]) -> None:
        mode = self._mode(message)
        for (kind, name), array in zip(message["keys"], arrays, strict=True):
            mode.values[Key(kind, name)] = self._spill.put(array)

    def _take_failed(self, message: dict[str, Any], _: Sequence[Array]) -> None:
        self._mode(message).failures.append((message["phase"], message["status"], message["message"]))
        if message["status"] == MEMORY:
            self.status, self.message = MEMORY, message["message"]

    def _take_timing(self, message: dict[str, Any], _: Sequence[Array]) -> None:
        timing = Timing(tuple(message["samples"]), message["first"])
        self._mode(message).timings[message["of"]] = timing

    def _take_memory(self, message: dict[str, Any], _: Sequence[Array]) -> None:
        self._mode(message).peak_bytes = message["bytes"]

    def _take_seconds(self, message: dict[str, Any], _: Sequence[Array]) -> None:
        self.seconds[message["of"]] = self.seconds.get(message["of"], 0.0) + message["seconds"]

    def _take_note(self, message: dict[str, Any], _: Sequence[Array]) -> None:
        self.notes.append(message["text"])

    # ------------------------------------------------------------------ calls of modules
    def _take_begin(self, message: dict[str, Any], _: Sequence[Array]) -> None:
        call = Call(message["order"], message["path"], message["call"])
        self.calls[call.order] = call
        if message["parent"] is not None:
            self.calls[message["parent"]].children.append(call)

    def _take_end(self, message: dict[str, Any], _: Sequence[Array]) -> None:
        self.calls[message["order"]].ended = True

    def _take_value(self, message: dict[str, Any], arrays: Sequence[Array]) -> None:
        self.calls[message["order"]].values[message["side"], message["place"]] = self._ref(message, arrays)

    def _take_slope(self, message: dict[str, Any], arrays: Sequence[Array]) -> None:
        slopes, key = self.calls[message["order"]].slopes, (message["side"], message["place"])
        ref = self._ref(message, arrays)
        if key in slopes:
            ref = self._spill.put(self._spill.get(ref) + self._spill.get(slopes[key]))
        slopes[key] = ref

    def _ref(self, message: dict[str, Any], arrays: Sequence[Array]) -> Ref:
        """Where the array of a message is; one that was sent before is there."""
        if "again" in message:
            return self._numbers[message["again"]]
        ref = self._numbers[message["number"]] = self._spill.put(arrays[0])
        return ref


__all__ = ["Call", "Collected", "Mode"]
