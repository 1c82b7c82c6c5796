"""What was collected, against the reference and against each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .collect import Collected, Mode
from .measure import OUTPUT, Array, Key, is_float
from .places import Place
from .records import (
    AGREES,
    DIFFERS,
    FAILED,
    RAN,
    WEAK,
    BackendRow,
    LayerRecord,
    ModeResult,
    Pair,
    Parting,
    Picture,
    TensorError,
)
from .tolerance import Bound, compare_arrays, furthest

PICTURE = 32
"""The most rows and columns of a picture."""


def row_of(
    place: Place,
    found: Collected,
    expected: Mapping[Key, Bound],
    layers: Sequence[LayerRecord],
    partings: Sequence[Parting],
) -> BackendRow:
    """Everything that one place has to answer for."""
    about = found.about
    modes = tuple(_mode(name, mode, found, expected) for name, mode in found.modes.items())
    status, message = found.status, found.message
    if status == RAN and modes and all(mode.status == FAILED and not mode.tensors for mode in modes):
        status, message = FAILED, modes[0].message
    return BackendRow(
        label=place.label,
        backend=place.backend,
        status=status,
        message=message,
        version=about.get("version", ""),
        versions=about.get("versions", {}),
        device=about.get("device", ""),
        interpreter=place.interpreter,
        precision=about.get("precision", {}),
        modes=modes,
        layers=tuple(layers),
        partings=tuple(partings),
        notes=tuple(found.notes),
    )


def _mode(name: str, mode: Mode, found: Collected, expected: Mapping[Key, Bound]) -> ModeResult:
    failed = bool(mode.failures)
    keys = [key for key in expected if not failed or key in mode.values]
    keys += [key for key in mode.values if key not in expected]
    timings = mode.timings
    extra = [t.first - t.median for t in timings.values() if t.first is not None]
    return ModeResult(
        mode=name,
        status=FAILED if failed else RAN,
        message="; ".join(dict.fromkeys(text for _, _, text in mode.failures)),
        tensors=tuple(_tensor(key, mode, found, expected.get(key)) for key in keys),
        timings=dict(timings),
        compile_seconds=max(0.0, sum(extra)) if extra else None,
        peak_bytes=mode.peak_bytes,
    )


def _tensor(key: Key, mode: Mode, found: Collected, bound: Bound | None) -> TensorError:
    if bound is None:
        return TensorError(*key, DIFFERS, detail="only here; the reference has none")
    shape = bound.reference.shape
    if key not in mode.values:
        return TensorError(*key, DIFFERS, shape=shape, detail="missing here; the reference has it")
    array = found.array(mode.values[key])
    error, wrong = compare_arrays(array, bound)
    return TensorError(
        *key,
        verdict=DIFFERS if wrong else WEAK if bound.weak else AGREES,
        absolute=error,
        relative=_over(error, bound.scale),
        conditioned=_over(error, bound.unit),
        tolerance=bound.tolerance,
        scale=bound.scale,
        shape=shape,
        dtype=str(array.dtype),
        detail=wrong,
        picture=picture(array, bound.reference) if key.kind == OUTPUT else None,
    )


def _over(error: float | None, unit: float) -> float | None:
    """An error in units; of none of them, it is zero or has no number."""
    if error is None or (not unit and error):
        return None
    return error / unit if unit else 0.0


# ---------------------------------------------------------------------- pictures
def picture(found: Array, reference: Array) -> Picture | None:
    """The last two axes of a float result as two small images; None where it has no rows and columns."""
    if (
        reference.ndim < 2
        or min(reference.shape[-2:]) < 2
        or found.shape != reference.shape
        or not reference.size
    ):
        return None
    if not is_float(reference):
        return None
    first = (0,) * (reference.ndim - 2)
    wanted = np.asarray(reference[first], "float64")
    with np.errstate(all="ignore"):
        off = np.abs(np.asarray(found[first], "float64") - wanted)
    rows, columns = (-(-size // PICTURE) for size in wanted.shape)
    place = "[" + ", ".join([*map(str, first), ":", ":"]) + "]"
    return Picture(
        place, (rows, columns), _rows(wanted[::rows, ::columns]), _rows(_largest(off, rows, columns))
    )


def _largest(image: Array, rows: int, columns: int) -> Array:
    down = np.maximum.reduceat(image, np.arange(0, image.shape[0], rows), axis=0)
    return np.asarray(np.maximum.reduceat(down, np.arange(0, image.shape[1], columns), axis=1))


def _rows(image: Array) -> tuple[tuple[float | None, ...], ...]:
    return tuple(
        tuple(float(f"{value:.4g}") if np.isfinite(value) else None for value in row)
        for row in image.tolist()
    )


# ---------------------------------------------------------------------- each against each other
def pairs_of(
    places: Sequence[Place], found: Sequence[Collected], expected: Mapping[Key, Bound]
) -> Iterator[Pair]:
    """Every result of every two places in one mode."""
    for (a, one), (b, other) in itertools.combinations(zip(places, found, strict=True), 2):
        for mode in one.modes.keys() & other.modes.keys():
            ours, theirs = one.modes[mode].values, other.modes[mode].values
            for key in ours:
                if key not in theirs or key not in expected:
                    continue
                x, y = one.array(ours[key]), other.array(theirs[key])
                bound = expected[key]
                error = None
                if x.shape == y.shape:
                    error, finite = furthest(x, y)
                    if not finite and (np.isfinite(_wide(x)) != np.isfinite(_wide(y))).any():
                        error = None
                units = _over(error, bound.scale), _over(error, bound.unit)
                yield Pair(mode, a.label, b.label, *key, error, *units)


def _wide(array: Array) -> Array:
    return np.asarray(array, "float64")


__all__ = ["PICTURE", "pairs_of", "picture", "row_of"]
