"""Parameter, Constant and Buffer: what a module keeps, declared before there is a backend.

One object serves from declaration to training: it is the specification (shape, dtype, initialiser) while the net has no
backend, and the handle that ``parameters()`` yields afterwards. ``forward`` never sees it: once the net is bound, the
module's attribute is the native tensor itself, and the handle keeps every module that shares it up to date.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .. import dtypes
from .._changes import changes
from .._random import Stream, generator, reserve
from ..backend import Backend, Tensor
from ..errors import ArgumentError, DtypeError, ShapeError, UninitializedError
from ..registry import find_backend

if TYPE_CHECKING:
    from ._tree import Tree

Shape = tuple[int | None, ...]
Initializer = Callable[[tuple[int, ...], np.random.Generator], np.ndarray[Any, Any]]


class Variable:
    """What Parameter, Constant and Buffer have in common. Users make one of those three.

    Args:
        value: an array (NumPy, list, or a tensor of any backend; it is copied), or an initialiser from
            ``unimodule.init`` that is called with the shape when the net is bound.
        shape: the shape, where ``value`` is an initialiser; a size that is not known yet is None.
        dtype: the dtype to keep. By default a float takes the float dtype of its net; others keep their own.

    Raises:
        ArgumentError: neither an array nor an initialiser with a shape.
        ShapeError: ``shape`` is malformed or not the array's.
    """

    kind = "variable"

    name: str
    """Dotted name, relative to the net that was bound or listed last."""

    def __init__(self, value: Any, shape: Any = None, *, dtype: Any = None) -> None:
        self.name = ""
        self.trainable = False
        self.init: Initializer | None = None
        self.stream: Stream | None = None
        self._fixed_dtype = None if dtype is None else dtypes.canonical(dtype)
        self._value: Any = None
        self._backend: Backend | None = None
        self._sites: list[tuple[weakref.ref[Tree], str]] = []
        if callable(value) and find_backend(value) is None:
            if shape is None:
                raise ArgumentError(f"{type(self).__name__} with an initialiser needs a shape, got none")
            self.init = value
            self._shape = _check_shape(shape)
            self._dtype = self._fixed_dtype or dtypes.DEFAULT_FLOAT
        else:
            array = _host_copy(value, type(self).__name__)
            if shape is not None and _check_shape(shape) != array.shape:
                raise ShapeError(
                    f"{type(self).__name__} got shape {shape} beside an array of shape {array.shape}"
                )
            self._shape = array.shape
            self._value = array
            own = dtypes.canonical(array.dtype)
            self._dtype = self._fixed_dtype or (dtypes.DEFAULT_FLOAT if dtypes.is_floating(own) else own)

    # ------------------------------------------------------------------ what it says of itself
    @property
    def shape(self) -> Shape:
        """Its shape; None for a size that is not known yet. May be set, once, where sizes were unknown."""
        return self._shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        new = _check_shape(shape)
        if len(new) != len(self._shape) or any(
            a is not None and a != b for a, b in zip(self._shape, new, strict=True)
        ):
            raise ShapeError(f"{self} is declared with shape {self._shape}, got {new}")
        self._shape = new

    @property
    def dtype(self) -> str:
        """Canonical name of its dtype."""
        return self._dtype

    @property
    def backend(self) -> str | None:
        """The backend that holds it, or None."""
        return None if self._backend is None else self._backend.info.name

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are taken with respect to it and an optimiser may change it."""
        return self.trainable

    @property
    def shape_known(self) -> bool:
        """Whether every size is known."""
        return None not in self._shape

    @property
    def has_value(self) -> bool:
        """Whether it was drawn or given."""
        return self._value is not None

    @property
    def data(self) -> Tensor:
        """The live native tensor (a NumPy array before the net has a backend). Can be set, from a tensor of any
        backend, NumPy or a number; shape must match, dtype is cast.

        Raises:
            UninitializedError: read before there is a value.
            ShapeError: set to another shape.
        """
        if self._value is None:
            raise UninitializedError(
                f"{self} has no value yet; call net.initialize(), net.to(backend) or the net itself"
            )
        return self._value

    @data.setter
    def data(self, value: Any) -> None:
        backend = self._backend
        source = find_backend(value)
        if backend is None or source is not backend or not _matches(backend, value, self):
            host = _host_copy(value, str(self))
            if self.shape_known or len(host.shape) != len(self._shape):
                self._require_shape(host.shape)
            else:
                self.shape = host.shape
            if backend is None:
                self._store(host, None)  # in full precision: the net may yet become float64
                return
            device = backend.device(self._value) if self._value is not None else "cpu"
            value = backend.from_numpy(host, self._dtype, device)
        self.write(value)

    def write(self, value: Tensor) -> None:
        """Take over a native tensor of the right backend, shape and dtype (no checks: see ``data``)."""
        backend = self._backend
        assert backend is not None
        if self._value is None:
            self._store(backend.variable(value, trainable=self.trainable), backend)
        else:
            self._store(backend.assign(self._value, value), backend)

    def item(self) -> bool | int | float:
        """Its one element as a Python scalar."""
        value = self.data
        return value.item() if self._backend is None else self._backend.item(value)

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy of its value on the host.

        Raises:
            UninitializedError: it has none yet.
        """
        value = self.data
        return value.copy() if self._backend is None else self._backend.to_numpy(value)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"{type(self).__name__}{name}(shape={self._shape}, dtype={self._dtype!r})"

    # ------------------------------------------------------------------ values, for Module
    def attach(self, module: Tree, attribute: str) -> None:
        """Be ``module.attribute``: from now on that attribute follows this variable's value."""
        self._sites = [
            s for s in self._sites if s[0]() is not None and (s[0]() is not module or s[1] != attribute)
        ]
        self._sites.append((weakref.ref(module), attribute))
        module.__dict__[attribute] = self._value if self._backend is not None and self.has_value else self

    def detach(self, module: Tree, attribute: str) -> None:
        """No longer be ``module.attribute``."""
        self._sites = [
            s for s in self._sites if s[0]() is not None and not (s[0]() is module and s[1] == attribute)
        ]

    def places(self) -> list[tuple[dict[str, Any], str]]:
        """Where its value stands: what ``write`` sets, where the value is of the same kind as before."""
        modules = [(reference(), attribute) for reference, attribute in self._sites]
        return [
            (self.__dict__, "_value"),
            *((m.__dict__, attribute) for m, attribute in modules if m is not None),
        ]

    @property
    def held(self) -> bool:
        """Whether it is an attribute of a module."""
        return any(reference() is not None for reference, _ in self._sites)

    def _store(self, value: Any, backend: Backend | None) -> None:
        if value is self._value and backend is self._backend:
            return
        self._value, self._backend = value, backend
        for reference, attribute in self._sites:
            module = reference()
            if module is not None:
                module.__dict__[attribute] = self if backend is None else value

    def initial(self) -> np.ndarray[Any, Any] | None:
        """The value that it starts from, drawn from its stream; None where the shape is not known yet, or where it was
        given as an array.
        """
        if self.init is None or not self.shape_known:
            return None
        if self.stream is None:
            self.stream = (*reserve(), 0)
        array = np.asarray(self.init(self._shape, generator(self.stream)))  # type: ignore[arg-type]
        if array.shape != self._shape:
            raise ShapeError(
                f"the initialiser of {self} returned shape {array.shape}, expected {self._shape}"
            )
        return array

    def restart(self, stream: Stream) -> None:
        """Take the initial value of another stream, now or, for a lazy variable, when its shape is known."""
        self.stream = stream
        array = self.initial()
        if array is not None:
            self.data = array

    def converted(self, backend: Backend, device: str, float_dtype: str | None) -> tuple[Any, str]:
        """Its value as a variable of ``backend``, and the dtype of that; the value is None where it stays lazy."""
        dtype = self.target_dtype(float_dtype)
        value = self._value
        if self._backend is backend and value is not None:
            if dtype == self._dtype and backend.device(value) == device:
                return value, dtype
            host = backend.to_numpy(value)
        elif value is None:
            drawn = self.initial()
            if drawn is None:
                return None, dtype
            host = drawn
        else:
            host = value if self._backend is None else self._backend.to_numpy(value)
        return backend.variable(backend.from_numpy(host, dtype, device), trainable=self.trainable), dtype

    def target_dtype(self, float_dtype: str | None) -> str:
        """Its dtype in a net of a given float dtype."""
        if self._fixed_dtype is not None or float_dtype is None or not dtypes.is_floating(self._dtype):
            return self._dtype
        return float_dtype

    def commit(self, value: Any, dtype: str, backend: Backend) -> None:
        """Take over what ``converted`` returned."""
        self._dtype = dtype
        if value is None:
            self._backend = backend
        else:
            self._store(value, backend)

    def retype(self, float_dtype: str) -> None:
        """Change the float dtype of a variable that no backend holds."""
        self._dtype = self.target_dtype(float_dtype)

    def _require_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self._shape:
            raise ShapeError(f"{self} expected shape {self._shape}, got {shape}")

    def alias(self) -> Self:
        """Another handle of the same value, for a copy of the net in which nobody assigns it."""
        new: Self = object.__new__(type(self))
        new.__dict__.update(self.__dict__, _sites=[])
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new: Self = object.__new__(type(self))
        memo[id(self)] = new
        for key, value in self.__dict__.items():
            if key not in ("_value", "_sites", "_backend"):
                new.__dict__[key] = copy.deepcopy(value, memo)
        new._sites, new._backend, new._value = [], self._backend, None
        if self._value is not None:
            if self._backend is None:
                new._value = self._value.copy()
            else:
                host, device = self._backend.to_numpy(self._value), self._backend.device(self._value)
                copied = self._backend.from_numpy(host, self._backend.dtype(self._value), device)
                new._value = self._backend.variable(copied, trainable=self.trainable)
        return new


