"""Activations and softmaxes: the layer, the function of ``nn.functional`` and that of ``ops`` at once."""

from __future__ import annotations

from typing import Any

from ..specs import Node
from .arrays import BREAKS, EDGES, SMOOTH, SPECIAL, Shape
from .drawing import (
    KINKED,
    Drawer,
    any_shape,
    function,
    link,
    ranks,
    some_features,
    some_shape,
    subject,
    with_features,
)

POOL: tuple[str, ...] = (*EDGES, *SPECIAL)

OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "CELU": {"alpha": (0.5, 1.7)},
    "ELU": {"alpha": (0.5, 1.7)},
    "GELU": {"approximate": ("tanh", "none")},
    "Hardshrink": {"lambd": (1.5, 0.3)},
    "Hardsigmoid": {},
    "Hardswish": {},
    "LeakyReLU": {"negative_slope": (0.3, -0.5)},
    "LogSigmoid": {},
    "Mish": {},
    "ReLU": {},
    "ReLU6": {},
    "SELU": {},
    "SiLU": {},
    "Sigmoid": {},
    "Softplus": {"beta": (0.5, 2.0), "threshold": (1.5, 5.0)},
    "Softshrink": {"lambd": (1.5, 0.3)},
    "Softsign": {},
    "Tanh": {},
    "Tanhshrink": {},
}
"""Activations without required arguments, and values of their options other than the default."""

FUNCTIONS = {"LeakyReLU": "leaky_relu"}
INPLACE = frozenset("CELU ELU Hardsigmoid Hardswish LeakyReLU Mish ReLU ReLU6 SELU SiLU".split())


def _activation(layer: str, options: dict[str, tuple[Any, ...]]) -> None:
    name = FUNCTIONS.get(layer, layer.lower())
    flags = {"inplace": (True,)} if layer in INPLACE else {}

    def module(d: Drawer, shape: Shape) -> Node:
        return Node(f"nn.{layer}", (), d.options(**options, **flags))

    def functional(d: Drawer, shape: Shape) -> Node:
        return function(f"F.{name}", **d.options(**options, **flags))

    def op(d: Drawer, shape: Shape) -> Node:
        return function(f"ops.{name}", **d.options(**options))

    # Of infinity PyTorch's gelu makes NaN in float32 and infinity in float64.
    fills = POOL if layer != "GELU" else (*EDGES, "some_nan")
    fills += (*BREAKS, *SPECIAL, *SPECIAL) if name in KINKED else ()  # NaN is easily lost where they choose
    link(f"nn.{layer}", module, any_shape, some_shape, fills, modes=False)
    link(f"F.{name}", functional, any_shape, some_shape, fills)
    if name != "tanh":
        link(f"ops.{name}", op, any_shape, some_shape, fills)


for _layer, _options in OPTIONS.items():
    _activation(_layer, _options)


# ---------------------------------------------------------------------- with arguments that are required
def _bounds(d: Drawer) -> tuple[float, float]:
    return d.choice((-1.0, 1.0), (0.0, 6.0), (-0.5, 3.0), (-1.3, 0.7))


def _hardtanh(d: Drawer, shape: Shape) -> Node:
    low, high = _bounds(d)
    return Node("nn.Hardtanh", (), {"min_val": low, "max_val": high, **d.options(inplace=(True,))})


link("nn.Hardtanh", _hardtanh, any_shape, some_shape, POOL, modes=False)
link("F.hardtanh", lambda d, shape: function("F.hardtanh", *_bounds(d)), any_shape, some_shape, POOL)
link("ops.hardtanh", lambda d, shape: function("ops.hardtanh", *_bounds(d)), any_shape, some_shape, POOL)


def _threshold(d: Drawer) -> tuple[float, float]:
    return d.choice(0.0, 0.5, -1.0), d.choice(0.0, 20.0, -1.5)


link(
    "nn.Threshold",
    lambda d, shape: Node("nn.Threshold", _threshold(d)),
    any_shape,
    some_shape,
    POOL,
    modes=False,
)
link("F.threshold", lambda d, shape: function("F.threshold", *_threshold(d)), any_shape, some_shape, POOL)
link("ops.threshold", lambda d, shape: function("ops.threshold", *_threshold(d)), any_shape, some_shape, POOL)


def _halves(d: Drawer) -> Shape:
    return (*d.shape(0, 2), 2 * d.integer(1, 3), *d.shape(0, 1))


def _even_axis(d: Drawer, shape: Shape) -> int:
    even = [a for a, n in enumerate(shape) if n % 2 == 0 and n]
    axis = d.choice(*even)
    return axis - len(shape) if d.flag() else axis


def _has_even(shape: Shape) -> bool:
    return any(n % 2 == 0 and n for n in shape)


link("nn.GLU", lambda d, s: Node("nn.GLU", (), {"dim": _even_axis(d, s)}), _has_even, _halves, modes=False)
link("F.glu", lambda d, s: function("F.glu", dim=_even_axis(d, s)), _has_even, _halves)
link("ops.glu", lambda d, s: function("ops.glu", axis=_even_axis(d, s)), _has_even, _halves)


