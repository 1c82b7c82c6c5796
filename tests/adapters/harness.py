"""Calls an adapter's function on NumPy data and compares value, shape, dtype and gradient with a float64 oracle."""

import dataclasses
import importlib
import importlib.util
import os
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

NAMES = tuple(
    name
    for name in ("torch", "tensorflow", "jax", "mxnet", "numpy")
    if name in os.environ.get("UNIMODULE_TEST_BACKENDS", "torch,tensorflow,jax,mxnet,numpy").split(",")
)
TOLERANCE = {"bfloat16": 2e-2, "float16": 3e-3, "float32": 1e-5, "float64": 1e-10}
_loaded: dict[str, Any] = {}


@dataclasses.dataclass(frozen=True)
class Case:
    """One call. NumPy float64 arrays in ``args`` and ``kwargs`` stand for tensors of the dtype under test; arrays of
    other dtypes are taken as they are.

    Attributes:
        grad: compare gradients with respect to every float tensor, too.
        relative: compare element by element with a relative tolerance, not relative to the largest element.
        oracle: instead of the op's entry in ``oracles.ORACLES``.
        loss_outputs: how many of the outputs the gradient is taken through, where it is not all.
        numpy: the oracle takes NumPy arrays (integers, where torch lacks a dtype).
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tag: str = ""
    grad: bool = True
    relative: bool = False
    loss_outputs: int | None = None
    numpy: bool = False
    oracle: Callable[..., Any] | None = None

    @property
    def floats(self) -> bool:
        """Whether the case has a float tensor, hence a dtype under test."""
        return any(is_float(a) for a in leaves([self.args, self.kwargs]))


def load(name: str) -> Any:
    """The adapter of that name, or a skip that says why there is none."""
    if name not in _loaded:
        if importlib.util.find_spec(f"unimodule_{name}") is None or not getattr(
            importlib.import_module(f"unimodule_{name}"), "INFO", None
        ):
            pytest.skip(f"there is no adapter unimodule_{name}")
        info = importlib.import_module(f"unimodule_{name}").INFO
        if importlib.util.find_spec(info.framework) is None:
            pytest.skip(f"{info.framework} is not installed")
        module, _, attribute = info.adapter.partition(":")
        with warnings.catch_warnings():  # what a framework says while it is imported is not ours
            warnings.simplefilter("ignore")
            _loaded[name] = getattr(importlib.import_module(module), attribute)()
    return _loaded[name]


def is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == np.float64


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, (list, tuple)):
        return [leaf for item in tree for leaf in leaves(item)]
    if isinstance(tree, dict):
        return [leaf for item in tree.values() for leaf in leaves(item)]
    return [tree]


def tree_map(fn: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, (list, tuple)):
        return type(tree)(tree_map(fn, item) for item in tree)
    if isinstance(tree, dict):
        return {key: tree_map(fn, item) for key, item in tree.items()}
    return fn(tree)


def narrow(array: np.ndarray, dtype: str) -> np.ndarray:
    """``array`` rounded to ``dtype``, as float64, so that the oracle sees the very numbers that the adapter sees."""
    if dtype == "bfloat16":
        import ml_dtypes

        return array.astype(ml_dtypes.bfloat16).astype(np.float64)
    return array.astype(dtype).astype(np.float64)


def native(backend: Any, array: np.ndarray, dtype: str) -> Any:
    return backend.from_numpy(array, dtype if is_float(array) else array.dtype.name, "cpu")


def carried(backend: Any, dtype: str) -> str:
    """The dtype in which the backend carries ``dtype`` (int64 is int32 on a framework that runs in 32 bits)."""
    return backend.dtype(backend.from_numpy(np.zeros(1, dtype), dtype, "cpu"))


def cotangent(shape: tuple[int, ...], which: int) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(repr((shape, which)).encode()))
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape), np.float64)


def as_tuple(out: Any) -> tuple[Any, ...]:
    return tuple(out) if isinstance(out, (tuple, list)) else (out,)


def assert_close(
    actual: np.ndarray, expected: np.ndarray, tolerance: float, what: str, relative: bool
) -> None:
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    finite = np.isfinite(expected)
    same = np.where(np.isnan(expected), np.isnan(actual), actual == expected)
    assert same[~finite].all(), f"{what}: {actual} where NaN and infinity are to be {expected}"
    size = np.abs(expected[finite])
    bound = tolerance * (size if relative else (size.max() if size.size else 0.0)) + np.finfo(np.float32).tiny
    with np.errstate(invalid="ignore"):
        error = np.abs(actual - expected)[finite]
    assert (error <= bound).all(), (
        f"{what}: off by {np.nanmax(error):.3g}, allowed {np.max(bound):.3g}\ngot\n{actual}\nexpected\n{expected}"
    )


def oracle_outputs(case: Case, dtype: str, oracle: Callable[..., Any]) -> tuple[list[Any], list[Any]]:
    """The oracle's outputs, and its gradients for every float tensor among the arguments (zeros where unused)."""
    if case.numpy:
        return [np.asarray(out) for out in as_tuple(oracle(*case.args, **case.kwargs))], []
    import torch

    inputs = []

    def put(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        if not is_float(x):
            return torch.from_numpy(x.copy())
        tensor = torch.from_numpy(np.array(narrow(x, dtype), copy=True)).requires_grad_(case.grad)
        inputs.append(tensor)
        return tensor

    args, kwargs = tree_map(put, list(case.args)), tree_map(put, case.kwargs)
    outputs = [torch.as_tensor(out) for out in as_tuple(oracle(*args, **kwargs))]
    gradients = []
    floating = [(i, out) for i, out in enumerate(outputs[: case.loss_outputs]) if out.is_floating_point()]
    if case.grad and inputs and floating:
        loss = sum(
            (out.double() * torch.from_numpy(cotangent(tuple(out.shape), i))).sum() for i, out in floating
        )
        if loss.requires_grad:
            found = torch.autograd.grad(loss, inputs, allow_unused=True)
            gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]
        else:
            gradients = [torch.zeros_like(x) for x in inputs]
    return [out.detach().numpy() for out in outputs], [g.numpy() for g in gradients]


