"""The arrays that a function sees while it is recorded: a shape, a dtype and a device, but no memory.

They are MXNet's arrays by class, so that operators, methods and ``isinstance`` work, but have no handle: whatever would
reach MXNet past the recorder raises. Methods of MXNet's arrays that go past its operators are given again here in terms
of operators; ``patches`` lends the same methods to arrays from outside the function.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, NoReturn

import numpy as np

from unimodule.errors import CompileError

from ..indexing import getitem
from ..loading import mx
from ..operators import Array, cast, ndarray, op, reshape_to, slice_axis
from .graph import Value

NDArray = mx.nd.NDArray

_copy = op("_np_copy")
_legacy_reshape = op("Reshape")
_slice = op("_npi_slice")


def refuse_reading() -> NoReturn:
    raise CompileError(
        "the value of a tensor was read while the function was compiled (if, while, bool, float, int, item or asnumpy); "
        "what depends on values must be recorded: use ops.cond for branches, ops.while_loop for loops, ops.where for choices"
    )


def refuse_writing() -> NoReturn:
    raise CompileError(
        "a tensor was written in place while the function was compiled (x[...] = y, x += y, out=x); compute a new one: "
        "x = x + y, ops.where, ops.concat"
    )


def refuse_differentiating() -> NoReturn:
    raise CompileError(
        "MXNet's tape (attach_grad, backward, grad) was used inside a compiled function; use um.value_and_grad there, or "
        "the tape around the compiled function"
    )


class Traced:
    """What is common to recorded arrays of MXNet's two classes.

    Attributes:
        trace: the recording that it belongs to.
        value: what it stands for.
    """

    trace: Any
    value: Value

    def __del__(self) -> None:  # MXNet's own frees the handle
        pass

    def __repr__(self) -> str:
        return f"<recorded {np.dtype(self.dtype).name} {self.shape} @{self.ctx}>"

    __str__ = __repr__

    # ------------------------------------------------------------------ what is known of it
    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.kind.shape

    @property
    def dtype(self) -> Any:
        return self.value.kind.dtype

    @property
    def ctx(self) -> Any:
        return self.value.ctx

    context = ctx

    @property
    def stype(self) -> str:
        return "default"

    @property
    def writable(self) -> bool:
        return True  # so that `x += y` comes as far as our own error

    def wait_to_read(self) -> None:
        pass

    # ------------------------------------------------------------------ what cannot be
    @property
    def handle(self) -> Any:
        raise CompileError(
            "a tensor reached MXNet past its operators (a hybridized Gluon block, DLPack, pickle or a C function) while the "
            "function was compiled; such a call cannot be recorded"
        )

    def asnumpy(self) -> NoReturn:
        refuse_reading()

    asscalar = item = tolist = __index__ = __array__ = asnumpy

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        refuse_writing()

    def _sync_copyfrom(self, source: Any) -> NoReturn:
        refuse_writing()

    def attach_grad(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse_differentiating()

    backward = drop_grad = attach_grad

    @property
    def grad(self) -> NoReturn:
        refuse_differentiating()

    # ------------------------------------------------------------------ what MXNet does without an operator
    def detach(self) -> Array:
        return self.trace.like(self, self.trace.detached(self))

    def copy(self, order: str = "C") -> Array:
        return self.trace.like(self, _copy(self))

    def copyto(self, other: Any) -> Array:
        if not isinstance(other, mx.Context):
            refuse_writing()
        return self.as_in_ctx(other).copy()

    def as_in_ctx(self, ctx: Any) -> Array:
        if ctx != self.ctx:
            raise CompileError(f"a compiled function cannot move a tensor from {self.ctx} to {ctx}")
        return self

    as_in_context = as_in_ctx

    def astype(self, dtype: Any, *args: Any, copy: bool = True, **kwargs: Any) -> Array:
        if not copy and np.dtype(dtype) == self.dtype:
            return self
        return self.trace.like(self, cast(self, dtype=np.dtype(dtype).name))

    def as_nd_ndarray(self) -> Array:
        return self.trace.wrap(self.value, legacy=True)

    def as_np_ndarray(self) -> Array:
        return self.trace.wrap(self.value)

    def reshape_view(self, *shape: Any, **kwargs: Any) -> Array:
        return self.trace.like(self, reshape_to(self, newshape=_sizes(shape, kwargs)))

    def _at(self, index: int) -> Array:
        n = self.shape[0]
        if not -n <= index < n:
            raise IndexError(f"index {index} is out of bounds for axis 0 with size {n}")
        row = slice_axis(self, axis=0, begin=index % n, end=index % n + 1)
        return self.trace.like(self, reshape_to(row, newshape=self.shape[1:]))

    def _slice(self, start: int | None, stop: int | None) -> Array:
        begin, end, _ = slice(start, stop).indices(self.shape[0])
        return self.trace.like(self, _slice(self, begin=(begin,), end=(max(begin, end),)))

    def _basic_indexing_slice_is_contiguous(self, *args: Any) -> bool:
        return False  # so that it is sliced by an operator


class TracedArray(Traced, ndarray):
    """A recorded ``mx.np.ndarray``."""

    def __getitem__(self, key: Any) -> Array:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(map(_is_basic, parts)):
            if any(getattr(part, "dtype", None) == np.bool_ for part in parts):
                raise CompileError(
                    "how much a mask takes out depends on values: indexing with one cannot be recorded; use ops.where"
                )
            return ndarray.__getitem__(self, key)
        taken = [part for part in parts if part is not None and part is not ...]
        if len(taken) > len(self.shape) or sum(part is ... for part in parts) > 1:
            raise IndexError(f"too many indices for an array of {len(self.shape)} dimensions")
        # Not MXNet's own: that is shared memory, and garbage for a gradient where there is a None in the key.
        axes = iter(range(len(self.shape)))
        for i, part in enumerate(parts):
            if part is ...:
                behind = sum(p is not None for p in parts[i + 1 :])
                axes = iter(range(len(self.shape) - behind, len(self.shape)))
            elif part is not None:
                n = self.shape[next(axes)]
                if isinstance(part, Integral) and not -n <= int(part) < n:
                    raise IndexError(f"index {part} is out of bounds for an axis of size {n}")
        return getitem(self, parts)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        known = mx.numpy.multiarray._NUMPY_ARRAY_FUNCTION_DICT.get(function)
        if known is None:
            refuse_reading()
        return known(*args, **kwargs)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        known = mx.numpy.multiarray._NUMPY_ARRAY_UFUNC_DICT.get(ufunc.__name__)
        if known is None or method != "__call__":
            refuse_reading()
        if "out" in kwargs:
            refuse_writing()
        return known(*inputs, **kwargs)


def _is_basic(part: Any) -> bool:
    """Whether a part of an index is an integer, ``None``, ``...`` or a slice with a positive step."""
    if isinstance(part, slice):
        return part.step is None or part.step > 0
    if isinstance(part, Integral):
        return not isinstance(part, bool | np.bool_)
    return part is None or part is ...


def _sizes(shape: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[int, ...]:
    """The shape that was asked for: in a keyword, as one sequence, or as one argument a size."""
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    return tuple(keywords.pop("shape", shape))


class TracedLegacyArray(Traced, NDArray):  # type: ignore[misc, valid-type]
    """A recorded ``mx.nd.NDArray``."""

    @property
    def dtype(self) -> Any:
        return self.value.kind.dtype.type  # as MXNet has it

    def reshape(self, *shape: Any, **kwargs: Any) -> Array:
        return self.trace.like(self, _legacy_reshape(self, shape=_sizes(shape, kwargs), **kwargs))

    def as_in_context(self, context: Any) -> Array:
        return self.as_in_ctx(context)


LENT = (
    "__getitem__ __repr__ __setitem__ _at _slice _sync_copyfrom as_in_context as_in_ctx as_nd_ndarray as_np_ndarray asnumpy "
    "asscalar astype attach_grad backward copy copyto detach drop_grad item reshape reshape_view tolist"
).split()
"""The methods above that ``patches`` lends to arrays from outside the function."""
