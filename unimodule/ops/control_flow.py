"""Branches and loops on values, eager and compiled: cond, while_loop, scan, fori_loop, map.

Where values are known the functions are what their docstrings say in Python, and are differentiated as any Python code.
Inside a compiler, where values are not known, the framework's own control flow runs them (``_staging``).

Arguments and meaning are ``jax.lax``'s. A value is any nesting of tuples, lists and dicts of tensors, or None; Python
numbers and NumPy arrays in it become tensors. What a function closes over, parameters included, gets gradients too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import dtypes
from .._draws import Reserved
from ..backend import Backend, Tensor
from ..errors import ArgumentError, BackendMismatchError, DtypeError, ShapeError
from ..registry import find_backend
from . import creation, datatypes
from ._dispatch import ARRAYS, creation_backend, is_scalar, kernel
from ._explain import NUMPY
from ._predicates import check_scalar, common_length, count_of, is_bool, kind_name, known_bound, truth
from ._staging import Steps, scan_in_python, staged
from ._structure import flatten, flatten_as, unflatten

Tree = Any
Kinds = list[tuple[tuple[int, ...], str]]


def cond(pred: Any, true_fn: Callable[..., Tree], false_fn: Callable[..., Tree], *operands: Tree) -> Tree:
    """``true_fn(*operands)`` if ``pred`` else ``false_fn(*operands)``; only that one is computed.

    Args:
        pred: a tensor without axes, or a Python bool. A number counts as true unless it is zero.
        true_fn, false_fn: functions that return values of one structure, with the same shapes and dtypes. Compiled, both
            are traced, and it is an error if they do not; where ``pred`` is known the other function is never called.
        *operands: values, and anything else that the functions take.

    Raises:
        ShapeError: ``pred`` has axes, or shapes differ between the results.
        DtypeError: ``pred`` is no tensor or number, or dtypes differ.
        ArgumentError: the structures differ.
        CompileError: this backend's compiler has no branches (MXNet).

    Source: https://docs.jax.dev/en/latest/_autosummary/jax.lax.cond.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> x = np.array([3.0, -4.0])
        >>> ops.cond(ops.sum(x) > 0, lambda x: x, lambda x: -x, x).tolist()
        [-3.0, 4.0]
    """
    leaves, structure = flatten(operands)
    backend = _common("cond", [*leaves, pred])
    leaves = _tensors("cond", backend, leaves, others=True)
    check_scalar("cond", backend, pred)
    draws = Reserved(backend)
    if is_scalar(pred) or isinstance(pred, ARRAYS) or backend.is_concrete(pred):
        chosen = true_fn if truth(backend, pred) else false_fn
        with draws.part():
            out, result = flatten(chosen(*unflatten(structure, leaves)))
        return unflatten(result, _tensors("cond", backend, out, leaves))
    where = [i for i, leaf in enumerate(leaves) if find_backend(leaf) is backend]
    seen: list[tuple[Any, Kinds]] = []

    def branch(name: str, fn: Callable[..., Tree]) -> Callable[[list[Tensor]], list[Tensor]]:
        def run(values: list[Tensor]) -> list[Tensor]:
            given = list(leaves)
            for i, value in zip(where, values, strict=True):
                given[i] = value
            with draws.part():
                tree = fn(*unflatten(structure, given))
            if not seen:
                out, result = flatten(tree)
                out = _tensors("cond", backend, out, values)
                seen.append((result, _kinds(backend, out)))
                return out
            result, kinds = seen[0]
            who = f"ops.cond: {name}, like the other branch,"
            return _alike(who, backend, kinds, flatten_as(result, tree, who))

        return staged("cond", run)

    if not is_bool(backend, pred):
        pred = pred != 0
    out = kernel(backend, "cond")(
        pred, branch("true_fn", true_fn), branch("false_fn", false_fn), [leaves[i] for i in where]
    )
    return unflatten(seen[0][0], out)


def while_loop(
    cond_fn: Callable[[Tree], Any], body_fn: Callable[[Tree], Tree], init: Tree, max_iters: int | None = None
) -> Tree:
    """``value = init; while cond_fn(value): value = body_fn(value)``, at most ``max_iters`` times; the last value.

    Args:
        cond_fn: from a value to a bool tensor without axes.
        body_fn: from a value to one of the same structure, shapes and dtypes.
        init: the first value.
        max_iters: an upper bound. Compiled, JAX needs it for gradients and MXNet to run at all; it costs both as much as
            that many steps (on JAX, those after the last are empty).

    Raises:
        ShapeError, DtypeError, ArgumentError: a function returned something else than it should.
        CompileError: compiled, without ``max_iters``, on a backend whose compiler has no loops.
        NotSupportedError: a gradient was taken through a compiled loop that needs ``max_iters`` for it.

    Source: https://docs.jax.dev/en/latest/_autosummary/jax.lax.while_loop.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.while_loop(lambda x: ops.sum(x) > 1, lambda x: x / 2, np.array([3.0, 4.0])).tolist()
        [0.375, 0.5]
    """
    limit = None if max_iters is None else count_of("while_loop: max_iters", max_iters)
    values, structure, backend = _carry("while_loop", init)
    kinds = _kinds(backend, values)

    def test(values: list[Tensor]) -> Any:
        pred = cond_fn(unflatten(structure, values))
        check_scalar("while_loop: cond_fn", backend, pred)
        if not isinstance(pred, bool | np.bool_) and not is_bool(backend, pred):
            raise DtypeError(
                "ops.while_loop: cond_fn expected to return a bool, got " + kind_name(backend, pred)
            )
        return pred

    def step(values: list[Tensor]) -> list[Tensor]:
        who = "ops.while_loop: body_fn"
        return _alike(who, backend, kinds, flatten_as(structure, body_fn(unflatten(structure, values)), who))

    native = backend.function("while_loop") is not None
    draws = Steps(backend)
    done = 0
    while limit is None or done < limit:
        pred = draws.call(test, 2 * done, values)
        known = isinstance(pred, bool | np.bool_) or backend.is_concrete(pred)
        if not known or (native and not all(backend.is_concrete(v) for v in values)):
            left = None if limit is None else limit - done
            tensor_test = staged("while_loop", lambda values: _as_tensors(backend, [test(values)])[0])
            loop = draws.numbered(kernel(backend, "while_loop"), done)
            values = loop(tensor_test, staged("while_loop", step), values, left)
            break
        if not truth(backend, pred):
            break
        values = draws.call(step, 2 * done + 1, values)
        done += 1
    return unflatten(structure, values)


def scan(
    f: Callable[[Tree, Tree], tuple[Tree, Tree]],
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Tree, Tree]:
    """``for x in xs: carry, y = f(carry, x)``, with the ys stacked.

    Args:
        f: from a carry and a slice of ``xs`` to the next carry, of the same structure, shapes and dtypes, and any value.
        init: the first carry.
        xs: a value whose tensors share their first axis, along which they are sliced; None: ``f`` gets None.
        length: the number of steps; needed where ``xs`` has no tensors.
        reverse: go from the last slice to the first; the ys stand in the order of ``xs``.

    Returns:
        The last carry, and a value like the ys with an axis of ``length`` in front. Where that is 0, ``f`` is called once,
        on zeros, to learn their shapes.

    Raises:
        ShapeError, DtypeError, ArgumentError: ``f`` returned something else than it should, or lengths differ.

    Source: https://docs.jax.dev/en/latest/_autosummary/jax.lax.scan.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> last, sums = ops.scan(lambda total, x: (total + x, total + x), 0.0, np.array([1.0, 2.0, 3.0]))
        >>> float(last), sums.tolist()
        (6.0, [1.0, 3.0, 6.0])
    """
    return _scan("scan", f, init, xs, length, reverse)


def _scan(
    name: str,
    f: Callable[[Tree, Tree], tuple[Tree, Tree]],
    init: Tree,
    xs: Tree,
    length: int | None,
    reverse: bool,
) -> tuple[Tree, Tree]:
    x_leaves, x_structure = flatten(xs)
    values, structure, backend = _carry(name, init, x_leaves)
    slices = _tensors(name, backend, x_leaves, values)
    count = common_length(name, backend, slices, length)
    kinds = _kinds(backend, values)
    seen: list[tuple[Any, Kinds]] = []

    def step(carry: list[Tensor], x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        out = f(unflatten(structure, carry), unflatten(x_structure, x))
        if not isinstance(out, tuple | list) or len(out) != 2:
            raise ArgumentError(
                f"ops.{name}: f expected to return a pair (carry, y), got {type(out).__name__}"
            )
        who = f"ops.{name}: f"
        new = _alike(
            f"{who}, as the carry,", backend, kinds, flatten_as(structure, out[0], f"{who}, as the carry,")
        )
        if seen:
            y_structure, y_kinds = seen[0]
            who += ", as in the steps before,"
            return new, _alike(who, backend, y_kinds, flatten_as(y_structure, out[1], who))
        ys, y_structure = flatten(out[1])
        ys = _tensors(name, backend, ys, new)
        seen.append((y_structure, _kinds(backend, ys)))
        return new, ys

    draws = Steps(backend)
    if count == 0:
        blank = [creation.zeros(backend.shape(x)[1:], dtype=backend.dtype(x), like=x) for x in slices]
        _, ys = step(values, blank)
        ys = [creation.zeros((0, *backend.shape(y)), dtype=backend.dtype(y), like=y) for y in ys]
    elif (native := backend.function("scan")) and not all(backend.is_concrete(t) for t in (*values, *slices)):
        body, rows = draws.of_slices(staged(name, step), slices, count)
        values, ys = native(body, values, rows, count, reverse)
    else:
        body, rows = draws.of_slices(step, slices, count)
        values, ys = scan_in_python(body, values, rows, count, reverse)
    return unflatten(structure, values), unflatten(seen[0][0], ys)


def fori_loop(lower: Any, upper: Any, body_fn: Callable[[Tensor, Tree], Tree], init: Tree) -> Tree:
    """``value = init; for i in range(lower, upper): value = body_fn(i, value)``; the last value.

    Args:
        lower, upper: Python integers, or integer tensors without axes. Known ones make a loop that every backend can
            compile and differentiate; others are as in ``while_loop``.
        body_fn: from the index, an integer tensor without axes, and a value to a value of the same structure, shapes and
            dtypes. Take a row with ``ops.take(xs, i, axis=0)``.
        init: the first value.

    Raises:
        ShapeError, DtypeError, ArgumentError: a bound is no integer, or ``body_fn`` returned something else than it should.

    Source: https://docs.jax.dev/en/latest/_autosummary/jax.lax.fori_loop.html

    Example:
        >>> from unimodule import ops
        >>> x = ops.asarray([1.0, 2.0], backend="numpy")
        >>> ops.fori_loop(0, 3, lambda i, x: x * 2, x).tolist()
        [8.0, 16.0]
    """
    values, structure, backend = _carry("fori_loop", init, [lower, upper])
    start, stop = (known_bound(backend, b) for b in (lower, upper))
    init = unflatten(structure, values)
    if isinstance(start, int) and isinstance(stop, int):
        if stop <= start:
            return init
        place = backend.device(values[0]) if values else None
        indices = creation.arange(start, stop, dtype="int64", backend=backend.info.name, device=place)
        return _scan("fori_loop", lambda value, i: (body_fn(i, value), None), init, indices, None, False)[0]
    dtype = next(backend.dtype(b) for b in (start, stop) if not isinstance(b, int))
    like = start if not isinstance(start, int) else stop
    first, last = (
        creation.full((), b, dtype=dtype, like=like) if isinstance(b, int) else datatypes.astype(b, dtype)
        for b in (start, stop)
    )
    return while_loop(
        lambda state: state[0] < state[1],
        lambda state: (state[0] + 1, state[1], body_fn(state[0], state[2])),
        (first, last, init),
    )[2]


def map(f: Callable[[Tree], Tree], xs: Tree) -> Tree:
    """``f`` of each slice of ``xs`` along its first axis, one after the other, with the results stacked.

    ``um.vmap`` does the same for all slices at once.

    Args:
        f: from a slice to a value.
        xs: a value whose tensors share their first axis.

    Raises:
        ShapeError, DtypeError, ArgumentError: lengths differ, or what ``f`` returns differs between slices.

    Source: https://docs.jax.dev/en/latest/_autosummary/jax.lax.map.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> ops.map(lambda row: ops.sum(row), np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [3.0, 7.0]
    """
    return _scan("map", lambda _, x: (None, f(x)), None, xs, None, False)[1]


# ---------------------------------------------------------------------- values
def _common(name: str, leaves: Iterable[Any]) -> Backend:
    """The backend of the tensors among ``leaves``; NumPy arrays are data beside another's."""
    found = {}  # filled in a loop: PyTorch's compiler knows no := in a comprehension
    for leaf in leaves:
        backend = find_backend(leaf)
        if backend is not None:
            found[backend.info.name] = backend
    frameworks = [backend for key, backend in found.items() if key != NUMPY] or list(found.values())
    if len(frameworks) > 1:
        names = " and ".join(sorted(backend.info.name for backend in frameworks))
        raise BackendMismatchError(f"ops.{name} got tensors of {names}; move one with um.convert(x, backend)")
    return frameworks[0] if frameworks else creation_backend(None, None)


