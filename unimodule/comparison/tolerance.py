"""How far float rounding may carry a result from the float64 reference, found out by shaking the reference.

A fixed tolerance is wrong for most nets: too tight where the net amplifies rounding, too loose elsewhere. So the
reference is run again with every float input, parameter, constant, buffer and module output changed by one rounding
unit u of the dtype under test, x (1 + u d) with d = +-1, and what that does to a result tells how much a faithful
backend may differ:

    tolerance = C * (max over K draws of |f(x (1 + u d)) - f(x)| + u * max|y|)

The scale max|y| of a gradient is that of the largest gradient: one that cancels to nothing is as exact as the terms that
cancelled.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, ops
from ..nn.module import Module
from ..registry import find_backend
from ..transforms.functional import Tree, map_tree
from .measure import INPUT_GRADIENT, PARAMETER_GRADIENT, Array, Case, Key, Values, is_float

UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
"""Half the distance from 1 to the next number, by dtype."""

FACTOR = 16.0
DRAWS = 6
WEAK = 1e3
"""A tolerance of more than so many u * max|y| lets real faults pass; a verdict under it is called weak."""

_GRADIENTS = (INPUT_GRADIENT, PARAMETER_GRADIENT)


class Bound(NamedTuple):
    """What one result is held to.

    Attributes:
        reference: its value in float64.
        tolerance: the largest absolute error.
        scale: what errors are relative to, max|y|.
        weak: whether the tolerance is so wide that meeting it proves little.
    """

    reference: Array
    tolerance: float
    scale: float
    weak: bool


def bounds(
    reference: Module, case: Case, dtype: str, measure: Callable[[Module, Case], Values]
) -> dict[Key, Bound]:
    """Run the reference, and run it shaken, and say what each result on a backend of ``dtype`` is held to.

    Args:
        reference: the net in float64; it is cloned for every run.
        case: what it is given.
        dtype: the float dtype of the nets to be judged.
        measure: ``outputs``, ``buffers`` or ``gradients``.
    """
    unit = UNITS[dtype]
    base = measure(reference.clone(), case)
    moved = dict.fromkeys(base, 0.0)
    for draw in range(DRAWS):
        shaken = _shaken(reference, case, unit, np.random.default_rng([case.seed, draw]))
        for key, value in measure(*shaken).items():
            if key in moved and value.shape == base[key].shape:
                moved[key] = max(moved[key], _distance(value, base[key]))
    steepest = max((_magnitude(value) for key, value in base.items() if key.kind in _GRADIENTS), default=0.0)
    out = {}
    for key, value in base.items():
        scale = steepest if key.kind in _GRADIENTS else _magnitude(value)
        rounding = unit * scale if is_float(value) else 0.0
        tolerance = FACTOR * (moved[key] + rounding)
        out[key] = Bound(value, tolerance, scale, is_float(value) and tolerance > WEAK * rounding)
    return out


# ---------------------------------------------------------------------- shaking
def _shaken(net: Module, case: Case, unit: float, rng: np.random.Generator) -> tuple[Module, Case]:
    """A copy of a float64 net, and of what it is given, with every number off by about one rounding unit."""
    step = max(unit, 2.0**-52)  # 1 + 2**-53 is 1

    def noisy(array: Array) -> Array:
        return np.asarray(array * (1.0 + step * rng.choice([-1.0, 1.0], array.shape)))

    copy = net.clone()
    for _, variable in copy.named_variables():
        if variable.has_value and dtypes.is_floating(variable.dtype):
            variable.data = noisy(variable.numpy())
    last: list[Any] = [None]
    for module in copy.modules():
        noisy_forward = _with_noise(type(module).forward, noisy, last)
        module.__dict__.setdefault("forward", types.MethodType(noisy_forward, module))

    def shake(leaf: Any) -> Any:
        return noisy(leaf.astype("float64")) if is_float(leaf) else leaf

    return copy, Case(map_tree(shake, case.inputs), case.loss, map_tree(shake, case.target), case.seed)


def _with_noise(
    method: Callable[..., Any], noisy: Callable[[Array], Array], last: list[Any]
) -> Callable[..., Any]:
    """A ``forward`` whose float outputs are off by a rounding unit: those of inner results too are rounded. A bound
    method, so that functional clones of the module take it along.
    """

    def shake(leaf: Any) -> Any:
        if find_backend(leaf) is None or not dtypes.is_floating(ops.dtype(leaf)):
            return leaf
        factors = ops.asarray(noisy(np.ones(ops.shape(leaf))), dtype=ops.dtype(leaf), like=leaf)
        return ops.multiply(leaf, factors)

    def forward(self: Module, *args: Any, **kwargs: Any) -> Tree:
        output = method(self, *args, **kwargs)
        if output is not last[0]:  # a container hands on what its last child returned
            last[0] = map_tree(shake, output)
        return last[0]

    return forward


# ---------------------------------------------------------------------- distances
def _finite(value: Array) -> Array:
    wide = np.asarray(value, "float64")
    return np.asarray(wide[np.isfinite(wide)])


def _magnitude(value: Array) -> float:
    return float(np.abs(_finite(value)).max(initial=0.0))


def _distance(value: Array, base: Array) -> float:
    with np.errstate(all="ignore"):
        return _magnitude(np.asarray(value, "float64") - np.asarray(base, "float64"))


class Finding(NamedTuple):
    """How a result compares with its bound: the error, None where no number says it, and what is wrong with it."""

    error: float | None
    wrong: str


def compare_arrays(found: Array, bound: Bound) -> Finding:
    """How far an array is from its reference. Infinities and NaN must be where the reference has them; numbers beyond
    the largest of the array's dtype are infinite there.
    """
    reference = bound.reference
    if found.shape != reference.shape:
        return Finding(None, f"shape {found.shape}, expected {reference.shape}")
    if _kind(found) != _kind(reference):
        return Finding(None, f"dtype {found.dtype}, expected {_kind(reference)}")
    wanted = np.asarray(reference, "float64")
    if is_float(found):
        with np.errstate(all="ignore"):
            narrow = wanted.astype(found.dtype).astype("float64")
        wanted = np.where(np.isinf(narrow), narrow, wanted)
    got = np.asarray(found, "float64")
    same = np.isfinite(got) == np.isfinite(wanted)
    same &= np.isfinite(got) | (np.isnan(got) & np.isnan(wanted)) | (got == wanted)
    if not same.all():
        place = tuple(int(i) for i in np.argwhere(~same)[0])
        more = f", and {int((~same).sum()) - 1} more" if (~same).sum() > 1 else ""
        return Finding(None, f"{got[place]:.4g} at {list(place)}, expected {wanted[place]:.4g}{more}")
    error = _distance(got, wanted)
    if error <= bound.tolerance:
        return Finding(error, "")
    with np.errstate(all="ignore"):
        off = np.nan_to_num(np.abs(got - wanted), nan=0.0, posinf=0.0)
    place = tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape))
    return Finding(error, f"{got[place]:.6g} at {list(place)}, expected {wanted[place]:.6g}")


def _kind(array: Array) -> str:
    name = dtypes.canonical(array.dtype)
    return "float" if dtypes.is_floating(name) else "bool" if name == "bool" else "integer"


__all__ = ["DRAWS", "FACTOR", "UNITS", "Bound", "Finding", "bounds", "compare_arrays"]
