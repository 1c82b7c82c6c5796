"""What shape a node's output has, given that of its input: trees are drawn by it, without running anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..specs import Array, Node
from .arrays import Shape

Rule = Callable[[Node, Shape], Shape]


def after(node: Node, shape: Shape) -> Shape:
    """The shape that ``node`` makes of an input of ``shape``. What no rule says keeps the shape."""
    rule = RULES.get(node.name)
    return shape if rule is None else rule(node, shape)


def given(node: Node, place: int, name: str, default: Any) -> Any:
    """An argument, by its place (functions have the input in front) or name."""
    place += not node.name.startswith(("nn.", "block."))
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def every(value: Any, rank: int) -> tuple[Any, ...]:
    """One for each axis."""
    return tuple(value) if isinstance(value, tuple) else (value,) * rank


# ---------------------------------------------------------------------- features and axes
def _last(size: int) -> Callable[[Shape], Shape]:
    return lambda shape: (*shape[:-1], size)


def _linear(node: Node, shape: Shape) -> Shape:
    if node.name == "F.linear":
        weight = node.args[1]
        assert isinstance(weight, Array)
        return (*shape[:-1], weight.shape[0])
    return (*shape[:-1], node.args[-1])


def _glu(node: Node, shape: Shape) -> Shape:
    axis = node.kwargs.get("dim", node.kwargs.get("axis", -1)) % len(shape)
    return tuple(n // 2 if a == axis else n for a, n in enumerate(shape))


def _flatten(node: Node, shape: Shape) -> Shape:
    first = 1 if node.name.startswith("nn.") else 0
    if not shape:
        return (1,)
    start = given(node, 0, "start_dim", first) % len(shape)
    end = given(node, 1, "end_dim", -1) % len(shape)
    return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


def _filled(sizes: Sequence[int], count: int) -> Shape:
    """``sizes`` with -1 replaced by what is left of ``count``."""
    known = math.prod(n for n in sizes if n != -1)
    return tuple(count // known if n == -1 else n for n in sizes)


def _unflatten(node: Node, shape: Shape) -> Shape:
    axis = node.args[0] % len(shape)
    return (*shape[:axis], *_filled(node.args[1], shape[axis]), *shape[axis + 1 :])


def _reshape(node: Node, shape: Shape) -> Shape:
    sizes = node.args[1]
    return _filled((sizes,) if isinstance(sizes, int) else sizes, math.prod(shape))


def _permute(node: Node, shape: Shape) -> Shape:
    return tuple(shape[a] for a in node.args[1])


def _moveaxis(node: Node, shape: Shape) -> Shape:
    rank = len(shape)
    source = [a % rank for a in every(node.args[1], 1)]
    target = [a % rank for a in every(node.args[2], 1)]
    order: list[int] = [a for a in range(rank) if a not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        order.insert(place, axis)
    return tuple(shape[a] for a in order)


def _swap(node: Node, shape: Shape) -> Shape:
    sizes = list(shape)
    first, second = (-1, -2) if node.name == "ops.matrix_transpose" else node.args[1:]
    sizes[first], sizes[second] = sizes[second], sizes[first]
    return tuple(sizes)


def _expand(node: Node, shape: Shape) -> Shape:
    axes = every(node.kwargs["axis"], 1)
    rank = len(shape) + len(axes)
    new, rest = {a % rank for a in axes}, iter(shape)
    return tuple(1 if a in new else next(rest) for a in range(rank))


def _pad(node: Node, shape: Shape) -> Shape:
    return tuple(n + before + after for n, (before, after) in zip(shape, node.args[1], strict=True))


def _reduce(node: Node, shape: Shape) -> Shape:
    axis = node.kwargs["axis"] % len(shape)
    kept = (1,) if node.kwargs.get("keepdims") else ()
    return (*shape[:axis], *kept, *shape[axis + 1 :])


# ---------------------------------------------------------------------- windows
def _rank(node: Node) -> int:
    return int(node.name[-2])


def _cells(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool = False) -> int:
    """How many windows fit; in ceil mode one that hangs over counts if it starts inside."""
    room = n + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= n + padding else count


def _conv(node: Node, shape: Shape) -> Shape:
    rank, lazy = _rank(node), "Lazy" in node.name
    out, kernel = node.args[0 if lazy else 1], every(node.args[1 if lazy else 2], rank)
    options = [every(node.kwargs.get(name, 1), rank) for name in ("stride", "dilation")]
    padding = node.kwargs.get("padding", 0)
    if padding == "same":
        return (*shape[: -rank - 1], out, *shape[-rank:])
    pads = every(0 if padding == "valid" else padding, rank)
    sizes = zip(shape[-rank:], kernel, options[0], pads, options[1], strict=True)
    return (*shape[: -rank - 1], out, *(_cells(*size) for size in sizes))


def _transpose(node: Node, shape: Shape) -> Shape:
    rank, lazy = _rank(node), "Lazy" in node.name
    out, kernel = node.args[0 if lazy else 1], every(node.args[1 if lazy else 2], rank)
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "output_padding": 0}
    options = [every(node.kwargs.get(name, default), rank) for name, default in defaults.items()]
    sizes = (
        (n - 1) * s - 2 * p + e * (k - 1) + extra + 1
        for n, k, s, p, e, extra in zip(shape[-rank:], kernel, *options, strict=True)
    )
    return (*shape[: -rank - 1], out, *sizes)


def _pool(node: Node, shape: Shape) -> Shape:
    rank = _rank(node)
    kernel = every(node.args[0], rank)
    stride = every(node.kwargs.get("stride", kernel), rank)
    pads, dilation = (
        every(node.kwargs.get(name, value), rank) for name, value in (("padding", 0), ("dilation", 1))
    )
    ceil = node.kwargs.get("ceil_mode", False)
    sizes = zip(shape[-rank:], kernel, stride, pads, dilation, strict=True)
    return (*shape[:-rank], *(_cells(*size, ceil) for size in sizes))


def _adaptive(node: Node, shape: Shape) -> Shape:
    rank = _rank(node)
    wanted = every(node.args[0], rank)
    return (
        *shape[:-rank],
        *(n if size is None else size for n, size in zip(shape[-rank:], wanted, strict=True)),
    )


# ---------------------------------------------------------------------- modules that hold others
def _chain(node: Node, shape: Shape) -> Shape:
    for child in node.children:
        shape = after(child, shape)
    return shape


def _parallel(node: Node, shape: Shape) -> Shape:
    shapes = [after(child, shape) for child in node.children]
    axis = node.kwargs.get("axis", -1) % len(shapes[0])
    return tuple(sum(s[axis] for s in shapes) if a == axis else n for a, n in enumerate(shapes[0]))


def _pick(node: Node, shape: Shape) -> Shape:
    child = node.children[0]
    if child.name == "block.Apply":  # attention
        return shape
    if child.name == "block.Scan":
        return shape if node.args == (1,) else shape[1:]
    hidden, kwargs = child.args[1], child.kwargs
    return (*shape[:-1], kwargs.get("proj_size", hidden) * (2 if kwargs.get("bidirectional") else 1))


def _expression(node: Node, shape: Shape) -> Shape:
    kind = node.args[0]
    if kind == "index":
        return shape[1:]
    if kind == "last":
        return shape[:-1]
    if kind == "slice":
        return (*shape[:-1], shape[-1] - 1)
    return (shape[0], 1, *shape[1:]) if kind == "newaxis" else shape


RULES: dict[str, Rule] = {
    **dict.fromkeys(("nn.Linear", "nn.LazyLinear", "F.linear"), _linear),
    **dict.fromkeys(("nn.GLU", "F.glu", "ops.glu"), _glu),
    **dict.fromkeys(("nn.Flatten", "ops.flatten"), _flatten),
    **dict.fromkeys(("ops.swapaxes", "ops.matrix_transpose"), _swap),
    **dict.fromkeys(("ops.mean", "ops.sum", "ops.max", "ops.logsumexp"), _reduce),
    "nn.Unflatten": _unflatten,
    "ops.reshape": _reshape,
    "ops.permute_dims": _permute,
    "ops.moveaxis": _moveaxis,
    "ops.expand_dims": _expand,
    "ops.pad": _pad,
    **{f"nn.{lazy}Conv{rank}d": _conv for lazy in ("", "Lazy") for rank in (1, 2, 3)},
    **{f"nn.{lazy}ConvTranspose{rank}d": _transpose for lazy in ("", "Lazy") for rank in (1, 2, 3)},
    **{f"nn.{kind}Pool{rank}d": _pool for kind in ("Max", "Avg") for rank in (1, 2, 3)},
    **{f"nn.AdaptiveAvgPool{rank}d": _adaptive for rank in (1, 2, 3)},
    "nn.Embedding": lambda node, shape: (*shape, node.args[1]),
    **dict.fromkeys(("nn.Sequential", "block.Listed"), _chain),
    "nn.Parallel": _parallel,
    "block.Pick": _pick,
    "block.Branch": lambda node, shape: after(node.children[0], shape),
    "block.Expression": _expression,
}
"""By name; ``after`` says what holds for the others."""

__all__ = ["RULES", "after"]