def _carry(name: str, init: Tree, beside: Iterable[Any] = ()) -> tuple[list[Tensor], Any, Backend]:
    leaves, structure = flatten(init)
    backend = _common(name, [*leaves, *beside])
    return _tensors(name, backend, leaves, beside), structure, backend


def _tensors(
    name: str, backend: Backend, leaves: list[Any], beside: Iterable[Any] = (), others: bool = False
) -> list[Any]:
    """``leaves`` as tensors. A Python float takes the float dtype of the first float tensor around it. ``others``: let
    through what is neither a tensor nor a number.
    """
    native = [leaf for leaf in (*leaves, *beside) if find_backend(leaf) is backend]
    for leaf in leaves:
        if (
            not others
            and not is_scalar(leaf)
            and not isinstance(leaf, ARRAYS)
            and find_backend(leaf) is not backend
        ):
            raise DtypeError(f"ops.{name} expected tensors, got {type(leaf).__name__}")
    return _as_tensors(backend, leaves, native)


def _as_tensors(backend: Backend, leaves: list[Any], native: Iterable[Tensor] = ()) -> list[Any]:
    if all(find_backend(leaf) is backend for leaf in leaves):
        return leaves
    anchor = list(native)
    device = backend.device(anchor[0]) if anchor else "cpu"
    floats = [kind for kind in (backend.dtype(x) for x in anchor) if dtypes.is_floating(kind)]
    float_dtype = floats[0] if floats else dtypes.DEFAULT_FLOAT

    def convert(leaf: Any) -> Any:
        if not is_scalar(leaf):
            if not isinstance(leaf, ARRAYS) or backend.info.name == NUMPY:
                return leaf
            return backend.from_numpy(np.asarray(leaf), dtypes.canonical(leaf.dtype), device)
        kind = (
            "bool" if isinstance(leaf, bool) else dtypes.DEFAULT_INT if isinstance(leaf, int) else float_dtype
        )
        return backend.from_numpy(np.asarray(leaf), kind, device)

    return [convert(leaf) for leaf in leaves]