def check(backend: Any, case: Case, dtype: str, oracle: Callable[..., Any]) -> None:
    """Run ``case`` on ``backend`` and compare everything with ``oracle``."""
    from unimodule.errors import DtypeError

    fn = backend.functions[case.name]
    try:
        put = tree_map(
            lambda x: native(backend, x, dtype) if isinstance(x, np.ndarray) else x,
            [list(case.args), case.kwargs],
        )
    except DtypeError as error:
        pytest.skip(f"no such dtype here: {error}")
    expected, expected_gradients = oracle_outputs(case, dtype, oracle)
    if case.name == "astype":
        try:
            carried(backend, expected[0].dtype.name)
        except DtypeError as error:
            with pytest.raises(DtypeError):
                fn(*put[0], **put[1])
            pytest.skip(f"refused, as it should be: {error}")
    before = [backend.to_numpy(x) for x in leaves(put) if backend.is_tensor(x)]
    outputs = as_tuple(fn(*put[0], **put[1]))
    assert len(outputs) == len(expected)
    for i, (out, want) in enumerate(zip(outputs, expected, strict=True)):
        what = f"{case.name} output {i}"
        assert backend.is_tensor(out), f"{what} is a {type(out).__name__}"
        assert backend.shape(out) == want.shape, f"{what}: shape {backend.shape(out)}, expected {want.shape}"
        # The oracle's float64 stands for the dtype under test, but where the op was asked for a dtype.
        narrowed = want.dtype == np.float64 and case.floats and case.name != "astype"
        want_dtype = dtype if narrowed else want.dtype.name
        assert backend.dtype(out) == carried(backend, want_dtype), f"{what}: dtype {backend.dtype(out)}"
        got = backend.to_numpy(out)
        if want.dtype.kind == "f":
            assert_close(got, want, max(TOLERANCE[dtype], TOLERANCE[want_dtype]), what, case.relative)
        else:
            want = want.astype(
                carried(backend, want_dtype)
            )  # bitwise ops answer modulo the width that is carried
            assert np.array_equal(got, want), f"{what}:\ngot\n{got}\nexpected\n{want}"
    after = [backend.to_numpy(x) for x in leaves(put) if backend.is_tensor(x)]
    for old, new in zip(before, after, strict=True):
        if old.dtype.name == "bfloat16":  # whose NaN numpy.testing does not recognise
            old, new = old.astype(np.float32), new.astype(np.float32)
        np.testing.assert_array_equal(old, new, err_msg=f"{case.name} wrote into its argument")
    if expected_gradients:
        _check_gradients(backend, case, dtype, fn, put, expected_gradients)


def _check_gradients(
    backend: Any, case: Case, dtype: str, fn: Callable[..., Any], put: Any, expected: list[np.ndarray]
) -> None:
    marks = leaves([list(case.args), case.kwargs])
    flat = leaves(put)
    where = [i for i, x in enumerate(marks) if is_float(x)]

    def loss(values: list[Any]) -> tuple[Any, None]:
        new = list(flat)
        for i, value in zip(where, values, strict=True):
            new[i] = value
        source = iter(new)
        args, kwargs = tree_map(lambda _: next(source), put)
        total = None
        for i, out in enumerate(as_tuple(fn(*args, **kwargs))[: case.loss_outputs]):
            kind = backend.dtype(out)
            if "float" in kind:
                weight = backend.from_numpy(cotangent(backend.shape(out), i), kind, "cpu")
                term = backend.functions["sum"](backend.functions["multiply"](out, weight))
                if kind != dtype:
                    term = backend.functions["astype"](term, dtype)
                total = term if total is None else backend.functions["add"](total, term)
        return total, None

    _, _, gradients = backend.value_and_grad(loss, [flat[i] for i in where])
    assert len(gradients) == len(expected)
    for i, (gradient, want) in enumerate(zip(gradients, expected, strict=True)):
        what = f"{case.name} gradient of float tensor {i}"
        assert backend.dtype(gradient) == dtype, f"{what}: dtype {backend.dtype(gradient)}"
        # A gradient that is a sum with cancellation is as exact as its largest sibling.
        scale = max((np.abs(g[np.isfinite(g)]).max(initial=0.0) for g in expected), default=0.0)
        own = np.abs(want[np.isfinite(want)]).max(initial=0.0)
        slack = 1.0 if case.relative or own == 0 else min(max(scale / own, 1.0), 10.0)
        assert_close(backend.to_numpy(gradient), want, slack * TOLERANCE[dtype], what, case.relative)
