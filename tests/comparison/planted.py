"""A backend with tensors of its own, NumPy within, and faults planted in its ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unimodule.backend import Backend, BackendInfo, Tensor
from unimodule.registry import get_backend

INFO = BackendInfo(
    name="planted",
    adapter=f"{__name__}:Planted",
    framework=__name__,
    distribution=(),
    module_roots=(__name__.partition(".")[0],),
    pip="pip install planted",
)

FAULTS: dict[str, Callable[..., Any]] = {}
"""Op name -> what runs instead, on NumPy arrays and with the right op as the first argument. Empty: a faithful backend."""


class Box:
    """A tensor: an array, or what autograd puts in its place."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    shape = property(lambda self: self.inner.shape)
    dtype = property(lambda self: self.inner.dtype)

    def __add__(self, other: Any) -> Box:
        return type(self)(self.inner + unwrap(other))

    def __mul__(self, other: Any) -> Box:
        return type(self)(self.inner * unwrap(other))

    def __matmul__(self, other: Any) -> Box:
        return type(self)(self.inner @ unwrap(other))


def unwrap(tree: Any) -> Any:
    if isinstance(tree, list | tuple):
        return type(tree)(unwrap(item) for item in tree)
    return tree.inner if isinstance(tree, Box) else tree


def wrapped(fn: Callable[..., Any], box: type[Box]) -> Callable[..., Any]:
    return lambda *args, **kwargs: box(fn(*unwrap(args), **{k: unwrap(v) for k, v in kwargs.items()}))


class Planted(Backend):
    info = INFO

    def __init__(self) -> None:
        self.inner = get_backend("numpy")
        # A type of its own each time: ops remember the functions that they found for a type.
        self.box = type("Box", (Box,), {"__module__": __name__})
        right = dict(self.inner.functions)
        for name, fault in FAULTS.items():
            right[name] = lambda *args, _fault=fault, _right=right[name], **kwargs: _fault(
                _right, *args, **kwargs
            )
        self.functions = {name: wrapped(fn, self.box) for name, fn in right.items()}

    def version(self) -> str:
        return "1.0"

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, self.box)

    def dtype(self, x: Tensor) -> str:
        return self.inner.dtype(x.inner)

    def devices(self) -> list[str]:
        return ["cpu"]

    def device(self, x: Tensor) -> str:
        return "cpu"

    def to_device(self, x: Tensor, device: str) -> Tensor:
        return x

    def from_numpy(self, array: np.ndarray, dtype: str, device: str) -> Tensor:
        return self.box(self.inner.from_numpy(array, dtype, device))

    def to_numpy(self, x: Tensor) -> np.ndarray:
        return self.inner.to_numpy(x.inner)

    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        def inner(arrays: list[Any]) -> tuple[Any, Any]:
            loss, (aux, assigned) = fn([self.box(array) for array in arrays])
            return loss.inner, (aux, unwrap(assigned))

        loss, (aux, assigned), gradients = self.inner.value_and_grad(inner, unwrap(list(values)))
        return (
            self.box(loss),
            (aux, [self.box(array) for array in assigned]),
            [self.box(g) for g in gradients],
        )

    def watch_gradient(self, x: Tensor, note: Callable[[Tensor], None]) -> Tensor:
        return self.box(self.inner.watch_gradient(x.inner, lambda gradient: note(self.box(gradient))))

    def seed(self, seed: int) -> None:
        self.inner.seed(seed)
