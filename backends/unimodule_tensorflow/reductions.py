"""Reductions, cumulative sums and products, and sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unimodule.backend import Tensor

from ._framework import raw, tf
from ._tools import NARROW, axes_of, custom_gradient, dims, move_last, rank, reshape, transpose, vector

Axis = int | tuple[int, ...] | None


def _reduce(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return kernel(input=x, axis=vector(axes_of(x, axis)), keep_dims=keepdims)

    return run


def _accumulate(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A sum or mean; bfloat16's is formed in float32, for the kernel rounds after every few elements."""

    def run(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        axes = vector(axes_of(x, axis))
        if x.dtype in NARROW:
            wide = kernel(input=tf.cast(x, tf.float32), axis=axes, keep_dims=keepdims)
            return tf.cast(wide, x.dtype)
        return kernel(input=x, axis=axes, keep_dims=keepdims)

    return run


def _extremum(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        axes = axes_of(x, axis)
        if any(x.shape[a] == 0 for a in axes):  # TensorFlow answers with an infinity
            raise ValueError(
                f"an empty axis has no largest or smallest element: axis={axis}, shape {x.shape}"
            )
        return kernel(input=x, axis=vector(axes), keep_dims=keepdims)

    return run


def var(x: Tensor, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    dtype = x.dtype
    if dtype in NARROW:
        return tf.cast(
            var(tf.cast(x, tf.float32), axis=axis, correction=correction, keepdims=keepdims), dtype
        )
    axes = axes_of(x, axis)
    along = vector(axes)
    off = raw.Sub(x=x, y=raw.Mean(input=x, axis=along, keep_dims=True))
    squares = raw.Square(x=off)
    if not correction:
        return raw.Mean(input=squares, axis=along, keep_dims=keepdims)
    total = raw.Sum(input=squares, axis=along, keep_dims=keepdims)
    sizes = dims(x)
    free = tf.cast(_count([sizes[a] for a in axes]), dtype) - tf.constant(correction, dtype)
    return raw.RealDiv(x=total, y=raw.Maximum(x=free, y=tf.constant(0, dtype)))


# ---------------------------------------------------------------------- products
def cumulative_prod(x: Tensor, *, axis: int) -> Tensor:
    if not x.dtype.is_floating:
        return raw.Cumprod(x=x, axis=axis)
    # The kernel's gradient divides by x, which is wrong at 0. Products over windows that double need no division.
    n = x.shape[axis]
    axis %= rank(x)
    shift = 1
    while shift < n:
        whole = list(dims(x))
        head, kept = list(whole), list(whole)
        head[axis], kept[axis] = shift, n - shift
        before = raw.Slice(input=x, begin=vector([0] * len(whole)), size=vector(kept))
        ones = raw.Fill(dims=vector(head), value=tf.constant(1, x.dtype))
        x = raw.Mul(x=x, y=raw.ConcatV2(values=[ones, before], axis=axis))
        shift *= 2
    return tf.convert_to_tensor(x)


def _without_own(x: Tensor) -> Tensor:
    """For each element along the last axis, the product of all others, differentiable wherever elements are 0."""
    last = rank(x) - 1
    ones = tf.ones_like(x[..., :1])
    left = cumulative_prod(tf.concat([ones, x[..., :-1]], last), axis=last)
    mirrored = tf.concat([ones, tf.reverse(x, [last])[..., :-1]], last)
    return raw.Mul(x=left, y=tf.reverse(cumulative_prod(mirrored, axis=last), [last]))


@custom_gradient
def _prod_last(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """TensorFlow's own gradient is right once, but its second derivative is not where an element is 0."""
    out = raw.Prod(input=x, axis=vector((rank(x) - 1,)))

    def gradient(dy: Tensor) -> Tensor:
        return raw.Mul(x=_without_own(x), y=raw.ExpandDims(input=dy, axis=-1))

    return out, gradient


def prod(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    axes = axes_of(x, axis)
    if not x.dtype.is_floating or not axes:
        return raw.Prod(input=x, axis=vector(axes), keep_dims=keepdims)
    n = rank(x)
    axes = tuple(a % n for a in axes)
    rest = [a for a in range(n) if a not in axes]
    sizes = dims(x)
    flat = reshape(
        transpose(x, [*rest, *axes]), [*(sizes[a] for a in rest), _count([sizes[a] for a in axes])]
    )
    out = _prod_last(flat)
    return reshape(out, [1 if a in axes else sizes[a] for a in range(n)]) if keepdims else out


def _count(sizes: list[Any]) -> Any:
    total = 1
    for n in sizes:
        total = total * n
    return total


# ---------------------------------------------------------------------- where the largest is
def _position(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The kernels never choose a NaN; NumPy and PyTorch choose the first one, for both."""

    def run(x: Tensor, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
        n = rank(x)
        flat = reshape(x, (-1,)) if axis is None else x
        along = 0 if axis is None else axis
        if flat.shape.rank == 0:
            flat = reshape(x, (1,))
        out = kernel(input=flat, dimension=along, output_type=tf.int64)
        if x.dtype.is_floating:
            bad = raw.IsNan(x=flat)
            first = raw.ArgMax(input=bad, dimension=along, output_type=tf.int64)
            out = raw.SelectV2(condition=raw.Any(input=bad, axis=along), t=first, e=out)
        if keepdims:
            return reshape(out, (1,) * n) if axis is None else raw.ExpandDims(input=out, axis=axis)
        return out

    return run


# ---------------------------------------------------------------------- sorting
def _order_keys(x: Tensor) -> Tensor:
    """Integers that sort as the floats do, NaN behind all others: a NaN has no place in TensorFlow's sort."""
    if x.dtype in NARROW:
        x = tf.cast(x, tf.float32)
    kind = tf.int64 if x.dtype == tf.float64 else tf.int32
    bits = raw.Bitcast(input=x, type=kind)
    top = tf.constant(kind.max, kind)
    zero, minus_one = tf.constant(0, kind), tf.constant(-1, kind)
    # Negative floats grow with their magnitude; turned round, -0.0 comes to -1 and must equal 0.0.
    keys = raw.SelectV2(condition=raw.Less(x=bits, y=zero), t=raw.BitwiseXor(x=bits, y=top), e=bits)
    keys = raw.SelectV2(condition=raw.Equal(x=keys, y=minus_one), t=zero, e=keys)
    return raw.SelectV2(condition=raw.IsNan(x=x), t=top, e=keys)


def argsort(x: Tensor, *, axis: int = -1, descending: bool = False) -> Tensor:
    if rank(x) == 0:
        return tf.zeros((), tf.int64)
    if x.dtype.is_bool:
        x = tf.cast(x, tf.uint8)
    keys, back = move_last(_order_keys(x) if x.dtype.is_floating else x, axis)
    if not descending:
        keys = raw.Invert(x=keys)  # ~k falls as k grows, without overflow, and equals keep their order
    # top_k puts the lower index first among equals, so the sort is stable both ways.
    order = tf.cast(raw.TopKV2(input=keys, k=dims(keys)[-1], sorted=True)[1], tf.int64)
    return order if back is None else transpose(order, back)


def cumulative_sum(x: Tensor, *, axis: int) -> Tensor:
    return raw.Cumsum(x=x, axis=axis)


def logsumexp(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    axes = vector(axes_of(x, axis))
    top = tf.stop_gradient(raw.Max(input=x, axis=axes, keep_dims=True))
    zero = tf.constant(0, x.dtype)
    top = raw.SelectV2(condition=raw.IsFinite(x=top), t=top, e=zero)  # inf - inf would be NaN
    total = raw.Sum(input=raw.Exp(x=raw.Sub(x=x, y=top)), axis=axes, keep_dims=keepdims)
    shift = top if keepdims else raw.Sum(input=top, axis=axes)
    return raw.AddV2(x=raw.Log(x=total), y=shift)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": _accumulate(raw.Sum),
    "mean": _accumulate(raw.Mean),
    "var": var,
    "prod": prod,
    "max": _extremum(raw.Max),
    "min": _extremum(raw.Min),
    "all": _reduce(raw.All),
    "any": _reduce(raw.Any),
    "argmax": _position(raw.ArgMax),
    "argmin": _position(raw.ArgMin),
    "cumulative_sum": cumulative_sum,
    "cumulative_prod": cumulative_prod,
    "argsort": argsort,
    "logsumexp": logsumexp,
}
