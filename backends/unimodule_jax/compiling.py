"""jax.jit for functions of lists of tensors, with a random key threaded through where one is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from unimodule.errors import ArgumentError

from . import random
from ._jit import Array, recording

try:
    from jax.extend.core import jaxpr_as_fun
except ImportError:  # older releases have it here only
    from jax.core import jaxpr_as_fun

Flat = Callable[[list[Array]], list[Array]]


def compile(fn: Flat, *, donate: Sequence[int] = (), **options: Any) -> Flat:
    """See ``Backend.compile``; ``options`` are jax.jit's.

    Args:
        fn: the function.
        donate: positions in the list of tensors whose memory the results may take; the caller must not use them again.
        **options: jax.jit's, but for those that name arguments, of which there is one list only.

    Raises:
        ArgumentError: an option names arguments.
    """
    if naming := [name for name in options if name.endswith(("argnums", "argnames", "shardings"))]:
        raise ArgumentError(f"a compiled net or function cannot take jax.jit's {', '.join(naming)}")
    program: Callable[..., list[Array]] | None = None

    def run(tensors: list[Array]) -> list[Array]:
        nonlocal program
        if program is None:
            program = _build(fn, tensors, tuple(donate), options)
            run.native = program  # type: ignore[attr-defined]
        return program(*tensors)

    return run


def _build(
    fn: Flat, tensors: list[Array], donate: tuple[int, ...], options: dict[str, Any]
) -> Callable[..., Any]:
    draws = 0

    def traced(key: Array, number: Array, tensors: list[Array]) -> list[Array]:
        nonlocal draws
        with random.use_key(jax.random.fold_in(key, number)) as stream:
            outputs = fn(tensors)
            draws = stream.count
        return outputs

    # Traced apart from jit, so that Python runs once, whether or not it turns out to need a key.
    some_draw = random.peek()
    with recording():
        evaluate = jaxpr_as_fun(jax.make_jaxpr(traced)(*some_draw, list(tensors)))
    if draws:
        jitted = jax.jit(evaluate, donate_argnums=tuple(i + 2 for i in donate), **options)
        return lambda *tensors: jitted(*random.draw(), *tensors)
    return jax.jit(lambda *tensors: evaluate(*some_draw, *tensors), donate_argnums=donate, **options)


def is_trace_error(error: BaseException) -> bool:
    """Whether ``error`` says that the value of a tracer was asked for."""
    return isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError)