# ---------------------------------------------------------------------- softmaxes
def _softmax(name: str, keyword: str) -> None:
    def node(d: Drawer, shape: Shape) -> Node:
        wide = [a for a, n in enumerate(shape) if n > 1]  # along others all is 1, whatever comes in
        axis = d.choice(*wide) if wide and not d.seldom(6) else d.axis(len(shape))
        kwargs = {keyword: axis - len(shape) if axis >= 0 and d.flag() else axis}
        return Node(name, (), kwargs) if name.startswith("nn.") else function(name, **kwargs)

    link(name, node, with_features, some_features, (*EDGES, "mask"), modes=False)


for _name in ("nn.Softmax", "nn.LogSoftmax", "nn.Softmin", "F.softmax", "F.log_softmax", "F.softmin"):
    _softmax(_name, "dim")
for _name in ("ops.softmax", "ops.log_softmax"):
    _softmax(_name, "axis")


def _image(d: Drawer) -> Shape:
    return d.shape(3, 4)


link("nn.Softmax2d", lambda d, shape: Node("nn.Softmax2d"), ranks(3, 4), _image, modes=False)


@subject("F.gumbel_softmax")
def _gumbel(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    logits = d.tensor(shape, "normal", "saturated")
    return Node(
        "F.gumbel_softmax", (logits,), {**d.options(tau=(0.5, 2.0), hard=(True,)), "dim": d.axis(len(shape))}
    )


# ---------------------------------------------------------------------- with weights, or at random
def _channels(shape: Shape) -> int:
    return shape[1] if len(shape) > 1 else 1


def _nonempty(shape: Shape) -> bool:
    return 0 not in shape


def _prelu(d: Drawer, shape: Shape) -> Node:
    many = d.choice(1, _channels(shape))
    return Node("nn.PReLU", (), {"num_parameters": many, **d.options(init=(0.1, -0.5))})


link("nn.PReLU", _prelu, _nonempty, lambda d: d.shape(0, 4), modes=False)


def _prelu_of(name: str) -> None:
    @subject(name)
    def alone(d: Drawer) -> Node:
        shape = d.shape(1, 4)
        return Node(name, (d.tensor(shape), d.tensor((d.choice(1, _channels(shape)),), "unit")))


_prelu_of("F.prelu")
_prelu_of("ops.prelu")


def _slopes(d: Drawer) -> dict[str, float]:
    low, high = d.choice((0.25, 0.25), (0.125, 0.375))
    return {"lower": low, "upper": high}


def _quiet_slopes(d: Drawer) -> dict[str, float]:
    """Slopes that are not random in the mode drawn."""
    return {"lower": 0.25, "upper": 0.25} if d.training else _slopes(d)


link("nn.RReLU", lambda d, shape: Node("nn.RReLU", (), _quiet_slopes(d)), any_shape, some_shape)


@subject("F.rrelu")
def _rrelu(d: Drawer) -> Node:
    return Node("F.rrelu", (d.tensor(some_shape(d)),), {**_slopes(d), **d.options(training=(True, False))})


# ---------------------------------------------------------------------- dropout
def _probability(d: Drawer) -> float:
    return d.choice(0.0, 1.0, 0.5, 0.3)


def _quiet_probability(d: Drawer) -> float:
    """One with which nothing is random in the mode drawn, so that values can be compared."""
    return (1.0 if d.seldom(6) else 0.0) if d.training else _probability(d)


def _dropout(rank: str, shapes: Any) -> None:
    name = f"nn.Dropout{rank}"
    fits = any_shape if not rank else ranks(*shapes)

    def some(d: Drawer) -> Shape:
        return some_shape(d) if not rank else d.shape(min(shapes), max(shapes), side=3)

    link(name, lambda d, shape: Node(name, (), {"p": _quiet_probability(d)}), fits, some, SMOOTH)

    @subject(f"F.dropout{rank}")
    def functional(d: Drawer) -> Node:
        kwargs = {"p": _probability(d), "training": d.flag()}
        return Node(f"F.dropout{rank}", (d.tensor(some(d), *SMOOTH),), kwargs)


for _rank, _shapes in {"": None, "1d": (2, 3), "2d": (3, 4), "3d": (4, 5)}.items():
    _dropout(_rank, _shapes)


@subject("ops.dropout")
def _ops_dropout(d: Drawer) -> Node:
    return Node("ops.dropout", (d.tensor(d.shape(0, 3), *SMOOTH),), {"p": d.choice(0.5, 0.25)})


@subject("ops.logsumexp")
def _logsumexp(d: Drawer) -> Node:
    shape = d.shape(0, 3)
    x = d.tensor(shape, *EDGES, "mask")
    return Node("ops.logsumexp", (x,), {"axis": d.axes(len(shape)), "keepdims": d.flag()})
