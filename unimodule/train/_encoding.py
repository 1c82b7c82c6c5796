"""Plain state as JSON beside named arrays: what a checkpoint is made of. Nothing here can execute anything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, StateDictError
from ..registry import find_backend

Arrays = dict[str, np.ndarray[Any, Any]]
ARRAY, TUPLE, PAIRS, FLOAT = "$array", "$tuple", "$pairs", "$float"
"""Marks, each the only key of a JSON object, for what JSON has no word for."""


def encode(value: Any, path: str, arrays: Arrays) -> Any:
    """``value`` as JSON has it; its tensors go to ``arrays``, under their path.

    Args:
        value: None, a bool, number, string, array or tensor of any backend, or lists, tuples and dicts of these.
        path: the name of ``value``.
        arrays: takes the arrays.

    Raises:
        ArgumentError: there is something else in ``value``.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {FLOAT: str(float(value))}
    if isinstance(value, list):
        return [encode(item, f"{path}.{i}", arrays) for i, item in enumerate(value)]
    if isinstance(value, tuple):
        return {TUPLE: [encode(item, f"{path}.{i}", arrays) for i, item in enumerate(value)]}
    if isinstance(value, dict):
        plain = all(isinstance(key, str) and not key.startswith("$") for key in value)
        if plain:
            return {key: encode(item, f"{path}.{key}", arrays) for key, item in value.items()}
        return {
            PAIRS: [
                [encode(key, path, arrays), encode(item, f"{path}.{key}", arrays)]
                for key, item in value.items()
            ]
        }
    backend = find_backend(value)
    if backend is None or (isinstance(value, np.ndarray) and value.dtype.kind in "OUSMm"):
        raise ArgumentError(f"{path}: a {type(value).__name__} cannot be part of a checkpoint")
    if path in arrays:
        raise ArgumentError(f"{path} stands twice in a checkpoint")
    # A copy: what is written must not change while it is.
    arrays[path] = np.array(value) if isinstance(value, np.ndarray) else backend.to_numpy(value)
    return {ARRAY: path}


def decode(value: Any, arrays: Arrays) -> Any:
    """What ``encode`` was given, with arrays for tensors.

    Raises:
        StateDictError: it is not what ``encode`` returns, or an array is missing.
    """
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    mark = next(iter(value), "") if len(value) == 1 else ""
    if not mark.startswith("$"):
        return {key: decode(item, arrays) for key, item in value.items()}
    content = value[mark]
    try:
        if mark == ARRAY:
            return arrays[content]
        if mark == TUPLE:
            return tuple(decode(item, arrays) for item in content)
        if mark == PAIRS:
            return {decode(key, arrays): decode(item, arrays) for key, item in content}
        if mark == FLOAT:
            return float(content)
    except (KeyError, TypeError, ValueError) as error:
        raise StateDictError(f"{mark} of {content!r} cannot be read") from error
    raise StateDictError(f"{mark} is no mark of a checkpoint")
