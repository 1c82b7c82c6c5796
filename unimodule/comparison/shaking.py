"""A reference backend whose every operation is off by about one rounding unit, as float rounding would have it.

It wraps another backend: tensors are boxes around that one's. Before an op that rounds, each of its operands is multiplied
by 1 + u d, with d = +1 or -1 for each element, and the gradient that comes back to the operand by 1 + u d' with signs of
its own. So the noise is where float arithmetic has it, forward and backward, between any two operations:

* forward and backward noise differ, because derivatives that cancel exactly in a formula do not in floats: that of
  e / sum(e), where one e is all there is, stays zero if the noise is differentiated along with it;
* kernels find the slope of a saturating function from its output, tanh's as 1 - y**2, and have it to a rounding of the
  output's size, however little of the slope itself is left;
* an operand that is broadcast has noise before and after: before, since it was itself rounded once and for all (a mean);
  after, so that its gradient is a sum of numbers that are each off, and moves even where they cancel.
"""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, ops, registry
from ..backend import Backend, Tensor
from ..nn.module import Module
from ..ops._dispatch import kernel
from ..transforms.functional import Tree, map_tree
from .measure import Array, Case, is_float

EXACT = frozenset(
    "abs argmax argmin argsort astype broadcast_to ceil concat embedding equal flip floor getitem less max maximum min "
    "minimum negative pad permute_dims random_uniform relu reshape round sign stop_gradient take take_along_axis "
    "where".split()
)
"""Ops that move or choose numbers and round none."""

SATURATING = ("sigmoid", "tanh")
"""Functions whose slope is found from their output."""

BROADCASTING = frozenset({"add", "atan2", "divide", "multiply", "pow", "subtract"})


class _Noise(NamedTuple):
    unit: float
    rng: np.random.Generator

    def factors(self, shape: tuple[int, ...]) -> Array:
        return np.asarray(1.0 + self.unit * self.rng.choice([-1.0, 1.0], shape))


_noise: contextvars.ContextVar[_Noise] = contextvars.ContextVar("unimodule_noise")


@contextmanager
def shaken(net: Module, case: Case, unit: float, rng: np.random.Generator) -> Iterator[tuple[Module, Case]]:
    """A copy of a net, and of what it is given, in which every number is off by about one rounding unit, and every
    operand of an operation too while the block lasts.

    Args:
        net: a bound net in float64.
        case: its inputs.
        unit: the rounding unit of the dtype in question.
        rng: decides which numbers become larger and which smaller.
    """
    noise = _Noise(max(unit, 2.0**-52), rng)  # 1 + 2**-53 is 1

    def shake(leaf: Any) -> Any:
        return leaf.astype("float64") * noise.factors(leaf.shape) if is_float(leaf) else leaf

    copy = net.clone()
    for _, variable in copy.named_variables():
        if variable.has_value and dtypes.is_floating(variable.dtype):
            variable.data = shake(variable.numpy())
    token = _noise.set(noise)
    try:
        copy.to(_backend(str(net.backend)).info.name)
        yield (
            copy,
            dataclasses.replace(
                case, inputs=map_tree(shake, case.inputs), target=map_tree(shake, case.target)
            ),
        )
    finally:
        _noise.reset(token)


# ---------------------------------------------------------------------- tensors
class Box:
    """A tensor of the wrapped backend, with the operators that all frameworks share."""

    __slots__ = ("inner",)
    __array_ufunc__ = None  # an array on the left of an operator leaves the operation to us

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        """What else the wrapped tensor can do; its result is a box again."""
        found = getattr(self.inner, name)
        return _boxed(type(self), found) if callable(found) else found

    def __getitem__(self, key: Any) -> Box:
        return type(self)(self.inner[_unwrap(key)])

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


for _name, _op in {
    "add": ops.add,
    "sub": ops.subtract,
    "mul": ops.multiply,
    "truediv": ops.divide,
    "pow": ops.pow,
    "matmul": ops.matmul,
}.items():
    setattr(Box, f"__{_name}__", _operator(_op))
    setattr(Box, f"__r{_name}__", _operator(_op, swapped=True))
for _name, _op in {
    "eq": ops.equal,
    "ne": ops.not_equal,
    "lt": ops.less,
    "le": ops.less_equal,
    "gt": ops.greater,
    "ge": ops.greater_equal,
}.items():
    setattr(Box, f"__{_name}__", _operator(_op))
for _name, _one in {"neg": ops.negative, "abs": ops.abs, "invert": ops.bitwise_invert}.items():
    setattr(Box, f"__{_name}__", lambda self, op=_one: op(self))


def _unwrap(tree: Tree) -> Tree:
    return map_tree(lambda leaf: leaf.inner if isinstance(leaf, Box) else leaf, tree)


