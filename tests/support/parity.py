"""One assertion for "this layer is PyTorch's": structure, state, shapes, dtypes, values, gradients and buffers.

PyTorch in float64 is the oracle. It sees the very numbers that the layer under test sees: state and inputs are rounded
to the dtype under test first.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import unimodule as um
from unimodule import nn, ops
from unimodule.backend import Backend
from unimodule.errors import DtypeError
from unimodule.registry import get_backend

TOLERANCE = {"float32": 5e-6, "float64": 1e-12}
"""Largest error, relative to the largest element of what is compared."""

Array = np.ndarray[Any, Any]


def assert_same_as_torch(
    backend: str,
    ours: nn.Module,
    theirs: torch.nn.Module,
    *inputs: Any,
    modes: tuple[bool, ...] = (True, False),
    gradients: bool = True,
    same_repr: bool = True,
    **options: Any,
) -> None:
    """Assert that ``ours`` on ``backend`` does what ``theirs`` does, in float32 and, where there is one, float64.

    Args:
        backend: name of the backend.
        ours: a module; it is copied, and takes the state of ``theirs``.
        theirs: the same layer of torch.nn; it is copied, and gets random state in place of zeros and ones.
        inputs: what both are called with: NumPy arrays (float64 ones stand for the dtype under test), nested tuples of
            them, None, numbers.
        modes: training (True), evaluation (False) or both.
        gradients: whether to compare gradients with respect to parameters and float inputs.
        same_repr: whether the two are to print the same.
        options: keyword arguments of both calls.
    """
    checked = []
    for dtype in TOLERANCE:
        try:
            net = ours.clone().to(backend, dtype=dtype)
            get_backend(backend).from_numpy(np.zeros(1), dtype, "cpu")
        except DtypeError:
            continue
        oracle = copy.deepcopy(theirs).double()
        _randomise(oracle, dtype)
        _take_state(net, oracle, dtype)
        for training in modes:
            net.train(training)
            oracle.train(training)
            _Comparison(get_backend(backend), dtype, net, oracle, options).run(inputs, gradients)
        if same_repr:
            assert repr(net) == repr(theirs)
        checked.append(dtype)
    assert "float32" in checked


class _Comparison:
    """One module and its oracle, in one dtype and mode."""

    def __init__(
        self, backend: Backend, dtype: str, net: nn.Module, oracle: torch.nn.Module, options: dict[str, Any]
    ) -> None:
        self.backend, self.dtype, self.net, self.oracle = backend, dtype, net, oracle
        self.options = options
        self.int64 = backend.dtype(backend.from_numpy(np.zeros(1, "int64"), "int64", "cpu"))

    def run(self, inputs: tuple[Any, ...], gradients: bool) -> None:
        """Two steps, on different inputs: what a first one leaves in the buffers must not hurt the second."""
        for shift in (0.0, 0.125):
            step = _map(lambda a, shift=shift: _rounded(a + shift, self.dtype) if _is_float(a) else a, inputs)
            if gradients and shift:
                self.compare_gradients(step)
            else:
                expected = _leaves(self.oracle(*_to_torch(step), **_to_torch(self.options)))
                self.compare_outputs(_leaves(self.net(*self.cast(step), **self.cast(self.options))), expected)
            self.compare_buffers()

    def cast(self, tree: Any) -> Any:
        return _map(lambda a: a.astype(self.dtype) if _is_float(a) else a, tree)

    def compare_outputs(self, outputs: list[Any], expected: list[torch.Tensor]) -> None:
        assert len(outputs) == len(expected)
        for i, (out, want) in enumerate(zip(outputs, expected, strict=True)):
            what = f"output {i}"
            assert self.backend.is_tensor(out), f"{what} is a {type(out).__name__}"
            floating = want.is_floating_point()
            kind = (
                self.dtype
                if floating
                else str(want.dtype).removeprefix("torch.").replace("int64", self.int64)
            )
            assert self.backend.dtype(out) == kind, f"{what} is {self.backend.dtype(out)}, expected {kind}"
            self.close(um.to_numpy(out), want.detach().numpy(), what)

    def compare_gradients(self, inputs: tuple[Any, ...]) -> None:
        flat = _leaves(inputs)
        where = [i for i, leaf in enumerate(flat) if _is_float(leaf)]
        given = [torch.tensor(flat[i], requires_grad=True) for i in where]
        wanted = {n: p for n, p in self.oracle.named_parameters() if p.requires_grad}
        theirs = _leaves(self.oracle(*_to_torch(_replaced(inputs, where, given)), **_to_torch(self.options)))
        terms = [(out * torch.tensor(_projection(out.shape, i))).sum() for i, out in _floats(theirs)]
        slopes = torch.autograd.grad(sum(terms), [*wanted.values(), *given], allow_unused=True)
        slopes = [s if s is not None else torch.zeros(()) for s in slopes]

        def loss(net: nn.Module, *floats: Any) -> Any:
            outputs = _leaves(net(*_replaced(inputs, where, list(floats)), **self.cast(self.options)))
            total = None
            for i, out in enumerate(outputs):
                if "float" in self.backend.dtype(out):
                    weight = _projection(self.backend.shape(out), i).astype(self.dtype)
                    term = ops.sum(ops.multiply(out, weight))
                    total = term if total is None else total + term
            return total, outputs

        arguments = [flat[i].astype(self.dtype) for i in where]
        positions = tuple(range(1 + len(arguments)))
        (_, outputs), (ours, *slopes_in) = um.value_and_grad(loss, positions, has_aux=True)(
            self.net, *arguments
        )
        self.compare_outputs(outputs, theirs)
        assert set(ours) == set(wanted)
        # A gradient that cancels to nothing is as exact as its largest sibling.
        scale = max((float(s.abs().max()) for s in slopes if s.numel()), default=0.0)
        named = [*((f"gradient of {n}", ours[n]) for n in wanted)]
        named += [(f"gradient of input {i}", g) for i, g in zip(where, slopes_in, strict=True)]
        for (what, slope), want in zip(named, slopes, strict=True):
            assert self.backend.dtype(slope) == self.dtype, f"{what} is {self.backend.dtype(slope)}"
            got = um.to_numpy(slope)
            self.close(
                got, np.broadcast_to(want.numpy(), got.shape) if want.ndim == 0 else want.numpy(), what, scale
            )

    def compare_buffers(self) -> None:
        for name, want in self.oracle.named_buffers():
            value = dict(self.net.named_buffers())[name].numpy()
            self.close(value, want.detach().numpy(), name)

    def close(self, got: Array, want: Array, what: str, scale: float = 0.0) -> None:
        mode = "training" if self.net.training else "evaluation"
        what = f"{type(self.oracle).__name__} on {self.backend.info.name}, {self.dtype}, {mode}: {what}"
        assert got.shape == want.shape, f"{what} has shape {got.shape}, expected {want.shape}"
        if want.dtype.kind != "f":
            assert np.array_equal(got, want), f"{what} is\n{got}\nexpected\n{want}"
            return
        size = np.abs(want[np.isfinite(want)])
        bound = TOLERANCE[self.dtype] * max(size.max(initial=0.0), scale)
        with np.errstate(invalid="ignore"):
            error = np.where(
                (got == want) | (np.isnan(got) & np.isnan(want)), 0.0, np.abs(got.astype("float64") - want)
            )
        worst = error.max(initial=0.0)
        assert worst <= bound, f"{what} is off by {worst:.3g}, allowed {bound:.3g}\n{got}\nexpected\n{want}"


# ---------------------------------------------------------------------- state
def _randomise(oracle: torch.nn.Module, dtype: str) -> None:
    rng = np.random.default_rng(7)
    with torch.no_grad():
        for name, value in oracle.state_dict().items():
            if value.is_floating_point():
                low = 0.5 if name.endswith("running_var") else -1.0
                value.copy_(torch.from_numpy(_rounded(rng.uniform(low, 1.5, tuple(value.shape)), dtype)))


def _take_state(net: nn.Module, oracle: torch.nn.Module, dtype: str) -> None:
    """Load the oracle's state, in the dtype under test, and see that it is there."""
    state = {
        k: v.to(getattr(torch, dtype)) if v.is_floating_point() else v for k, v in oracle.state_dict().items()
    }
    net.load_state_dict(state, strict=True)
    held = net.state_dict()
    assert list(held) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(um.to_numpy(held[name]), value.numpy(), err_msg=name)


