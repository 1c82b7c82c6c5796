"""How faults are planted and shown: replaced functions of a backend, replaced attributes of classes and modules, and a
bench on which a control asks for one number whose right value is known.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import numpy as np

import unimodule as um
from unimodule import ops, registry

from .model import Fault

Tensor = Any
Function = Callable[..., Any]
Maker = Callable[[Function], Function]
"""From what there is to what is put in its place."""
Plant = Callable[[], AbstractContextManager[None]]
_MISSING: Any = object()


# ---------------------------------------------------------------------- planting
def swap(backend: str, **makers: Maker) -> Plant:
    """Replace ops of a backend, by name."""

    @contextmanager
    def plant() -> Iterator[None]:
        with registry.replaced(backend, {op: make(running(backend, op)) for op, make in makers.items()}):
            yield

    return plant


def running(backend: str, op: str) -> Function:
    """What runs an op on a backend: the adapter's function, or the op's default composition."""
    own = registry.get_backend(backend).function(op)
    return inspect.unwrap(getattr(ops, op)) if own is None else own


def patch(find: Callable[[], Any], name: str, make: Callable[[Any], Any]) -> Plant:
    """Replace an attribute of what ``find`` returns when it is planted: a class, a module, an object. A method is replaced
    in the class of the order of resolution that defines it.
    """

    @contextmanager
    def plant() -> Iterator[None]:
        owner = find()
        if inspect.isclass(owner):
            owner = next(kind for kind in owner.__mro__ if name in vars(kind))
        before = vars(owner).get(name, _MISSING)
        native = getattr(owner, name) if before is _MISSING else before
        made = make(native.__func__ if isinstance(native, staticmethod) else native)
        setattr(owner, name, staticmethod(made) if isinstance(native, staticmethod) else made)
        registry.forget_lookups()
        try:
            yield
        finally:
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
            registry.forget_lookups()

    return plant


def both(*plants: Plant) -> Plant:
    """All of them at once."""

    @contextmanager
    def plant() -> Iterator[None]:
        with ExitStack() as stack:
            for one in plants:
                stack.enter_context(one())
            yield

    return plant


def adapter(backend: str) -> Callable[[], Any]:
    """Finds the adapter of a backend, for ``patch``."""
    return lambda: registry.get_backend(backend)


def module(name: str) -> Callable[[], Any]:
    """Finds a module by its name, for ``patch``."""
    import importlib

    return lambda: importlib.import_module(name)


# ---------------------------------------------------------------------- what faulty functions are made of
def floating(x: Tensor) -> bool:
    """Whether a tensor has a float dtype."""
    return bool(ops.isdtype(ops.dtype(x), "real floating"))


def value_of(x: Tensor) -> Tensor:
    """``x`` without its gradient."""
    return ops.stop_gradient(x)


def with_gradient_of(value: Tensor, other: Tensor) -> Tensor:
    """The value of one tensor with the gradient of another of the same shape."""
    return value_of(value) + (other - value_of(other))


# ---------------------------------------------------------------------- showing
class Bench:
    """Small calculations on one backend, NumPy in and out."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def tensor(self, values: Any, dtype: str | None = None) -> Tensor:
        """A tensor of the backend: float32, or what an integer or bool array is."""
        host = np.asarray(values)
        own = "float32" if host.dtype.kind == "f" else host.dtype.name
        return registry.get_backend(self.backend).from_numpy(host, dtype or own, "cpu")

    def numpy(self, tensor: Tensor) -> np.ndarray[Any, Any]:
        """On the host."""
        return registry.get_backend(self.backend).to_numpy(tensor)

    def dtype(self, tensor: Tensor) -> str:
        """By name."""
        return registry.get_backend(self.backend).dtype(tensor)

    def run(self, fn: Function, *values: Any, dtype: str | None = None) -> np.ndarray[Any, Any]:
        """``fn`` of tensors."""
        with um.use_backend(self.backend):
            return self.numpy(fn(*[self.tensor(v, dtype) for v in values]))

    def slopes(self, fn: Function, *values: Any) -> np.ndarray[Any, Any]:
        """The gradient of ``sum(fn(...) * [1, 2, 3, ...])`` for the first of the values."""

        def loss(first: Tensor, *rest: Tensor) -> Tensor:
            y = fn(first, *rest)
            weight = np.arange(1.0, 1 + np.prod(tuple(y.shape))).reshape(tuple(y.shape))
            return ops.sum(y * self.tensor(weight))

        with um.use_backend(self.backend):
            return self.numpy(um.grad(loss)(*[self.tensor(v) for v in values]))

    def net(self, net: um.nn.Module, **state: Any) -> um.nn.Module:
        """A net on the backend, with the values that are given for some of its variables (dots as ``__``)."""
        net.to(self.backend)
        named = dict(net.named_variables())
        for name, value in state.items():
            named[name.replace("__", ".")].data = np.asarray(value, "float32")
        return net


def wrong(
    backend: str, compute: Callable[[Bench], Any], right: Any, tolerance: float = 1e-6
) -> Callable[[], bool]:
    """A control: whether what is computed is something else than the right answer, or an error."""

    def control() -> bool:
        try:
            found = np.asarray(compute(Bench(backend)))
        except Exception:
            return True
        want = np.asarray(right)
        if found.shape != want.shape or found.dtype.kind in "USb" or want.dtype.kind in "USb":
            return not np.array_equal(found, want)
        return not np.allclose(found, want, rtol=tolerance, atol=tolerance, equal_nan=True)

    return control


def raises(fn: Callable[[], Any]) -> str:
    """The name of the class of the error that a call raises, "" for none."""
    try:
        fn()
    except Exception as error:
        return type(error).__name__
    return ""


def of_ops(
    backend: str,
    kind: str,
    name: str,
    makers: dict[str, Maker],
    compute: Callable[[Bench], Any],
    right: Any,
    focus: tuple[str, ...],
    tolerance: float = 1e-6,
) -> Fault:
    """A fault of an adapter's functions, with a control that computes ``right`` where it is not planted."""
    return Fault(
        f"{backend}: {name}",
        backend,
        kind,
        swap(backend, **makers),
        wrong(backend, compute, right, tolerance),
        focus,
    )


def of_core(
    kind: str,
    name: str,
    plant: Plant,
    compute: Callable[[Bench], Any],
    right: Any,
    focus: tuple[str, ...],
    *,
    tolerance: float = 1e-6,
    shown_on: str = "numpy",
) -> Fault:
    """A fault of the core, shown on one backend."""
    return Fault(f"core: {name}", None, kind, plant, wrong(shown_on, compute, right, tolerance), focus)
