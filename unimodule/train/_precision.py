"""Mixed precision: which operations run in a low dtype, and a backend of boxes that sees to it.

A net with float32 parameters runs, with its loss, on boxes around its tensors (``ops._boxes``). Before an op the tensors
in them are cast by the lists below, which are those of ``torch.autocast``; the rest of the ops take what they get. So the
parameters stay as they are, and so do gradients, which come back through the casts.

Where a framework has no kernels for the low dtype, a tensor of it is carried in float32, rounded: every op that others
run in the low dtype is computed in float32 and its result rounded, and so is the gradient that comes back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import dtypes
from .._threefry import SIGNIFICANT
from ..backend import Backend, Tensor
from ..nn._calling import recorder
from ..nn._placement import accepted_types
from ..nn.module import Module
from ..ops._boxes import Box, Boxed, mapped, unboxed
from ..ops._dispatch import kernel
from ..registry import find_backend
from ..transforms.functional import Assignment, assignments, held_values

LOW = frozenset("float16 bfloat16".split())

IN_LOW = frozenset(
    "conv conv_transpose gru gru_layer linear lstm lstm_layer matmul prelu rnn rnn_layer "
    "scaled_dot_product_attention".split()
)
"""Ops whose float32 tensors are cast to the low dtype, in which they run."""

IN_FLOAT32 = frozenset(
    "acos asin binary_cross_entropy binary_cross_entropy_with_logits cosh cross_entropy cumulative_prod cumulative_sum exp "
    "expm1 group_norm huber_loss l1_loss layer_norm log log10 log1p log2 log_softmax logaddexp logsumexp mean mse_loss "
    "nll_loss pow prod reciprocal rsqrt sinh smooth_l1_loss soft_cross_entropy softmax softplus sum tan var".split()
)
"""Ops whose low tensors are cast to float32, in which they run."""

ROUNDED = frozenset("adaptive_avg_pool avg_pool batch_norm batch_norm_train".split())
"""Ops that run in float32 and whose first result has the dtype of the first argument: statistics are exact, memory is
saved."""


class Mixed(Boxed):
    """A backend of boxes whose ops run by the lists above.

    Args:
        inner: the wrapped backend.
        low: the low dtype.
    """

    mixes_dtypes = True

    def __init__(self, inner: Backend, low: str) -> None:
        super().__init__(inner, f"{inner.info.name} in {low}")
        self.low = low
        self._carried = low not in inner.float_dtypes  # in float32, rounded
        self._cast = kernel(inner, "astype")

    # ------------------------------------------------------------------ casts
    def lowered(self, x: Any) -> Any:
        """What is inside a box as it goes into an op of the low list."""
        if not isinstance(x, Box):
            return x
        if x.kind or self.inner.dtype(x.inner) != "float32":
            return x.inner
        return self._round(x.inner) if self._carried else self._cast(x.inner, self.low)

    def raised(self, x: Any) -> Any:
        """What is inside a box as it goes into an op of the float32 list."""
        if not isinstance(x, Box):
            return x
        return self._cast(x.inner, "float32") if self.inner.dtype(x.inner) in LOW else x.inner

    def _round(self, x: Tensor) -> Tensor:
        return self.inner.rounded(x, self.low)

    def _lows(self, tree: Any) -> Any:
        """Float32 tensors that an op computed in place of low ones, boxed as such."""

        def box(leaf: Any) -> Any:
            if not self.inner.is_tensor(leaf):
                return leaf
            if self.inner.dtype(leaf) != "float32":
                return self.box(leaf)
            return self.box(self._round(leaf), self.low)

        return mapped(box, tree) if self._carried else self.wrapped(tree)

    # ------------------------------------------------------------------ ops
    def around(self, name: str) -> Callable[..., Any] | None:
        if name in IN_LOW:
            return lambda *args, **kwargs: self._lows(
                kernel(self.inner, name)(*mapped(self.lowered, args), **mapped(self.lowered, kwargs))
            )
        if name in IN_FLOAT32:
            return lambda *args, **kwargs: self.wrapped(
                kernel(self.inner, name)(*mapped(self.raised, args), **mapped(self.raised, kwargs))
            )
        if name in ROUNDED:
            return functools.partial(self._rounded_op, name)
        if name == "astype":
            return self._astype
        if name == "random_uniform" and self.inner.function(name) is not None:
            return self._random_uniform
        if self.inner.function(name) is None:
            return None
        return functools.partial(self._as_given, name)

    def _rounded_op(self, name: str, x: Any, *args: Any, **kwargs: Any) -> Any:
        result = kernel(self.inner, name)(*mapped(self.raised, (x, *args)), **mapped(self.raised, kwargs))
        first, *rest = result if isinstance(result, tuple) else (result,)
        boxed = self._astype(self.box(first), self.dtype(x))
        return (boxed, *self.wrapped(rest)) if rest else boxed

    def _astype(self, x: Any, dtype: str) -> Any:
        if self._carried and dtype == self.low:
            wide = self._cast(x.inner, "float32")
            return self.box(wide if x.kind else self._round(wide), self.low)
        return self.box(self._cast(x.inner, dtype))

    def _as_given(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """An op that is on no list, in the widest dtype among its float tensors."""
        kinds: set[str] = set()

        def note(leaf: Any) -> None:
            if isinstance(leaf, Box) and dtypes.is_floating(kind := self.dtype(leaf)):
                kinds.add(kind)

        mapped(note, (args, kwargs))
        fn = kernel(self.inner, name)
        if len(kinds) <= 1:
            result = fn(*unboxed(args), **unboxed(kwargs))
            return self._lows(result) if kinds == {self.low} else self.wrapped(result)
        widest = dtypes.promote(*kinds)

        def widen(leaf: Any) -> Any:
            if not isinstance(leaf, Box):
                return leaf
            kind = self.dtype(leaf)
            if not dtypes.is_floating(kind) or kind == widest:
                return leaf.inner
            return self._astype(leaf, widest).inner

        return self.wrapped(fn(*mapped(widen, args), **mapped(widen, kwargs)))

    def _random_uniform(self, shape: tuple[int, ...], dtype: str, device: str) -> Any:
        draw = kernel(self.inner, "random_uniform")
        if not (self._carried and dtype == self.low):
            return self.box(draw(shape, dtype, device))
        steps = float(2 ** SIGNIFICANT[dtype])  # rounded down to as many bits as it holds, lest it become 1
        times, floor = kernel(self.inner, "multiply"), kernel(self.inner, "floor")
        return self.box(times(floor(times(draw(shape, "float32", device), steps)), 1 / steps), dtype)

    # ------------------------------------------------------------------ data
    def from_numpy(self, array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        if self._carried and dtype == self.low:
            host = array.astype(dtypes.to_numpy_dtype(dtype))
            return self.box(self.inner.from_numpy(host, "float32", device), dtype)
        return super().from_numpy(array, dtype, device)

    def call_host(
        self,
        fn: Callable[..., np.ndarray[Any, Any]],
        tensors: list[Tensor],
        shape: tuple[int, ...],
        dtype: str,
    ) -> Tensor | None:
        if not (self._carried and dtype == self.low):
            return super().call_host(fn, tensors, shape, dtype)
        wide = self.inner.call_host(
            lambda *arrays: fn(*arrays).astype(np.float32), unboxed(tensors), shape, "float32"
        )
        return None if wide is None else self.box(wide, dtype)

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        host = self.inner.to_numpy(x.inner)
        return host.astype(dtypes.to_numpy_dtype(x.kind)) if x.kind else host


@functools.cache
def mixed(inner: Backend, low: str) -> Mixed:
    """The one around a backend: always the same, since ops remember what they found for a type of tensor."""
    return Mixed(inner, low)


# ---------------------------------------------------------------------- nets on boxes
class _Nets:
    """Functional clones of nets that hold boxes; what their forward assigns goes back into the nets."""

    def __init__(self, backend: Mixed) -> None:
        self._backend = backend
        self._memo: dict[int, Module] = {}
        self._pairs: dict[int, tuple[Module, Module]] = {}
        self._values: dict[int, Tensor] = {}

    def clone(self, net: Module) -> Module:
        """``net`` on boxes."""
        if id(net) not in self._memo:
            for key, value in held_values(net).items():
                self._values.setdefault(key, self._backend.box(value))
            found: Module = net.functional_clone(self._values, self._memo)
            for module in net.modules():
                clone = self._memo[id(module)]
                self._pairs[id(module)] = (module, clone)
                state = clone.__dict__
                state["_backend"], state["_accepts"] = self._backend, accepted_types(self._backend)
                state["_watchers"] = 0
            return found
        return self._memo[id(net)]

    def assigned(self) -> list[Assignment]:
        """What was assigned, in native tensors of the dtypes that the variables have."""
        found = []
        for a in assignments(self._pairs.values(), self._values):
            dtype = self._backend.dtype(self._values[id(a.variable)])
            value = (
                a.value if self._backend.dtype(a.value) == dtype else self._backend._astype(a.value, dtype)
            )
            found.append(a._replace(value=value.inner))
        return found


@contextmanager
def _instead(nets: _Nets) -> Iterator[None]:
    """Nets that the loss has from elsewhere run on boxes too."""
    outer = recorder.get()
    token = recorder.set(lambda module: nets.clone(module if outer is None else outer(module)))
    try:
        yield
    finally:
        recorder.reset(token)


def in_mixed_precision(
    objective: Callable[[Sequence[Module], Sequence[Any]], Tensor],
    nets: Sequence[Module],
    batch: Sequence[Any],
    low: str,
) -> Tensor:
    """``objective(nets, batch)``, a float32 scalar, with its ops by the lists above."""
    inner = next(net._backend for net in nets)
    assert inner is not None
    backend = mixed(inner, low)
    boxed = _Nets(backend)

    def box(leaf: Any) -> Any:
        return backend.box(leaf) if find_backend(leaf) is inner else leaf

    with _instead(boxed):
        loss = objective([boxed.clone(net) for net in nets], mapped(box, list(batch)))
    for assignment in boxed.assigned():
        assignment.carry_out()
    return backend.raised(loss)


__all__ = ["IN_FLOAT32", "IN_LOW", "ROUNDED", "Mixed", "in_mixed_precision", "mixed"]