def _boxed(box: type[Box], fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the wrapped backend, on boxes."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return _wrap(box, fn(*_unwrap(args), **_unwrap(kwargs)))

    return call


def _wrap(box: type[Box], tree: Tree) -> Tree:
    return map_tree(lambda leaf: box(leaf) if registry.find_backend(leaf) is not None else leaf, tree)


# ---------------------------------------------------------------------- the backend
class _Shaken(Backend):
    """See the module's text."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.info = dataclasses.replace(inner.info, name=f"{inner.info.name}, shaken")  # type: ignore[misc]
        self.float_dtypes = inner.float_dtypes  # type: ignore[misc]
        self.unsupported = inner.unsupported  # type: ignore[misc]
        self.box = type("Box", (Box,), {"__slots__": ()})
        self.functions = {
            name: _boxed(self.box, fn if name in EXACT else self._noisy(name, fn))
            for name, fn in inner.functions.items()
        }
        for name in SATURATING:
            self.functions[name] = self._bent(self.functions.get(name) or kernel(inner, name))

    def _noisy(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """An op of the wrapped backend with noise on its operands."""

        def call(*args: Any, **kwargs: Any) -> Any:
            operands = self._broadcast(args) if name in BROADCASTING else args
            return fn(*map_tree(self._shake, operands), **map_tree(self._shake, kwargs))

        return call

    def _bent(self, fn: Callable[[Box], Box]) -> Callable[[Box], Box]:
        """A function on boxes with noise of its output's size on its slope; the value is the function's."""
        inner, use = self.inner, self.inner.functions

        def call(x: Box) -> Box:
            y = fn(x)
            value = use["stop_gradient"](x.inner)
            finite = use["equal"](use["subtract"](value, value), 0.0)
            rise = use["where"](finite, use["subtract"](x.inner, value), 0.0)  # 0, with a slope of 1
            signs = inner.from_numpy(
                _noise.get().factors(inner.shape(value)) - 1.0, inner.dtype(value), inner.device(value)
            )
            noise = use["multiply"](use["multiply"](rise, use["stop_gradient"](y.inner)), signs)
            return type(x)(use["add"](y.inner, noise))

        return call

    def _shake(self, x: Any) -> Any:
        inner, use = self.inner, self.inner.functions
        if not inner.is_tensor(x) or not dtypes.is_floating(dtype := inner.dtype(x)):
            return x
        forward, backward = (_noise.get().factors(inner.shape(x)) for _ in range(2))
        slope, shift = (inner.from_numpy(a, dtype, inner.device(x)) for a in (backward, forward - backward))
        value = use["stop_gradient"](x)
        finite = use["equal"](use["subtract"](value, value), 0.0)
        shift = use["where"](finite, use["multiply"](value, shift), use["multiply"](shift, 0.0))
        return use["add"](use["multiply"](x, slope), shift)

    def _broadcast(self, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        inner = self.inner
        shape = np.broadcast_shapes(*(inner.shape(x) for x in operands if inner.is_tensor(x)))
        return tuple(
            inner.functions["broadcast_to"](self._shake(x), shape)
            if inner.is_tensor(x) and inner.shape(x) != shape
            else x
            for x in operands
        )

    def version(self) -> str:
        return self.inner.version()

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, self.box)

    def is_concrete(self, x: Tensor) -> bool:
        return self.inner.is_concrete(x.inner)

    def outlives_trace(self, x: Tensor) -> bool:
        return self.inner.outlives_trace(x.inner)

    def dtype(self, x: Tensor) -> str:
        return self.inner.dtype(x.inner)

    def shape(self, x: Tensor) -> tuple[int, ...]:
        return self.inner.shape(x.inner)

    def devices(self) -> list[str]:
        return self.inner.devices()

    def device(self, x: Tensor) -> str:
        return self.inner.device(x.inner)

    def to_device(self, x: Tensor, device: str) -> Tensor:
        return self.box(self.inner.to_device(x.inner, device))

    def from_numpy(self, array: Array, dtype: str, device: str) -> Tensor:
        return self.box(self.inner.from_numpy(array, dtype, device))

    def to_numpy(self, x: Tensor) -> Array:
        return self.inner.to_numpy(x.inner)

    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        def inner(tensors: list[Tensor]) -> tuple[Tensor, Any]:
            loss, aux = fn([self.box(tensor) for tensor in tensors])
            return loss.inner, _unwrap(aux)

        loss, aux, gradients = self.inner.value_and_grad(inner, [value.inner for value in values])
        return self.box(loss), _wrap(self.box, aux), [self.box(gradient) for gradient in gradients]

    def seed(self, seed: int) -> None:
        """Nothing to do: random numbers come from the wrapped backend."""


_backends: dict[Backend, _Shaken] = {}
registry.on_forget(_backends.clear)


def _backend(name: str) -> _Shaken:
    """The one that wraps a backend: always the same, since ops remember what they found for a type of tensor."""
    inner = registry.get_backend(name)
    if inner not in _backends:
        _backends[inner] = _Shaken(inner)
    found = _backends[inner]
    registry.adopt(found, found.box)
    return found


__all__ = ["shaken"]
