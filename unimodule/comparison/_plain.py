"""Dataclasses as JSON, and back: what ``Report.to_dict`` and ``from_dict`` do, whatever the fields.

JSON has no NaN, no infinity and no tuples: numbers that are not finite become None, and the annotation of a field says
what a list was. A field of type float that is None after that may have been any of them.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, TypeVar

from ..errors import ArgumentError

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """A value made of dataclasses, tuples, lists, dicts, numbers and texts as JSON takes it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def from_plain(kind: type[T], data: Any, where: str = "") -> T:
    """What ``to_plain`` made of an instance of ``kind``, as one again.

    Raises:
        ArgumentError: fields are missing or unknown, or of another type.
    """
    return typing.cast(T, _decode(kind, data, where or kind.__name__))


def _decode(kind: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return data
    if origin in (typing.Union, types.UnionType):
        if data is None and type(None) in arguments:
            return None
        return _decode(next(a for a in arguments if a is not type(None)), data, where)
    if origin is tuple and isinstance(data, list):
        if arguments[1:] == (...,):
            return tuple(_decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(data))
        return tuple(_decode(k, item, where) for k, item in zip(arguments, data, strict=True))
    if origin is dict and isinstance(data, dict):
        return {key: _decode(arguments[1], item, f"{where}[{key!r}]") for key, item in data.items()}
    if dataclasses.is_dataclass(kind) and isinstance(data, dict):
        return _instance(kind, data, where)
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool):
        return float(data)
    if isinstance(kind, type) and isinstance(data, kind) and not (kind is int and isinstance(data, bool)):
        return data
    raise ArgumentError(f"{where} is {type(data).__name__}, expected {getattr(kind, '__name__', kind)}")


def _instance(kind: Any, data: dict[str, Any], where: str) -> Any:
    kinds = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := data.keys() - fields.keys():
        raise ArgumentError(f"{where} has no field {', '.join(sorted(unknown))}")
    required = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if missing := required - data.keys():
        raise ArgumentError(f"{where} lacks {', '.join(sorted(missing))}")
    return kind(**{name: _decode(kinds[name], item, f"{where}.{name}") for name, item in data.items()})


__all__ = ["from_plain", "to_plain"]
