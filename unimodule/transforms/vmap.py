"""um.vmap: a function of single examples made one of batches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._draws import Reserved
from ..backend import Backend, Tensor
from ..errors import ArgumentError, ModuleError, ShapeError
from ..nn.module import Module
from ..ops import arange, moveaxis
from ..ops._structure import flatten, unflatten
from ..registry import find_backend
from .functional import (
    Tree,
    assignments,
    call_net,
    common_backend,
    leaves,
    map_tree,
    materialize,
    prepare,
    with_values,
)


def vmap(fn: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function that applies ``fn`` to each slice of its arguments, all at once, and stacks what it returns.

    Args:
        fn: a net, or a function of nets, tensors and anything else. What is random in it differs between slices.
        in_axes: the axis of each argument to map over, None for one that is the same for all: an integer or None for
            all positional arguments, or a tuple with one for each, where a nested value may have nested axes. Nets and
            what is no tensor are never mapped over. Keyword arguments are, along their first axis.
        out_axes: where the new axis goes in the results: an integer, or nested like them.

    Returns:
        A function of the same arguments. It can be differentiated, compiled and given to ``vmap`` again, and ``fn`` may
        itself be ``um.grad(...)``, for a gradient of each example.

    Raises:
        ArgumentError: axes do not fit the arguments, or nothing is mapped over.
        ShapeError: sizes differ along the axes mapped over, or a tensor has no such axis.
        ModuleError: ``fn`` changed a buffer.
        NotSupportedError: the framework cannot (MXNet); ``ops.map`` does the same one by one.

    Source: JAX ``jax.vmap``, PyTorch ``torch.func.vmap``.

    Example:
        >>> import numpy as np, unimodule as um
        >>> x = um.ops.asarray([[1.0, 2.0], [3.0, 4.0]], backend="numpy")
        >>> um.vmap(lambda row, shift: um.ops.sum(row) + shift, in_axes=(0, None))(x, 1.0).tolist()
        [4.0, 8.0]
    """
    function = call_net if isinstance(fn, Module) else fn

    def run(*args: Any, **kwargs: Any) -> Any:
        axes = list(in_axes) if isinstance(in_axes, tuple | list) else [in_axes] * len(args)
        if len(axes) != len(args):
            raise ArgumentError(f"vmap: in_axes has {len(axes)} entries for {len(args)} arguments")
        if isinstance(fn, Module):
            args, axes = (fn, *args), [None, *axes]
        backend = common_backend((args, kwargs))
        tree = prepare((args, kwargs), backend)
        mapped: list[tuple[Tensor, int]] = []
        skeleton = _spread("in_axes", (tuple(axes), dict.fromkeys(kwargs, 0)), tree, backend, mapped)
        _check_sizes(backend, mapped)

        def with_slices(slices: list[Tensor]) -> Tree:
            return map_tree(lambda leaf: slices[leaf.index] if isinstance(leaf, _Slot) else leaf, skeleton)

        if any(
            module._lazy for leaf in leaves(args) if isinstance(leaf, Module) for module in leaf.modules()
        ):
            first = [moveaxis(x, axis, 0)[0] for x, axis in mapped]
            materialize(function, *with_slices(first))
        structure: Any = None
        out: list[Any] = []

        draws = Reserved(backend)
        numbered = list(mapped)
        if draws.on:  # each slice knows its number, to draw masks of its own
            x, axis = mapped[0]
            numbered.append((arange(backend.shape(x)[axis], dtype="int32", like=x), 0))

        def of_slices(slices: list[Tensor]) -> list[Tensor]:
            if not draws.on:
                return of_values(slices)
            with draws.part(slices[-1]):
                return of_values(slices[:-1])

        def of_values(slices: list[Tensor]) -> list[Tensor]:
            nonlocal structure, out
            (new_args, new_kwargs), pairs = with_values(with_slices(slices), {})
            result = function(*new_args, **new_kwargs)
            if changed := assignments(pairs, {}):
                names = ", ".join(sorted({a.name for a in changed}))
                raise ModuleError(
                    f"vmap: the function changed {names}, of which there is one for all; call eval() first"
                )
            out, structure = flatten(result)
            return [leaf for leaf in out if find_backend(leaf) is backend]

        stacked = iter(backend.vmap(of_slices, [x for x, _ in numbered], [axis for _, axis in numbered]))
        result = unflatten(structure, [next(stacked) if find_backend(x) is backend else x for x in out])
        placed: list[tuple[Tensor, int]] = []
        skeleton_out = _spread("out_axes", out_axes, result, backend, placed)
        moved = [x if axis == 0 else moveaxis(x, 0, axis) for x, axis in placed]
        return map_tree(lambda leaf: moved[leaf.index] if isinstance(leaf, _Slot) else leaf, skeleton_out)

    return run if isinstance(fn, Module) else functools.wraps(fn)(run)


class _Slot:
    """The place of a mapped tensor in a structure."""

    def __init__(self, index: int) -> None:
        self.index = index


def _spread(what: str, axes: Any, tree: Tree, backend: Backend, mapped: list[tuple[Tensor, int]]) -> Tree:
    """``tree`` with a slot for each tensor that has an axis in ``axes``; the tensors and axes go to ``mapped``."""
    if isinstance(tree, tuple | list | dict) and isinstance(axes, tuple | list | dict):
        keys: list[Any] = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        same = isinstance(axes, dict) == isinstance(tree, dict) and len(axes) == len(tree)
        if not same or (isinstance(axes, dict) and set(axes) != set(keys)):
            raise ArgumentError(f"vmap: {what} is {axes!r}, which does not fit the structure of the values")
        items = {key: _spread(what, axes[key], tree[key], backend, mapped) for key in keys}
        if isinstance(tree, dict):
            return items
        return type(tree)(*items.values()) if hasattr(tree, "_fields") else type(tree)(items.values())
    if axes is not None and (isinstance(axes, bool) or not isinstance(axes, int)):
        raise ArgumentError(
            f"vmap: {what} expected integers{' or None' if what == 'in_axes' else ''}, got {axes!r}"
        )
    if axes is None and what == "out_axes":
        raise ArgumentError("vmap: out_axes expected integers, got None")

    def visit(leaf: Any) -> Any:
        if axes is None or find_backend(leaf) is not backend:
            return leaf
        rank = len(backend.shape(leaf))
        if not -rank <= axes < rank:
            raise ShapeError(f"vmap: {what} is {axes}, but a value has shape {backend.shape(leaf)}")
        mapped.append((leaf, axes % rank))
        return _Slot(len(mapped) - 1)

    return map_tree(visit, tree)


def _check_sizes(backend: Backend, mapped: list[tuple[Tensor, int]]) -> None:
    sizes = {backend.shape(x)[axis] for x, axis in mapped}
    if not sizes:
        raise ArgumentError("vmap: no tensor among the arguments to map over")
    if len(sizes) > 1:
        raise ShapeError(
            f"vmap expected one size along the axes mapped over, got {', '.join(map(str, sorted(sizes)))}"
        )


__all__ = ["vmap"]
