"""Sixty specs, as different as they can be, that every backend must pass."""

from __future__ import annotations

from typing import Any

from unimodule_conformance.specs import Array, In, Node, Spec


def spec(root: Node, *inputs: Any, **options: Any) -> Spec:
    """A spec whose inputs are arrays, or shapes of ordinary ones."""
    drawn = (Array(given, seed=i) if isinstance(given, tuple) else given for i, given in enumerate(inputs))
    return Spec(root, tuple(drawn), **options)


def array(*shape: int, **options: Any) -> Array:
    return Array(shape, **options)


def places(*shape: int, below: int = 5) -> Array:
    """Integers, for indices and classes."""
    return Array(shape, "int64", f"below:{below}", 3)


def layer(name: str, *args: Any, **options: Any) -> Node:
    return Node(f"nn.{name}", args, options)


def function(name: str, *args: Any, **options: Any) -> Node:
    return Node(f"F.{name}", args, options)


def op(name: str, *args: Any, **options: Any) -> Node:
    return Node(f"ops.{name}", args, options)


def block(name: str, *children: Node, args: tuple[Any, ...] = (), **options: Any) -> Node:
    return Node(f"block.{name}", args, options, children)


def chain(*children: Node) -> Node:
    return Node("nn.Sequential", children=children)


