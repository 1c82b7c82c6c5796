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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, registry
from ..backend import Backend
from ..nn.module import Module
from ..ops._boxes import Box, Boxed, mapped, unboxed
from ..ops._dispatch import kernel
from ..transforms.functional import Tree, map_tree
from .measure import Array, Case, is_float

EXACT = frozenset(
    "abs argmax argmin argsort astype broadcast_to ceil concat embedding equal flip floor getitem less max maximum min "
    "minimum negative pad permute_dims random_uniform relu reshape round sign stop_gradient take take_along_axis "
    "where".split()
)
"""Ops that move or choose numbers and round none."""

SATURATING = {"sigmoid": 1.0, "tanh": 2.0}
"""Functions whose slope is found from their output y, y (1 - y) and 1 - y**2: where they saturate, one unit of y is so many
of the slope."""

BROADCASTING = frozenset({"add", "atan2", "divide", "multiply", "pow", "subtract"})


class _Noise(NamedTuple):
    unit: float
    rng: np.random.Generator
    tied: bool

    def factors(self, shape: tuple[int, ...]) -> Array:
        return np.asarray(1.0 + self.unit * self.rng.choice([-1.0, 1.0], shape))

    def factors_of(self, value: Array) -> Array:
        """The same factor for equal numbers, where ties are to stay."""
        if not self.tied:
            return self.factors(value.shape)
        # Without the last bits, in which equal rows of a product may differ.
        bits = (np.array(value, "float64").reshape(-1).view("uint64") + np.uint64(1 << 11)) >> np.uint64(12)
        with np.errstate(over="ignore"):
            places = (bits ^ (bits >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(52)
        return np.asarray(self.factors((4096,))[places].reshape(value.shape))


_noise: contextvars.ContextVar[_Noise] = contextvars.ContextVar("unimodule_noise")


@contextmanager
def shaken(
    net: Module, case: Case, unit: float, rng: np.random.Generator, *, tied: bool = False
) -> Iterator[tuple[Module, Case]]:
    """A copy of a net, and of what it is given, in which every number is off by about one rounding unit, and every
    operand of an operation too while the block lasts.

    Args:
        net: a bound net in float64.
        case: its inputs.
        unit: the rounding unit of the dtype in question.
        rng: decides which numbers become larger and which smaller.
        tied: for nets that choose among equal numbers, or compare some with given ones. What the net is given stays as it
            is, and equal operands of an operation stay equal.
    """
    noise = _Noise(max(unit, 2.0**-52), rng, tied)  # 1 + 2**-53 is 1

    def shake(leaf: Any) -> Any:
        if not is_float(leaf):
            return leaf
        return leaf.astype("float64") * (1.0 if tied else noise.factors(leaf.shape))

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


# ---------------------------------------------------------------------- the backend
class _OpenBox(Box):
    """A box that lends what else the tensor inside can do; the result is a box again."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found
        return lambda *args, **kwargs: _again(type(self), found(*unboxed(args), **unboxed(kwargs)))


def _again(box: type[Box], tree: Tree) -> Tree:
    return mapped(lambda leaf: leaf if registry.find_backend(leaf) is None else box(leaf), tree)


class _Shaken(Boxed):
    """See the module's text."""

    boxes = _OpenBox

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, f"{inner.info.name}, shaken")

    def around(self, name: str) -> Callable[..., Any] | None:
        if name in SATURATING:
            return self._bent(self._plain(name) or kernel(self.inner, name), SATURATING[name])
        return self._plain(name)

    def _plain(self, name: str) -> Callable[..., Any] | None:
        fn = self.inner.function(name)
        if fn is None:
            return None
        run = fn if name in EXACT else self._noisy(name, fn)
        return lambda *args, **kwargs: self.wrapped(run(*unboxed(args), **unboxed(kwargs)))

    def _noisy(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """An op of the wrapped backend with noise on its operands."""

        def call(*args: Any, **kwargs: Any) -> Any:
            operands = self._broadcast(args) if name in BROADCASTING else args
            return fn(*map_tree(self._shake, operands), **map_tree(self._shake, kwargs))

        return call

    def _bent(self, fn: Callable[[Box], Box], units: float) -> Callable[[Box], Box]:
        """A function on boxes with noise on its slope, so many units of its output's size; the value is the function's."""
        inner, use = self.inner, self.inner.functions

        def call(x: Box) -> Box:
            y = fn(x)
            value = use["stop_gradient"](x.inner)
            finite = use["equal"](use["subtract"](value, value), 0.0)
            rise = use["where"](finite, use["subtract"](x.inner, value), 0.0)  # 0, with a slope of 1
            signs = inner.from_numpy(
                units * (_noise.get().factors(inner.shape(value)) - 1.0),
                inner.dtype(value),
                inner.device(value),
            )
            noise = use["multiply"](use["multiply"](rise, use["stop_gradient"](y.inner)), signs)
            return type(x)(use["add"](y.inner, noise))

        return call

    def _shake(self, x: Any) -> Any:
        inner, use = self.inner, self.inner.functions
        if not inner.is_tensor(x) or not dtypes.is_floating(dtype := inner.dtype(x)):
            return x
        value = use["stop_gradient"](x)
        forward = _noise.get().factors_of(inner.to_numpy(value))
        backward = _noise.get().factors(inner.shape(x))
        slope, shift = (inner.from_numpy(a, dtype, inner.device(x)) for a in (backward, forward - backward))
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
