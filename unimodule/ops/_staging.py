"""What control flow does where values are not known: inside a compiler, the adapter's own form of it.

An adapter gives ``cond``, ``while_loop`` and ``scan`` (``backend.CONTROL_FLOW``) on flat lists of tensors. Where it has
none, a scan is unrolled, and so is a loop of at most ``max_iters`` steps, each of which keeps its result only while the
loop goes on.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from .._draws import Reserved
from ..backend import Backend, Tensor
from ..errors import CompileError
from . import arithmetic, conversion, creation, indexing, joining
from ._dispatch import DEFAULTS

Values = list[Tensor]
Body = Callable[[Values, Values], tuple[Values, Values]]


class _Inside(threading.local):
    op = ""


_inside = _Inside()


def staged(op: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``, during which no buffer of a net may be assigned (``refuse_assignment``)."""

    @functools.wraps(fn)
    def run(*args: Any) -> Any:
        before, _inside.op = _inside.op, op
        try:
            return fn(*args)
        finally:
            _inside.op = before

    return run


def refuse_assignment(name: str) -> None:
    """Raise if a buffer is assigned by a function that a compiler runs as a branch or a loop's body: what is computed
    there cannot leave it but as a result.

    Raises:
        CompileError: it is.
    """
    if _inside.op:
        raise CompileError(
            f"{name!r} was assigned inside a function given to ops.{_inside.op} while compiling; return the new value from "
            "that function and assign it outside, or call eval() if it is a running statistic"
        )


class Steps:
    """What each step of a loop draws: from a part of one draw, by the step's number, whatever runs the loop. Where the
    backend draws from its framework's state, nothing is done.

    Args:
        backend: where the loop runs.
    """

    def __init__(self, backend: Backend) -> None:
        self._draws = Reserved(backend)

    def call(self, fn: Callable[[Values], Any], number: int, values: Values) -> Any:
        """``fn(values)``, drawing from the part of that number."""
        with self._draws.part(number):
            return fn(values)

    def numbered(self, loop: Callable[..., Values], done: int) -> Callable[..., Values]:
        """A ``while_loop`` with a count of steps among its values; so many are done. Tests draw from the even parts."""
        if not self._draws.on:
            return loop

        def run(
            cond_fn: Callable[[Values], Tensor],
            body_fn: Callable[[Values], Values],
            values: Values,
            max_iters: int | None,
        ) -> Values:
            def test(values: Values) -> Tensor:
                with self._draws.part(arithmetic.multiply(values[-1], 2)):
                    return cond_fn(values[:-1])

            def body(values: Values) -> Values:
                number = values[-1]
                with self._draws.part(arithmetic.add(arithmetic.multiply(number, 2), 1)):
                    return [*body_fn(values[:-1]), arithmetic.add(number, 1)]

            count = creation.full((), done, dtype="int32", like=values[0])
            return loop(test, body, [*values, count], max_iters)[:-1]

        return run

    def of_slices(self, body: Body, xs: Values, length: int) -> tuple[Body, Values]:
        """The body of a ``scan``, and what it goes along, with the steps' numbers last."""
        if not self._draws.on:
            return body, xs

        def step(carry: Values, slices: Values) -> tuple[Values, Values]:
            with self._draws.part(slices[-1]):
                return body(carry, slices[:-1])

        like = {"like": xs[0]} if xs else {"backend": self._draws.backend.info.name}
        return step, [*xs, creation.arange(length, dtype="int32", **like)]


def _cond(
    pred: Tensor, true_fn: Callable[[Values], Values], false_fn: Callable[[Values], Values], operands: Values
) -> Values:
    raise CompileError(
        "ops.cond on a value that is not known while compiling: this backend's compiler has no branches; use ops.where if "
        "both sides may be computed, or run this part eagerly"
    )


def _while_loop(
    cond_fn: Callable[[Values], Tensor],
    body_fn: Callable[[Values], Values],
    values: Values,
    max_iters: int | None,
) -> Values:
    if max_iters is None:
        raise CompileError(
            "ops.while_loop on values that are not known while compiling: this backend's compiler has no loops; give "
            "max_iters, and the loop is unrolled"
        )
    first = [conversion.stop_gradient(v) for v in values]
    for _ in range(max_iters):
        live = cond_fn(values)
        # A step that does not count runs on the first values: what it does to its own might be infinite, and zero times
        # infinity is no gradient.
        new = body_fn([indexing.where(live, v, safe) for v, safe in zip(values, first, strict=True)])
        values = [indexing.where(live, n, v) for n, v in zip(new, values, strict=True)]
    return values


def scan_in_python(
    body: Callable[[Values, Values], tuple[Values, Values]],
    carry: Values,
    xs: Values,
    length: int,
    reverse: bool,
) -> tuple[Values, Values]:
    """A scan as a loop in Python; ``length`` is at least 1."""
    rows = [joining.unstack(x, axis=0) for x in xs]
    outputs: list[Values] = []
    for i in reversed(range(length)) if reverse else range(length):
        carry, ys = body(carry, [row[i] for row in rows])
        outputs.append(ys)
    if reverse:
        outputs.reverse()
    return carry, [joining.stack(list(column), axis=0) for column in zip(*outputs, strict=True)]


DEFAULTS.update({"cond": _cond, "while_loop": _while_loop, "scan": scan_in_python})

__all__ = ["Steps", "refuse_assignment", "scan_in_python", "staged"]
