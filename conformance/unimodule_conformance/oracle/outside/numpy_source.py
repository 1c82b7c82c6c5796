"""What NumPy's own functions give for a case that is nothing but one call of ``ops``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from unimodule.comparison.measure import flatten

from ...building import array as drawn
from ...specs import Array, In, Plain
from ..measuring import OUTPUT, Values, only

if TYPE_CHECKING:
    from ...case import Case

Host = Any


def forward(case: Case) -> Values | None:
    """The outputs, under the names that the reference's have; None where NumPy has no such function."""
    root = case.spec.root
    function = FUNCTIONS.get(root.name.partition(".")[2]) if root.kind == "ops" else None
    if function is None:
        return None
    inputs = case.reference.inputs()

    def fill(value: Plain) -> Any:
        if isinstance(value, In):
            return inputs[value.index]
        if isinstance(value, Array):
            return drawn(value, "float64")
        if isinstance(value, tuple):
            return tuple(fill(item) for item in value)
        return {key: fill(item) for key, item in value.items()} if isinstance(value, dict) else value

    with np.errstate(all="ignore"):
        output = function(*fill(root.args), **fill(dict(root.kwargs)))
    leaves = [np.asarray(leaf) for _, leaf in flatten(output)]
    keys = list(only(case.reference.values("forward"), OUTPUT))
    if len(leaves) != len(keys):
        raise ValueError(f"NumPy gives {len(leaves)} arrays, the reference {len(keys)}")
    return dict(zip(keys, leaves, strict=True))


def _of_floats(function: Callable[..., Host]) -> Callable[..., Host]:
    """Integers stay what they are: older NumPy makes floats of them."""
    return lambda x: function(x) if x.dtype.kind == "f" else x


def _reduced(function: Callable[..., Host]) -> Callable[..., Host]:
    return lambda x, *, axis=None, keepdims=False: function(x, axis=_axes(axis), keepdims=keepdims)


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _spread(function: Callable[..., Host]) -> Callable[..., Host]:
    def call(x: Host, *, axis: Any = None, keepdims: bool = False, correction: float = 0.0) -> Host:
        return function(x, axis=_axes(axis), keepdims=keepdims, ddof=correction)

    return call


def _accumulated(function: Callable[..., Host], start: float) -> Callable[..., Host]:
    def call(x: Host, *, axis: int | None = None, include_initial: bool = False) -> Host:
        dim = 0 if axis is None else axis
        out = function(x, axis=dim)
        return np.insert(out, 0, start, axis=dim) if include_initial else out

    return call


def _sorted(x: Host, *, axis: int = -1, descending: bool = False, **_: Any) -> Host:
    out = np.sort(x, axis=axis)
    return np.flip(out, axis=axis) if descending else out


def _ordered(x: Host, *, axis: int = -1, descending: bool = False, **_: Any) -> Host:
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    behind = np.argsort(
        np.flip(x, axis=axis), axis=axis, kind="stable"
    )  # ties the other way round, and turned back
    return np.flip(x.shape[axis] - 1 - behind, axis=axis)


def _padded(x: Host, widths: Any, *, value: float = 0.0) -> Host:
    return np.pad(x, widths, constant_values=value) if x.ndim else x


def _taken(x: Host, indices: Host, *, axis: int | None = None) -> Host:
    return np.take(x, indices, axis=0 if axis is None else axis)


def _logsumexp(x: Host, *, axis: Any = None, keepdims: bool = False) -> Host:
    reduce: Callable[..., Host] = np.logaddexp.reduce  # NumPy's stubs know no keepdims that is a variable
    return reduce(x, axis=_axes(axis), keepdims=keepdims)


