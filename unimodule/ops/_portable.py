"""Tensors from the portable bit generator (``_threefry``), the same on every backend.

Where the key is known they are drawn on the host by NumPy. Inside a compiled program the key is an argument, and the same
rounds run on native int32 tensors, or once more on the host where the framework would rather (``Backend.call_host``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _draws, _threefry
from ..backend import Backend, Tensor
from . import creation
from ._dispatch import kernel

_Key = tuple[Tensor, Tensor]


def uniform(backend: Backend, shape: tuple[int, ...], dtype: str, device: str) -> Tensor:
    """Numbers in [0, 1)."""
    return _draw(backend, _threefry.uniform, _uniform, (), shape, dtype, device)


def keep(backend: Backend, shape: tuple[int, ...], p: float, dtype: str, device: str) -> Tensor:
    """A mask: 0 with probability ``p``, else 1."""
    return _draw(backend, _threefry.keep, _keep, (p,), shape, dtype, device)


def _draw(
    backend: Backend,
    on_host: Any,
    native: Any,
    options: tuple[Any, ...],
    shape: tuple[int, ...],
    dtype: str,
    device: str,
) -> Tensor:
    stream = _draws.current()
    number = stream.take()
    if (known := stream.host_key()) is not None:
        key, first = known
        return backend.from_numpy(on_host(key, first + number, shape, *options, dtype), dtype, device)
    if not isinstance(stream.key, tuple) and all(isinstance(index, int) for _, index in stream.path):

        def run(argument: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            key, first = _draws.locate(_draws.from_array(argument), stream.path)
            return on_host(key, first + number, shape, *options, dtype)  # type: ignore[no-any-return]

        if (drawn := backend.call_host(run, [stream.key], shape, dtype)) is not None:
            return drawn
    words = _Words(backend)
    key, first = words.located(stream)
    result = native(words, key, words.add(first, number), shape, *options, dtype)
    return result if backend.device(result) == device else backend.to_device(result, device)


# ---------------------------------------------------------------------- on native tensors
class _Words:
    """Arithmetic of 32-bit words in a backend's int32."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.add = kernel(backend, "add")
        self.xor = kernel(backend, "bitwise_xor")
        self.or_ = kernel(backend, "bitwise_or")
        self.and_ = kernel(backend, "bitwise_and")
        self.left = kernel(backend, "bitwise_left_shift")
        self.right = kernel(backend, "bitwise_right_shift")

    def high(self, x: Tensor, bits: int) -> Tensor:
        """The highest bits of each word, as a number that is not negative."""
        return self.and_(self.right(x, 32 - bits), (1 << bits) - 1)

    def rotate(self, x: Tensor, bits: int) -> Tensor:
        return self.or_(self.left(x, bits), self.high(x, bits))

    def threefry(self, key: _Key, x0: Tensor, x1: Tensor) -> tuple[Tensor, Tensor]:
        parity = self.xor(self.xor(key[0], key[1]), _threefry.PARITY)
        return _threefry.rounds((*key, parity), x0, x1, self.add, self.xor, self.rotate)

    def located(self, stream: _draws.Stream) -> tuple[_Key, Tensor]:
        """The stream's key, and the number of its first draw."""
        if stream.derived is None:
            key = stream.key
            if isinstance(key, tuple):
                anchor = next(index for _, index in stream.path if not isinstance(index, int))
                device = self.backend.device(anchor)
                key = self.backend.from_numpy(_draws.as_array(key), "int32", device)
            get = kernel(self.backend, "getitem")
            found, first = (get(key, (0,)), get(key, (1,))), get(key, (2,))
            zero = self.xor(first, first)
            for draw, index in stream.path:
                index = (
                    kernel(self.backend, "astype")(index, "int32") if not isinstance(index, int) else index
                )
                found, first = self.threefry(found, self.add(zero, index), self.add(first, draw)), zero
            stream.derived = found, first
        found, first = stream.derived
        return found, first

    def words(self, key: _Key, draw: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The first and second words of so many counters."""
        counters = creation.arange(count, dtype="int32", like=draw)
        draws = kernel(self.backend, "broadcast_to")(draw, (count,))
        return self.threefry(key, counters, draws)

    def flat(self, key: _Key, draw: Tensor, count: int) -> Tensor:
        """The first so many words."""
        both = kernel(self.backend, "concat")(list(self.words(key, draw, (count + 1) // 2)), axis=0)
        return kernel(self.backend, "getitem")(both, (slice(0, count),)) if count % 2 else both


def _uniform(words: _Words, key: _Key, draw: Tensor, shape: tuple[int, ...], dtype: str) -> Tensor:
    cast, multiply = kernel(words.backend, "astype"), kernel(words.backend, "multiply")
    count = math.prod(shape)
    if dtype == "float64":
        first, second = words.words(key, draw, count)
        high = multiply(cast(words.high(first, 27), dtype), 2.0**26)
        drawn = multiply(words.add(high, cast(words.high(second, 26), dtype)), 2.0**-53)
    else:
        bits = _threefry.SIGNIFICANT[dtype]
        drawn = multiply(cast(words.high(words.flat(key, draw, count), bits), "float32"), 2.0**-bits)
        drawn = drawn if dtype == "float32" else cast(drawn, dtype)
    return kernel(words.backend, "reshape")(drawn, shape)


def _keep(words: _Words, key: _Key, draw: Tensor, shape: tuple[int, ...], p: float, dtype: str) -> Tensor:
    drawn = words.high(words.flat(key, draw, math.prod(shape)), 24)
    dropped = kernel(words.backend, "less")(drawn, _threefry.threshold(p))
    kept = kernel(words.backend, "logical_not")(dropped)
    return kernel(words.backend, "reshape")(kernel(words.backend, "astype")(kept, dtype), shape)
