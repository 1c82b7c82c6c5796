"""Calling MXNet's operators by name, and the few things that nearly every file here needs.

``op("Convolution")`` is a function on ``mx.np.ndarray`` for any operator of MXNet's engine, old or new. It goes past
the three Python layers of ``mx.np``, ``mx.npx`` and ``mx.nd``, whose wrappers cost up to a third of a small call, take
some operators only as legacy arrays, and disagree among themselves. Every call passes through the one function of
MXNet's that all of its own do (``mxnet.ndarray.register._imperative_invoke``), so whoever records that one sees all.
"""

from __future__ import annotations

import ctypes
import functools
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from unimodule.dtypes import canonical
from unimodule.errors import DtypeError

from .loading import mx, thread

# By attribute: an import of MXNet's modules must not come before `loading` has seen to it.
register = mx.ndarray.register
library = mx.base._LIB
check_call = mx.base.check_call

Array = Any
"""An ``mx.np.ndarray``."""

ndarray = mx.np.ndarray


def op(name: str, *, guard: bool = False, **fixed: Any) -> Callable[..., Any]:
    """MXNet's operator of that name, with some of its attributes given.

    The function takes arrays by position and attributes by keyword, and returns an array, or a list where the
    operator has several outputs. ``guard`` is for operators that may have no elements in the result but some in an
    argument: MXNet leaves the gradient of that argument unwritten, so the result must not be on the tape.
    """
    handle = mx.base.OpHandle()
    check_call(library.NNGetOpHandle(mx.base.c_str(name), ctypes.byref(handle)))
    number = handle.value

    def call(*arrays: Array, **attributes: Any) -> Any:
        thread.ready  # noqa: B018  turns NumPy's shapes on in a thread that is new here
        if fixed:
            attributes = {**fixed, **attributes}
        return register._imperative_invoke(
            number, arrays, list(attributes), list(attributes.values()), None, True, False
        )

    def guarded(*arrays: Array, **attributes: Any) -> Any:
        out = call(*arrays, **attributes)
        return out.detach() if differentiable() and 0 in out.shape else out

    chosen = guarded if guard else call
    chosen.__name__ = chosen.__qualname__ = name
    return chosen


class _Recording(threading.local):
    by_others = False
    trace: Any = None


recording = _Recording()
"""``recording.by_others`` is set by whoever records operators to differentiate them later, without MXNet's tape, and then
``recording.trace`` is the ``tracing.Trace`` that does.
"""

_is_recording = mx.autograd.is_recording


def differentiable() -> bool:
    """Whether anybody may ask for a gradient of what is computed now; if not, corrections of gradients are spared."""
    return _is_recording() or recording.by_others


cast = op("_npi_cast")
ones_like = op("ones_like")
zeros_like = op("zeros_like")
reshape_to = op("_np_reshape")
transpose_to = op("_np_transpose")
slice_axis = op("slice_axis")


def detach(x: Array) -> Array:
    """``x`` off any tape; it shares the memory."""
    return x.detach()  # by attribute: recorded arrays have their own


_NAMES: dict[Any, str] = {}


DTYPES = frozenset("float16 float32 float64 uint8 int8 int32 int64 bool".split())
"""The dtypes that MXNet computes with."""


def known(dtype: str) -> str:
    """``dtype``, which must be one of them."""
    if dtype not in DTYPES:
        raise DtypeError(f"backend 'mxnet' has no {dtype}; it has {', '.join(sorted(DTYPES))}")
    return dtype


def dtype_of(x: Array) -> str:
    """Canonical name of the dtype of ``x``."""
    native = x.dtype
    try:
        return _NAMES[native]
    except KeyError:
        return _NAMES.setdefault(native, canonical(native))


def is_float(x: Array) -> bool:
    """Whether ``x`` has a floating dtype."""
    return dtype_of(x)[0] == "f"


def array(value: Any, dtype: str, context: Any) -> Array:
    """A new array with the values of a NumPy array or Python scalar."""
    thread.ready  # noqa: B018
    host = np.asarray(value, dtype)
    out = mx.np.empty(host.shape, dtype=host.dtype, ctx=context)
    if host.size:
        # Not mx.np.array, which records the copy on a tape that is running, nor `out[:] = host`, which goes by float32.
        out._sync_copyfrom(host)
    return out


def constant(value: Any, like: Array) -> Array:
    """``value`` as an array of the dtype and on the device of ``like``."""
    return array(value, like.dtype, like.ctx)


def full(shape: tuple[int, ...], value: Any, like: Array) -> Array:
    """An array of one value, of the dtype and on the device of ``like``."""
    return broadcast(constant(value, like), shape)


broadcast_op = op("_npi_broadcast_to", guard=True)


