"""Convolutions and pooling: kernel, stride, padding and dilation are drawn for each axis on its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..specs import Node
from .arrays import Shape
from .drawing import Drawer, link, subject

IMAGES = ("normal", "ties", "zeros", "positive")
SIDES = {1: 7, 2: 5, 3: 4}
"""The largest size of a spatial axis, by how many there are."""

CONV = ("stride", "padding", "dilation")


def maybe_one(d: Drawer, sizes: Sequence[int]) -> Any:
    """An integer where all axes have the same, now and then; else a tuple."""
    return sizes[0] if len(set(sizes)) == 1 and d.flag() else tuple(sizes)


def some_image(rank: int) -> Callable[[Drawer], Shape]:
    """(N, C, *spatial), or without N."""

    def draw(d: Drawer) -> Shape:
        lead = (d.integer(1, 2), d.integer(1, 4))[1 if d.seldom() else 0 :]
        # Half of them large enough for windows to leave something over.
        return (*lead, *(d.integer(3 if rank < 3 and d.flag() else 1, SIDES[rank]) for _ in range(rank)))

    return draw


def parts(shape: Shape, rank: int) -> tuple[int, Shape]:
    """Channels and spatial sizes."""
    return shape[-rank - 1], shape[-rank:]


def is_image(rank: int) -> Callable[[Shape], bool]:
    """A batch of images, none too large."""
    return lambda shape: len(shape) == rank + 2 and 0 not in shape and math.prod(shape) <= 600


def windows(d: Drawer, sizes: Shape, pool: bool = False) -> dict[str, list[int]]:
    """Kernel, stride, padding and dilation that fit an input of spatial ``sizes``, each axis on its own.

    A pooling's padding is at most half its kernel; and, so that no window lies in the padding alone, a dilated one pads
    only what the window fits into without.
    """
    found: dict[str, list[int]] = {"kernel_size": [], "stride": [], "padding": [], "dilation": []}
    for n in sizes:
        padding = d.integer(0, 2)
        kernel = d.integer(1, min(3, n + 2 * padding))
        dilation = d.integer(1, min(3, (n + 2 * padding - 1) // (kernel - 1)) if kernel > 1 else 2)
        if pool:
            span = dilation * (kernel - 1) + 1
            most = kernel // 2 if dilation == 1 or span <= n else 0
            if padding > most:
                padding = most
                kernel = min(kernel, n + 2 * padding)
                dilation = min(dilation, (n + 2 * padding - 1) // (kernel - 1)) if kernel > 1 else dilation
                padding = min(padding, kernel // 2)
        for name, value in zip(found, (kernel, d.integer(1, 3), padding, dilation), strict=True):
            found[name].append(value)
    return found


# ---------------------------------------------------------------------- convolution
def _divisor(d: Drawer, n: int) -> int:
    return d.choice(*(k for k in range(1, n + 1) if n % k == 0))


def conv_arguments(d: Drawer, shape: Shape, rank: int) -> tuple[int, Any, dict[str, Any]]:
    """Output channels, kernel, and the other arguments of a convolution layer."""
    channels, sizes = parts(shape, rank)
    found = windows(d, sizes)
    groups = _divisor(d, channels)
    kwargs: dict[str, Any] = {name: maybe_one(d, found[name]) for name in CONV if d.integer(0, 3)}
    spans = [k * e for k, e in zip([k - 1 for k in found["kernel_size"]], found["dilation"], strict=True)]
    if "dilation" not in kwargs:
        spans = [k - 1 for k in found["kernel_size"]]
    if "padding" not in kwargs and any(span >= n for span, n in zip(spans, sizes, strict=True)):
        kwargs["padding"] = tuple(found["padding"])
    if d.seldom(6):
        kwargs["padding"] = "same"
        kwargs.pop("stride", None)
    elif d.seldom(6) and all(span < n for span, n in zip(spans, sizes, strict=True)):
        kwargs["padding"] = "valid"
    if groups > 1:
        kwargs["groups"] = groups
    return groups * d.integer(1, 3), maybe_one(d, found["kernel_size"]), kwargs


def _padding_mode(d: Drawer, sizes: Shape, kernel: Any, kwargs: dict[str, Any]) -> str:
    """One that the padding allows: reflected cells come from inside, at most size - 1 of them; circular ones, size."""
    padding = kwargs.get("padding", 0)
    rank = len(sizes)
    if padding == "same":
        kernels = (kernel,) * rank if isinstance(kernel, int) else kernel
        dilation = kwargs.get("dilation", 1)
        dilations = (dilation,) * rank if isinstance(dilation, int) else dilation
        most = [(k - 1) * e - (k - 1) * e // 2 for k, e in zip(kernels, dilations, strict=True)]
    elif padding == "valid":
        most = [0] * rank
    else:
        most = [padding] * rank if isinstance(padding, int) else list(padding)
    modes = ["zeros", "replicate"]
    if all(p < n for p, n in zip(most, sizes, strict=True)):
        modes.append("reflect")
    if all(p <= n for p, n in zip(most, sizes, strict=True)):
        modes.append("circular")
    return d.choice(*modes)


def _conv_layer(rank: int, lazy: bool) -> None:
    name = f"nn.{'Lazy' if lazy else ''}Conv{rank}d"

    def node(d: Drawer, shape: Shape) -> Node:
        out, kernel, kwargs = conv_arguments(d, shape, rank)
        if d.seldom(3):
            kwargs["padding_mode"] = _padding_mode(d, shape[-rank:], kernel, kwargs)
        kwargs.update(d.options(bias=(False,)))
        channels = () if lazy else (shape[-rank - 1],)
        return Node(name, (*channels, out, kernel), kwargs)

    link(name, node, is_image(rank), some_image(rank), IMAGES, modes=False)


def transpose_arguments(d: Drawer, shape: Shape, rank: int) -> tuple[int, Any, dict[str, Any]]:
    """Output channels, kernel, and the other arguments of a transposed convolution."""
    channels, sizes = parts(shape, rank)
    found: dict[str, list[int]] = {"stride": [], "dilation": [], "padding": [], "output_padding": []}
    kernels = []
    for n in sizes:
        kernel, stride, dilation = d.integer(1, 3), d.integer(1, 3), d.integer(1, 2)
        extra = d.integer(0, max(stride, dilation) - 1)
        padding = d.integer(0, min(2, ((n - 1) * stride + dilation * (kernel - 1)) // 2))
        kernels.append(kernel)
        for key, value in zip(found, (stride, dilation, padding, extra), strict=True):
            found[key].append(value)
    groups = _divisor(d, channels)
    kwargs = {key: maybe_one(d, values) for key, values in found.items() if set(values) != {0}}
    if groups > 1:
        kwargs["groups"] = groups
    return groups * d.integer(1, 2), maybe_one(d, kernels), kwargs


def _is_small(rank: int) -> Callable[[Shape], bool]:
    return lambda shape: len(shape) == rank + 2 and 0 not in shape and math.prod(shape) <= 100


def _transpose_layer(rank: int, lazy: bool) -> None:
    name = f"nn.{'Lazy' if lazy else ''}ConvTranspose{rank}d"

    def node(d: Drawer, shape: Shape) -> Node:
        out, kernel, kwargs = transpose_arguments(d, shape, rank)
        kwargs.update(d.options(bias=(False,)))
        channels = () if lazy else (shape[-rank - 1],)
        return Node(name, (*channels, out, kernel), kwargs)

    def some(d: Drawer) -> Shape:
        return tuple(min(n, 3 if rank == 3 else 4) for n in some_image(rank)(d))

    link(name, node, _is_small(rank), some, IMAGES, modes=False)


def _conv_function(rank: int) -> None:
    @subject(f"F.conv{rank}d")
    def conv(d: Drawer) -> Node:
        shape = some_image(rank)(d)
        out, kernel, kwargs = conv_arguments(d, shape, rank)
        kernels = (kernel,) * rank if isinstance(kernel, int) else kernel
        x = d.tensor(shape, *IMAGES)
        weight = d.tensor((out, shape[-rank - 1] // kwargs.get("groups", 1), *kernels), "normal", "unit")
        return Node(f"F.conv{rank}d", (x, weight, d.tensor((out,), "normal") if d.flag() else None), kwargs)

    @subject(f"F.conv_transpose{rank}d")
    def transpose(d: Drawer) -> Node:
        shape = tuple(min(n, 4) for n in some_image(rank)(d))
        out, kernel, kwargs = transpose_arguments(d, shape, rank)
        kernels = (kernel,) * rank if isinstance(kernel, int) else kernel
        x = d.tensor(shape, *IMAGES)
        weight = d.tensor((shape[-rank - 1], out // kwargs.get("groups", 1), *kernels), "normal", "unit")
        bias = d.tensor((out,), "normal") if d.flag() else None
        return Node(f"F.conv_transpose{rank}d", (x, weight, bias), kwargs)


@subject("ops.conv")
def _ops_conv(d: Drawer) -> Node:
    rank = d.integer(1, 3)
    shape = (d.integer(1, 2), *some_image(rank)(d)[-rank - 1 :])
    found = windows(d, shape[2:])
    groups = _divisor(d, shape[1])
    out = groups * d.integer(1, 3)
    pads = tuple((p, p + d.integer(0, 1)) for p in found["padding"])
    weight = d.tensor((out, shape[1] // groups, *found["kernel_size"]), "normal")
    bias = d.tensor((out,), "normal") if d.flag() else None
    x = d.tensor(shape, *IMAGES)
    return Node("ops.conv", (x, weight, bias, tuple(found["stride"]), pads, tuple(found["dilation"]), groups))


@subject("ops.conv_transpose")
def _ops_transpose(d: Drawer) -> Node:
    rank = d.integer(1, 3)
    shape = (d.integer(1, 2), *(min(n, 4) for n in some_image(rank)(d)[-rank - 1 :]))
    out, kernel, given = transpose_arguments(d, shape, rank)

    def every(value: Any) -> tuple[int, ...]:
        return (value,) * rank if isinstance(value, int) else value

    groups = given.get("groups", 1)
    weight = d.tensor((shape[1], out // groups, *every(kernel)), "normal")
    bias = d.tensor((out,), "normal") if d.flag() else None
    rest = [every(given.get(key, int(key in ("stride", "dilation")))) for key in _TRANSPOSE_ORDER]
    return Node("ops.conv_transpose", (d.tensor(shape, *IMAGES), weight, bias, *rest, groups))


_TRANSPOSE_ORDER = ("stride", "padding", "output_padding", "dilation")


# ---------------------------------------------------------------------- pooling
def max_arguments(d: Drawer, shape: Shape, rank: int) -> tuple[Any, dict[str, Any]]:
    """Kernel and the other arguments of a max pooling."""
    found = windows(d, shape[-rank:], pool=True)
    kwargs = {"padding": maybe_one(d, found["padding"]), "dilation": maybe_one(d, found["dilation"])}
    if not d.seldom(3):
        kwargs["stride"] = maybe_one(d, found["stride"])
    kwargs.update(d.options(ceil_mode=(True, True)))
    return maybe_one(d, found["kernel_size"]), kwargs


def average_arguments(d: Drawer, shape: Shape, rank: int) -> tuple[Any, dict[str, Any]]:
    """Kernel and the other arguments of an average pooling."""
    kernels, pads, strides = [], [], []
    for n in shape[-rank:]:
        kernel = d.integer(1, min(3, n + (n > 1)))
        least = max(0, (kernel - n + 1) // 2)
        kernels.append(kernel)
        pads.append(d.integer(least, kernel // 2))
        strides.append(d.integer(1, 3))
    kwargs: dict[str, Any] = {"padding": maybe_one(d, pads)}
    if d.flag():
        kwargs["stride"] = maybe_one(d, strides)
    kwargs.update(d.options(ceil_mode=(True,), count_include_pad=(False,)))
    if rank > 1:
        kwargs.update(d.options(divisor_override=(3, -2)))
    return maybe_one(d, kernels), kwargs


def adaptive_size(d: Drawer, shape: Shape, rank: int) -> Any:
    """Output sizes, None where an axis is to stay; larger than the input now and then."""
    sizes = [None if d.seldom(5) else d.integer(1, min(n + 1, 4)) for n in shape[-rank:]]
    if rank == 1:
        return sizes[0] or 1
    return sizes[0] if len(set(sizes)) == 1 and sizes[0] and d.flag() else tuple(sizes)


def _pooling(rank: int) -> None:
    fits, some = is_image(rank), some_image(rank)
    for kind, arguments in (("Max", max_arguments), ("Avg", average_arguments)):
        layer, name = f"nn.{kind}Pool{rank}d", f"F.{kind.lower()}_pool{rank}d"

        def node(d: Drawer, shape: Shape, layer: str = layer, arguments: Any = arguments) -> Node:
            kernel, kwargs = arguments(d, shape, rank)
            return Node(layer, (kernel,), kwargs)

        def alone(d: Drawer, layer: str = layer, arguments: Any = arguments) -> Node:
            shape = some(d)
            kernel, kwargs = arguments(d, shape, rank)
            if layer.startswith("nn.Max"):
                kwargs.update(d.options(return_indices=(True,)))
            d.tensor(shape, *IMAGES, "apart", "equal", "ties")
            return Node(layer, (kernel,), kwargs)

        link(layer, node, fits, some, IMAGES, modes=False, alone=alone)

        @subject(name)
        def functional(d: Drawer, name: str = name, arguments: Any = arguments) -> Node:
            shape = some(d)
            kernel, kwargs = arguments(d, shape, rank)
            if name.startswith("F.max"):
                kwargs.update(d.options(return_indices=(True,)))
            return Node(name, (d.tensor(shape, *IMAGES, "ties", "equal"), kernel), kwargs)

    def adaptive(d: Drawer, shape: Shape) -> Node:
        return Node(f"nn.AdaptiveAvgPool{rank}d", (adaptive_size(d, shape, rank),))

    link(f"nn.AdaptiveAvgPool{rank}d", adaptive, fits, some, IMAGES, modes=False)

    @subject(f"F.adaptive_avg_pool{rank}d")
    def adaptive_function(d: Drawer) -> Node:
        shape = some(d)
        return Node(f"F.adaptive_avg_pool{rank}d", (d.tensor(shape, *IMAGES), adaptive_size(d, shape, rank)))


def _ops_pool(name: str) -> None:
    @subject(name)
    def pool(d: Drawer) -> Node:
        rank = d.integer(1, 3)
        shape = (d.integer(1, 2), *some_image(rank)(d)[-rank - 1 :])
        x = d.tensor(shape, *IMAGES, "equal")
        if name == "ops.adaptive_avg_pool":
            return Node(name, (x, tuple(d.integer(1, 4) for _ in range(rank))))
        found = windows(d, shape[2:], pool=True)
        kernel, stride, padding, dilation = (tuple(v) for v in found.values())
        if name != "ops.avg_pool":
            return Node(name, (x, kernel, stride, padding, dilation, d.flag()))
        padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
        kernel = tuple(min(k, n + 2 * p) for k, n, p in zip(kernel, shape[2:], padding, strict=True))
        padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
        return Node(name, (x, kernel, stride, padding, d.flag(), d.flag(), d.choice(None, 3)))


for _name in ("ops.max_pool", "ops.max_pool_with_indices", "ops.avg_pool", "ops.adaptive_avg_pool"):
    _ops_pool(_name)
for _rank in (1, 2, 3):
    for _lazy in (False, True):
        _conv_layer(_rank, _lazy)
        _transpose_layer(_rank, _lazy)
    _conv_function(_rank)
    _pooling(_rank)
