"""The functions of ``ops`` in PyTorch's own terms: written from the array API standard, for float64 tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

Tensor = Any
Axes = int | tuple[int, ...] | None

DTYPES = {
    name: getattr(torch, name)
    for name in "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64".split()
}
"""By name."""


def cast(x: Tensor, dtype: str | None) -> Tensor:
    """``x`` as ``dtype`` has it; floats in float64 all the same: PyTorch promotes by number of axes, the array API does
    not.
    """
    if dtype is None:
        return x
    found = x.to(DTYPES[dtype])
    return found.double() if found.is_floating_point() else found


def _dims(x: Tensor, axis: Axes) -> tuple[int, ...]:
    """The axes of a reduction."""
    return tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)


def _tensor(x: Any, like: Tensor) -> Tensor:
    return x if isinstance(x, torch.Tensor) else torch.tensor(x, dtype=like.dtype)


def _both(fn: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Any], Tensor]:
    """Of two operands, one of which may be a number."""

    def call(x1: Any, x2: Any) -> Tensor:
        like = x1 if isinstance(x1, torch.Tensor) else x2
        return fn(_tensor(x1, like), _tensor(x2, like))

    return call


def _reduction(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``fn(x, dims, keepdims)`` over some axes, or none at all."""

    def call(x: Tensor, *, axis: Axes = None, keepdims: bool = False, **options: Any) -> Tensor:
        dims = _dims(x, axis)
        if not dims:  # () reduces nothing; a tensor without axes has one element
            return fn(x.reshape(*x.shape, 1), (-1,), False, **options)
        return fn(x, dims, keepdims, **options)

    return call


def _widened(x: Tensor) -> Tensor:
    """Sums and products of small integers are int64's."""
    unsigned = x.dtype == torch.uint8
    return x if x.is_floating_point() else x.to(torch.int64) if not unsigned else x.to(torch.uint64)


def _one_by_one(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A reduction that PyTorch has over one axis only."""

    def call(x: Tensor, dims: tuple[int, ...], keepdims: bool) -> Tensor:
        for dim in sorted((d % x.ndim for d in dims), reverse=True):
            x = fn(x, dim, keepdims)
        return x

    return call


def _spread(x: Tensor, dims: tuple[int, ...], keepdims: bool, correction: float = 0.0) -> Tensor:
    return torch.var(x, dims, correction=correction, keepdim=keepdims)


def _deviation(x: Tensor, dims: tuple[int, ...], keepdims: bool, correction: float = 0.0) -> Tensor:
    return torch.std(x, dims, correction=correction, keepdim=keepdims)


def _first_best(best: Callable[..., Tensor], arg: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
        if axis is None:
            found = (
                arg((x.reshape(-1) == best(x)).to(torch.int8), 0) if not x.isnan().any() else _first_nan(x)
            )
            return found.reshape((1,) * x.ndim) if keepdims else found
        wanted = best(x, axis, True)
        hit = torch.where(wanted.isnan(), x.isnan(), x == wanted) if x.is_floating_point() else x == wanted
        return arg(hit.to(torch.int8), axis, keepdims)

    return call


def _first_nan(x: Tensor) -> Tensor:
    return torch.argmax(x.reshape(-1).isnan().to(torch.int8))


def _cumulative(fn: Callable[..., Tensor], start: float) -> Callable[..., Tensor]:
    def call(x: Tensor, *, axis: int | None = None, include_initial: bool = False) -> Tensor:
        dim = 0 if axis is None else axis
        out = fn(_widened(x), dim)
        if include_initial:
            shape = list(out.shape)
            shape[dim] = 1
            out = torch.cat([torch.full(shape, start, dtype=out.dtype), out], dim)
        return out

    return call


def _sorted(x: Tensor, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    return torch.sort(x, dim=axis, descending=descending, stable=True)


def _clip(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    if isinstance(min, torch.Tensor) or isinstance(max, torch.Tensor):
        low = None if min is None else _tensor(min, x)
        return torch.clamp(x, low, None if max is None else _tensor(max, x))
    return x if min is None and max is None else torch.clamp(x, min, max)


def _getitem(x: Tensor, key: Any) -> Tensor:
    items = key if isinstance(key, tuple) else (key,)
    if not any(isinstance(item, slice) and (item.step or 1) < 0 for item in items):
        return x[key]
    # PyTorch has no slices that go backwards: NumPy says which elements these are.
    key = tuple(item.numpy() if isinstance(item, torch.Tensor) else item for item in items)
    places = np.arange(x.numel()).reshape(x.shape)[key]
    return x.reshape(-1)[torch.from_numpy(places.copy())]


def _pad(x: Tensor, widths: Any, *, value: float = 0.0) -> Tensor:
    return F.pad(x, [width for pair in reversed(widths) for width in pair], value=value)


def _roll(x: Tensor, shift: Any, *, axis: Axes = None) -> Tensor:
    return torch.roll(x.reshape(-1), shift).reshape(x.shape) if axis is None else torch.roll(x, shift, axis)


def _squeeze(x: Tensor, axis: Any) -> Tensor:
    return torch.squeeze(x, _dims(x, axis))


def _expand(x: Tensor, *, axis: Axes = 0) -> Tensor:
    places = _dims(x, axis)
    rank = x.ndim + len(places)
    for place in sorted(p % rank for p in places):
        x = x.unsqueeze(place)
    return x


def _take(x: Tensor, indices: Tensor, *, axis: int | None = None) -> Tensor:
    dim = 0 if axis is None else axis % x.ndim
    flat = torch.index_select(x, dim, indices.reshape(-1).long())
    return flat.reshape((*x.shape[:dim], *indices.shape, *x.shape[dim + 1 :]))


def _take_along(x: Tensor, indices: Tensor, *, axis: int = -1) -> Tensor:
    dim = axis % x.ndim
    shape = torch.broadcast_shapes(
        [1 if i == dim else n for i, n in enumerate(x.shape)],
        [1 if i == dim else n for i, n in enumerate(indices.shape)],
    )
    wide = [n if i != dim else -1 for i, n in enumerate(shape)]
    return torch.gather(x.expand(wide), dim, indices.long().expand(wide))


def _split(x: Tensor, parts: Any, *, axis: int = 0) -> list[Tensor]:
    return list(
        torch.tensor_split(x, parts, axis) if isinstance(parts, int) else torch.split(x, list(parts), axis)
    )


def _repeat(x: Tensor, repeats: Any, *, axis: int | None = None) -> Tensor:
    counts = torch.tensor(repeats) if isinstance(repeats, (tuple, list)) else repeats
    return torch.repeat_interleave(x, counts, axis)


def _one_hot(x: Tensor, classes: int, *, dtype: str = "int64") -> Tensor:
    return cast(F.one_hot(x.long(), classes), dtype)


def _floor_divide(x1: Any, x2: Any) -> Tensor:
    """PyTorch has no gradient of it: it is zero."""
    operands = (x.detach() if isinstance(x, torch.Tensor) else x for x in (x1, x2))
    return _both(torch.floor_divide)(*operands)


def labels(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss whose classes may be integers of any size: PyTorch takes int64 alone."""

    def call(x: Tensor, target: Tensor, *args: Any, **options: Any) -> Tensor:
        return fn(x, target if target.is_floating_point() else target.long(), *args, **options)

    return call


def hardsigmoid(x: Tensor, inplace: bool = False) -> Tensor:
    """By its definition: PyTorch's backward rounds the 1/6 in it to float32."""
    return F.relu6(x + 3) / 6


def celu(x: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """By its definition: PyTorch rounds 1 / alpha to float32."""
    return torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0) / alpha))


