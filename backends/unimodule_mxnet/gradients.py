"""Values and gradients from MXNet's tape."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .loading import mx, thread
from .operators import Array, check_call, data_pointer, detach, library, ndarray

c_handle_array = mx.base.c_handle_array

one_tape = threading.Lock()
_WRITE = 1  # MXNet's number for grad_req='write'


class Blank:
    """Makes arrays of one shape and dtype, with memory that nothing is in yet: MXNet's own way of asking, asked once."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, ctx: Any) -> None:
        self._arguments = (
            (mx.base.mx_uint * len(shape))(*shape),
            ctypes.c_uint(len(shape)),
            ctypes.c_int(ctx.device_typeid),
            ctypes.c_int(ctx.device_id),
            ctypes.c_int(0),
            ctypes.c_int(mx.ndarray.ndarray._DTYPE_NP_TO_MX[np.dtype(dtype).type]),
        )

    def __call__(self) -> Array:
        """A new array."""
        handle = mx.base.NDArrayHandle()
        check_call(library.MXNDArrayCreateEx(*self._arguments, ctypes.byref(handle)))
        return ndarray(handle)


_blank = functools.lru_cache(maxsize=1024)(Blank)


def zeros(like: Array) -> Array:
    """Zeros, off any tape; on the CPU in a fraction of the time of MXNet's own."""
    ctx = like.ctx
    out = _blank(like.shape, like.dtype, ctx)()
    if ctx.device_type == "cpu":
        ctypes.memset(data_pointer(out), 0, out.size * np.dtype(out.dtype).itemsize)
    else:
        out[()] = 0
    return out


def mark(leaves: Sequence[Array], buffers: Sequence[Array]) -> None:
    """Make arrays the variables of a tape, whose gradients are written into the buffers.

    Not left to ``autograd.grad``: it is an error there that a variable takes no part, and arrays that it makes have
    no memory yet when oneDNN asks for it ("could not execute a primitive", and so from then on).
    """
    n = len(leaves)
    check_call(
        library.MXAutogradMarkVariables(
            n, c_handle_array(leaves), (mx.base.mx_uint * n)(*[_WRITE] * n), c_handle_array(buffers)
        )
    )


def backward(loss: Array) -> None:
    """Write the gradients of ``loss`` into the buffers of the marked arrays; frees the tape."""
    try:
        loss.backward()
    except mx.MXNetError as error:
        if "not in a computational graph" not in str(error):  # the loss depends on nothing: zeros it is
            raise


def release(tree: Any) -> Any:
    """The same nesting of tuples, lists and dicts with its arrays cut off the tape."""
    if isinstance(tree, ndarray):
        return detach(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*map(release, tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(map(release, tree))
    if isinstance(tree, dict):
        return {key: release(value) for key, value in tree.items()}
    return tree


def value_and_grad(
    fn: Callable[[list[Array]], tuple[Array, Any]], values: Sequence[Array]
) -> tuple[Array, Any, list[Array]]:
    """``loss, aux = fn(values)`` and the gradients of ``loss``.

    ``fn`` sees fresh leaves, not the arrays themselves: a mark on those would be seen, and undone, by other threads.
    """
    thread.ready  # noqa: B018
    leaves = [detach(x) for x in values]
    gradients = [zeros(x) for x in leaves]
    if leaves:
        mark(leaves, gradients)
    # A tape notes itself on every array that it meets, so that two would trip over a constant or an input they share.
    # Only in train mode do MXNet's kernels keep what their gradients need. Nothing of ours goes by that mode.
    with one_tape, mx.autograd.record(train_mode=True):
        loss, aux = fn(leaves)
        if leaves:
            backward(loss)
    return detach(loss), release(aux), gradients


class _Watch(mx.autograd.Function):
    """The identity; its gradient is seen on the way."""

    def __init__(self, note: Callable[[Array], None]) -> None:
        super().__init__()
        self._note = note

    def forward(self, x: Array) -> Array:
        return x.detach()  # the same memory: the tape would keep a copy

    def backward(self, gradient: Any) -> Any:
        thread.ready  # noqa: B018 (MXNet calls this in a thread of its own)
        self._note(gradient.as_np_ndarray())
        return gradient


def watch(x: Array, note: Callable[[Array], None]) -> Array:
    """See ``Backend.watch_gradient``."""
    return _Watch(note)(x)
