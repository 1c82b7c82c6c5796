"""um.checkpoint: what a function computes on the way is not kept for the gradient, but computed again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._draws import Reserved
from ..backend import Tensor
from ..errors import CompileError
from ..nn.module import Module, clones_only
from ..ops import stack
from ..ops._structure import flatten, unflatten
from ..registry import find_backend
from .functional import (
    Assignment,
    assignments,
    call_net,
    common_backend,
    held_values,
    leaves,
    map_tree,
    materialize,
    prepare,
    with_values,
)


def checkpoint(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``, whose intermediate results are not kept for the gradient: the backward pass computes them again.

    Memory for time (Chen et al., https://arxiv.org/abs/1604.06174). Values, gradients and the changes of buffers are those
    of ``fn``; dropout draws the same mask both times.

    Args:
        fn: a net, or a function of nets, tensors and anything else. It may close over nets and tensors.

    Returns:
        A function of the same arguments.

    Raises:
        NotSupportedError: the framework cannot (MXNet, NumPy).
        CompileError: ``fn`` reads the value of a tensor, on a framework that traces it (JAX, TensorFlow).

    Source: JAX ``jax.checkpoint``, PyTorch ``torch.utils.checkpoint``, TensorFlow ``tf.recompute_grad``.

    Example:
        >>> import unimodule as um
        >>> class Net(um.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.block = um.nn.Sequential(um.nn.Linear(4, 4), um.nn.Tanh())
        ...
        ...     def forward(self, x):
        ...         return um.checkpoint(self.block)(x)
    """
    function = call_net if isinstance(fn, Module) else fn

    def run(*args: Any, **kwargs: Any) -> Any:
        if isinstance(fn, Module):
            args = (fn, *args)
        backend = common_backend((args, kwargs))
        args, kwargs = prepare((args, kwargs), backend)
        materialize(function, args, kwargs)
        draws = Reserved(backend)  # from its beginning each time that the function runs
        held: dict[int, Tensor] = {}
        for leaf in leaves((args, kwargs)):
            if isinstance(leaf, Module):
                held |= held_values(leaf)
                if backend.live_variables:  # buffers are written in place, and needed once more as they were
                    held |= {id(b): _copy(held[id(b)]) for b in leaf.buffers()}
        tensors = [leaf for leaf in leaves((args, kwargs)) if find_backend(leaf) is backend]
        out: list[Any] = []
        structure: Any = None
        made: list[Assignment] = []

        def of_tensors(values: list[Tensor]) -> list[Tensor]:
            nonlocal out, structure, made
            given = dict(zip(held, values, strict=False))
            rest = iter(values[len(held) :])
            tree = map_tree(
                lambda leaf: next(rest) if find_backend(leaf) is backend else leaf, (args, kwargs)
            )
            (new_args, new_kwargs), pairs = with_values(tree, given)
            with clones_only([original for original, _ in pairs]), draws.part():
                result = function(*new_args, **new_kwargs)
            out, structure = flatten(result)
            made = assignments(pairs, given)
            return [leaf for leaf in out if find_backend(leaf) is backend] + [a.value for a in made]

        try:
            results = backend.checkpoint(of_tensors, [*held.values(), *tensors])
        except Exception as error:
            if backend.is_trace_error(error):
                raise CompileError(
                    "the value of a tensor was read inside um.checkpoint, which this backend traces; use ops.cond or "
                    "ops.while_loop there"
                ) from error
            raise
        source = iter(results)
        final = unflatten(structure, [next(source) if find_backend(x) is backend else x for x in out])
        for assignment, value in zip(made, source, strict=True):
            assignment._replace(value=value).carry_out()
        return final

    return run if isinstance(fn, Module) else functools.wraps(fn)(run)


def _copy(x: Tensor) -> Tensor:
    return stack([x, x])[0]  # twice: of one tensor it may be a view


__all__ = ["checkpoint"]
