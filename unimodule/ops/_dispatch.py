"""How an op finds the code that runs it.

A public op is declared once, with its signature, docstring and default composition; a decorator here makes it look up
the backend's own function by the type of its tensors, in a dict that is filled as types are met. There are four
kinds, by what selects the backend:

* ``unary``: one tensor comes first; the rest are options;
* ``binary``: two operands that broadcast; either may be a Python scalar; dtypes are promoted (array API);
* ``paired``: two tensors come first (input and weight), the rest follows untouched;
* ``gathered``: tensors stand anywhere, in lists too; hand-written functions call ``gather`` and ``call`` themselves.

NumPy arrays beside a tensor of another backend are data: they are converted to that backend. Tensors of two frameworks
in one call are ``BackendMismatchError``. A native error is turned into ours by ``explain``, which looks at the
arguments only once something has failed, so a call that works pays for none of it.

The wrappers are closures, not generated code: code made with ``exec`` under shared names confuses tracing compilers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

import numpy as np

from .. import _draws, dtypes
from ..backend import Backend, Tensor
from ..errors import (
    BackendMismatchError,
    DtypeError,
    NotSupportedError,
)
from ..registry import backend_for_type, find_backend, get_backend, on_forget
from ._explain import NUMPY, checks, reraise

F = TypeVar("F", bound=Callable[..., Any])

DEFAULTS: dict[str, Callable[..., Any] | None] = {}
"""Every op by name: its default composition, or None where an adapter must provide it."""


SCALARS = (bool, int, float)
ARRAYS = (np.ndarray, np.generic)  # a tuple: PyTorch's compiler knows no union of types


def is_scalar(x: Any) -> bool:
    """Whether ``x`` is a Python number; NumPy's float64, though a float, is an array of no axes."""
    return isinstance(x, SCALARS) and not isinstance(x, np.generic)


# ---------------------------------------------------------------------- from a name and a backend to code
def kernel(backend: Backend, name: str) -> Callable[..., Any]:
    """The function that runs op ``name`` on ``backend``: the adapter's, else the default composition.

    Raises:
        NotSupportedError: it is a required op that the adapter declares it does not support.
    """
    own = backend.function(name)
    if own is not None and (name != "dropout" or not _draws.everywhere()):
        return own
    default = DEFAULTS[name]
    if default is None:
        raise NotSupportedError(f"backend {backend.info.name!r} does not support ops.{name}")
    return default