class Parameter(Variable):
    """A trainable tensor of a module.

    Args:
        value: an array, or an initialiser such as ``init.kaiming_uniform()``.
        shape: the shape, where ``value`` is an initialiser; a size that is not known yet is None.
        dtype: a float dtype to keep whatever the net's; by default the net's.
        requires_grad: False freezes it.

    Raises:
        DtypeError: the dtype is not a floating one.

    Example:
        >>> from unimodule import init, nn
        >>> nn.Parameter(init.zeros(), shape=(4, 3))
        Parameter(shape=(4, 3), dtype='float32')
    """

    kind = "parameter"

    def __init__(
        self, value: Any, shape: Any = None, *, dtype: Any = None, requires_grad: bool = True
    ) -> None:
        super().__init__(value, shape, dtype=dtype)
        if not dtypes.is_floating(self._dtype):
            raise DtypeError(
                f"Parameter expected a floating dtype, got {self._dtype}; use nn.Buffer or nn.Constant"
            )
        self.trainable = bool(requires_grad)

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are taken with respect to it and an optimiser may change it. Can be set."""
        return self.trainable

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.trainable = bool(flag)
        if self._backend is not None and self._value is not None:
            self._store(self._backend.set_trainable(self._value, self.trainable), self._backend)
        changes.count += 1


class Constant(Variable):
    """A tensor that is never trained and never changed: no gradient, no update, no weight decay. It is saved, moved,
    tied and cloned with its module.

    Args:
        value: an array, or an initialiser, drawn once: ``initialize`` does not redraw a constant.
        shape: the shape, where ``value`` is an initialiser.
        dtype: a dtype to keep; by default a float takes the net's.

    Example:
        >>> from unimodule import init, nn
        >>> nn.Constant(init.uniform(), shape=(20, 20))
        Constant(shape=(20, 20), dtype='float32')
    """

    kind = "constant"


class Buffer(Variable):
    """A tensor that is not trained but may be assigned in ``forward`` (running statistics, counters). The only state
    that a forward carries out of a functional or compiled call.

    Args:
        value: the array it starts from, or an initialiser.
        shape: the shape, where ``value`` is an initialiser.
        dtype: a dtype to keep; by default a float takes the net's.
        persistent: whether it is part of ``state_dict``.

    Example:
        >>> from unimodule import nn
        >>> nn.Buffer(0)
        Buffer(shape=(), dtype='int64')
    """

    kind = "buffer"

    def __init__(self, value: Any, shape: Any = None, *, dtype: Any = None, persistent: bool = True) -> None:
        super().__init__(value, shape, dtype=dtype)
        self.persistent = persistent
        if self.init is None:
            start = self._value.copy()
            self.init = lambda shape, rng: start.copy()

    def write(self, value: Tensor) -> None:
        """Take over a native tensor, as ``Variable.write`` does. The old one stays as it was: a forward may have read it,
        and a tape may need it.
        """
        backend = self._backend
        assert backend is not None
        if backend.keeps_buffers:
            super().write(value)
        elif value is not self._value:
            self._store(backend.variable(value, trainable=False), backend)


def _check_shape(shape: Any) -> Shape:
    sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if not all(s is None or (isinstance(s, int | np.integer) and s >= 0) for s in sizes):
        raise ShapeError(f"a shape expected non-negative integers (None where not known yet), got {shape!r}")
    return tuple(None if s is None else int(s) for s in sizes)


def _host_copy(value: Any, what: str) -> np.ndarray[Any, Any]:
    if isinstance(value, Variable):
        return value.numpy()
    backend = find_backend(value)
    array = np.array(value) if backend is None else backend.to_numpy(value)
    if array.dtype == object or array.dtype.kind in "USMm":
        raise DtypeError(f"{what} expected numbers, got {type(value).__name__}")
    dtypes.canonical(array.dtype)
    return array


def _matches(backend: Backend, value: Tensor, variable: Variable) -> bool:
    return (
        variable._value is not None
        and backend.shape(value) == variable._shape
        and backend.dtype(value) == backend.dtype(variable._value)
        and backend.device(value) == backend.device(variable._value)
    )
