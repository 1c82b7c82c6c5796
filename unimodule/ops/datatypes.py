"""Dtypes: casts, promotion and what can be asked of them (array API 2023.12). A dtype is its name, a plain string."""

from __future__ import annotations

import builtins
import dataclasses
from typing import Any

import numpy as np

from .. import dtypes
from ..backend import Tensor
from ..errors import ArgumentError, DtypeError
from ..registry import find_backend
from ._dispatch import expect_tensor, is_scalar, required, unary

bool = "bool"
int8, int16, int32, int64 = dtypes.SIGNED
uint8, uint16, uint32, uint64 = dtypes.UNSIGNED
float16, bfloat16, float32, float64 = dtypes.FLOATING

_KINDS = {
    "bool": dtypes.BOOL,
    "signed integer": dtypes.SIGNED,
    "unsigned integer": dtypes.UNSIGNED,
    "integral": dtypes.INTEGER,
    "real floating": dtypes.FLOATING,
    "complex floating": (),
    "numeric": dtypes.INTEGER + dtypes.FLOATING,
}


@unary
@required
def astype_(x: Tensor, dtype: str) -> Tensor:
    """The kernel of ``astype``."""


def astype(x: Tensor, dtype: Any, /, *, copy: Any = True, device: str | None = None) -> Tensor:
    """``x`` in another dtype, differentiable from float to float; a float becomes an integer towards zero.

    Args:
        x: any tensor.
        dtype: what to cast to.
        copy: there for the standard's sake: no op writes into its arguments, so ``x`` itself may come back.
        device: move it there as well.

    Raises:
        DtypeError: the backend has no such dtype, or needs a switch for it that is off.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.astype(np.array([-1.7, 2.9]), "int32").tolist()
        [-1, 2]
    """
    backend, wanted = expect_tensor("astype", x), dtypes.canonical(dtype)
    out = x if backend.dtype(x) == wanted else astype_(x, wanted)
    if device is None:
        return out
    from .conversion import to_device

    return to_device(out, device)


def _dtype_of(value: Any) -> str:
    backend = find_backend(value)
    return dtypes.canonical(value) if backend is None else backend.dtype(value)


def result_type(*arrays_and_dtypes: Any) -> str:
    """The dtype in which tensors, dtypes and Python scalars meet; scalars count as in a binary op.

    Raises:
        DtypeError: they have none in common.

    Example:
        >>> result_type("int8", "uint8"), result_type("bfloat16", 1.0), result_type("int32", 2.5)
        ('int16', 'bfloat16', 'float32')
    """
    scalars = [v for v in arrays_and_dtypes if is_scalar(v)]
    others = [_dtype_of(v) for v in arrays_and_dtypes if not is_scalar(v)]
    if not others:
        raise ArgumentError("ops.result_type needs at least one tensor or dtype")
    result = dtypes.promote(*others)
    for scalar in scalars:
        if isinstance(scalar, float) and not dtypes.is_floating(result):
            result = dtypes.DEFAULT_FLOAT
        elif not isinstance(scalar, builtins.bool) and result == "bool":
            result = dtypes.DEFAULT_INT
    return result


def can_cast(from_: Any, to: Any, /) -> Any:
    """Whether promotion turns a dtype (or a tensor's) into another.

    Example:
        >>> can_cast("int8", "int32"), can_cast("float32", "float16")
        (True, False)
    """
    return dtypes.PROMOTION.get((_dtype_of(from_), dtypes.canonical(to))) == dtypes.canonical(to)


def isdtype(dtype: Any, kind: Any) -> Any:
    """Whether a dtype is of a kind: a dtype, one of the standard's names of kinds, or a tuple of these.

    Raises:
        ArgumentError: there is no such kind.

    Example:
        >>> isdtype("float32", "real floating"), isdtype("int8", ("bool", "unsigned integer"))
        (True, False)
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return dtypes.canonical(dtype) in _KINDS[kind]
    try:
        return dtypes.canonical(dtype) == dtypes.canonical(kind)
    except DtypeError:
        raise ArgumentError(f"{kind!r} is not a kind of dtype; expected one of {', '.join(_KINDS)}") from None


@dataclasses.dataclass(frozen=True)
class FloatInfo:
    """Limits of a floating dtype, as Python numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: str


@dataclasses.dataclass(frozen=True)
class IntegerInfo:
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: str


def finfo(dtype: Any, /) -> FloatInfo:
    """Limits of a floating dtype, or of a tensor's.

    Raises:
        DtypeError: it is not a floating one.

    Example:
        >>> import unimodule as um
        >>> um.ops.finfo("bfloat16").eps
        0.0078125
    """
    name = _dtype_of(dtype)
    if not dtypes.is_floating(name):
        raise DtypeError(f"ops.finfo expected a floating dtype, got {name}")
    import ml_dtypes  # not at import time: it is needed nowhere else here

    limits: Any = ml_dtypes.finfo(name)  # type: ignore[no-untyped-call]
    low, high, normal = float(limits.min), float(limits.max), float(limits.smallest_normal)
    return FloatInfo(limits.bits, float(limits.eps), high, low, normal, name)


def iinfo(dtype: Any, /) -> IntegerInfo:
    """Limits of an integer dtype, or of a tensor's.

    Raises:
        DtypeError: it is not an integer one.

    Example:
        >>> import unimodule as um
        >>> um.ops.iinfo("int8").max
        127
    """
    name = _dtype_of(dtype)
    if not dtypes.is_integer(name):
        raise DtypeError(f"ops.iinfo expected an integer dtype, got {name}")
    limits = np.iinfo(name)
    return IntegerInfo(limits.bits, int(limits.max), int(limits.min), name)
