"""Random state, and the functions that draw from it.

JAX has no random state: each draw takes a key. The adapter holds one key and a counter, and a draw folds the counter
into the key inside its own compiled function, so that a fresh mask costs no call besides its own.

A key that is a constant of a traced function would bake one mask into the compiled code. Whoever compiles a function
therefore hands it a key as an argument, fresh in each call, and runs its body under :func:`use_key`::

    @jax.jit
    def step(key, x):
        with random.use_key(key):
            return net(x)

    step(random.STATE.fresh_key(), x)

(``compiling`` hands over a draw and folds it inside, which saves a call.)
"""

from __future__ import annotations

import contextvars
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unimodule.errors import ArgumentError

from ._jit import Array, jit
from .casting import require
from .devices import place

Draw = tuple[Array, np.uint32]
"""A key and the number to fold into it: what a compiled function needs to draw once."""

_WORD = 0xFFFF_FFFF


class Stream:
    """The draws from one key, numbered. A concrete key may be shared by threads."""

    def __init__(self, key: Array | None = None) -> None:
        self._lock = threading.Lock()
        self._key = key
        self._count = 0

    def reset(self, seed: int) -> None:
        """Start anew from a seed, of which 64 bits count."""
        key = _make_key(seed)
        with self._lock:
            self._key, self._count = key, 0

    def state(self) -> dict[str, Any]:
        """The key and the count, as numbers."""
        with self._lock:
            key = self._made_key()
            implementation = str(jax.random.key_impl(key))
            return {"key": np.array(jax.random.key_data(key)), "kind": implementation, "count": self._count}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what ``state`` returned.

        Raises:
            ArgumentError: it is something else.
        """
        try:
            with jax.ensure_compile_time_eval():
                data = jnp.asarray(np.asarray(state["key"], np.uint32))
                key = jax.random.wrap_key_data(data, impl=str(state["kind"]))
            count = int(state["count"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArgumentError(f"not a state of backend 'jax': {error}") from error
        with self._lock:
            self._key, self._count = key, count

    def _made_key(self) -> Array:
        if self._key is None:  # made late: a key lives on a device, and asking for one starts JAX
            self._key = _make_key(secrets.randbits(64))
        return self._key

    def draw(self) -> Draw:
        """A key and number that no other draw has."""
        with self._lock:
            self._made_key()
            if self._count > _WORD:
                with jax.ensure_compile_time_eval():
                    self._key, self._count = jax.random.split(self._key, 1)[0], 0
            count = np.uint32(self._count)
            self._count += 1
            return self._key, count

    @property
    def count(self) -> int:
        """How many draws there have been."""
        return self._count

    def fresh_key(self) -> Array:
        """A key of its own for a compiled function, to be drawn from under :func:`use_key`."""
        return _fold(*self.draw())


def _make_key(seed: int) -> Array:
    with jax.ensure_compile_time_eval():  # first needed inside a trace, it must still outlive it
        low, high = np.uint32(seed & _WORD), np.uint32(seed >> 32 & _WORD)
        return jax.random.fold_in(jax.random.key(low), high)


STATE = Stream()
"""The random state of the backend, which ``seed`` resets."""

_given: contextvars.ContextVar[Stream | None] = contextvars.ContextVar("unimodule_jax_key", default=None)


@contextmanager
def use_key(key: Array) -> Iterator[Stream]:
    """Draw from ``key``, traced or not, inside the block: for this thread or task only. The same key, the same draws."""
    stream = Stream(key)
    token = _given.set(stream)
    try:
        yield stream
    finally:
        _given.reset(token)


class _Step(Stream):
    """The draws of one step of a loop, or of one slice that is mapped over. Its key is derived at the first draw, so that
    a body without any costs nothing.
    """

    def __init__(self, index: Array) -> None:
        super().__init__()
        self._parent = _given.get() or STATE
        self._index = index

    def draw(self) -> Draw:
        if self._key is None:
            self._key = _fold(self._parent.fresh_key(), self._index)
        return super().draw()


@contextmanager
def step(index: Array) -> Iterator[None]:
    """Draw numbers inside the block that differ for each value of ``index``, a traced uint32."""
    token = _given.set(_Step(index))
    try:
        yield
    finally:
        _given.reset(token)


def draw() -> Draw:
    """The next draw, from the key of :func:`use_key` or from the backend's state."""
    return (_given.get() or STATE).draw()


def peek() -> Draw:
    """A key and a number of the right kind, for tracing only: nothing is drawn."""
    return _make_key(0), np.uint32(0)


def fresh_key() -> Array:
    """A key of its own, from the key of :func:`use_key` or from the backend's state."""
    return (_given.get() or STATE).fresh_key()


@jit()
def _fold(key: Array, number: Array) -> Array:
    return jax.random.fold_in(key, number)


# ---------------------------------------------------------------------- functions
def drop(x: Array, p: Array, key: Array, number: Array) -> Array:
    """Dropout for use inside a compiled function: zero with probability ``p``, the rest scaled by 1 / (1 - p)."""
    keep = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - p, x.shape)
    return jnp.where(keep, x / jnp.asarray(1 - p, x.dtype), 0)


_drop = jax.jit(drop)


def dropout(x: Array, p: float) -> Array:
    return _drop(x, p, *draw())


@jit("shape", "dtype")
def _uniform(key: Array, number: Array, shape: tuple[int, ...], dtype: str) -> Array:
    return jax.random.uniform(jax.random.fold_in(key, number), shape, dtype)


def random_uniform(shape: tuple[int, ...], dtype: str, device: str) -> Array:
    require(dtype)
    return place(_uniform(*draw(), shape, dtype), device)


FUNCTIONS: dict[str, Callable[..., Any]] = {"dropout": dropout, "random_uniform": random_uniform}