def _kinds(backend: Backend, values: list[Tensor]) -> Kinds:
    return [(backend.shape(v), backend.dtype(v)) for v in values]


def _alike(who: str, backend: Backend, kinds: Kinds, leaves: list[Any]) -> list[Tensor]:
    """``leaves`` as tensors of the given shapes and dtypes; a Python number takes the dtype that is expected."""
    out = []
    for leaf, (shape, dtype) in zip(leaves, kinds, strict=True):
        if is_scalar(leaf) and _fits(leaf, dtype):
            leaf = np.asarray(leaf, dtypes.to_numpy_dtype(dtype))
        (value,) = _as_tensors(backend, [leaf])
        if find_backend(value) is not backend:
            raise DtypeError(f"{who} expected to return tensors, got {type(leaf).__name__}")
        if backend.shape(value) != shape:
            raise ShapeError(f"{who} expected to return shape {shape}, got {backend.shape(value)}")
        loose = backend.mixes_dtypes or (shape == () and backend.info.name == NUMPY)
        if loose and _both_floats(backend.dtype(value), dtype):
            # In mixed precision; or of NumPy 1, which makes an array without axes float64 beside a Python number.
            value = kernel(backend, "astype")(value, dtype)
        if backend.dtype(value) != dtype:
            raise DtypeError(f"{who} expected to return {dtype}, got {backend.dtype(value)}")
        out.append(value)
    return out


def _both_floats(a: str, b: str) -> bool:
    return a != b and dtypes.is_floating(a) and dtypes.is_floating(b)


def _fits(number: Any, dtype: str) -> bool:
    if isinstance(number, bool):
        return dtype == "bool"
    return dtypes.is_floating(dtype) or (isinstance(number, int) and dtype != "bool")


__all__ = ["cond", "fori_loop", "map", "scan", "while_loop"]
