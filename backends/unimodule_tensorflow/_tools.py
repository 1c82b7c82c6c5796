"""What the functions share: constants, reading variables, shapes, and gradients under broadcasting."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw, tf

SCALARS = (bool, int, float)
NARROW = frozenset({tf.float16, tf.bfloat16})
"""Floats in which sums over many elements are not to be formed."""


# ---------------------------------------------------------------------- constants
@functools.lru_cache(maxsize=4096)
def _eager_integers(values: tuple[Any, ...], shape: tuple[int, ...]) -> Tensor:
    with tf.init_scope(), tf.device("/CPU:0"):
        return _integers(values, shape)


def _integers(values: Any, shape: tuple[int, ...]) -> Tensor:
    flat = [v for row in values for v in row] if len(shape) == 2 else values
    wide = any(abs(v) >= 2**31 for v in flat)
    return tf.constant(values, tf.int64 if wide else tf.int32, shape)


def vector(values: Sequence[Any]) -> Tensor:
    """Integers as a tensor, to say a shape, axes or a permutation. Eagerly it is made once, for that takes longer than
    most ops; a graph gets a constant of its own, from which it can infer shapes. Entries may be tensors.
    """
    values = tuple(values)
    if tf.executing_eagerly():
        return _eager_integers(values, (len(values),))
    if any(not isinstance(v, int) for v in values):
        return tf.stack([tf.cast(v, tf.int32) for v in values])
    return _integers(values, (len(values),))


def pairs(values: Sequence[tuple[int, int]]) -> Tensor:
    """Pairs of integers as a tensor, to say a padding."""
    values = tuple((int(a), int(b)) for a, b in values)
    make = _eager_integers if tf.executing_eagerly() else _integers
    return make(values, (len(values), 2))


def scalar(value: float, like: Tensor) -> Tensor:
    """A Python scalar in the dtype of ``like``; TensorFlow on its own would call it float32 or int32."""
    dtype = like.dtype
    if dtype.is_bool:
        value = bool(value)
    elif type(value) is bool or (dtype.is_integer and type(value) is float):
        value = int(value)
    return tf.constant(value, dtype)


# ---------------------------------------------------------------------- tensors and their shapes
def tensor(x: Tensor) -> Tensor:
    """``x``, read if it is a variable, so that what is returned does not change when the variable is assigned."""
    return tf.convert_to_tensor(x)


def dims(x: Tensor) -> tuple[Any, ...]:
    """The shape of ``x``: integers, and scalar tensors for the axes whose size a graph learns only when it runs."""
    static = tuple(x.shape)
    if None not in static:
        return static
    dynamic = tf.unstack(tf.shape(x))
    return tuple(d if s is None else s for s, d in zip(static, dynamic, strict=True))


def rank(x: Tensor) -> int:
    """The number of axes of ``x``."""
    return x.shape.rank


def axes_of(x: Tensor, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """The axes that a reduction names, all of them for None."""
    if axis is None:
        return tuple(range(rank(x)))
    return tuple(map(operator.index, axis)) if isinstance(axis, (tuple, list)) else (operator.index(axis),)


def reshape(x: Tensor, shape: Sequence[Any]) -> Tensor:
    """``x`` in another shape, whose entries may be tensors."""
    return raw.Reshape(tensor=x, shape=vector(shape))


def transpose(x: Tensor, axes: Sequence[int]) -> Tensor:
    """``x`` with its axes permuted."""
    return raw.Transpose(x=x, perm=vector(axes))


def move_last(x: Tensor, axis: int) -> tuple[Tensor, tuple[int, ...] | None]:
    """``x`` with ``axis`` moved to the end, and the permutation that takes it back (None where it was there)."""
    n = rank(x)
    axis %= max(n, 1)
    if axis >= n - 1:
        return x, None
    order = [a for a in range(n) if a != axis] + [axis]
    back = [order.index(a) for a in range(n)]
    return transpose(x, order), tuple(back)


def pad_or_crop(x: Tensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """``x`` with (before, after) cells added on every axis, or taken away where the number is negative."""
    if any(n < 0 for pair in widths for n in pair):
        begin = [max(-a, 0) for a, _ in widths]
        size = [n - max(-a, 0) - max(-b, 0) for n, (a, b) in zip(dims(x), widths, strict=True)]
        x = raw.Slice(input=x, begin=vector(begin), size=vector(size))
        widths = [(max(a, 0), max(b, 0)) for a, b in widths]
    if any(n for pair in widths for n in pair):
        x = raw.PadV2(input=x, paddings=pairs(widths), constant_values=scalar(value, x))
    return x


# ---------------------------------------------------------------------- gradients
def sum_to(gradient: Tensor, x: Tensor) -> Tensor:
    """``gradient`` of a broadcast result summed over what was broadcast, to the shape of ``x``."""
    if gradient.shape.is_fully_defined() and gradient.shape == x.shape:
        return gradient
    own, other = raw.Shape(input=x), raw.Shape(input=gradient)
    axes, _ = raw.BroadcastGradientArgs(s0=own, s1=other)
    return raw.Reshape(tensor=raw.Sum(input=gradient, axis=axes), shape=own)


def custom_gradient(fn: Callable[..., tuple[Tensor, Callable[..., Any]]]) -> Callable[..., Tensor]:
    """``tf.custom_gradient`` for functions of tensors; a variable among the arguments is read first, or it would be
    taken for one that the function had closed over.
    """
    inner = tf.custom_gradient(fn)

    @functools.wraps(fn)
    def call(*args: Tensor) -> Tensor:
        return inner(*map(tensor, args))

    return call


def in_float32(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``, computed in float32 for 16-bit floats: their statistics need more digits than they have."""

    @functools.wraps(fn)
    def call(x: Tensor, *args: Any) -> Any:
        dtype = x.dtype
        if dtype not in NARROW:
            return fn(x, *args)
        up = [tf.cast(a, tf.float32) if getattr(a, "dtype", None) == dtype else a for a in (x, *args)]
        out = fn(*up)
        return tuple(tf.cast(o, dtype) for o in out) if isinstance(out, tuple) else tf.cast(out, dtype)

    return call


__all__ = [
    "NARROW",
    "SCALARS",
    "axes_of",
    "custom_gradient",
    "dims",
    "in_float32",
    "move_last",
    "pad_or_crop",
    "pairs",
    "rank",
    "reshape",
    "scalar",
    "sum_to",
    "tensor",
    "transpose",
    "vector",
]
