"""How ops join autograd's tape, and the gradient of a function of several tensors.

Every differentiable op is a primitive of our own: a plain NumPy function and, for each tensor argument, its
vector-Jacobian product, written in the same ops so that gradients have gradients. autograd's own rules are not used
by ``ops``: they differ from the contract in dtypes (float64 gradients of float32 0-d tensors), at ties and at zero.
They serve the native operators (``x @ w + 1``) only, where they are right up to the dtype.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from autograd.core import VJPNode, add_outgrads
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.numpy.numpy_vspaces import ArrayVSpace
from autograd.tracer import getval, new_box, trace_stack
from autograd.util import toposort

ArrayVSpace.register(ml_dtypes.bfloat16)
ArrayBox.register(ml_dtypes.bfloat16)
# autograd's boxes answer bool() but not float() and int(), which a forward may ask of one element.
ArrayBox.__float__ = lambda self: float(self._value)
ArrayBox.__int__ = lambda self: int(self._value)

Op = Callable[..., Any]

_HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))

# autograd numbers its traces with one counter for the whole process: two threads must not trace at a time.
_lock = threading.RLock()


def _widen(x: Any) -> Any:
    return x.astype(np.float32) if getattr(x, "dtype", None) in _HALF else x


def rounded(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` computed in float32 for tensors of 16 bits and rounded once; its results are arrays, 0-d ones too."""

    @functools.wraps(fn)
    def compute(*args: Any, **kwargs: Any) -> np.ndarray[Any, Any]:
        half = next((a.dtype for a in args if getattr(a, "dtype", None) in _HALF), None)
        with np.errstate(all="ignore"):
            if half is None:
                return np.asarray(fn(*args, **kwargs))
            out = np.asarray(fn(*map(_widen, args), **kwargs))
            return out.astype(half) if out.dtype == np.float32 else out

    return compute


def differentiable(*vjps: Callable[..., Any] | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a NumPy function an op with a gradient. ``vjps``: for each positional argument ``(ans, *args, **kwargs) ->
    (gradient of ans -> gradient of the argument)``, or None for an argument without one.
    """

    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        traced = primitive(rounded(fn))
        defvjp(traced, *vjps)
        return traced  # type: ignore[no-any-return]

    return decorate


def constant(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Make a NumPy function an op whose result does not depend differentiably on its arguments."""
    compute = rounded(fn)

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return compute(*map(getval, args), **kwargs)

    return call


def unwrap(tree: Any, level: int) -> Any:
    """``tree`` with the boxes of one trace replaced by what is in them."""
    if isinstance(tree, ArrayBox):
        return tree._value if tree._trace == level else tree
    if isinstance(tree, dict):
        return {key: unwrap(value, level) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(unwrap(value, level) for value in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(unwrap(value, level) for value in tree)
    return tree


def value_and_grad(
    fn: Callable[[list[Any]], tuple[Any, Any]], values: Sequence[Any]
) -> tuple[Any, Any, list[Any]]:
    """``loss, aux, gradients`` of ``fn`` with respect to each of ``values``; see ``Backend.value_and_grad``."""
    with _lock:
        before = trace_stack.top
        try:
            with trace_stack.new_trace() as level:
                roots = [VJPNode.new_root() for _ in values]
                boxes = [
                    new_box(v if isinstance(v, ArrayBox) else np.asarray(v), level, root)
                    for v, root in zip(values, roots, strict=True)
                ]
                loss, aux = fn(boxes)
        finally:
            trace_stack.top = before  # autograd leaves it raised after an exception
        found: dict[Any, Any] = {}
        if isinstance(loss, ArrayBox) and loss._trace == level:
            with np.errstate(all="ignore"):
                found = _backward(loss)
        gradients = [_as_gradient(found.get(root), v) for v, root in zip(values, roots, strict=True)]
        return unwrap(loss, level), unwrap(aux, level), gradients


def _backward(loss: Any) -> dict[Any, Any]:
    """The gradient at every root of the loss's graph; autograd's own pass takes a single root."""
    pending = {loss._node: (np.ones(loss.shape, loss.dtype), False)}
    roots: dict[Any, Any] = {}
    for node in toposort(loss._node):
        gradient = pending.pop(node)
        if not node.parents:
            roots[node] = gradient[0]
        for parent, piece in zip(node.parents, node.vjp(gradient[0]), strict=True):
            pending[parent] = add_outgrads(pending.get(parent), piece)
    return roots


def _as_gradient(gradient: Any, value: Any) -> Any:
    if gradient is None:
        return np.zeros(value.shape, value.dtype)
    if (
        gradient.dtype != value.dtype
    ):  # a native operator met a Python scalar: NumPy 1.x makes 0-d float32 float64
        return gradient.astype(value.dtype)
    return gradient if isinstance(gradient, ArrayBox) else np.asarray(gradient)


@primitive  # type: ignore[untyped-decorator]
def watch(x: Any, note: Callable[[Any], None]) -> Any:
    """See ``Backend.watch_gradient``."""
    return x[...]  # an array of its own


def _watch_vjp(ans: Any, x: Any, note: Callable[[Any], None]) -> Callable[[Any], Any]:
    def backward(gradient: Any) -> Any:
        note(gradient)
        return gradient

    return backward


defvjp(watch, _watch_vjp, None)