def _softmax(x: Host, axis: int) -> Host:
    shifted = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return shifted / np.sum(shifted, axis=axis, keepdims=True)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(np, name)
        for name in "abs cos cosh exp expm1 isfinite isinf isnan log log10 log1p log2 negative positive "
        "reciprocal sign signbit sin sinh sqrt square tan tanh logical_not add bitwise_and bitwise_or "
        "bitwise_xor copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and "
        "logical_or logical_xor maximum minimum multiply nextafter not_equal remainder subtract where matmul outer "
        "broadcast_to moveaxis swapaxes reshape diff einsum".split()
    },
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "atan2": np.arctan2,
    "pow": np.power,
    **{name: _of_floats(getattr(np, name)) for name in ("ceil", "floor", "round", "trunc")},
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: (1 + np.tanh(x / 2)) / 2 if np.all(np.abs(x) < 8) else 1 / (1 + np.exp(-x)),
    "bitwise_invert": np.invert,
    "bitwise_left_shift": np.left_shift,
    "bitwise_right_shift": np.right_shift,
    "clip": lambda x, min=None, max=None: x if min is None and max is None else np.clip(x, min, max),
    "sum": _reduced(np.sum),
    "prod": _reduced(np.prod),
    "mean": _reduced(np.mean),
    "max": _reduced(np.max),
    "min": _reduced(np.min),
    "all": _reduced(np.all),
    "any": _reduced(np.any),
    "count_nonzero": _reduced(np.count_nonzero),
    "var": _spread(np.var),
    "std": _spread(np.std),
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "argmax": np.argmax,
    "argmin": np.argmin,
    "cumulative_sum": _accumulated(np.cumsum, 0.0),
    "cumulative_prod": _accumulated(np.cumprod, 1.0),
    "sort": _sorted,
    "argsort": _ordered,
    "searchsorted": lambda x, v, **options: np.searchsorted(x, v, **options),
    "permute_dims": np.transpose,
    "matrix_transpose": lambda x: np.swapaxes(x, -1, -2),
    "expand_dims": lambda x, *, axis=0: np.expand_dims(x, axis),
    "squeeze": lambda x, axis: np.squeeze(x, axis),
    "concat": lambda arrays, *, axis=0: np.concatenate(arrays, axis=axis),
    "stack": lambda arrays, *, axis=0: np.stack(arrays, axis=axis),
    "unstack": lambda x, *, axis=0: tuple(np.moveaxis(x, axis, 0)),
    "flip": lambda x, *, axis=None: np.flip(x, axis),
    "roll": np.roll,
    "repeat": lambda x, repeats, *, axis=None: np.repeat(x, repeats, axis=axis),
    "tile": np.tile,
    "pad": _padded,
    "split": lambda x, parts, *, axis=0: np.split(
        x, parts if isinstance(parts, int) else np.cumsum(parts)[:-1], axis=axis
    ),
    "tril": lambda x, *, k=0: np.tril(x, k),
    "triu": lambda x, *, k=0: np.triu(x, k),
    "broadcast_arrays": lambda *arrays: list(np.broadcast_arrays(*arrays)),
    "meshgrid": lambda *arrays, indexing="xy": list(np.meshgrid(*arrays, indexing=indexing)),
    "getitem": lambda x, key: x[key],
    "take": _taken,
    "take_along_axis": lambda x, indices, *, axis=-1: np.take_along_axis(
        *_along(x, indices, axis), axis=axis
    ),
    "tensordot": lambda a, b, *, axes=2: np.tensordot(a, b, axes),
    "vecdot": lambda a, b, *, axis=-1: np.sum(a * b, axis=axis),
    "arange": lambda *args, dtype=None, **options: np.arange(*args, dtype=dtype),
    "linspace": lambda start, stop, num, *, endpoint=True, **options: np.linspace(
        start, stop, num, endpoint=endpoint
    ).astype(_kind(options)),
    "eye": lambda rows, columns=None, *, k=0, **options: np.eye(rows, columns, k=k, dtype=_kind(options)),
    "zeros": lambda shape, **options: np.zeros(shape, _kind(options)),
    "ones": lambda shape, **options: np.ones(shape, _kind(options)),
    "full": lambda shape, value, **options: np.full(shape, value, options.get("dtype")),
    "zeros_like": lambda x, **options: np.zeros_like(x, options.get("dtype")),
    "ones_like": lambda x, **options: np.ones_like(x, options.get("dtype")),
    "nonzero": np.nonzero,
    "unique_values": lambda x: np.unique(x, equal_nan=False),
    "unique_counts": lambda x: np.unique(x, return_counts=True, equal_nan=False),
    # With the indices, it sorts several NaN in the order that they come in.
    "unique_inverse": lambda x: _shaped(
        x, np.unique(x, return_index=True, return_inverse=True, equal_nan=False)
    ),
}
"""Name in ``ops`` -> NumPy's own."""


def _along(x: Host, indices: Host, axis: int) -> tuple[Host, Host]:
    """Both spread out over the axes that are not indexed."""
    dim = axis % x.ndim
    ours, theirs = list(x.shape), list(indices.shape)
    ours[dim] = theirs[dim] = 1
    shape = np.broadcast_shapes(tuple(ours), tuple(theirs))
    sizes = ((*shape[:dim], array.shape[dim], *shape[dim + 1 :]) for array in (x, indices))
    wide, places = (np.broadcast_to(array, size) for array, size in zip((x, indices), sizes, strict=True))
    return wide, places


def _kind(options: dict[str, Any]) -> Any:
    return options.get("dtype") or "float32"


def _shaped(x: Host, found: Any) -> Any:
    values, _, inverse = found
    return values, inverse.reshape(x.shape)


__all__ = ["FUNCTIONS", "forward"]