def _sign(x: Tensor) -> Tensor:
    """NaN where x is: PyTorch says 0."""
    return torch.where(torch.isnan(x), x, torch.sign(x)) if x.is_floating_point() else torch.sign(x)


def group_norm(x: Tensor, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """With ones for a missing weight: PyTorch's backward fails where there is a bias and none."""
    if weight is None and bias is not None:
        weight = torch.ones_like(bias)
    return F.group_norm(x, groups, weight, bias, eps)


def in_order(norm: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """With input and gradient laid out in the order of their axes: the gradient of PyTorch's batch and instance norm is
    wrong for some other orders.
    """

    def call(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        y = norm(x.clone(memory_format=torch.contiguous_format), *args, **kwargs)
        if y.requires_grad:
            y.register_hook(lambda dy: dy.clone(memory_format=torch.contiguous_format))
        return y

    return call


def _batch_norm(x: Tensor, mean: Tensor, var: Tensor, weight: Any, bias: Any, eps: float) -> Tensor:
    """By its definition: PyTorch's takes no gradient by the statistics."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    y = (x - mean.reshape(shape)) / torch.sqrt(var.reshape(shape) + eps)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def _tri(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *, k=0: fn(x, k)


OPS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(torch, name)
        for name in "abs acos acosh asin asinh atan atanh ceil cos cosh erf exp expm1 floor isfinite isinf isnan log log10 "
        "log1p log2 negative positive reciprocal round rsqrt sigmoid signbit sin sinh sqrt square tan tanh trunc "
        "logical_not relu broadcast_to tile moveaxis swapaxes outer selu".split()
    },
    **{
        name: _both(getattr(torch, name))
        for name in "add atan2 bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift copysign divide "
        "greater greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor maximum "
        "minimum multiply nextafter not_equal pow remainder subtract".split()
    },
    "equal": _both(torch.eq),
    "bitwise_invert": torch.bitwise_not,
    "where": lambda c, a, b: torch.where(
        c, _tensor(a, b if isinstance(b, torch.Tensor) else a), _tensor(b, _tensor(a, b))
    ),
    "clip": _clip,
    # reductions
    "sum": _reduction(lambda x, d, k: torch.sum(_widened(x), d, k)),
    "prod": _reduction(lambda x, d, k: _one_by_one(torch.prod)(_widened(x), d, k)),
    "mean": _reduction(lambda x, d, k: torch.mean(x if x.is_floating_point() else x.double(), d, k)),
    "max": _reduction(torch.amax),
    "min": _reduction(torch.amin),
    "all": _reduction(lambda x, d, k: torch.all(x, d, k)),
    "any": _reduction(lambda x, d, k: torch.any(x, d, k)),
    "count_nonzero": _reduction(lambda x, d, k: torch.sum(x != 0, d, k)),
    "logsumexp": _reduction(torch.logsumexp),
    "var": _reduction(_spread),
    "std": _reduction(_deviation),
    "argmax": _first_best(lambda x, *a: torch.amax(x, *a), torch.argmax),
    "argmin": _first_best(lambda x, *a: torch.amin(x, *a), torch.argmax),
    "cumulative_sum": _cumulative(torch.cumsum, 0.0),
    "cumulative_prod": _cumulative(torch.cumprod, 1.0),
    "sort": lambda x, **options: _sorted(x, **options)[0],
    "argsort": lambda x, **options: _sorted(x, **options)[1],
    "searchsorted": lambda x, v, **options: torch.searchsorted(x, v, **options),
    "diff": lambda x, *, axis=-1, n=1, **ends: torch.diff(x, n, axis, **ends),
    # shapes
    "reshape": lambda x, shape: torch.reshape(x, (shape,) if isinstance(shape, int) else shape),
    "permute_dims": torch.permute,
    "matrix_transpose": lambda x: x.mT,
    "expand_dims": _expand,
    "squeeze": _squeeze,
    "flatten": lambda x, start=0, end=-1: torch.flatten(x, start, end),
    "concat": lambda arrays, *, axis=0: torch.cat(
        [a.reshape(-1) for a in arrays] if axis is None else list(arrays), 0 if axis is None else axis
    ),
    "stack": lambda arrays, *, axis=0: torch.stack(list(arrays), axis),
    "unstack": lambda x, *, axis=0: torch.unbind(x, axis),
    "flip": lambda x, *, axis=None: torch.flip(x, _dims(x, axis)),
    "roll": _roll,
    "repeat": _repeat,
    "split": _split,
    "pad": _pad,
    "tril": _tri(torch.tril),
    "triu": _tri(torch.triu),
    "broadcast_arrays": lambda *arrays: list(torch.broadcast_tensors(*arrays)),
    "meshgrid": lambda *arrays, indexing="xy": list(torch.meshgrid(*arrays, indexing=indexing)),
    "getitem": _getitem,
    "take": _take,
    "take_along_axis": _take_along,
    "one_hot": _one_hot,
    "astype": cast,
    "stop_gradient": lambda x: x.detach(),
    "zeros_like": lambda x, *, dtype=None: cast(torch.zeros_like(x), dtype),
    "ones_like": lambda x, *, dtype=None: cast(torch.ones_like(x), dtype),
    # products
    "matmul": torch.matmul,
    "vecdot": lambda a, b, *, axis=-1: torch.linalg.vecdot(a, b, dim=axis),
    "tensordot": lambda a, b, *, axes=2: torch.tensordot(a, b, axes),
    "einsum": torch.einsum,
    "linear": F.linear,
    # functions of torch.nn.functional by other names
    **{
        name: getattr(F, name)
        for name in "elu gelu hardshrink hardswish hardtanh leaky_relu logsigmoid mish relu6 silu softplus "
        "softshrink softsign tanhshrink threshold mse_loss l1_loss huber_loss smooth_l1_loss kl_div binary_cross_entropy "
        "binary_cross_entropy_with_logits scaled_dot_product_attention embedding".split()
    },
    "prelu": F.prelu,
    "glu": lambda x, axis=-1: F.glu(x, axis),
    "softmax": lambda x, axis: torch.softmax(x, axis),
    "log_softmax": lambda x, axis: torch.log_softmax(x, axis),
    "layer_norm": F.layer_norm,
    "group_norm": group_norm,
    "batch_norm": _batch_norm,
    "hardsigmoid": hardsigmoid,
    "celu": celu,
    "sign": _sign,
    "cross_entropy": labels(F.cross_entropy),
    "nll_loss": labels(F.nll_loss),
    "floor_divide": _floor_divide,
}
"""Name in ``ops`` -> the same of PyTorch."""

__all__ = ["DTYPES", "OPS", "cast", "celu", "group_norm", "hardsigmoid", "labels"]
