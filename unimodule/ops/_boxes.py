"""Boxes: tensors of a backend made at run time around another one, to change what its operations do.

Code that is written with ``ops``, ``nn`` and operators runs on boxes as it does on the tensors inside. A subclass of
``Boxed`` says in ``around`` what becomes of each op.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..backend import CONTROL_FLOW, Backend, Tensor
from ..registry import adopt

Tree = Any


class Box:
    """A tensor of the wrapped backend, with the operators that all frameworks share.

    Attributes:
        inner: the tensor.
        kind: the dtype that it has here, where it differs from that of ``inner``; else "".
    """

    __slots__ = ("inner", "kind")
    __array_ufunc__ = None  # an array on the left of an operator leaves the operation to us

    def __init__(self, inner: Tensor, kind: str = "") -> None:
        self.inner, self.kind = inner, kind

    @property
    def dtype(self) -> Any:
        """The dtype: native, or a name."""
        return self.kind or self.inner.dtype

    @property
    def shape(self) -> Any:
        """The shape of the tensor inside."""
        return self.inner.shape

    def __getitem__(self, key: Any) -> Box:
        return type(self)(self.inner[unboxed(key)], self.kind)

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[Box]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.inner)

    def __float__(self) -> float:
        return float(self.inner)

    def __int__(self) -> int:
        return int(self.inner)

    __hash__ = object.__hash__


def _operator(op: Callable[[Any, Any], Any], swapped: bool = False) -> Callable[[Any, Any], Any]:
    return (lambda self, other: op(other, self)) if swapped else (lambda self, other: op(self, other))


def _dress() -> None:
    """Give boxes their operators. After the import of ``ops`` only, hence a function."""
    arithmetic = {
        "add": ops.add,
        "sub": ops.subtract,
        "mul": ops.multiply,
        "truediv": ops.divide,
        "pow": ops.pow,
        "matmul": ops.matmul,
    }
    for name, op in arithmetic.items():
        setattr(Box, f"__{name}__", _operator(op))
        setattr(Box, f"__r{name}__", _operator(op, swapped=True))
    comparisons = {
        "eq": ops.equal,
        "ne": ops.not_equal,
        "lt": ops.less,
        "le": ops.less_equal,
        "gt": ops.greater,
        "ge": ops.greater_equal,
    }
    for name, op in comparisons.items():
        setattr(Box, f"__{name}__", _operator(op))
    for name, one in {"neg": ops.negative, "abs": ops.abs, "invert": ops.bitwise_invert}.items():
        setattr(Box, f"__{name}__", lambda self, one=one: one(self))


def mapped(fn: Callable[[Any], Any], tree: Tree) -> Tree:
    """``fn`` of the leaves of nested tuples, lists and dicts."""
    if isinstance(tree, tuple):
        items = [mapped(fn, item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, list):
        return [mapped(fn, item) for item in tree]
    if isinstance(tree, dict):
        return {key: mapped(fn, value) for key, value in tree.items()}
    return fn(tree)


def unboxed(tree: Tree) -> Tree:
    """The tensors inside the boxes of nested tuples, lists and dicts."""
    return mapped(lambda leaf: leaf.inner if isinstance(leaf, Box) else leaf, tree)


class Boxed(Backend):
    """A backend of boxes around the tensors of another.

    Args:
        inner: the other.
        name: what to call this one.

    Attributes:
        boxes: what its boxes are; each backend has a subclass of its own, by which its tensors are known.
    """

    boxes: type[Box] = Box

    def __init__(self, inner: Backend, name: str) -> None:
        if not hasattr(Box, "__add__"):
            _dress()
        self.inner = inner
        self.info = dataclasses.replace(inner.info, name=name)  # type: ignore[misc]
        self.float_dtypes = inner.float_dtypes  # type: ignore[misc]
        self.unsupported = inner.unsupported  # type: ignore[misc]
        self.box = type("Box", (self.boxes,), {"__slots__": ()})
        self._found: dict[str, Callable[..., Any] | None] = {}
        adopt(self, self.box)

    # ------------------------------------------------------------------ what a subclass gives
    def around(self, name: str) -> Callable[..., Any] | None:
        """The op ``name`` on boxes, or None for its default composition, on boxes too."""
        raise NotImplementedError

    # ------------------------------------------------------------------ functions
    @property
    def functions(self) -> Mapping[str, Callable[..., Any]]:  # type: ignore[override]
        """The wrapped backend's names."""
        return {name: found for name in self.inner.functions if (found := self.function(name)) is not None}

    def function(self, name: str) -> Callable[..., Any] | None:
        try:
            return self._found[name]
        except KeyError:
            staged = name in CONTROL_FLOW
            found = self._staged(name) if staged else self.around(name)
            self._found[name] = found
            return found

    def _staged(self, name: str) -> Callable[..., Any] | None:
        """Control flow of the wrapped backend, whose bodies see boxes."""
        native = self.inner.function(name)
        return None if native is None else lambda *args: self._lifted(native, args)

    def _lifted(self, native: Callable[..., Any], args: Sequence[Any]) -> Any:
        """``native`` of lists of tensors and of functions of these."""

        def lower(fn: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *lists: unboxed(fn(*self.wrapped(lists)))

        return self.wrapped(native(*[lower(arg) if callable(arg) else unboxed(arg) for arg in args]))

    def wrapped(self, tree: Tree) -> Tree:
        """The native tensors in nested tuples, lists and dicts, boxed."""
        return mapped(lambda leaf: self.box(leaf) if self.inner.is_tensor(leaf) else leaf, tree)

    # ------------------------------------------------------------------ as the wrapped backend has it
    def version(self) -> str:
        return self.inner.version()

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, self.box)

    def is_concrete(self, x: Tensor) -> bool:
        return self.inner.is_concrete(x.inner)

    def outlives_trace(self, x: Tensor) -> bool:
        return self.inner.outlives_trace(x.inner)

    def dtype(self, x: Tensor) -> str:
        if not isinstance(x, Box):
            return self.inner.dtype(x)  # asked of a variable, which holds what it held before
        return x.kind or self.inner.dtype(x.inner)

    def shape(self, x: Tensor) -> tuple[int, ...]:
        return self.inner.shape(x.inner)

    def devices(self) -> list[str]:
        return self.inner.devices()

    def device(self, x: Tensor) -> str:
        return self.inner.device(x.inner)

    def to_device(self, x: Tensor, device: str) -> Tensor:
        return self.box(self.inner.to_device(x.inner, device), x.kind)

    def from_numpy(self, array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        return self.box(self.inner.from_numpy(array, dtype, device))

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        return self.inner.to_numpy(x.inner)

    def check_indices(self, indices: Tensor, size: int, low: int = 0) -> None:
        self.inner.check_indices(indices.inner, size, low)

    def is_trace_error(self, error: BaseException) -> bool:
        return self.inner.is_trace_error(error)

    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        def inner(tensors: list[Tensor]) -> tuple[Tensor, Any]:
            loss, aux = fn([self.box(t, v.kind) for t, v in zip(tensors, values, strict=True)])
            return loss.inner, unboxed(aux)

        loss, aux, gradients = self.inner.value_and_grad(inner, [value.inner for value in values])
        return self.box(loss), self.wrapped(aux), [self.box(gradient) for gradient in gradients]

    def vmap(
        self, fn: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor], axes: list[int]
    ) -> list[Tensor]:
        return self.wrapped(  # type: ignore[no-any-return]
            self.inner.vmap(lambda slices: unboxed(fn(self.wrapped(slices))), unboxed(values), axes)
        )

    def checkpoint(self, fn: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor]) -> list[Tensor]:
        return self.wrapped(  # type: ignore[no-any-return]
            self.inner.checkpoint(lambda given: unboxed(fn(self.wrapped(given))), unboxed(values))
        )

    def seed(self, seed: int) -> None:
        """Nothing to do: random numbers come from the wrapped backend."""

    def call_host(
        self,
        fn: Callable[..., np.ndarray[Any, Any]],
        tensors: list[Tensor],
        shape: tuple[int, ...],
        dtype: str,
    ) -> Tensor | None:
        drawn = self.inner.call_host(fn, unboxed(tensors), shape, dtype)
        return None if drawn is None else self.box(drawn)
