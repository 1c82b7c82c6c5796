"""What a failed call of an op should have said.

Frameworks word and class their errors too differently to go by their texts, so once a native call has failed, the op's own
check (``checks``) looks at the arguments, and what it lets pass is told by ``explain`` from their backends, devices, dtypes
and shapes. A call that works pays for none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, TypeVar

from .. import dtypes
from ..backend import Backend, Tensor
from ..errors import (
    BackendMismatchError,
    DeviceError,
    DtypeError,
    OutOfRangeError,
    ShapeError,
    UnimoduleError,
)
from ..registry import find_backend

F = TypeVar("F", bound=Callable[..., Any])
NUMPY = "numpy"

CHECKS: dict[str, Callable[..., None]] = {}
"""Op name -> a function that raises our error if the arguments of a call that failed were at fault."""


def checks(name: str) -> Callable[[F], F]:
    """Enter a function, called with the arguments of op ``name``, that says what is wrong with them. It is asked only
    after a native error: frameworks word and class theirs too differently for ``explain`` to tell what was meant.
    """

    def enter(fn: F) -> F:
        CHECKS[name] = fn
        return fn

    return enter


def reraise(name: str, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
    """Raise our error for a native one; ours, and what cannot be told, go on as they are."""
    if isinstance(error, UnimoduleError | MemoryError | KeyboardInterrupt):
        raise error
    if (check := CHECKS.get(name)) is not None:
        check(*args, **kwargs)
    ours = explain(name, error, args, kwargs)
    if ours is None or any(backend.is_trace_error(error) for backend, _ in _tensors(args)):
        raise error
    raise ours from error


def _tensors(values: Iterable[Any]) -> Iterator[tuple[Backend, Tensor]]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _tensors(value)
        elif (backend := find_backend(value)) is not None:
            yield backend, value


def explain(
    name: str, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> UnimoduleError | None:
    """What a failed call of an op should have said, from its arguments; None where it was not the arguments' fault."""
    if isinstance(error, TypeError) and "argument" in str(error) and error.__traceback__.tb_next is None:  # type: ignore[union-attr]
        return None  # a wrong call of the Python function itself
    tensors = list(_tensors([*args, *kwargs.values()]))
    names = {backend.info.name for backend, _ in tensors} - {NUMPY}
    if len(names) > 1:
        return BackendMismatchError(
            f"ops.{name} got tensors of the backends {' and '.join(sorted(names))}; move one with um.convert(x, backend) "
            "or the net with net.to(backend)"
        )
    devices = {backend.device(t) for backend, t in tensors if backend.is_concrete(t)}
    if len(devices) > 1:
        return DeviceError(
            f"ops.{name} got tensors on {' and '.join(sorted(devices))}; move one with net.to(device=...)"
        )
    if isinstance(error, IndexError):
        return OutOfRangeError(f"ops.{name}: {error}")
    described = ", ".join(f"{backend.shape(t)} {backend.dtype(t)}" for backend, t in tensors)
    floats = {d for b, t in tensors if dtypes.is_floating(d := b.dtype(t))}
    if len(floats) > 1:
        return DtypeError(f"ops.{name} expected tensors of one float dtype, got {described}")
    # A fault of shape or of value: frameworks tell them apart too differently to go by their texts.
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if isinstance(error, TypeError | NotImplementedError):
        return DtypeError(f"ops.{name} cannot take {described or 'these arguments'}: {first_line}")
    if (
        isinstance(error, ValueError | RuntimeError | ArithmeticError)
        or type(error).__module__.split(".")[0] != "builtins"
    ):
        others = [
            repr(a) for a in args if isinstance(a, int | float | str | tuple) and not isinstance(a, bool)
        ]
        options = [f"{k}={v!r}" for k, v in kwargs.items() if isinstance(v, int | float | str | tuple)]
        given = "; ".join(filter(None, [described, ", ".join(others + options)]))
        return ShapeError(f"ops.{name} cannot take {given}: {first_line}")
    return None
