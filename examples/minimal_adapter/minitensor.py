"""A framework of a hundred lines, in place of yours: NumPy arrays that remember how they were computed.

It knows nothing of unimodule. A tensor that is *watched*, or computed from one, keeps its sources, each with the function
that turns this tensor's gradient into the source's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Source = tuple["Tensor", Callable[[Array], Array]]


class Tensor:
    """An array, and where it comes from."""

    __array_priority__ = 1000  # array + tensor is ours to answer

    def __init__(self, data: Any, sources: tuple[Source, ...] = (), watched: bool = False) -> None:
        self.data: Array = np.asarray(data)
        self.sources = sources
        self.watched = watched or bool(sources)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    def __repr__(self) -> str:
        return f"Tensor({self.data!r})"

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __getitem__(self, key: Any) -> Tensor:
        def scatter(g: Array) -> Array:
            out = np.zeros(self.shape, g.dtype)
            out[key] = g
            return out

        return record(self.data[key], (self, scatter))

    def __neg__(self) -> Tensor:
        return record(-self.data, (self, lambda g: -g))

    def __abs__(self) -> Tensor:
        return record(np.abs(self.data), (self, lambda g: g * np.sign(self.data)))

    def __add__(self, other: Any) -> Tensor:
        x, y = together(self, other)
        return record(x.data + y.data, (x, lambda g: g), (y, lambda g: g))

    def __sub__(self, other: Any) -> Tensor:
        x, y = together(self, other)
        return record(x.data - y.data, (x, lambda g: g), (y, lambda g: -g))

    def __mul__(self, other: Any) -> Tensor:
        x, y = together(self, other)
        return record(x.data * y.data, (x, lambda g: g * y.data), (y, lambda g: g * x.data))

    def __truediv__(self, other: Any) -> Tensor:
        x, y = together(self, other)
        out = x.data / y.data
        return record(out, (x, lambda g: g / y.data), (y, lambda g: -g * out / y.data))

    def __pow__(self, other: Any) -> Tensor:
        x, y = together(self, other)
        out = x.data**y.data

        def base(g: Array) -> Array:  # the derivative of x ** 0 is 0, at 0 too
            return np.where(y.data == 0, 0, g * y.data * x.data ** np.where(y.data == 0, 1, y.data - 1))

        def exponent(g: Array) -> Array:
            zero = (x.data == 0) & (y.data >= 0)
            return np.where(zero, 0, g * out * np.log(np.where(zero, 1, x.data)))

        return record(out, (x, base), (y, exponent))

    def __radd__(self, other: Any) -> Tensor:
        return self + other

    def __rmul__(self, other: Any) -> Tensor:
        return self * other

    def __rsub__(self, other: Any) -> Tensor:
        return together(self, other)[1] - self

    def __rtruediv__(self, other: Any) -> Tensor:
        return together(self, other)[1] / self

    def __rpow__(self, other: Any) -> Tensor:
        return together(self, other)[1] ** self

    def __matmul__(self, other: Tensor) -> Tensor:
        x, y = self, other
        rows, columns = (0,) if x.ndim == 1 else (), (-1,) if y.ndim == 1 else ()
        a, b = np.expand_dims(x.data, rows), np.expand_dims(y.data, columns)

        def whole(g: Array) -> Array:  # the gradient with the axes that 1-D operands lack
            g = np.expand_dims(g, -1) if y.ndim == 1 else g
            return np.expand_dims(g, -2) if x.ndim == 1 else g

        def left(g: Array) -> Array:
            return summed_to(whole(g) @ np.swapaxes(b, -1, -2), a.shape).reshape(x.shape)

        def right(g: Array) -> Array:
            return summed_to(np.swapaxes(a, -1, -2) @ whole(g), b.shape).reshape(y.shape)

        return record(x.data @ y.data, (x, left), (y, right))

    def __lt__(self, other: Any) -> Tensor:
        return Tensor(self.data < together(self, other)[1].data)

    def __le__(self, other: Any) -> Tensor:
        return Tensor(self.data <= together(self, other)[1].data)

    def __gt__(self, other: Any) -> Tensor:
        return Tensor(self.data > together(self, other)[1].data)

    def __ge__(self, other: Any) -> Tensor:
        return Tensor(self.data >= together(self, other)[1].data)


def together(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Two operands as tensors; a Python number takes the other's dtype."""
    if not isinstance(x, Tensor):
        x = Tensor(np.asarray(x, y.dtype))
    if not isinstance(y, Tensor):
        y = Tensor(np.asarray(y, x.dtype))
    return x, y


def record(data: Any, *sources: Source) -> Tensor:
    """The result of an operation; only sources that are watched are remembered."""
    return Tensor(data, tuple(source for source in sources if source[0].watched))


def summed_to(g: Array, shape: tuple[int, ...]) -> Array:
    """A gradient summed over the axes along which its source was broadcast."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    axes = tuple(i for i, size in enumerate(shape) if size == 1 and g.shape[i] != 1)
    return g.sum(axis=axes, keepdims=True)


def gradients(loss: Tensor, leaves: Iterable[Tensor]) -> list[Array]:
    """The gradient of a scalar with respect to watched tensors; zeros where one took no part."""
    totals = {id(loss): np.ones_like(loss.data)}
    for tensor in reversed(_sorted(loss)):
        g = totals[id(tensor)]
        for source, vjp in tensor.sources:
            part = summed_to(vjp(g), source.shape).astype(source.dtype, copy=False)
            known = totals.get(id(source))
            totals[id(source)] = part if known is None else known + part
    return [np.asarray(totals.get(id(leaf), np.zeros_like(leaf.data))) for leaf in leaves]


def _sorted(loss: Tensor) -> list[Tensor]:
    """Everything that the loss was computed from, sources first."""
    order, seen, stack = [], set(), [(loss, False)]
    while stack:
        tensor, done = stack.pop()
        if done:
            order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            stack.extend((source, False) for source, _ in tensor.sources)
    return order