VARIED = (
    spec(layer("Linear", 3, 4), (2, 3)),
    spec(
        chain(layer("Conv2d", 2, 3, 3, padding=1), layer("BatchNorm2d", 3), layer("ReLU")),
        (2, 2, 5, 4),
        training=True,
        seed=1,
    ),
    spec(
        layer("Conv2d", 2, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
        (2, 2, 7, 8),
        seed=2,
    ),
    spec(
        layer("ConvTranspose2d", 2, 3, (3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0)),
        (1, 2, 4, 5),
        seed=3,
    ),
    spec(layer("Conv1d", 2, 3, 3, dilation=2), (2, 2, 9), seed=4),
    spec(layer("LSTM", 3, 4, num_layers=2, bidirectional=True), (5, 2, 3), seed=5),
    spec(layer("GRU", 3, 4, batch_first=True), (2, 4, 3), seed=6),
    spec(layer("LayerNorm", (5,)), (4, 5), seed=7),
    spec(layer("GroupNorm", 2, 4), (2, 4, 3), seed=8),
    spec(layer("InstanceNorm2d", 3, affine=True), (2, 3, 4, 4), seed=9, training=True),
    spec(layer("BatchNorm1d", 4), (6, 4), seed=10, training=True),
    spec(layer("Embedding", 5, 3, padding_idx=1), places(2, 3), seed=11),
    spec(layer("Embedding", 5, 3), places(7), seed=12),
    spec(block("Residual", layer("Linear", 3, 3)), (2, 3), seed=13),
    spec(block("Shared", layer("Linear", 3, 3)), (2, 3), seed=14),
    spec(block("Tied", layer("Linear", 3, 3), layer("Linear", 3, 3)), (2, 3), seed=15),
    spec(block("WithConstant", args=(array(3, 3), "matmul")), (2, 3), seed=16),
    spec(block("WithConstant", args=(array(3),)), (2, 3), seed=17),
    spec(chain(block("WithConstant", args=(array(3), "multiply")), layer("Linear", 3, 2)), (2, 3), seed=18),
    spec(block("WithBuffer", args=(3,)), (4, 3), seed=19, training=True),
    spec(block("WhileNorm"), (2, 3), seed=20),
    spec(block("IfPositive", layer("Linear", 3, 3), layer("Tanh")), (2, 3), seed=21),
    spec(block("Cond", layer("Linear", 3, 3), layer("Tanh")), (2, 3), seed=22),
    spec(block("Scan", layer("Linear", 3, 3)), (4, 3), seed=23),
    spec(block("While", layer("Linear", 3, 3)), (2, 3), seed=24),
    spec(block("Map", layer("Linear", 3, 3)), (4, 3), seed=25),
    spec(block("Outputs", layer("Linear", 3, 3), layer("Sigmoid")), (4, 3), seed=26),
    spec(function("softmax", In(0), 1), (3, 4), seed=27),
    spec(function("log_softmax", In(0), -1), (3, 4), seed=28),
    spec(function("gelu", In(0)), (3, 4), seed=29),
    spec(function("cross_entropy", In(0), In(1)), (3, 5), places(3), seed=30),
    spec(function("mse_loss", In(0), In(1)), (3, 5), (3, 5), seed=31),
    spec(function("relu", In(0)), array(3, 4, fill="ties"), exact=True, seed=32),
    spec(layer("MaxPool2d", 2, ceil_mode=True), array(1, 2, 5, 5, fill="apart"), seed=33),
    spec(
        layer("AvgPool2d", 3, stride=2, padding=1, count_include_pad=False, ceil_mode=True),
        (1, 2, 6, 6),
        seed=34,
    ),
    spec(layer("AdaptiveAvgPool2d", (2, 3)), (1, 2, 5, 7), seed=35),
    spec(op("add", In(0), In(1)), (3, 2), (2,), seed=36),
    spec(op("argmax", In(0), axis=1), array(3, 4, fill="apart"), differentiable=False, seed=37),
    spec(op("max", In(0), axis=0), array(4, 3, fill="ties"), exact=True, seed=38),
    spec(op("cumulative_sum", In(0), axis=1), (3, 4), seed=39),
    spec(op("where", In(0), In(1), In(2)), Array((3, 4), "bool", "bools", 1), (3, 4), (3, 4), seed=40),
    spec(op("matmul", In(0), In(1)), (2, 3, 4), (4, 5), seed=41),
    spec(op("sort", In(0), axis=-1), array(3, 5, fill="apart"), seed=42),
    spec(op("std", In(0), axis=1), (3, 5), seed=43),
    spec(op("clip", In(0), -0.5, 0.5), (3, 5), seed=44),
    spec(op("take", In(0), In(1), axis=1), (3, 5), places(4), seed=45),
    spec(op("floor", In(0)), array(5, fill="apart"), seed=46, exact=True),
    spec(layer("MultiheadAttention", 8, 2), (3, 2, 8), (4, 2, 8), (4, 2, 8), seed=47),
    spec(layer("TransformerEncoderLayer", 8, 2, 16), (3, 2, 8), seed=48),
    spec(
        chain(layer("Linear", 4, 8), layer("Dropout", 0.5), layer("Linear", 8, 3)),
        (5, 4),
        seed=49,
        training=True,
    ),
    spec(layer("Dropout", 0.3), (6, 8), seed=50, training=True),
    spec(layer("Dropout", 0.3), (6, 8), seed=51),
    spec(chain(layer("LazyLinear", 4), layer("ReLU"), layer("LazyLinear", 2)), (3, 5), seed=52),
    spec(
        chain(layer("LazyConv2d", 3, 3), layer("LazyBatchNorm2d"), layer("Flatten"), layer("LazyLinear", 2)),
        (2, 2, 5, 5),
        seed=53,
        training=True,
    ),
    spec(layer("PReLU"), (3, 4), seed=54),
    spec(layer("Bilinear", 3, 4, 2), (5, 3), (5, 4), seed=55),
    spec(
        Node("nn.Parallel", (), {"axis": -1}, (layer("Linear", 3, 2), layer("Linear", 3, 4))), (2, 3), seed=56
    ),
    spec(op("logsumexp", In(0), axis=1), array(3, 4, fill="saturated"), seed=57),
    spec(function("layer_norm", In(0), (5,)), array(3, 5, fill="large"), seed=58),
    spec(function("embedding", In(0), In(1)), places(4), (5, 3), seed=59),
    spec(op("prod", In(0), axis=1), (3, 4), seed=60),
    spec(op("pow", In(0), In(1)), array(3, 4, fill="positive"), (3, 4), seed=61),
    spec(block("WithParameter", args=(array(3), array(3), True)), (2, 3), seed=62),
)
