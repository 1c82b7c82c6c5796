"""Messages through pipes: JSON and safetensors, nothing that could be executed.

A message is two lengths (8 bytes each, little endian), a JSON document and a safetensors file with the arrays ``0``, ``1``,
... of the message.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from .. import dtypes
from .measure import Array

_LENGTHS = struct.Struct("<QQ")


def write(stream: IO[bytes], message: dict[str, Any], arrays: Sequence[Array] = ()) -> None:
    """Send a message.

    Raises:
        OSError: nobody reads any more.
    """
    from safetensors.numpy import save

    half = [
        i for i, array in enumerate(arrays) if array.dtype.name == "bfloat16"
    ]  # which the library cannot read
    head = json.dumps({"message": message, "bfloat16": half}).encode()
    flat = {str(i): array.view("uint16") if i in half else array for i, array in enumerate(arrays)}
    # Only from two axes on: ascontiguousarray gives an array without axes one.
    flat = {name: np.ascontiguousarray(a) if a.ndim > 1 else a.copy() for name, a in flat.items()}
    body = save(flat) if flat else b""
    put(stream, _LENGTHS.pack(len(head), len(body)), head, body)


def put(stream: IO[bytes], *parts: bytes) -> None:
    """Write parts to a stream that may be closed from the other end, or by another thread of this process.

    Raises:
        OSError: it is.
    """
    try:
        for part in parts:
            stream.write(part)
        stream.flush()
    except ValueError as error:  # closed here
        raise BrokenPipeError(str(error)) from error


def read(stream: IO[bytes]) -> tuple[dict[str, Any], list[Array]] | None:
    """Receive a message; None where there are no more.

    Raises:
        EOFError: the stream ends in the middle of one.
        ValueError: it is damaged.
    """
    from safetensors.numpy import load

    lengths = stream.read(_LENGTHS.size)
    if not lengths:
        return None
    if len(lengths) < _LENGTHS.size:
        raise EOFError("a message is cut short")
    first, second = _LENGTHS.unpack(lengths)
    head, body = _exactly(stream, first), _exactly(stream, second)
    made = json.loads(head)
    arrays = load(body) if body else {}
    for i in made["bfloat16"]:
        arrays[str(i)] = arrays[str(i)].view(dtypes.to_numpy_dtype("bfloat16"))
    return made["message"], [arrays[str(i)] for i in range(len(arrays))]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("a message is cut short")
    return data


__all__ = ["put", "read", "write"]
