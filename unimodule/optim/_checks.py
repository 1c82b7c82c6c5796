"""Ranges of options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ArgumentError


def check_range(
    name: str, value: Any, low: float, high: float = float("inf"), *, open_high: bool = False
) -> None:
    """Raise ArgumentError unless ``low <= value <= high`` (``< high`` where that bound is open)."""
    fits = isinstance(value, int | float) and low <= value and (value < high if open_high else value <= high)
    if not fits:
        limit = "" if high == float("inf") else f" and {'<' if open_high else '<='} {high:g}"
        raise ArgumentError(f"{name} expected a number >= {low:g}{limit}, got {value!r}")


def check_not_negative(options: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raise ArgumentError unless each of these options is a number >= 0."""
    for name in names:
        check_range(name, options[name], 0.0)


def check_betas(options: Mapping[str, Any]) -> None:
    """Raise ArgumentError unless ``betas`` are two numbers in [0, 1)."""
    betas = options["betas"]
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ArgumentError(f"betas expected two numbers, got {betas!r}")
    for beta in betas:
        check_range("each of betas", beta, 0.0, 1.0, open_high=True)
