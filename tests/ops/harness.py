"""Runs an op on a backend and compares values, shape, dtype and gradient with a NumPy function in float64.

The gradient's oracle are central differences of that NumPy function, so nothing of unimodule is trusted.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from unimodule import dtypes, ops
from unimodule.backend import Backend

VALUE_TOLERANCE = {"float32": 1e-5, "float64": 1e-11}
GRADIENT_TOLERANCE = {"float32": 3e-5, "float64": 1e-7}  # the latter is what central differences can do


@dataclasses.dataclass(frozen=True)
class Case:
    """One call of a public op. Float64 arrays among the arguments stand for tensors of the dtype under test; arrays of
    other dtypes are taken as they are.

    Attributes:
        oracle: the same on NumPy arrays.
        grad: compare gradients with respect to every float tensor.
        result: its dtype, where it is neither the dtype under test (floats) nor what NumPy gives.
        tag: tells cases of one op apart.
        through: how many outputs, from the first, are differentiable; all when None.
        constant: which of the float tensors have no gradient (a loss's weights, as in PyTorch).
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    oracle: Callable[..., Any]
    grad: bool = True
    result: str | None = None
    tag: str = ""
    through: int | None = None
    constant: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}-{self.tag}" if self.tag else self.name


def case(
    name: str,
    *args: Any,
    oracle: Callable[..., Any] | None = None,
    grad: bool = True,
    result: str | None = None,
    tag: str = "",
    through: int | None = None,
    constant: tuple[int, ...] = (),
    **kwargs: Any,
) -> Case:
    """A case; the oracle is NumPy's function of the same name unless given."""
    return Case(name, args, kwargs, oracle or getattr(np, name), grad, result, tag, through, constant)


def floats(*shape: int, low: float = -2.0, high: float = 2.0, apart: bool = False) -> np.ndarray:
    """Random numbers, the same for the same arguments; ``apart``: all distinct by more than a difference step."""
    rng = np.random.default_rng(zlib.crc32(repr((shape, low, high)).encode()))
    if apart:
        n = int(np.prod(shape))
        return (low + (high - low) * (rng.permutation(n) + 0.3) / n).reshape(shape)
    return rng.uniform(low, high, shape)


def is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == np.float64


def tree_map(fn: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, list | tuple):
        return type(tree)(tree_map(fn, item) for item in tree)
    if isinstance(tree, dict):
        return {key: tree_map(fn, item) for key, item in tree.items()}
    return fn(tree)


def leaves(tree: Any) -> list[Any]:
    found: list[Any] = []
    tree_map(found.append, tree)
    return found


def outputs(out: Any) -> list[Any]:
    return list(out) if isinstance(out, list | tuple) else [out]


def carried(adapter: Backend, dtype: str) -> str:
    """The dtype in which a backend carries another (int64 is int32 on one that runs in 32 bits)."""
    return adapter.dtype(adapter.from_numpy(np.zeros(1, dtypes.to_numpy_dtype(dtype)), dtype, "cpu"))


