"""Cases that the declared semantics refuse, each with the error that they ask for: the same class on every backend.

A rule draws a node, its inputs, and something about them that does not fit. Rules are grouped by what is wrong: a shape, an
axis, a dtype, an index, an argument. Some stand behind other layers, so that the error has a path to name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from ..specs import In, Node, Spec
from .arrays import Shape
from .drawing import Drawer, function

Rule = Callable[[Drawer], Node]

SHAPE, DTYPE, ARGUMENT, RANGE = "ShapeError", "DtypeError", "ArgumentError", "OutOfRangeError"

RULES: list[tuple[str, str, Rule]] = []
"""What each is called, the error it asks for, and how it is drawn."""


def rule(name: str, error: str) -> Callable[[Rule], Rule]:
    """Register a rule."""

    def register(draw: Rule) -> Rule:
        RULES.append((name, error, draw))
        return draw

    return register


# ---------------------------------------------------------------------- axes
ALONG = "sum prod max min mean all any count_nonzero argmax argmin logsumexp flip".split()
IN_ORDER = "cumulative_sum cumulative_prod sort argsort softmax log_softmax diff unstack".split()
DIMS = "softmax log_softmax softmin".split()


def _beyond(d: Drawer, rank: int) -> int:
    """An axis that a tensor of ``rank`` has not."""
    return d.choice(rank, -rank - 1, rank + 2)


@rule("an axis that is not there", SHAPE)
def _axis(d: Drawer) -> Node:
    name = d.choice(*ALONG, *IN_ORDER)
    shape = d.shape(1, 3)
    fills = ("bools",) if name in ("all", "any") else ("normal",)
    x = d.tensor(shape, *fills, dtype="bool" if name in ("all", "any") else "float32")
    return Node(f"ops.{name}", (x,), {"axis": _beyond(d, len(shape))})


@rule("an axis twice", SHAPE)
def _axis_twice(d: Drawer) -> Node:
    shape = d.shape(2, 3)
    x = d.tensor(shape, "normal")
    return Node(
        f"ops.{d.choice('sum', 'mean', 'max', 'var')}", (x,), {"axis": d.choice((0, 0), (0, -len(shape)))}
    )


@rule("a dim that is not there", SHAPE)
def _dim(d: Drawer) -> Node:
    shape = d.shape(1, 3)
    x = d.tensor(shape, "normal")
    name, dim = d.choice(*DIMS), _beyond(d, len(shape))
    layer = {"softmax": "Softmax", "log_softmax": "LogSoftmax", "softmin": "Softmin"}[name]
    return Node(f"nn.{layer}", (), {"dim": dim}) if d.flag() else Node(f"F.{name}", (x,), {"dim": dim})


@rule("axes that are no permutation", SHAPE)
def _permutation(d: Drawer) -> Node:
    x = d.tensor(d.shape(2, 2), "normal")
    return Node("ops.permute_dims", (x, d.choice((0,), (0, 0), (0, 2), (0, 1, 2))))


@rule("an odd axis in two halves", SHAPE)
def _odd(d: Drawer) -> Node:
    shape = (*d.shape(0, 2), d.choice(1, 3, 5))
    x = d.tensor(shape, "normal")
    return Node("nn.GLU", (), {"dim": -1}) if d.flag() else Node("ops.glu", (x,))


# ---------------------------------------------------------------------- shapes
BROADCASTING = "add subtract multiply divide maximum minimum pow atan2 equal less greater_equal hypot".split()


@rule("shapes that do not broadcast", SHAPE)
def _broadcast(d: Drawer) -> Node:
    n = d.integer(2, 4)
    x, y = d.tensor((d.integer(1, 3), n), "positive"), d.tensor((n + 1,), "positive")
    return Node(f"ops.{d.choice(*BROADCASTING)}", (x, y) if d.flag() else (y, x))


@rule("matrices that do not fit together", SHAPE)
def _matmul(d: Drawer) -> Node:
    n, k = d.integer(1, 3), d.integer(1, 3)
    return Node("ops.matmul", (d.tensor((n, k), "normal"), d.tensor((k + 1, n), "normal")))


@rule("another number of elements", SHAPE)
def _reshape(d: Drawer) -> Node:
    x = d.tensor((2, d.integer(1, 3)), "normal")
    return Node("ops.reshape", (x, d.choice((7,), (-1, 7), (-1, -1), (5, 2))))


@rule("parts that differ in another axis", SHAPE)
def _concat(d: Drawer) -> Node:
    n = d.integer(1, 3)
    x, y = d.tensor((2, n), "normal"), d.tensor((2, n + 1), "normal")
    return Node(f"ops.{d.choice('concat', 'stack')}", ((x, y),))


@rule("sections that do not add up", SHAPE)
def _split(d: Drawer) -> Node:
    return Node("ops.split", (d.tensor((5,), "normal"), d.choice(2, (1, 1), (3, 3))))


@rule("a shape that it does not stretch to", SHAPE)
def _stretch(d: Drawer) -> Node:
    n = d.integer(2, 4)
    return Node("ops.broadcast_to", (d.tensor((n,), "normal"), d.choice((n + 1,), (n, n + 1), ())))


@rule("more than there are", SHAPE)
def _topk(d: Drawer) -> Node:
    n = d.integer(1, 4)
    return Node("ops.topk", (d.tensor((n,), "normal"), n + d.integer(1, 2)))


@rule("another number of features", SHAPE)
def _features(d: Drawer) -> Node:
    few, m = d.integer(1, 4), d.integer(1, 3)
    given, wanted = (few, few + 1) if d.flag() else (few + 1, few)
    kind = d.choice(
        "nn.Linear", "F.linear", "nn.LSTM", "nn.GRU", "nn.RNN", "nn.LayerNorm", "nn.GRUCell", "nn.Bilinear"
    )
    if kind == "nn.Bilinear":
        d.tensor((2, m), "normal")
        d.tensor((2, given), "normal")
        return Node(kind, (m, wanted, 2))
    if kind == "nn.GRUCell":
        d.tensor((2, given), "normal")
        return Node(kind, (wanted, m))
    d.tensor((2, 3, given), "normal")
    if kind == "F.linear":
        return function(kind, d.recipe((m, wanted), "normal"))
    return Node(kind, (wanted,) if kind == "nn.LayerNorm" else (wanted, m))


@rule("another state", SHAPE)
def _state(d: Drawer) -> Node:
    x, h = d.tensor((3, 2, 4), "normal"), d.tensor((1, 2, d.choice(1, 2)), "normal")
    kind = d.choice("nn.GRU", "nn.RNN", "nn.LSTM")
    return Node("block.Apply", (x, (h, h) if kind == "nn.LSTM" else h), {}, (Node(kind, (4, 3)),))


def _image(d: Drawer, rank: int, channels: int) -> Shape:
    return (2, channels, *(d.integer(4, 5) for _ in range(rank)))


@rule("another number of channels", SHAPE)
def _channels(d: Drawer) -> Node:
    rank, few = d.integer(1, 3), d.integer(1, 3)
    given, wanted = (few, few + 1) if d.flag() else (few + 1, few)
    d.tensor(_image(d, rank, given), "normal")
    kind = d.choice("Conv", "ConvTranspose", "BatchNorm")
    if kind == "BatchNorm":
        return Node(f"nn.BatchNorm{rank}d", (wanted,))
    return Node(f"nn.{kind}{rank}d", (wanted, 2, 2))


@rule("another number of axes", SHAPE)
def _rank(d: Drawer) -> Node:
    rank = d.integer(1, 3)
    kind = d.choice("Conv", "MaxPool", "AvgPool", "BatchNorm", "AdaptiveAvgPool", "InstanceNorm")
    d.tensor(
        _image(d, rank + 1, 2) if d.flag() or kind not in ("Conv",) else (3,) * max(rank - 1, 0), "normal"
    )
    args: dict[str, tuple[int, ...]] = {"Conv": (2, 2, 2), "BatchNorm": (2,), "InstanceNorm": (2,)}
    return Node(f"nn.{kind}{rank}d", args.get(kind, (2,)))


@rule("a window larger than the input", SHAPE)
def _window(d: Drawer) -> Node:
    rank = d.integer(1, 3)
    shape = (2, 2, *(d.integer(1, 3) for _ in range(rank)))
    d.tensor(shape, "normal")
    kernel = max(shape[2:]) + 1
    kind = d.choice("Conv", "MaxPool", "AvgPool")
    return Node(f"nn.{kind}{rank}d", (2, 1, kernel) if kind == "Conv" else (kernel,))


@rule("groups that do not divide the channels", SHAPE)
def _group_norm(d: Drawer) -> Node:
    x = d.tensor((2, 3, 4), "normal")
    return Node("F.group_norm", (x, 2))


@rule("a mask of another shape", SHAPE)
def _mask(d: Drawer) -> Node:
    x = d.tensor((3, 2, 4), "normal")
    wrong = d.recipe((3, 4), "hidden", dtype="bool")
    kwargs = {d.choice("attn_mask", "key_padding_mask"): wrong}
    return Node("block.Apply", (x, x, x), kwargs, (Node("nn.MultiheadAttention", (4, 2)),))


@rule("targets of another shape", SHAPE)
def _targets(d: Drawer) -> Node:
    x = d.tensor((3, 2), "normal")
    if d.flag():
        labels = d.tensor((d.choice(2, 4),), "below:2", dtype="int64")
        return Node(d.choice("F.cross_entropy", "F.nll_loss"), (x, labels))
    return Node(d.choice("F.binary_cross_entropy_with_logits", "ops.mse_loss"), (x, d.tensor((2, 3), "unit")))


@rule("padding that cannot be mirrored", SHAPE)
def _mirror(d: Drawer) -> Node:
    n = d.integer(1, 3)
    x = d.tensor((1, 2, n), "normal")
    mode, most = d.choice(("reflect", n), ("circular", n + 1))
    return Node("F.pad", (x, (most, 0)), {"mode": mode})


@rule("one value for a variance", SHAPE)
def _one_value(d: Drawer) -> Node:
    d.training = True
    d.tensor((1, 3), "normal")
    return Node("nn.BatchNorm1d", (3,))


# ---------------------------------------------------------------------- dtypes
@rule("truth values in arithmetic", DTYPE)
def _bools(d: Drawer) -> Node:
    x = d.tensor(d.shape(1, 2), "bools", dtype="bool")
    name = d.choice("add", "abs", "max", "sort")
    return Node(f"ops.{name}", (x, x) if name == "add" else (x,))


@rule("numbers in logic", DTYPE)
def _logic(d: Drawer) -> Node:
    x = d.tensor(d.shape(1, 2), "normal")
    name = d.choice("logical_and", "logical_not", "bitwise_and", "bitwise_invert", "where")
    return Node(f"ops.{name}", (x,) * {"logical_not": 1, "bitwise_invert": 1, "where": 3}.get(name, 2))


@rule("indices that are no integers", DTYPE)
def _indices(d: Drawer) -> Node:
    x = d.tensor((2, 3), "positive")
    kind = d.choice("nn.Embedding", "ops.take", "ops.one_hot", "F.embedding")
    if kind == "nn.Embedding":
        return Node(kind, (5, 2))
    if kind == "ops.one_hot":
        return Node(kind, (x, 9))
    if kind == "ops.take":
        return Node(kind, (x, d.tensor((2,), "zeros")), {"axis": 0})
    return Node(kind, (x, d.tensor((5, 2), "normal")))


@rule("an unknown dtype", DTYPE)
def _unknown_dtype(d: Drawer) -> Node:
    return Node("ops.astype", (d.tensor((2,), "normal"), d.choice("float128x", "number", "int31")))


# ---------------------------------------------------------------------- indices
@rule("an index out of range", RANGE)
def _range(d: Drawer) -> Node:
    rows = d.integer(1, 4)
    kind = d.choice("nn.Embedding", "F.embedding", "ops.take", "ops.getitem", "ops.one_hot")
    bad = d.choice(rows, rows + 7, -1)
    if kind == "ops.getitem":
        return Node(kind, (d.tensor((rows,), "normal"), d.choice(rows, -rows - 1)))
    indices = _literal(d, (0, bad))
    if kind == "nn.Embedding":
        return Node(kind, (rows, 2))
    if kind == "ops.one_hot":
        return Node(kind, (indices, rows))
    table = d.tensor((rows, 2), "normal")
    return Node(kind, (table, indices), {"axis": 0}) if kind == "ops.take" else Node(kind, (indices, table))


@rule("a label that is no class", RANGE)
def _label(d: Drawer) -> Node:
    classes = d.integer(1, 4)
    x = d.tensor((2, classes), "normal")
    labels = _literal(d, (0, d.choice(classes, classes + 3)))
    kind = d.choice("F.cross_entropy", "F.nll_loss", "nn.CrossEntropyLoss")
    return Node(kind) if kind.startswith("nn.") else Node(kind, (x, labels))


def _literal(d: Drawer, values: tuple[int, ...]) -> In:
    given = d.tensor((len(values),), "below:1", dtype="int64")
    d.inputs[-1] = type(d.inputs[-1])((len(values),), "int64", values=values)
    return given


# ---------------------------------------------------------------------- arguments
MADE_WRONG: tuple[tuple[str, tuple[Any, ...], dict[str, Any], Shape], ...] = (
    ("nn.Conv2d", (2, 2, 0), {}, (1, 2, 4, 4)),
    ("nn.Conv2d", (2, 2, 3), {"stride": 0}, (1, 2, 4, 4)),
    ("nn.Conv2d", (2, 2, 3), {"padding": -1}, (1, 2, 4, 4)),
    ("nn.Conv2d", (2, 2, 3), {"groups": 3}, (1, 2, 4, 4)),
    ("nn.Conv2d", (2, 3, 3), {"groups": 2}, (1, 2, 4, 4)),
    ("nn.Conv2d", (2, 2, 3), {"padding": "same", "stride": 2}, (1, 2, 4, 4)),
    ("nn.Conv2d", (2, 2, 3), {"padding_mode": "mirror"}, (1, 2, 4, 4)),
    ("nn.Conv2d", (2, 2, (3, 3, 3)), {}, (1, 2, 4, 4)),
    ("nn.ConvTranspose2d", (2, 2, 3), {"output_padding": 1}, (1, 2, 4, 4)),
    ("nn.ConvTranspose1d", (2, 2, 3), {"padding_mode": "reflect"}, (1, 2, 4)),
    ("nn.MaxPool2d", (3,), {"padding": 2}, (1, 2, 4, 4)),
    ("nn.AvgPool1d", (2,), {"padding": 2}, (1, 2, 4)),
    ("nn.AvgPool2d", (2,), {"divisor_override": 0}, (1, 2, 4, 4)),
    ("nn.Linear", (-1, 2), {}, (2, 2)),
    ("nn.Bilinear", (0, 2, 2), {}, (2, 2)),
    ("nn.Dropout", (), {"p": 1.5}, (2, 2)),
    ("nn.Dropout", (), {"p": -0.1}, (2, 2)),
    ("nn.Embedding", (3, 2), {"padding_idx": 3}, (2, 2)),
    ("nn.GroupNorm", (2, 3), {}, (2, 3)),
    ("nn.GELU", (), {"approximate": "sigmoid"}, (2, 2)),
    ("nn.Hardtanh", (), {"min_val": 1.0, "max_val": -1.0}, (2, 2)),
    ("nn.Softshrink", (), {"lambd": -1.0}, (2, 2)),
    ("nn.CELU", (), {"alpha": 0.0}, (2, 2)),
    ("nn.RReLU", (), {"lower": 0.5, "upper": 0.25}, (2, 2)),
    ("nn.MultiheadAttention", (4, 3), {}, (2, 2, 4)),
    ("nn.LSTM", (2, 2), {"proj_size": 2}, (2, 2, 2)),
    ("nn.LSTM", (2, 0), {}, (2, 2, 2)),
    ("nn.RNN", (2, 2), {"nonlinearity": "sine"}, (2, 2, 2)),
    ("nn.GRU", (2, 2), {"dropout": 1.5}, (2, 2, 2)),
    ("nn.TransformerEncoderLayer", (4, 2), {"activation": "sine"}, (2, 2, 4)),
    ("nn.LayerNorm", ((),), {}, (2, 2)),
    ("nn.MSELoss", (), {"reduction": "median"}, (2, 2)),
    ("nn.Unflatten", (0, ("two",)), {}, (2, 2)),
    ("nn.AdaptiveAvgPool2d", ((1, 2, 3),), {}, (1, 2, 4, 4)),
)
"""Layers that cannot be made, and an input that they would get."""


@rule("an argument that makes no sense", ARGUMENT)
def _made_wrong(d: Drawer) -> Node:
    name, args, kwargs, shape = d.choice(*MADE_WRONG)
    d.tensor(shape, "normal")
    if name in ("nn.Bilinear", "nn.MSELoss"):
        d.tensor(shape, "normal")
    return Node(name, args, kwargs)


CALLED_WRONG: tuple[tuple[str, tuple[Any, ...], dict[str, Any], Shape], ...] = (
    ("F.pad", ((1,),), {}, (2, 3)),
    ("F.pad", ((1, 1),), {"mode": "mirror"}, (2, 3)),
    ("F.dropout", (), {"p": 1.5}, (2, 3)),
    ("F.gelu", ("sigmoid",), {}, (2, 3)),
    ("F.max_pool1d", (3,), {"padding": 2}, (1, 2, 4)),
    ("F.adaptive_avg_pool2d", ((1, 2, 3),), {}, (1, 2, 4, 4)),
    ("F.layer_norm", ((),), {}, (2, 3)),
    ("F.mse_loss", (In(0),), {"reduction": "median"}, (2, 3)),
    ("F.batch_norm", (None, None), {}, (2, 3)),
    ("ops.repeat", (-1,), {}, (2, 3)),
    ("ops.meshgrid", (), {"indexing": "zw"}, (3,)),
    ("ops.searchsorted", (In(0),), {"side": "up"}, (3,)),
)


@rule("an argument that makes no sense, of a function", ARGUMENT)
def _called_wrong(d: Drawer) -> Node:
    name, args, kwargs, shape = d.choice(*CALLED_WRONG)
    return Node(name, (d.tensor(shape, "normal"), *args), kwargs)


MANY: dict[Rule, int] = {_made_wrong: 10, _called_wrong: 4}
"""How much oftener rules are drawn that hold many cases."""


# ---------------------------------------------------------------------- the strategy
@st.composite
def refusals(draw: st.DrawFn) -> Spec:
    """Specs of what the declared semantics refuse; ``error`` names the class of the error.

    Example:
        >>> import pytest, unimodule as um
        >>> from hypothesis import given, settings
        >>> from unimodule_conformance import building, strategies
        >>> @settings(max_examples=5, deadline=None)
        ... @given(strategies.refusals())
        ... def test_of_yours(spec):
        ...     with pytest.raises(getattr(um, spec.error)):
        ...         building.build(spec).to("numpy")(*building.arrays(spec))
        >>> test_of_yours()
    """
    _, error, body = draw(st.sampled_from([r for r in RULES for _ in range(MANY.get(r[2], 1))]))
    d = Drawer(draw)
    root = body(d)
    if len(d.inputs) == 1 and root.kind == "nn" and d.inputs[0].dtype == "float32" and d.seldom(3):
        root = Node("nn.Sequential", (), {}, (Node("nn.Identity"), root))
    seed = d.integer(0, 999)
    return Spec(root, tuple(d.inputs), d.training, "float32", seed, differentiable=False, error=error)


__all__ = ["RULES", "refusals", "rule"]
