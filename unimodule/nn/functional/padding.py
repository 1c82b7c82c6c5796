"""Padding."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from ... import ops
from ...backend import Tensor
from ...errors import ArgumentError, ShapeError
from ...ops._dispatch import expect_tensor

__all__ = ["pad"]

MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Make axes longer (or, with negative numbers, shorter) at their ends, starting from the last axis.

    Args:
        input: of any shape for ``"constant"``. The other modes pad the last one, two or three axes of an input with one
            or two axes in front of them: (N, C, *spatial) or (C, *spatial).
        pad: ``(before, after)`` of the last axis, then of the last but one, and so on.
        mode: what the new cells hold: ``"constant"`` a value; ``"reflect"`` the cells mirrored at the edge cell, which
            is not repeated (c b | a b c | b a); ``"replicate"`` the edge cell (a a | a b c | c c); ``"circular"`` the
            cells from the other end (b c | a b c | a b).
        value: for ``"constant"``; 0 by default.

    Returns:
        A tensor of ``input``'s dtype.

    Raises:
        ArgumentError: ``pad`` is not pairs of integers, an unknown mode, or a value for a mode that takes none.
        ShapeError: more pairs than axes, an axis would get a negative size, or it is too short to be mirrored or
            repeated.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.pad.html

    Example:
        >>> import numpy as np
        >>> pad(np.asarray([[1.0, 2.0, 3.0]]), (2, 1), mode="reflect")
        array([[3., 2., 1., 2., 3., 2.]])
    """
    expect_tensor("pad", input)
    pairs = _pairs(pad)
    shape = tuple(input.shape)
    if mode not in MODES:
        raise ArgumentError(f"pad expected mode to be one of {', '.join(MODES)}, got {mode!r}")
    if value is not None and mode != "constant" and value != 0:
        raise ArgumentError(f"pad expected no value with mode={mode!r}, got {value!r}")
    if len(pairs) > len(shape):
        raise ShapeError(f"pad expected at most {len(shape)} pairs for input {shape}, got {len(pairs)}")
    if mode != "constant" and not 1 <= len(shape) - len(pairs) <= 2:
        raise ShapeError(
            f"pad with mode={mode!r} expected one or two axes in front of the padded ones, got {len(pairs)} pairs for "
            f"input {shape}"
        )
    every = [(0, 0)] * (len(shape) - len(pairs)) + pairs[::-1]
    if any(
        min(n + before, n + after, n + before + after) < 0
        for n, (before, after) in zip(shape, every, strict=True)
    ):
        raise ShapeError(f"pad expected a result without negative sizes, got {tuple(pad)} for input {shape}")
    if mode in ("constant", "circular"):  # what is wrapped around is what was left
        input = _crop(input, every)
        every = [(max(before, 0), max(after, 0)) for before, after in every]
    if mode == "constant":
        return (
            ops.pad(input, tuple(every), value=0.0 if value is None else value)
            if any(map(any, every))
            else input
        )
    for axis, (n, most) in enumerate(zip(tuple(input.shape), map(max, every), strict=True)):
        room = {"reflect": n - 1, "circular": n, "replicate": most if n else 0}[mode]
        if most > max(room, 0):
            raise ShapeError(
                f"pad with mode={mode!r} expected at most {room} on axis {axis} of {shape}, got {most}"
            )
    for axis, (before, after) in enumerate(every):
        if before or after:
            input = _extend(input, axis, before, after, mode)
    return input


def _pairs(pad: Sequence[int]) -> list[tuple[int, int]]:
    try:
        flat = [operator.index(n) for n in pad]
    except TypeError:
        raise ArgumentError(f"pad expected a sequence of integers, got {pad!r}") from None
    if len(flat) % 2:
        raise ArgumentError(f"pad expected (before, after) pairs, got {len(flat)} numbers")
    return list(zip(flat[::2], flat[1::2], strict=True))


def _crop(x: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """``x`` without the cells that negative numbers take away."""
    if all(n >= 0 for pair in pairs for n in pair):
        return x
    shape = tuple(x.shape)
    kept = tuple(slice(max(-a, 0), n + min(b, 0)) for n, (a, b) in zip(shape, pairs, strict=True))
    return ops.getitem(x, kept)


def _extend(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """One axis padded with cells of its own, or cut."""
    n, lead = x.shape[axis], (slice(None),) * axis

    def part(start: int, stop: int) -> Tensor:
        return ops.getitem(x, (*lead, slice(start, stop)))

    def edge(at: int, count: int) -> Tensor:
        sizes = tuple(x.shape)
        return ops.broadcast_to(part(at, at + 1), (*sizes[:axis], count, *sizes[axis + 1 :]))

    parts = [part(max(-before, 0), n + min(after, 0))]
    if before > 0:
        if mode == "circular":
            parts.insert(0, part(n - before, n))
        elif mode == "reflect":
            parts.insert(0, ops.flip(part(1, 1 + before), axis=axis))
        else:
            parts.insert(0, edge(0, before))
    if after > 0:
        if mode == "circular":
            parts.append(part(0, after))
        elif mode == "reflect":
            parts.append(ops.flip(part(n - 1 - after, n - 1), axis=axis))
        else:
            parts.append(edge(n - 1, after))
    return parts[0] if len(parts) == 1 else ops.concat(parts, axis=axis)
