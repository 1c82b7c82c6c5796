"""Heat maps: small PNG images, written into the page."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..records import TensorError

if TYPE_CHECKING:
    from ..report import Report

Color = tuple[int, int, int]
Rows = tuple[tuple[float | None, ...], ...]

_UNKNOWN: Color = (214, 64, 196)
"""Of what is no finite number."""

_BELOW: tuple[Color, ...] = ((16, 24, 48), (24, 62, 104), (32, 112, 140), (88, 178, 168))
"""Differences that rounding explains, from 1/1000 of the tolerance to all of it."""

_ABOVE: tuple[Color, ...] = ((250, 208, 92), (240, 138, 56), (214, 48, 40), (140, 8, 30))
"""Differences beyond the tolerance, from it to 1000 times as much."""

_GREYS: tuple[Color, ...] = ((18, 18, 20), (246, 246, 246))


class Difference(NamedTuple):
    """One backend's heat map."""

    label: str
    mode: str
    image: str
    most: float | None
    wrong: bool


class Pictured(NamedTuple):
    """One output: the reference as an image, and each backend's difference from it."""

    name: str
    place: str
    shape: str
    cell: tuple[int, int]
    aspect: float
    low: float
    high: float
    reference: str
    differences: tuple[Difference, ...]


def pictures(report: Report) -> list[Pictured]:
    """The outputs that have rows and columns."""
    outputs: dict[str, list[tuple[str, str, TensorError]]] = {}
    for row, mode, tensor in report.tensors:
        if tensor.picture is not None:
            outputs.setdefault(tensor.name, []).append((row.label, mode.mode, tensor))
    return [_pictured(name, found) for name, found in outputs.items()]


def _pictured(name: str, found: list[tuple[str, str, TensorError]]) -> Pictured:
    first = found[0][2]
    assert first.picture is not None
    numbers = [value for row in first.picture.reference for value in row if value is not None]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    height, width = len(first.picture.reference), len(first.picture.reference[0])
    aspect = width * first.picture.cell[1] / (height * first.picture.cell[0])
    return Pictured(
        name,
        first.picture.place,
        "×".join(map(str, first.shape)),
        first.picture.cell,
        min(4.0, max(0.5, aspect)),
        low,
        high,
        _png(first.picture.reference, lambda value: _blend(_GREYS, (value - low) / ((high - low) or 1.0))),
        tuple(_difference(*each) for each in found),
    )


def _difference(label: str, mode: str, tensor: TensorError) -> Difference:
    assert tensor.picture is not None
    tolerance = tensor.tolerance or 0.0
    image = _png(
        tensor.picture.difference, lambda value: heat(value / tolerance if tolerance else math.inf * value)
    )
    return Difference(label, mode, image, tensor.absolute, not tensor.ok)


def heat(times: float) -> Color:
    """The colour of a difference in units of the tolerance."""
    if not times > 0:  # 0, or 0 times infinity
        return _BELOW[0]
    power = math.log10(times) if math.isfinite(times) else 3.0
    return _blend(_BELOW, (power + 3) / 3) if power <= 0 else _blend(_ABOVE, power / 3)


def _blend(colors: tuple[Color, ...], at: float) -> Color:
    """The colour at a place between 0 and 1."""
    place = min(max(at, 0.0), 1.0) * (len(colors) - 1)
    i = min(int(place), len(colors) - 2)
    (a, b), part = colors[i : i + 2], place - i
    return tuple(round(x + (y - x) * part) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def _png(rows: Rows, color: Callable[[float], Color]) -> str:
    """Numbers as an image of one pixel each, as a data URI."""
    lines = b"".join(
        b"\0" + b"".join(bytes(_UNKNOWN if value is None else color(value)) for value in row) for row in rows
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines, 9))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


__all__ = ["Difference", "Pictured", "heat", "pictures"]
