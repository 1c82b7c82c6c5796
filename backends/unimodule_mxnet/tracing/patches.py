"""What is patched of MXNet's Python code while some thread records a function, and put back afterwards.

The patches change nothing for threads that do not record: they ask for the recording of their own thread first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from unimodule.errors import CompileError

from ..loading import mx
from ..operators import ndarray, op, register
from .arrays import LENT, NDArray, Traced, refuse_differentiating

_base_array = mx.nd._internal.NDArrayBase
_ffi = mx.ndarray.numpy._op._api_internal


class _Active(threading.local):
    trace: Any = None


active = _Active()
"""``active.trace`` is the recording of this thread."""

invoke = register._imperative_invoke
"""MXNet's own function, through which all of its operators are called."""


def _invoke(*args: Any) -> Any:
    trace = active.trace
    return invoke(*args) if trace is None else trace.invoke(*args)


_init = _base_array.__init__


def _noting_init(self: Any, handle: Any, writable: bool = True) -> None:
    _init(self, handle, writable)
    if active.trace is not None:
        active.trace.made(self)


def _is_outside(x: Any) -> bool:
    trace = active.trace
    return trace is not None and not isinstance(x, Traced) and not trace.is_constant(x)


def _lent(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A method for arrays from outside: that of traced ones, for which it is shared memory, or a value, otherwise."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _is_outside(self):
            return getattr(active.trace.lift(self), name)(*args, **kwargs)
        return original(self, *args, **kwargs)

    return method


def _gradient_of(original: property) -> property:
    def grad(self: Any) -> Any:
        if _is_outside(self):
            refuse_differentiating()
        return original.fget(self)  # type: ignore[misc]

    return property(grad)


def _refused(what: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if active.trace is not None:
            raise CompileError(f"{what} cannot be recorded")
        return original(*args, **kwargs)

    return call


_by_count = op("_npi_tensordot_int_axes")
_by_axes = op("_npi_tensordot")
_tensordot = _ffi.tensordot


def _recorded_tensordot(a: Any, b: Any, axes: Any) -> Any:
    """``np.tensordot``, the one function on arrays that goes to MXNet past its operators."""
    if active.trace is None:
        return _tensordot(a, b, axes)
    if isinstance(axes, int):
        return _by_count(a, b, axes=axes)
    left, right = ((n,) if isinstance(n, int) else tuple(n) for n in axes)
    return _by_axes(a, b, a_axes_summed=left, b_axes_summed=right)


def _table() -> list[tuple[Any, str, Any]]:
    """Owner, name and new value of everything that is patched."""
    lent = [
        (owner, name, _lent(name, vars(owner)[name]))
        for owner in (ndarray, NDArray)
        for name in LENT
        if name in vars(owner)
    ]
    return [
        (register, "_imperative_invoke", _invoke),
        (_base_array, "__init__", _noting_init),
        (_ffi, "tensordot", _recorded_tensordot),
        *lent,
        *((owner, "grad", _gradient_of(vars(owner)["grad"])) for owner in (ndarray, NDArray)),
        (
            mx.nd.CachedOp,
            "__call__",
            _refused(
                "a hybridized Gluon block or CachedOp inside a compiled function", mx.nd.CachedOp.__call__
            ),
        ),
        (
            mx.autograd.Function,
            "__call__",
            _refused(
                "an mx.autograd.Function, whose gradient is Python code,", mx.autograd.Function.__call__
            ),
        ),
    ]


_lock = threading.Lock()
_users = 0
_originals: list[tuple[Any, str, Any]] = []


@contextmanager
def installed() -> Iterator[None]:
    """The patches, from the first recording that runs to the last."""
    global _users
    with _lock:
        if not _users:
            for owner, name, new in _table():
                _originals.append((owner, name, vars(owner)[name]))
                setattr(owner, name, new)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                while _originals:
                    setattr(*_originals.pop())