def assert_close(got: np.ndarray, want: np.ndarray, tolerance: float, what: str) -> None:
    """Equal to a tolerance relative to the largest finite element, infinities and NaNs in the same places."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    finite = np.isfinite(want)
    assert np.array_equal(got[~finite], want[~finite], equal_nan=True), (
        f"{what}:\ngot\n{got}\nexpected\n{want}"
    )
    bound = tolerance * max(np.abs(want[finite]).max(initial=0.0), 1e-3)
    error = np.abs(got[finite] - want[finite]).max(initial=0.0)
    assert error <= bound, f"{what}: off by {error:.3g}, allowed {bound:.3g}\ngot\n{got}\nexpected\n{want}"


def check(adapter: Backend, given: Case, dtype: str) -> None:
    """Run a case on a backend in a float dtype and compare everything."""
    tree = [list(given.args), given.kwargs]
    narrowed = tree_map(lambda x: x.astype(dtype).astype(np.float64) if is_float(x) else x, tree)
    with np.errstate(all="ignore"):
        expected = [np.asarray(out) for out in outputs(given.oracle(*narrowed[0], **narrowed[1]))]

    def put(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        return adapter.from_numpy(x, dtype if is_float(x) else x.dtype.name, "cpu")

    native = tree_map(put, tree)
    before = [adapter.to_numpy(x) for x in leaves(native) if adapter.is_tensor(x)]
    found = outputs(getattr(ops, given.name)(*native[0], **native[1]))
    assert len(found) == len(expected)
    has_floats = any(map(is_float, leaves(tree)))
    for i, (out, want) in enumerate(zip(found, expected, strict=True)):
        what = f"{given} output {i}"
        assert adapter.is_tensor(out), f"{what} is a {type(out).__name__}"
        float_dtype = dtype if has_floats else dtypes.DEFAULT_FLOAT
        wanted = given.result or (float_dtype if want.dtype == np.float64 else want.dtype.name)
        assert ops.dtype(out) == carried(adapter, wanted), (
            f"{what}: dtype {ops.dtype(out)}, expected {wanted}"
        )
        assert ops.shape(out) == want.shape, f"{what}: shape {ops.shape(out)}, expected {want.shape}"
        if want.dtype.kind == "f":
            assert_close(ops.to_numpy(out), want, VALUE_TOLERANCE[float_dtype], what)
        else:
            np.testing.assert_array_equal(ops.to_numpy(out), want, err_msg=what)
    after = [adapter.to_numpy(x) for x in leaves(native) if adapter.is_tensor(x)]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new, err_msg=f"{given} wrote into its argument")
    if given.grad and has_floats and any(out.dtype.kind == "f" for out in expected):
        _check_gradients(adapter, given, dtype, tree, native, narrowed)


def cotangent(shape: tuple[int, ...], which: int) -> np.ndarray:
    rng = np.random.default_rng(which + 7 * len(shape) + sum(shape))
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


def _rebuild(tree: Any, flat: list[Any]) -> Any:
    source = iter(flat)
    return tree_map(lambda _: next(source), tree)


def _check_gradients(
    adapter: Backend, given: Case, dtype: str, tree: Any, native: Any, narrowed: Any
) -> None:
    floating = [i for i, x in enumerate(leaves(tree)) if is_float(x)]
    where = [i for n, i in enumerate(floating) if n not in given.constant]
    flat_native, flat_numbers = leaves(native), leaves(narrowed)

    def loss(values: list[Any]) -> tuple[Any, None]:
        flat = list(flat_native)
        for i, value in zip(where, values, strict=True):
            flat[i] = value
        args, kwargs = _rebuild(tree, flat)
        total: Any = None
        for i, out in enumerate(outputs(getattr(ops, given.name)(*args, **kwargs))[: given.through]):
            if "float" in ops.dtype(out):
                weight = adapter.from_numpy(cotangent(ops.shape(out), i), ops.dtype(out), "cpu")
                term = ops.astype(ops.sum(ops.multiply(out, weight)), dtype)
                total = term if total is None else ops.add(total, term)
        return total, None

    def number(position: int, x: np.ndarray) -> float:
        flat = list(flat_numbers)
        flat[position] = x
        args, kwargs = _rebuild(tree, flat)
        with np.errstate(all="ignore"):
            out = [np.asarray(o) for o in outputs(given.oracle(*args, **kwargs))][: given.through]
        return sum(float((o * cotangent(o.shape, i)).sum()) for i, o in enumerate(out) if o.dtype.kind == "f")

    _, _, gradients = adapter.value_and_grad(loss, [flat_native[i] for i in where])
    for n, (position, gradient) in enumerate(zip(where, gradients, strict=True)):
        what = f"{given} gradient of float tensor {n}"
        x = flat_numbers[position]
        want, step = np.zeros_like(x), 1e-6
        for k in np.ndindex(*x.shape):
            up, down = x.copy(), x.copy()
            up[k] += step
            down[k] -= step
            want[k] = (number(position, up) - number(position, down)) / (2 * step)
        assert ops.dtype(gradient) == dtype, f"{what}: dtype {ops.dtype(gradient)}"
        assert_close(ops.to_numpy(gradient), want, GRADIENT_TOLERANCE[dtype], what)
