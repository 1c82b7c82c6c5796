"""Branches and loops in graphs: ``tf.cond``, ``tf.while_loop``, and a scan made of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unimodule.backend import Tensor

from ._framework import tf

Values = list[Tensor]


def cond(
    pred: Tensor, true_fn: Callable[[Values], Values], false_fn: Callable[[Values], Values], operands: Values
) -> Values:
    out = tf.cond(pred, lambda: _tensors(true_fn(operands)), lambda: _tensors(false_fn(operands)))
    return _list(out)


def while_loop(
    cond_fn: Callable[[Values], Tensor],
    body_fn: Callable[[Values], Values],
    values: Values,
    max_iters: int | None,
) -> Values:
    out = tf.while_loop(
        lambda *values: cond_fn(list(values)),
        lambda *values: _tensors(body_fn(list(values))),
        _tensors(values),
        maximum_iterations=max_iters,
    )
    return _list(out)


def scan(
    f: Callable[[Values, Values], tuple[Values, Values]],
    carry: Values,
    xs: Values,
    length: int,
    reverse: bool,
) -> tuple[Values, Values]:
    rows = [tf.TensorArray(x.dtype, length, element_shape=x.shape[1:]).unstack(x) for x in xs]
    count = len(carry)

    def place(i: Any) -> Any:
        return length - 1 - i if reverse else i

    # The first step stands before the loop: it tells the dtypes of the ys, which their arrays must know.
    carry, first = f(carry, [x[place(0)] for x in xs])
    outputs = [tf.TensorArray(y.dtype, length, element_shape=y.shape).write(place(0), y) for y in first]

    def step(i: Tensor, *state: Any) -> tuple[Any, ...]:
        at = place(i)
        new, ys = f(list(state[:count]), [row.read(at) for row in rows])
        return (i + 1, *_tensors(new), *[out.write(at, y) for out, y in zip(state[count:], ys, strict=True)])

    if length > 1:
        start = (tf.constant(1), *_tensors(carry), *outputs)
        state = tf.while_loop(lambda i, *_: i < length, step, start, maximum_iterations=length - 1)
        carry, outputs = list(state[1 : 1 + count]), list(state[1 + count :])
    return carry, [out.stack() for out in outputs]


def _tensors(values: Values) -> Values:
    return [tf.convert_to_tensor(v) for v in values]


def _list(out: Any) -> Values:
    return list(out) if isinstance(out, list | tuple) else [out]


FUNCTIONS: dict[str, Callable[..., Any]] = {"cond": cond, "while_loop": while_loop, "scan": scan}
