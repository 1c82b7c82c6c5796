"""Watch every call of every module while a net runs forward and backward, and send each tensor as it comes.

Every module of a copy gets a ``forward`` of its own that notes what comes in and goes out, and lays a mark on each float
tensor through which the gradient is noted when it comes back (``Backend.watch_gradient``). Nothing is kept: a value is sent
the moment it is there.

The messages: ``begin`` (order, path, call, parent), ``value`` (order, side "in" or "out", place, number) with an array, or
``again`` with the number of one that was sent before in place of it; ``slope`` (order, side, place, number) likewise;
``end`` (order). ``order`` counts calls as they begin, and tells them apart.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import Backend, Tensor
from ..errors import NotSupportedError
from ..nn.module import Module
from ..registry import find_backend
from ..transforms.functional import Tree
from .measure import Array, is_float_tensor, map_structure

Send = Callable[[dict[str, Any], Sequence[Array]], None]

_REMEMBERED = 8
"""Tensors kept alive a little longer, so that what one module returns and the next one gets is sent once."""


class Recorder:
    """Watches one run.

    Args:
        backend: where the net runs.
        send: takes the messages.
    """

    def __init__(self, backend: Backend, send: Send) -> None:
        self._backend, self._send = backend, send
        self._orders = 0
        self._numbers = 0
        self._calls: collections.Counter[str] = collections.Counter()
        self._running: list[int] = []
        self._recent: collections.deque[tuple[Tensor, int]] = collections.deque(maxlen=_REMEMBERED)
        self._slope: tuple[Tensor, Array | None, int] = None, None, 0
        self._marks = True

    def attach(self, net: Module) -> Module:
        """Watch a net and all modules below it; returns it. It is not to be used for anything else afterwards."""
        for path, module in net.named_modules():
            plain = module.__dict__.get("forward")
            module.__dict__["forward"] = types.MethodType(self._observed(path, plain), module)
        return net

    def _observed(self, path: str, plain: Callable[..., Any] | None) -> Callable[..., Any]:
        # A bound method, since functional clones of the net see to it that those are theirs.
        def observed(module: Module, *args: Any, **kwargs: Any) -> Any:
            order = self._begin(path)
            try:
                marked: dict[int, Any] = {}
                args, kwargs = self._noted(order, "in", (args, kwargs), marked)
                output = plain(*args, **kwargs) if plain else type(module).forward(module, *args, **kwargs)
                output = self._noted(order, "out", output, {})
            finally:
                self._running.pop()
            self._send({"what": "end", "order": order}, ())
            return output

        return observed

    def _begin(self, path: str) -> int:
        order, self._orders = self._orders, self._orders + 1
        parent = self._running[-1] if self._running else None
        self._running.append(order)
        call = self._calls[path]
        self._calls[path] += 1
        self._send({"what": "begin", "order": order, "path": path, "call": call, "parent": parent}, ())
        return order

    def _noted(self, order: int, side: str, tree: Tree, marked: dict[int, Any]) -> Tree:
        """The tree with marks on its float tensors. One that is there twice stays one: modules ask whether it is."""

        def note(place: str, leaf: Any) -> Any:
            if find_backend(leaf) is not self._backend:
                return leaf
            message = {"what": "value", "order": order, "side": side, "place": place}
            self._value(message, leaf)
            if not self._marks or not is_float_tensor(leaf):
                return leaf
            if id(leaf) not in marked:
                marked[id(leaf)] = leaf, self._mark(order, side, place, leaf)
            new = marked[id(leaf)][1]
            self._remember(new, leaf)
            return new

        return map_structure(note, tree)

    def _value(self, message: dict[str, Any], leaf: Tensor) -> None:
        for tensor, number in self._recent:
            if tensor is leaf:
                self._send({**message, "again": number}, ())
                return
        if not self._backend.is_concrete(leaf):  # inside a transformation of its own (um.checkpoint, um.vmap)
            return
        self._recent.append((leaf, self._numbers))
        self._send({**message, "number": self._numbers}, (self._backend.to_numpy(leaf),))
        self._numbers += 1

    def _remember(self, new: Tensor, leaf: Tensor) -> None:
        """``new`` is ``leaf`` with a mark."""
        for i, (tensor, number) in enumerate(self._recent):
            if tensor is leaf:
                self._recent[i] = new, number
                return

    def _mark(self, order: int, side: str, place: str, leaf: Tensor) -> Tensor:
        message = {"what": "slope", "order": order, "side": side, "place": place}

        def note(gradient: Tensor) -> None:
            if self._backend.is_concrete(gradient):
                self._gradient(message, gradient)

        try:
            return self._backend.watch_gradient(leaf, note)
        except NotSupportedError as error:
            self._marks = False
            self._send({"what": "note", "text": f"gradients were not watched layer by layer: {error}"}, ())
            return leaf

    def _gradient(self, message: dict[str, Any], gradient: Tensor) -> None:
        """What came back to what a module got is mostly what comes back next, to what the one before it returned: the same
        tensor, or an equal one.
        """
        tensor, array, number = self._slope
        if gradient is not tensor:
            new = self._backend.to_numpy(gradient)
            if array is None or array.dtype != new.dtype or not np.array_equal(array, new):
                self._slope = gradient, new, self._numbers
                self._send({**message, "number": self._numbers}, (new,))
                self._numbers += 1
                return
            self._slope = gradient, array, number
        self._send({**message, "again": number}, ())


__all__ = ["Recorder"]
