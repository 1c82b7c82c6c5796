"""jax.jit for functions of lists of tensors, with a random key threaded through where one is drawn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from . import random
from ._jit import Array

try:
    from jax.extend.core import jaxpr_as_fun
except ImportError:  # older releases have it here only
    from jax.core import jaxpr_as_fun

Flat = Callable[[list[Array]], list[Array]]


def compile(fn: Flat, **options: Any) -> Flat:
    """See ``Backend.compile``; ``options`` are jax.jit's."""
    program: Flat | None = None

    def run(tensors: list[Array]) -> list[Array]:
        nonlocal program
        if program is None:
            program = _build(fn, tensors, options)
        return program(tensors)

    return run


def _build(fn: Flat, tensors: list[Array], options: dict[str, Any]) -> Flat:
    draws = 0

    def traced(key: Array, tensors: list[Array]) -> list[Array]:
        nonlocal draws
        with random.use_key(key) as stream:
            outputs = fn(tensors)
            draws = stream.count
        return outputs

    # Traced apart from jit, so that Python runs once, whether or not it turns out to need a key.
    some_key = random.fresh_key()
    evaluate = jaxpr_as_fun(jax.make_jaxpr(traced)(some_key, list(tensors)))
    if not draws:
        return jax.jit(lambda tensors: evaluate(some_key, *tensors), **options)
    jitted = jax.jit(lambda key, tensors: evaluate(key, *tensors), **options)
    return lambda tensors: jitted(random.fresh_key(), tensors)


def is_trace_error(error: BaseException) -> bool:
    """Whether ``error`` says that the value of a tracer was asked for."""
    return isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError)
