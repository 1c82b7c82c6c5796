"""Which draw of the portable bit generator comes next: streams, numbered draws, and parts of them.

Everything random in the core asks here first. A stream is a key and a count of the draws made from it. There is one for
the process; a compiled program draws from one whose key is its last argument, so that a call of it continues where the
process's stream stands; a loop sets one draw aside, and each of its steps has a stream of its own that is derived from it
and the number of the step, whatever runs the loop.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import _threefry
from ._changes import changes
from .backend import Backend, Tensor

_LIMIT = 1 << 31  # draws from one key: a program's argument holds the count in 32 bits
Part = tuple[int, Any]
"""A draw that was set aside, and which part of it: an integer, or a tensor without axes."""


class Stream:
    """The draws from one key.

    Args:
        key: the two words of the key and the number of the first draw; on the host, or one int32 tensor.
        path: the parts of parts that this stream is, from the outermost.
    """

    def __init__(self, key: tuple[int, int, int] | Tensor, path: tuple[Part, ...] = ()) -> None:
        self.key, self.path = key, path
        self.count = 0
        self.derived: Any = None
        """What ``ops._portable`` has worked out for a stream of tensors."""

    def take(self) -> int:
        """The number of the next draw, counted from this stream's first."""
        self.count += 1
        return self.count - 1

    def host_key(self) -> tuple[_threefry.Key, int] | None:
        """The key and the number of the first draw, where they are known."""
        if not isinstance(self.key, tuple) or not all(isinstance(index, int) for _, index in self.path):
            return None
        return locate(self.key, self.path)


def locate(key: tuple[int, int, int], path: tuple[Part, ...]) -> tuple[_threefry.Key, int]:
    """The key of a part of a part, and the number of its first draw."""
    found, first = (key[0], key[1]), key[2]
    for draw, index in path:
        found, first = _threefry.derive(found, first + draw, index), 0
    return found, first


class _Root(Stream):
    """The process's stream."""

    def __init__(self) -> None:
        super().__init__((0, 0, 0))
        self.lock = threading.Lock()

    def reset(self, key: _threefry.Key, count: int = 0) -> None:
        """Start anew."""
        with self.lock:
            self.key, self.count = (*key, 0), count

    def state(self) -> dict[str, Any]:
        """What ``reset`` takes."""
        with self.lock:
            return {"key": list(self.key[:2]), "draws": self.count}

    def take(self) -> int:
        return self.advance(1)[2]

    def advance(self, draws: int) -> tuple[int, int, int]:
        """Set so many draws aside; returns the key and the number of the first."""
        with self.lock:
            if self.count + draws > _LIMIT:
                self.key, self.count = (*_threefry.derive(self.key[:2], _threefry.WORD, 0), 0), 0
            self.count += draws
            return self.key[0], self.key[1], self.count - draws


ROOT = _Root()
_given: contextvars.ContextVar[Stream | None] = contextvars.ContextVar("unimodule_stream", default=None)
_everywhere = False


# ---------------------------------------------------------------------- whether
def set_everywhere(on: bool) -> None:
    """Have every backend draw from here, or only those that have no random numbers of their own."""
    global _everywhere
    if on != _everywhere:
        _everywhere = on
        changes.count += 1  # compiled programs were recorded for the other


def everywhere() -> bool:
    """Whether every backend draws from here."""
    return _everywhere


def portable(backend: Backend) -> bool:
    """Whether a backend draws from here: if told to, or because it has no random numbers of its own."""
    return _everywhere or backend.function("random_uniform") is None


# ---------------------------------------------------------------------- which
def current() -> Stream:
    """The stream to draw from."""
    return _given.get() or ROOT


@contextmanager
def drawing_from(stream: Stream) -> Iterator[Stream]:
    """Draw from a stream, for this thread or task."""
    token = _given.set(stream)
    try:
        yield stream
    finally:
        _given.reset(token)


class Reserved:
    """One draw set aside for something with parts: a loop's steps, the slices of a batch, the runs of a checkpoint.

    Args:
        backend: whose tensors tell the parts apart; where it does not draw from here, nothing is done at all.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.on = portable(backend)
        if self.on:
            self._parent = current()
            draw = self._parent.take()
            self._key = self._parent.key
            self._path = (*self._parent.path, (draw, 0))

    @contextmanager
    def part(self, index: int | Tensor = 0) -> Iterator[None]:
        """Draw from one part, from its beginning."""
        if not self.on:
            yield
            return
        if not isinstance(index, int) and self.backend.is_concrete(index):
            index = int(self.backend.item(index))
        (draw, _) = self._path[-1]
        with drawing_from(Stream(self._key, (*self._path[:-1], (draw, index)))):
            yield


@contextmanager
def untouched() -> Iterator[None]:
    """Whatever is drawn inside the block, afterwards the stream stands where it stood: for a run that counts for nothing."""
    stream = current()
    before = stream.count
    try:
        yield
    finally:
        stream.count = before


# ---------------------------------------------------------------------- as an argument of compiled programs
def as_array(key: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """The argument of a program: three words as int32, which every framework has."""
    return np.array(key, np.uint32).view(np.int32)


def from_array(array: np.ndarray[Any, Any]) -> tuple[int, int, int]:
    """The reverse of ``as_array``."""
    k0, k1, first = np.asarray(array, np.int32).view(np.uint32).tolist()
    return k0, k1, first
