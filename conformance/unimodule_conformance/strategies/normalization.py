"""Normalisations: by batch, instance, layer and group, and by a vector's norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..specs import Node
from .arrays import Shape
from .drawing import Drawer, link, subject
from .spatial import SIDES

POOL = ("normal", "large", "small", "equal", "ties", "positive")
EPS = (1e-3, 0.1)
MOMENTUM = (0.37, None, 1.0, 0.0)


# ---------------------------------------------------------------------- batch and instance norm
def _batch_arguments(d: Drawer, kind: str) -> dict[str, Any]:
    """Switches, each at its default or not; the defaults differ between batch and instance norm."""
    default = kind == "BatchNorm"
    kwargs = d.options(eps=EPS, momentum=MOMENTUM, affine=(not default,), track_running_stats=(not default,))
    if kwargs.get("affine", default):
        kwargs.update(d.options(bias=(False,)))
    return kwargs


def _several(rank: int, kind: str) -> Callable[[Shape], bool]:
    """More than one value for each variance that is taken."""

    def fits(shape: Shape) -> bool:
        allowed = (2, 3) if (rank, kind) == (1, "BatchNorm") else (rank + 2,)
        if len(shape) not in allowed or 0 in shape or math.prod(shape) > 600:
            return False
        values = math.prod(shape[2:]) * (shape[0] if kind == "BatchNorm" else 1)
        return values > 1

    return fits


def _some(rank: int, kind: str) -> Callable[[Drawer], Shape]:
    def draw(d: Drawer) -> Shape:
        batch, channels = d.integer(1, 4), d.integer(1, 3)
        if (rank, kind) == (1, "BatchNorm") and d.flag():
            return (max(batch, 2), channels)
        sizes = [d.integer(1, min(SIDES[rank], 4)) for _ in range(rank)]
        if math.prod(sizes) == 1:
            sizes[-1] = 2
        unbatched = kind == "InstanceNorm" and d.seldom()
        return (*((channels,) if unbatched else (batch, channels)), *sizes)

    return draw


def _batch_layer(kind: str, rank: int, lazy: bool) -> None:
    name = f"nn.{'Lazy' if lazy else ''}{kind}{rank}d"

    def node(d: Drawer, shape: Shape) -> Node:
        channels = () if lazy else (shape[-rank - 1] if len(shape) != 2 or rank != 1 else shape[1],)
        if not lazy and len(shape) == 2 and rank == 1:
            channels = (shape[0] if kind == "InstanceNorm" else shape[1],)
        return Node(name, channels, _batch_arguments(d, kind))

    link(name, node, _several(rank, kind), _some(rank, kind), POOL)


for _kind in ("BatchNorm", "InstanceNorm"):
    for _rank in (1, 2, 3):
        for _lazy in (False, True):
            _batch_layer(_kind, _rank, _lazy)


def _affine(d: Drawer, channels: int) -> tuple[Any, Any]:
    """Weight and bias, or None."""
    weight = d.tensor((channels,), "normal") if d.flag() else None
    return weight, d.tensor((channels,), "normal") if d.flag() else None


def _statistics(d: Drawer, channels: int) -> tuple[Any, Any]:
    return d.recipe((channels,), "normal"), d.recipe((channels,), "positive")


@subject("F.batch_norm")
def _batch_norm(d: Drawer) -> Node:
    shape = _some(d.integer(1, 2), "BatchNorm")(d)
    x, training = d.tensor(shape, *POOL), d.flag()
    stats = (None, None) if training and d.flag() else _statistics(d, shape[1])
    return Node("F.batch_norm", (x, *stats, *_affine(d, shape[1]), training, 0.1, d.choice(1e-5, *EPS)))


@subject("F.instance_norm")
def _instance_norm(d: Drawer) -> Node:
    rank = d.integer(1, 2)
    shape = (d.integer(1, 3), *_some(rank, "InstanceNorm")(d)[-rank - 1 :])
    x, own = d.tensor(shape, *POOL), not d.flag()
    stats = (None, None) if own else _statistics(d, shape[1])
    kwargs = {"use_input_stats": own, **d.options(eps=EPS)}
    return Node("F.instance_norm", (x, *stats, *_affine(d, shape[1])), kwargs)


@subject("ops.batch_norm")
def _ops_batch_norm(d: Drawer) -> Node:
    shape = _some(d.integer(1, 3), "BatchNorm")(d)
    mean, var = d.tensor((shape[1],), "normal"), d.tensor((shape[1],), "positive")
    return Node(
        "ops.batch_norm", (d.tensor(shape, *POOL), mean, var, *_affine(d, shape[1]), d.choice(1e-5, *EPS))
    )


@subject("ops.batch_norm_train")
def _ops_batch_norm_train(d: Drawer) -> Node:
    shape = _some(d.integer(1, 3), "BatchNorm")(d)
    call = Node("ops.batch_norm_train", (d.tensor(shape, *POOL), *_affine(d, shape[1]), d.choice(1e-5, *EPS)))
    # The statistics beside the result are not differentiable.
    return Node("block.Pick", (0,), {}, (call,))


# ---------------------------------------------------------------------- layer and group norm
def _trailing(d: Drawer, shape: Shape) -> Shape:
    return shape[-d.integer(1, len(shape)) :]


def _layer_norm(d: Drawer, shape: Shape) -> Node:
    sizes: Any = _trailing(d, shape)
    if len(sizes) == 1 and d.flag():
        sizes = sizes[0]
    return Node("nn.LayerNorm", (sizes,), d.options(eps=EPS, elementwise_affine=(False,), bias=(False,)))


def _wide(shape: Shape) -> bool:
    """More than one value along the last axis: of one alone nothing is left but rounding."""
    return len(shape) >= 1 and 0 not in shape and shape[-1] > 1


def _some_wide(d: Drawer) -> Shape:
    return (*d.shape(0, 3), d.integer(2, 4))


link("nn.LayerNorm", _layer_norm, _wide, _some_wide, POOL, modes=False)


@subject("F.layer_norm")
def _layer_norm_function(d: Drawer) -> Node:
    shape = _some_wide(d)
    sizes = _trailing(d, shape)
    x = d.tensor(shape, *POOL)
    weight = d.tensor(sizes, "normal") if d.flag() else None
    bias = d.tensor(sizes, "normal") if d.flag() else None
    return Node("F.layer_norm", (x, sizes, weight, bias), d.options(eps=EPS))


@subject("ops.layer_norm")
def _ops_layer_norm(d: Drawer) -> Node:
    shape = _some_wide(d)
    sizes = _trailing(d, shape)
    x = d.tensor(shape, *POOL)
    weight = d.tensor(sizes, "normal") if d.flag() else None
    bias = d.tensor(sizes, "normal") if d.flag() else None
    return Node("ops.layer_norm", (x, sizes, weight, bias, d.choice(1e-5, *EPS)))


def _groups(d: Drawer, shape: Shape) -> int:
    """A number of groups with more than one value in each."""
    channels, rest = shape[1], math.prod(shape[2:])
    return d.choice(*(k for k in range(1, channels + 1) if channels % k == 0 and channels // k * rest > 1))


def _grouped(shape: Shape) -> bool:
    return len(shape) >= 2 and 0 not in shape and math.prod(shape[1:]) > 1


def _some_grouped(d: Drawer) -> Shape:
    shape = d.shape(2, 4)
    return shape if math.prod(shape[1:]) > 1 else (shape[0], 2, *shape[2:])


def _group_norm(d: Drawer, shape: Shape) -> Node:
    return Node(
        "nn.GroupNorm", (_groups(d, shape), shape[1]), d.options(eps=EPS, affine=(False,), bias=(False,))
    )


link("nn.GroupNorm", _group_norm, _grouped, _some_grouped, POOL, modes=False)


@subject("F.group_norm")
def _group_norm_function(d: Drawer) -> Node:
    shape = _some_grouped(d)
    args = (d.tensor(shape, *POOL), _groups(d, shape), *_affine(d, shape[1]))
    return Node("F.group_norm", args, d.options(eps=EPS))


@subject("ops.group_norm")
def _ops_group_norm(d: Drawer) -> Node:
    shape = _some_grouped(d)
    args = (d.tensor(shape, *POOL), _groups(d, shape), *_affine(d, shape[1]), d.choice(1e-5, *EPS))
    return Node("ops.group_norm", args)


@subject("F.normalize")
def _normalize(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    axes = d.axes(len(shape))
    kwargs = d.options(p=(1.0, 3.0, float("inf"), 2), eps=(0.5,))
    return Node(
        "F.normalize",
        (d.tensor(shape, "normal", "positive", "small"),),
        {**kwargs, "dim": 0 if axes is None else axes},
    )
