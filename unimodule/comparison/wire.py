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

from .measure import Array

_LENGTHS = struct.Struct("<QQ")


def write(stream: IO[bytes], message: dict[str, Any], arrays: Sequence[Array] = ()) -> None:
    """Send a message."""
    import ml_dtypes  # noqa: F401 (NumPy knows bfloat16 once this is imported)
    from safetensors.numpy import save

    head = json.dumps(message).encode()
    # Only from two axes on: ascontiguousarray gives an array without axes one.
    flat = {str(i): np.ascontiguousarray(a) if a.ndim > 1 else a.copy() for i, a in enumerate(arrays)}
    body = save(flat) if flat else b""
    stream.write(_LENGTHS.pack(len(head), len(body)))
    stream.write(head)
    stream.write(body)
    stream.flush()


def read(stream: IO[bytes]) -> tuple[dict[str, Any], list[Array]] | None:
    """Receive a message; None where there are no more.

    Raises:
        EOFError: the stream ends in the middle of one.
        ValueError: it is damaged.
    """
    import ml_dtypes  # noqa: F401
    from safetensors.numpy import load

    lengths = stream.read(_LENGTHS.size)
    if not lengths:
        return None
    if len(lengths) < _LENGTHS.size:
        raise EOFError("a message is cut short")
    first, second = _LENGTHS.unpack(lengths)
    head, body = _exactly(stream, first), _exactly(stream, second)
    arrays = load(body) if body else {}
    return json.loads(head), [arrays[str(i)] for i in range(len(arrays))]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("a message is cut short")
    return data


__all__ = ["read", "write"]
