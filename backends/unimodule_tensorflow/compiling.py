"""tf.function for functions of lists of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unimodule.backend import Tensor

from ._framework import tf

Flat = Callable[[list[Tensor]], list[Tensor]]


def compile(fn: Flat, *, jit_compile: bool | None = None, **options: Any) -> Flat:
    """See ``Backend.compile``; ``options`` are tf.function's. Graph mode, unless ``jit_compile`` asks for XLA: on CPUs
    XLA makes convolutions about three times slower.
    """
    program: Callable[..., Any] | None = None

    def run(tensors: list[Tensor]) -> list[Tensor]:
        nonlocal program
        if program is None:
            # One signature only, so the concrete function is called, which is leaner than tf.function.
            function = tf.function(
                lambda *inputs: fn(list(inputs)), autograph=False, jit_compile=jit_compile, **options
            )
            program = function.get_concrete_function(*[tf.TensorSpec(t.shape, t.dtype) for t in tensors])
        return list(program(*[t.value() if isinstance(t, tf.Variable) else t for t in tensors]))

    return run


def is_trace_error(error: BaseException) -> bool:
    """Whether ``error`` says that the value of a symbolic tensor was asked for."""
    if isinstance(error, tf.errors.OperatorNotAllowedInGraphError):
        return True
    return (
        isinstance(error, AttributeError | NotImplementedError | TypeError)
        and "symbolic" in str(error).lower()
    )
