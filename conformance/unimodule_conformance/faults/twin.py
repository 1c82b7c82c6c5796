"""A backend with two devices, wherever it runs: the reference, with a note on every tensor of where it is.

Faults of devices are planted here, so that a machine without a GPU can tell whether the suite would see them. Tensors of
two devices never meet: an operation on both is an error, as it is on real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from unimodule import ops, registry
from unimodule.backend import Backend, BackendInfo, Tensor
from unimodule.errors import DeviceError

TWIN = "twin"
INFO = BackendInfo(
    name=TWIN,
    adapter="unimodule_conformance.faults.twin:Twin",
    framework="unimodule_conformance",
    distribution=("unimodule",),
    module_roots=("unimodule_conformance",),
    pip="pip install unimodule",
    priority=2_000_000,
)


@contextmanager
def registered() -> Iterator[None]:
    """The backend, inside the block."""
    registry.register(INFO)
    try:
        yield
    finally:
        registry.unregister(TWIN)


class Placed:
    """A tensor of the reference, and where it is."""

    __slots__ = ("inner", "place")
    __array_ufunc__ = None  # an array on the left of an operator leaves the operation to us
    __hash__ = object.__hash__

    def __init__(self, inner: Tensor, place: str) -> None:
        self.inner, self.place = inner, place

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return tuple(self.inner.shape)

    @property
    def dtype(self) -> Any:
        """Of the tensor."""
        return self.inner.dtype

    @property
    def ndim(self) -> int:
        """Of the tensor."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Placed:
        return Placed(self.inner[key], self.place)

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[Placed]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.inner)

    def __float__(self) -> float:
        return float(self.inner)

    def __int__(self) -> int:
        return int(self.inner)


def _operators() -> None:
    arithmetic = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide"}
    arithmetic |= {"pow": "pow", "matmul": "matmul"}
    for name, op in arithmetic.items():
        setattr(Placed, f"__{name}__", lambda x, y, op=op: getattr(ops, op)(x, y))
        setattr(Placed, f"__r{name}__", lambda x, y, op=op: getattr(ops, op)(y, x))
    comparisons = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal"}
    comparisons |= {"gt": "greater", "ge": "greater_equal"}
    for name, op in comparisons.items():
        setattr(Placed, f"__{name}__", lambda x, y, op=op: getattr(ops, op)(x, y))
    for name, op in {"neg": "negative", "abs": "abs", "invert": "bitwise_invert"}.items():
        setattr(Placed, f"__{name}__", lambda x, op=op: getattr(ops, op)(x))


_operators()


def _map(fn: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _map(fn, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_map(fn, item) for item in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(_map(fn, item) for item in tree)
    return fn(tree)


def _bare(tree: Any) -> Any:
    return _map(lambda leaf: leaf.inner if isinstance(leaf, Placed) else leaf, tree)


def _placed(tree: Any, place: str) -> Any:
    reference = registry.get_backend("numpy")
    return _map(lambda leaf: Placed(leaf, place) if reference.is_tensor(leaf) else leaf, tree)


def _where(tree: Any) -> str:
    places: set[str] = set()
    _map(lambda leaf: places.add(leaf.place) if isinstance(leaf, Placed) else None, tree)
    if len(places) > 1:
        raise RuntimeError(f"tensors on {' and '.join(sorted(places))} met")
    return places.pop() if places else "cpu"


def _staying(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the reference, whose results are where its arguments are."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return _placed(fn(*_bare(args), **_bare(kwargs)), _where((args, kwargs)))

    return call


class Twin(Backend):
    """See the module's text."""

    info: ClassVar[BackendInfo] = INFO

    def __init__(self) -> None:
        self.inner = inner = registry.get_backend("numpy")
        self.float_dtypes = inner.float_dtypes  # type: ignore[misc]
        self.functions = {name: _staying(fn) for name, fn in inner.functions.items()}
        uniform = inner.functions["random_uniform"]
        self.functions["random_uniform"] = lambda shape, dtype, device: Placed(
            uniform(shape, dtype, "cpu"), device
        )

    def version(self) -> str:
        return self.inner.version()

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, Placed)

    def outlives_trace(self, x: Tensor) -> bool:
        return self.inner.outlives_trace(x.inner)

    def dtype(self, x: Tensor) -> str:
        return self.inner.dtype(x.inner)

    def devices(self) -> list[str]:
        return ["cpu", "gpu:0"]

    def device(self, x: Tensor) -> str:
        return str(x.place)

    def to_device(self, x: Tensor, device: str) -> Tensor:
        if device not in self.devices():
            raise DeviceError(f"there is no {device}")
        return Placed(x.inner, device)

    def from_numpy(self, array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        return Placed(self.inner.from_numpy(array, dtype, "cpu"), device)

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        return self.inner.to_numpy(x.inner)

    def variable(self, value: Tensor, *, trainable: bool) -> Tensor:
        return Placed(self.inner.variable(value.inner, trainable=trainable), value.place)

    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        places = [value.place for value in values]
        left: dict[str, Any] = {}

        def inner(tensors: list[Tensor]) -> tuple[Tensor, Any]:
            loss, aux = fn([Placed(t, place) for t, place in zip(tensors, places, strict=True)])
            left["loss"], left["places"] = loss.place, _map(lambda x: getattr(x, "place", None), aux)
            return loss.inner, _bare(aux)

        loss, aux, gradients = self.inner.value_and_grad(inner, [value.inner for value in values])
        found = [Placed(g, place) for g, place in zip(gradients, places, strict=True)]
        return Placed(loss, left["loss"]), _back(aux, left["places"]), found

    def seed(self, seed: int) -> None:
        self.inner.seed(seed)


def _back(tree: Any, places: Any) -> Any:
    """The tensors of a tree, each where it was."""
    if isinstance(tree, dict):
        return {key: _back(value, places[key]) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_back(item, place) for item, place in zip(tree, places, strict=True)))
    if isinstance(tree, tuple | list):
        return type(tree)(_back(item, place) for item, place in zip(tree, places, strict=True))
    return tree if places is None else Placed(tree, places)


__all__ = ["INFO", "TWIN", "Placed", "Twin", "registered"]