def broadcast(x: Array, shape: tuple[int, ...]) -> Array:
    """``x`` broadcast to ``shape``."""
    if x.shape == shape:
        return x
    if len(shape) > 5:
        # MXNet takes five groups of axes, those that grow and those that stay in turns, and no more.
        for stage in _stages((1,) * (len(shape) - x.ndim) + x.shape, shape):
            x = broadcast_op(x, shape=stage)
    return x if x.shape == shape else broadcast_op(x, shape=shape)


def _stages(have: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Shapes from ``have`` to ``shape``, in each of which two more groups of neighbouring axes have grown."""
    grown, groups, growing = list(have), 0, False
    for axis, (n, size) in enumerate(zip(have, shape, strict=True)):
        groups += n != size and not growing
        growing = n != size
        if groups == 3:
            yield tuple(grown)
            groups = 1
        grown[axis] = size


_where = op("_npi_where")
_where_alike = op("where")
_LARGE = 4096


def select(condition: Array, x1: Array, x2: Array) -> Array:
    """``x1`` where the bool array ``condition`` holds, else ``x2``; they broadcast."""
    if not (condition.size and x1.size and x2.size):  # of which MXNet's own dies
        return full(np.broadcast_shapes(condition.shape, x1.shape, x2.shape), 0, x1)
    if (condition.size < _LARGE and x1.size < _LARGE and x2.size < _LARGE) or dtype_of(x1) == "bool":
        return _where(condition, x1, x2)
    # MXNet's old operator takes a twentieth of the time, but does not broadcast, and knows no bool.
    shape = np.broadcast_shapes(condition.shape, x1.shape, x2.shape)
    condition = broadcast(cast(condition, dtype="int8"), shape)
    return _where_alike(condition, broadcast(x1, shape), broadcast(x2, shape))


# ---------------------------------------------------------------------- scalars as attributes of operators
@functools.lru_cache(maxsize=4096)
def _parsed_exactly(value: float) -> bool:
    """Whether MXNet, which passes attributes as text, reads this number back as it is.

    Its parser takes the digits before and after the point for two integers and adds their quotient, so some numbers
    come back changed in the last place, and denormal ones are an error.
    """
    if value == 0 or not math.isfinite(value):
        return not math.isnan(value)
    text = repr(abs(value))
    if "e" in text or len(text) > 18:
        return False
    before, _, after = text.partition(".")
    return float(int(before)) + float(int(after)) / float(10 ** len(after)) == abs(value)


def exact(value: float, like: Array) -> bool:
    """Whether ``value`` can be an attribute of an operator on ``like`` without a loss; if not, make it an array."""
    dtype = dtype_of(like)
    if dtype == "float64":
        return _parsed_exactly(float(value))
    if dtype[0] == "f":  # read to within a few units of float64's last place, which float32 does not have
        return value == 0 or 1e-290 < abs(value) < 1e290 or math.isinf(value)
    return -(2**53) <= value <= 2**53


# ---------------------------------------------------------------------- MXNet's modes, and a look at values
_set_training = mx.autograd.set_training


def in_training(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call with MXNet's train mode on.

    Some kernels keep what their gradient needs only then, and compute garbage where a tape ran with
    ``train_mode=False``; others use the statistics of the batch only then.
    """
    before = _set_training(True)
    try:
        return function(*args, **kwargs)
    finally:
        if not before:
            _set_training(False)


def data_pointer(x: Array) -> ctypes.c_void_p:
    """Where the elements of ``x`` are."""
    data = ctypes.c_void_p()
    check_call(library.MXNDArrayGetData(x.handle, ctypes.byref(data)))
    return data


def host_sum(x: Array) -> float:
    """The sum of a float array in the host's memory, read in place: a quick test for NaN and infinity."""
    dtype = np.dtype(x.dtype)
    with np.errstate(all="ignore"):
        if dtype.itemsize == 2:
            return float(x.asnumpy().sum(dtype=np.float32))
        x.wait_to_read()
        pointer = ctypes.cast(
            data_pointer(x), ctypes.POINTER(ctypes.c_float if dtype.itemsize == 4 else ctypes.c_double)
        )
        return float(np.ctypeslib.as_array(pointer, shape=(x.size,)).sum())


@functools.lru_cache(maxsize=256)
def _ones_and_zeros(n: int, dtype: str, context: str) -> tuple[Array, Array]:
    kind, _, index = context[:-1].partition("(")
    ctx = mx.Context(kind, int(index))
    return array(np.ones(n), dtype, ctx), array(np.zeros(n), dtype, ctx)


def ones_and_zeros(n: int, like: Array) -> tuple[Array, Array]:
    """A vector of ones and one of zeros, to be read only: for operators that insist on a weight and a bias."""
    ones, zeros = _ones_and_zeros(n, dtype_of(like), str(like.ctx))
    # A tape notes itself on every array that it sees: threads may share the memory, but not the objects.
    return detach(ones), detach(zeros)
