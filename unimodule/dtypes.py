"""Canonical dtype names and the array API's type promotion, as one visible table.

A dtype is a plain string inside unimodule ("float32"); ``canonical`` turns what a caller may pass (a string, a NumPy
dtype, a framework's own dtype object, ``ops.float32``) into it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DtypeError

BOOL = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGER = SIGNED + UNSIGNED
FLOATING = ("float16", "bfloat16", "float32", "float64")
ALL = BOOL + INTEGER + FLOATING

DEFAULT_FLOAT = "float32"
DEFAULT_INT = "int64"

_KNOWN = frozenset(ALL)
_FLOATING = frozenset(FLOATING)
_INTEGER = frozenset(INTEGER)
_PYTHON = {bool: "bool", int: DEFAULT_INT, float: DEFAULT_FLOAT}
_NUMPY = {np.dtype(name): name for name in ALL if name != "bfloat16"}
"""NumPy works out a dtype's name anew each time, slowly."""


def canonical(dtype: Any) -> str:
    """The canonical name of a dtype given as a string, Python type, NumPy dtype or a framework's dtype object.

    Raises:
        DtypeError: it is none that unimodule knows.

    Example:
        >>> canonical(np.float64), canonical("float32"), canonical(float)
        ('float64', 'float32', 'float32')
    """
    if type(dtype) is str and dtype in _KNOWN:
        return dtype
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    if isinstance(dtype, np.dtype) and dtype in _NUMPY:
        return _NUMPY[dtype]
    # A framework's dtype prints as its name, alone or behind a dot ("torch.float32"), or carries it as `name`.
    for text in (getattr(dtype, "name", None), getattr(dtype, "__name__", None), str(dtype)):
        if isinstance(text, str):
            name = text.rpartition(".")[2]
            name = "bool" if name == "bool_" else name
            if name in _KNOWN:
                return name
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name in _KNOWN:
        return name
    raise DtypeError(f"{dtype!r} is not a dtype that unimodule knows; expected one of {', '.join(ALL)}")


def is_floating(dtype: str) -> bool:
    """Whether a canonical name is a floating-point dtype."""
    return dtype in _FLOATING


def is_integer(dtype: str) -> bool:
    """Whether a canonical name is a signed or unsigned integer dtype (bool is neither)."""
    return dtype in _INTEGER


def to_numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The NumPy dtype of a canonical name (bfloat16 through ml_dtypes)."""
    if dtype == "bfloat16":
        import ml_dtypes

        found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return found
    return np.dtype(dtype)


def _bits(dtype: str) -> int:
    return int(dtype.lstrip("uintfloab"))


def _promote(a: str, b: str) -> str | None:
    """Array API 2023.12, "Type Promotion Rules"; mixed kinds as PyTorch (the standard leaves them open)."""
    if a == b:
        return a
    if a in BOOL or b in BOOL:
        return b if a in BOOL else a
    if a in _FLOATING and b in _FLOATING:
        if {a, b} == {"float16", "bfloat16"}:
            return "float32"
        return a if _bits(a) > _bits(b) else b
    if a in _FLOATING or b in _FLOATING:
        return a if a in _FLOATING else b
    same_sign = (a in SIGNED) == (b in SIGNED)
    if same_sign:
        return a if _bits(a) > _bits(b) else b
    signed, unsigned = (a, b) if a in SIGNED else (b, a)
    if unsigned == "uint64":
        return None
    return signed if _bits(signed) > _bits(unsigned) else f"int{2 * _bits(unsigned)}"


PROMOTION: dict[tuple[str, str], str] = {
    (a, b): result for a in ALL for b in ALL if (result := _promote(a, b)) is not None
}


def promote(*names: str) -> str:
    """The dtype in which tensors of the given dtypes meet.

    Raises:
        DtypeError: the array API gives the pair no common dtype (a signed integer and uint64).

    Example:
        >>> promote("float32", "float64"), promote("int8", "uint8"), promote("int32", "float32")
        ('float64', 'int16', 'float32')
    """
    result = names[0]
    for name in names[1:]:
        try:
            result = PROMOTION[result, name]
        except KeyError:
            raise DtypeError(f"{result} and {name} have no common dtype; cast one with ops.astype") from None
    return result