# ---------------------------------------------------------------------- arrays in nested tuples
def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"


def _rounded(array: Array, dtype: str) -> Array:
    return np.asarray(array).astype(dtype).astype("float64")


def _map(fn: Any, tree: Any) -> Any:
    if isinstance(tree, tuple | list):
        return type(tree)(_map(fn, item) for item in tree)
    if isinstance(tree, dict):
        return {key: _map(fn, item) for key, item in tree.items()}
    return fn(tree)


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, tuple | list):
        return [leaf for item in tree for leaf in _leaves(item)]
    return [] if tree is None else [tree]


def _to_torch(tree: Any) -> Any:
    return _map(lambda a: torch.tensor(a) if isinstance(a, np.ndarray) else a, tree)


def _floats(outputs: list[torch.Tensor]) -> Iterator[tuple[int, torch.Tensor]]:
    return ((i, out) for i, out in enumerate(outputs) if out.is_floating_point())


def _replaced(tree: Any, where: list[int], values: list[Any]) -> Any:
    """``tree`` with the leaves at positions ``where`` replaced."""
    new = dict(zip(where, values, strict=True))
    position = iter(range(len(_leaves(tree))))

    def put(leaf: Any) -> Any:
        if leaf is None:
            return None
        i = next(position)
        return new.get(i, leaf)

    return _map(put, tree)


def _projection(shape: Any, which: int) -> Array:
    """Fixed random weights that make a scalar of an output."""
    rng = np.random.default_rng(zlib.crc32(repr((tuple(shape), which)).encode()))
    return rng.uniform(0.5, 1.5, tuple(shape)) * rng.choice([-1.0, 1.0], tuple(shape))
