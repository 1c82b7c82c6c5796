"""tf.function for functions of lists of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unimodule.backend import Tensor

from ._framework import tf

try:
    from tensorflow.python.eager.record import could_possibly_record as _may_be_watched
except ImportError:  # not public, and not needed to be right

    def _may_be_watched() -> bool:
        return True


Flat = Callable[[list[Tensor]], list[Tensor]]
_Variable = tf.Variable


def compile(fn: Flat, *, jit_compile: bool | None = None, **options: Any) -> Flat:
    """See ``Backend.compile``; ``options`` are tf.function's. Graph mode, unless ``jit_compile`` asks for XLA: on CPUs
    XLA makes convolutions about three times slower.

    A program is one ConcreteFunction for each pattern of variables and tensors among its arguments (a net's own variables,
    or the tensors of a functional call). Variables go in as such and are read inside: read outside, each would be an op of
    its own, and four of them take as long as a small net.
    """
    programs: dict[tuple[type, ...], Callable[..., Sequence[Tensor]]] = {}

    def native(*tensors: Tensor) -> Sequence[Tensor]:
        kinds = tuple(map(type, tensors))
        program = programs.get(kinds)
        if program is None:
            program = programs[kinds] = _build(fn, tensors, {"jit_compile": jit_compile, **options})
        return program(tensors)

    def run(tensors: list[Tensor]) -> list[Tensor]:
        return list(native(*tensors))

    run.native = native  # type: ignore[attr-defined]
    return run


def _build(fn: Flat, tensors: Sequence[Tensor], options: dict[str, Any]) -> Callable[..., Sequence[Tensor]]:
    def body(*inputs: Any) -> list[Tensor]:
        return fn([x.value() if isinstance(x, _Variable) else x for x in inputs])

    specs = [t if isinstance(t, _Variable) else tf.TensorSpec(t.shape, t.dtype) for t in tensors]
    program = tf.function(body, autograph=False, **options).get_concrete_function(*specs)
    # What TensorFlow's own call arrives at for arguments that it knows to fit.
    differentiable, plain = program._call_flat, program._inference_function.call_flat
    captured = list(program.captured_inputs)

    def call(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        if _may_be_watched() or not tf.executing_eagerly():
            for x in tensors:
                if isinstance(x, _Variable):
                    x.value()  # tells the tapes of it
            flat = [x.handle if isinstance(x, _Variable) else x for x in tensors]
            return differentiable(flat, captured)
        flat = [x.handle if isinstance(x, _Variable) else x for x in tensors]
        return plain(*flat, *captured)

    return call


def is_trace_error(error: BaseException) -> bool:
    """Whether ``error`` says that the value of a symbolic tensor was asked for."""
    if isinstance(error, tf.errors.OperatorNotAllowedInGraphError):
        return True
    return (
        isinstance(error, AttributeError | NotImplementedError | TypeError)
        and "symbolic" in str(error).lower()
    )