def call(backend: Backend, op_name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Run op ``op_name`` on ``backend`` with canonical arguments; native errors become ours."""
    try:
        return kernel(backend, op_name)(*args, **kwargs)
    except Exception as error:
        reraise(op_name, error, args, kwargs)


def required(fn: F) -> F:
    """Mark a body as unreachable: the op has no default composition (place it below the dispatch decorator)."""
    fn.__unimodule_required__ = True  # type: ignore[attr-defined]
    return fn


def declare(fn: Callable[..., Any]) -> str:
    """Enter an op and its default composition in ``DEFAULTS``; returns its name."""
    name = fn.__name__.rstrip("_")
    DEFAULTS[name] = None if getattr(fn, "__unimodule_required__", False) else fn
    return name


# ---------------------------------------------------------------------- dtypes of native tensors, looked up fast
_IS_FLOAT: dict[str, dict[Any, bool]] = {}
"""By the package of a framework's dtypes, then by dtype: a compiler that guards what a function reads (Dynamo) must not
meet another framework's dtypes among the keys, which it cannot hash."""


def is_float_tensor(x: Tensor) -> bool:
    """Whether a native tensor's dtype is a floating one."""
    native = x.dtype
    try:
        return _IS_FLOAT[type(native).__module__][native]
    except KeyError:
        answer = dtypes.is_floating(dtypes.canonical(native))
        _IS_FLOAT.setdefault(type(native).__module__, {})[native] = answer
        return answer


def to_float(backend: Backend, x: Tensor) -> Tensor:
    """``x`` itself if it is a float tensor, else ``x`` in the default float dtype (PyTorch's promotion)."""
    return x if is_float_tensor(x) else kernel(backend, "astype")(x, dtypes.DEFAULT_FLOAT)


def adopt(backend: Backend, array: Any, like: Tensor) -> Tensor:
    """A NumPy array (or NumPy scalar) as a tensor beside ``like``: same backend, same device, the array's dtype."""
    host = np.asarray(array)
    return backend.from_numpy(host, dtypes.canonical(host.dtype), backend.device(like))


def scalar_tensor(backend: Backend, value: bool | int | float, like: Tensor) -> Tensor:
    """A Python scalar as a 0-d tensor of ``like``'s dtype (default float for a float beside integers)."""
    dtype = backend.dtype(like)
    if isinstance(value, float) and not dtypes.is_floating(dtype):
        dtype = dtypes.DEFAULT_FLOAT
    elif isinstance(value, int) and not isinstance(value, bool) and dtype == "bool":
        dtype = dtypes.DEFAULT_INT
    return backend.from_numpy(np.asarray(value), dtype, backend.device(like))


def unify(backend: Backend, tensors: list[Tensor]) -> list[Tensor]:
    """The tensors cast to the dtype in which they meet."""
    if all(t.dtype == tensors[0].dtype for t in tensors[1:]):
        return tensors
    common = dtypes.promote(*(backend.dtype(t) for t in tensors))
    cast = kernel(backend, "astype")
    return [t if backend.dtype(t) == common else cast(t, common) for t in tensors]


# ---------------------------------------------------------------------- one tensor first
@overload
def unary(fn: F) -> F: ...
@overload
def unary(*, floats: bool = ...) -> Callable[[F], F]: ...
def unary(fn: F | None = None, *, floats: bool = False) -> Any:
    """Dispatch on the first argument. ``floats``: integer and bool tensors are cast to the default float first."""
    if fn is None:
        return functools.partial(unary, floats=floats)
    name = declare(fn)
    table: dict[type, Callable[..., Any]] = {}
    on_forget(table.clear)

    def op(x: Tensor, /, *args: Any, **kwargs: Any) -> Any:
        try:
            impl = table[type(x)]
        except KeyError:
            impl = table[type(x)] = _resolve_unary(name, x, floats)
        try:
            return impl(x, *args, **kwargs)
        except Exception as error:
            reraise(name, error, (x, *args), kwargs)

    def op_without_options(x: Tensor, /) -> Any:  # saves the making of a tuple and a dict
        try:
            impl = table[type(x)]
        except KeyError:
            impl = table[type(x)] = _resolve_unary(name, x, floats)
        try:
            return impl(x)
        except Exception as error:
            reraise(name, error, (x,), {})

    return _dress(op if _parameters(fn) > 1 else op_without_options, fn)


def _resolve_unary(name: str, x: Any, floats: bool) -> Callable[..., Any]:
    backend = expect_tensor(name, x)
    impl = kernel(backend, name)
    if not floats:
        return impl

    def on_floats(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return impl(x if is_float_tensor(x) else to_float(backend, x), *args, **kwargs)

    return on_floats


# ---------------------------------------------------------------------- two operands that broadcast
@overload
def binary(fn: F) -> F: ...
@overload
def binary(*, floats: bool = ..., only: tuple[str, ...] | None = ...) -> Callable[[F], F]: ...
def binary(fn: F | None = None, *, floats: bool = False, only: tuple[str, ...] | None = None) -> Any:
    """Dispatch on two operands after promoting them. ``floats``: the result is a float, so integers are cast first.
    ``only``: the dtypes that the op is defined for.
    """
    if fn is None:
        return functools.partial(binary, floats=floats, only=only)
    name = declare(fn)
    allowed = frozenset(only) if only else None
    table: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}
    on_forget(table.clear)

    def op(x1: Any, x2: Any, /) -> Any:
        try:
            impl = table[type(x1), type(x2)]
        except KeyError:
            impl = table[type(x1), type(x2)] = _resolve_binary(name, x1, x2, floats, allowed)
        try:
            return impl(x1, x2)
        except Exception as error:
            reraise(name, error, (x1, x2), {})

    return _dress(op, fn)


def _resolve_binary(
    name: str, x1: Any, x2: Any, floats: bool, allowed: frozenset[str] | None
) -> Callable[[Any, Any], Any]:
    backend = one_backend(name, [x1, x2], also=SCALARS)
    impl = kernel(backend, name)
    accepted: set[Any] = set()

    def verify(x: Tensor) -> None:
        if allowed is None or x.dtype in accepted:
            return
        if (dtype := backend.dtype(x)) not in allowed:
            raise DtypeError(f"ops.{name} is not defined for {dtype}; it takes {', '.join(sorted(allowed))}")
        accepted.add(x.dtype)

    def both(x1: Tensor, x2: Tensor) -> Any:
        if x1.dtype != x2.dtype:
            x1, x2 = unify(backend, [x1, x2])
        verify(x1)
        if floats and not is_float_tensor(x1):
            x1, x2 = to_float(backend, x1), to_float(backend, x2)
        return impl(x1, x2)

    def meet(x: Tensor, scalar: bool | int | float) -> tuple[Tensor, bool | int | float]:
        """The tensor in the dtype in which it meets a scalar, and the scalar: a bool beside numbers is one of them."""
        if not is_float_tensor(x):
            if floats or isinstance(scalar, float):
                x = to_float(backend, x)
            elif backend.dtype(x) == "bool":
                if isinstance(scalar, bool):
                    verify(x)
                    return x, scalar
                x = kernel(backend, "astype")(x, dtypes.DEFAULT_INT)
        verify(x)
        return x, int(scalar) if isinstance(scalar, bool) else scalar

    def scalar_first(x1: float, x2: Tensor) -> Any:
        x2, x1 = meet(x2, x1)
        return impl(x1, x2)

    if backend.info.name != NUMPY:  # arrays beside a framework's tensor are data
        if isinstance(x1, ARRAYS):
            return lambda x1, x2: both(adopt(backend, x1, x2), x2)
        if isinstance(x2, ARRAYS):
            return lambda x1, x2: both(x1, adopt(backend, x2, x1))
    if is_scalar(x1):
        return scalar_first
    if is_scalar(x2):
        return lambda x1, x2: impl(*meet(x1, x2))
    return both


# ---------------------------------------------------------------------- input and weight first
def paired(fn: F) -> F:
    """Dispatch on the first two arguments, both tensors; the rest goes through untouched."""
    name = declare(fn)
    table: dict[tuple[type, type], Callable[..., Any]] = {}
    on_forget(table.clear)

    def op(x1: Tensor, x2: Tensor, *args: Any, **kwargs: Any) -> Any:
        try:
            impl = table[type(x1), type(x2)]
        except KeyError:
            impl = table[type(x1), type(x2)] = resolve_pair(name, x1, x2)
        try:
            return impl(x1, x2, *args, **kwargs)
        except Exception as error:
            reraise(name, error, (x1, x2, *args), kwargs)

    def affine(
        x: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> Any:  # the same, for a call this common
        try:
            impl = table[type(x), type(weight)]
        except KeyError:
            impl = table[type(x), type(weight)] = resolve_pair(name, x, weight)
        try:
            return impl(x, weight, bias)
        except Exception as error:
            reraise(name, error, (x, weight, bias), {})

    return _dress(affine if name == "linear" else op, fn)  # type: ignore[no-any-return]


def resolve_pair(name: str, x1: Any, x2: Any) -> Callable[..., Any]:
    """The code for two tensors of given types, with a conversion in front where one of them is a NumPy array."""
    backend = one_backend(name, [x1, x2])
    impl = kernel(backend, name)
    if backend.info.name != NUMPY:
        if isinstance(x1, ARRAYS):
            return lambda x1, x2, *args, **kwargs: impl(adopt(backend, x1, x2), x2, *args, **kwargs)
        if isinstance(x2, ARRAYS):
            return lambda x1, x2, *args, **kwargs: impl(x1, adopt(backend, x2, x1), *args, **kwargs)
    return impl


# ---------------------------------------------------------------------- tensors anywhere
def gather(name: str, *values: Any, same_dtype: Iterable[int] | None = None) -> tuple[Backend, list[Any]]:
    """The one backend of the tensors among ``values``, and the values with NumPy arrays converted to it.

    Python scalars among them become 0-d tensors, None stays None. ``same_dtype``: positions whose dtypes are promoted to
    a common one (all, when not given).
    """
    backend = one_backend(name, values, also=(*SCALARS, type(None)))
    anchor = next(v for v in values if find_backend(v) is backend)
    out = list(values)
    for i, value in enumerate(values):
        if backend.info.name != NUMPY and isinstance(value, ARRAYS):
            out[i] = adopt(backend, value, anchor)
    positions = range(len(out)) if same_dtype is None else list(same_dtype)
    tensors = [i for i in positions if out[i] is not None and not is_scalar(out[i])]
    anchor = out[tensors[0]] if tensors else anchor
    for i, value in enumerate(out):
        if is_scalar(value):
            out[i] = scalar_tensor(backend, value, anchor)
    together = [i for i in positions if out[i] is not None]
    for i, tensor in zip(together, unify(backend, [out[i] for i in together]), strict=True):
        out[i] = tensor
    return backend, out


# ---------------------------------------------------------------------- which backend
def expect_tensor(name: str, x: Any) -> Backend:
    """The backend of ``x``; an error that says what came where a tensor was expected."""
    backend = find_backend(x)
    if backend is None:
        raise _not_a_tensor(name, x)
    return backend


def one_backend(name: str, values: Iterable[Any], also: tuple[type, ...] = ()) -> Backend:
    """The backend of all tensors among ``values``; NumPy arrays count as data where another backend is present.

    Raises:
        BackendMismatchError: two frameworks' tensors are among them.
        DtypeError: there is no tensor at all, or something that is neither a tensor nor of a type in ``also``.
    """
    found: dict[str, Backend] = {}
    nothing: Any = None
    for value in values:
        backend = backend_for_type(type(value))
        if backend is not None and backend.is_tensor(value):
            found[backend.info.name] = backend
        elif isinstance(value, also):
            nothing = value if nothing is None else nothing
        else:
            raise _not_a_tensor(name, value)
    frameworks = [b for n, b in found.items() if n != NUMPY] or list(found.values())
    if len(frameworks) > 1:
        names = " and ".join(sorted(b.info.name for b in frameworks))
        raise BackendMismatchError(
            f"ops.{name} got tensors of two backends, {names}; move one with um.convert(x, backend) "
            "or the net with net.to(backend)"
        )
    if not frameworks:
        raise _not_a_tensor(name, nothing)
    return frameworks[0]


def _not_a_tensor(name: str, x: Any) -> DtypeError:
    return DtypeError(
        f"ops.{name} expected a tensor or a NumPy array, got {type(x).__name__}; make one with ops.asarray"
    )


def creation_backend(backend: str | None, like: Tensor | None) -> Backend:
    """Where a creation function makes its tensor: ``like``'s backend, the named one, the running net's, the default."""
    from ..errors import running_modules
    from ..registry import current_backend

    if like is not None:
        return expect_tensor("asarray", like)
    if backend is not None:
        return get_backend(backend)
    for module in running_modules():
        if module.backend is not None:
            return get_backend(module.backend)
    return get_backend(current_backend())


def _parameters(fn: Callable[..., Any]) -> int:
    """How many parameters a declaration has, by any name or star."""
    code = fn.__code__
    return code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x0C)


def _dress(op: Callable[..., Any], fn: Callable[..., Any]) -> Any:
    """Give the wrapper the name, docstring and signature of the declaration."""
    functools.update_wrapper(op, fn)
    op.__name__ = fn.__name__.rstrip("_")
    op.__qualname__ = op.__name__
    return op


__all__ = [
    "DEFAULTS",
    "binary",
    "call",
    "checks",
    "gather",
    "kernel",
    "paired",
    "required",
    "reraise",
    "unary",
]
