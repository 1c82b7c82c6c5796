"""Arithmetic on lists of tensors, one tensor for each parameter of a group: the vocabulary of the update rules.

A name that ends in ``_`` is of an operation that may overwrite its first list: the caller must go on with what it
returns, and have no other use for the tensors it gave. :class:`Foreach` writes nowhere, which is what compilers want; an
adapter whose framework is quicker with whole lists, or in place, brings functions of the same names and meaning
(``Backend.foreach``).
"""

from __future__ import annotations

from typing import Any, cast

from ..backend import Backend, Tensor
from ..ops._dispatch import kernel

Tensors = list[Tensor]
Number = Any
"""A Python float, or a tracer of one in compiled code."""


class Foreach:
    """Lists of tensors by the ops of a backend, tensor by tensor; a stands for a number, the same for all of them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def _map(self, name: str, *lists: Tensors) -> Tensors:
        op = kernel(self._backend, name)
        return [op(*row) for row in zip(*lists, strict=True)]

    def copy(self, x: Tensors) -> Tensors:
        """The same values in tensors that no operation on x can change: here x itself, for nothing is overwritten."""
        return list(x)

    def negative(self, x: Tensors) -> Tensors:
        """-x."""
        return self._map("negative", x)

    def sign(self, x: Tensors) -> Tensors:
        """1, 0 or -1."""
        return self._map("sign", x)

    def abs(self, x: Tensors) -> Tensors:
        """|x|."""
        return self._map("abs", x)

    def sqrt(self, x: Tensors) -> Tensors:
        """Square root of x."""
        return self._map("sqrt", x)

    def shift(self, x: Tensors, a: Number) -> Tensors:
        """x + a."""
        add = kernel(self._backend, "add")
        return [add(t, a) for t in x]

    def scale_(self, x: Tensors, a: Number) -> Tensors:
        """a x."""
        multiply = kernel(self._backend, "multiply")
        return [multiply(t, a) for t in x]

    def add(self, x: Tensors, y: Tensors, a: Number) -> Tensors:
        """x + a y."""
        return self._map("add", x, self.scale_(y, a))

    def lerp(self, x: Tensors, y: Tensors, a: Number) -> Tensors:
        """x + a (y - x)."""
        return self.add(x, self._map("subtract", y, x), a)

    def multiply_(self, x: Tensors, y: Tensors) -> Tensors:
        """x y."""
        return self._map("multiply", x, y)

    def divide_(self, x: Tensors, y: Tensors) -> Tensors:
        """x / y."""
        return self._map("divide", x, y)

    def maximum_(self, x: Tensors, y: Tensors) -> Tensors:
        """The larger of x and y."""
        return self._map("maximum", x, y)

    def addcmul(self, x: Tensors, y: Tensors, z: Tensors, a: Number) -> Tensors:
        """x + a y z."""
        return self.add(x, self._map("multiply", y, z), a)

    def addcdiv_(self, x: Tensors, y: Tensors, z: Tensors, a: Number) -> Tensors:
        """x + a y / z."""
        return self.add(x, self._map("divide", y, z), a)

    sqrt_, shift_, add_, lerp_, addcmul_ = sqrt, shift, add, lerp, addcmul


def lists_of(backend: Backend) -> Foreach:
    """The adapter's own functions on lists, or those made of its ops."""
    own = backend.foreach()
    return Foreach(backend) if own is None else cast(Foreach, own)
