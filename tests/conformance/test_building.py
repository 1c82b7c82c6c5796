"""From specs to nets: parameters, inputs, and what the modules of ``blocks`` compute."""

from __future__ import annotations

import numpy as np
import pytest

from unimodule import nn
from unimodule_conformance import building
from unimodule_conformance.specs import Array, Fn, In, Node, Spec

X = Array((4, 3), seed=1)
TANH, SQUARE = Node("nn.Tanh"), Node("ops.square", (In(0),))
LINEAR = Node("nn.Linear", (3, 3))
x = building.array(X, "float64")


def run(root: Node, *inputs: Array, training: bool = False):
    spec = Spec(root, inputs or (X,), training, "float64")
    return building.build(spec).to("numpy")(*building.arrays(spec))


# ---------------------------------------------------------------------- parameters
def test_every_parameter_is_drawn_anew_and_none_is_small():
    net = building.build(Spec(Node("nn.Sequential", (), {}, (LINEAR, Node("nn.BatchNorm1d", (3,)))), seed=2))
    assert net.backend is None
    for name, variable in [*net.named_parameters(), ("1.running_mean", net[1].parameter("weight"))]:
        assert (np.abs(variable.data) > 0.1).all(), name
        assert len(np.unique(variable.data)) == variable.data.size > 1
    assert (net[1].running_var.data != 1).all() and (net[1].running_mean.data != 0).all()


def test_a_seed_decides_the_parameters(backend):
    spec = Spec(Node("nn.LazyLinear", (2,)), (X,), seed=4)

    def values(net):
        net.eval()(*building.arrays(spec))
        return [p.numpy() for p in net.parameters()]

    first = values(building.build(spec).to("numpy"))
    again = values(building.build(spec).to(backend))
    assert len(first) == 2
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_mode_and_dtype():
    net = building.build(Spec(LINEAR, (X,), training=True, dtype="float64"))
    assert net.training and net.dtype == "float64"
    assert not building.build(Spec(LINEAR, (X,))).training


# ---------------------------------------------------------------------- functions and their arguments
@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Node("ops.square", (In(0),)), x**2),
        (Node("F.softmax", (In(0),), {"dim": 0}), np.exp(x) / np.exp(x).sum(0)),
        (Node("ops.concat", ((In(0), In(0)),), {"axis": 1}), np.concatenate([x, x], 1)),
        (Node("ops.getitem", (In(0), (..., slice(1, None)))), x[..., 1:]),
        (Node("ops.take", (In(0), Array((2,), "int64", values=(2, 0))), {"axis": 1}), x[:, [2, 0]]),
        (Node("nn.Function", (Fn("ops.tanh"),)), np.tanh(x)),
    ],
)
def test_nodes_compute_what_they_say(node, expected):
    np.testing.assert_allclose(run(node), expected, rtol=1e-12)


def test_arrays_among_the_arguments_are_constants():
    net = building.build(Spec(Node("F.linear", (In(0), Array((2, 3))))))
    [(name, constant)] = net.named_constants()
    assert constant.shape == (2, 3) and not list(net.parameters()) and name == "constant_0"


def test_a_module_among_the_named_arguments():
    layer = Node("nn.TransformerEncoderLayer", (4, 2), {"dim_feedforward": 3})
    node = Node("nn.TransformerEncoder", (1,), {"norm": Node("nn.LayerNorm", (4,))}, (layer,))
    assert isinstance(building.module(node).norm, nn.LayerNorm)
    assert "nn.LayerNorm" in Spec(node).names


# ---------------------------------------------------------------------- blocks
def block(name: str, *children: Node, args: tuple = (), **kwargs) -> Node:
    return Node(f"block.{name}", args, kwargs, children)


def scanned(value):
    h = value[0] * 0.25
    rows = []
    for row in value:
        h = np.tanh(h * 0.5 + row**2)
        rows.append(h)
    return np.stack(rows)


def gram(value):
    rows = value[..., None] @ (value[..., None, :] / (1 + np.abs(value).max()))
    return rows[..., 0] + value


def halving(value):
    while np.abs(value).sum() > 1.2345:
        value = value / 2
    return value


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (block("Residual", SQUARE), x + x**2),
        (block("Branch", SQUARE, TANH, args=("subtract",)), x**2 - np.tanh(x)),
        (block("Branch", SQUARE, TANH, args=("multiply",)), x**2 * np.tanh(x)),
        (block("Shared", SQUARE, args=(3,)), x**8),
        (block("Listed", SQUARE, TANH), np.tanh(x**2)),
        (block("Named", SQUARE, TANH), np.tanh(x) + x**2),
        (block("Pick", block("Outputs", TANH), args=("total",)), x.sum()),
        (block("Cond", SQUARE, TANH), x**2 if x.sum() > 0.1234 else np.tanh(x)),
        (block("Cond", SQUARE, TANH, limit=1e3), np.tanh(x)),
        (block("IfPositive", SQUARE, TANH, limit=-1e3), x**2),
        (block("WhileNorm"), halving(x)),
        (block("While", SQUARE, limit=0.0, max_iters=2), np.tanh((np.tanh(x**2) / 2) ** 2) / 2),
        (block("Fori", SQUARE, args=(1, 3)), np.tanh(np.tanh(2 * x**2) ** 2 * 3)),
        (block("Map", SQUARE), x**2 + x.mean(1, keepdims=True)),
        (block("Pick", block("Scan", SQUARE), args=(1,)), scanned(x)),
        (block("Expression", args=("ratio",)), x / (np.abs(x) + 1)),
        (block("Expression", args=("product",)), gram(x)),
        (block("Shaped"), x * 14),
        (block("Typed"), x + 1),
        (block("Item"), x * x.sum()),
        (block("HostSum"), x + np.abs(x).sum()),
        (block("Converted"), x * x),
        (block("Placed"), x * 2),
        (block("Dtypes", args=("can_cast", "float32", "float64")), x * 2),
        (block("Dtypes", args=("iinfo", "int8")), x * 8),
    ],
    ids=lambda value: value.name if isinstance(value, Node) else "",
)
def test_blocks_compute_what_they_say(node, expected):
    np.testing.assert_allclose(run(node), expected, rtol=1e-10)


def test_tied_layers_hold_one_weight():
    net = building.build(Spec(block("Tied", LINEAR, LINEAR))).to("numpy")
    assert net.first.weight is net.second.weight
    assert len(list(net.parameters())) == 3


def test_a_buffer_is_read_before_it_is_moved():
    spec = Spec(block("WithBuffer", args=(3,)), (X,), training=True, dtype="float64")
    net = building.build(spec).to("numpy")
    np.testing.assert_allclose(net(x), x - 0.5)
    np.testing.assert_allclose(net(x), x - (0.375 + x.mean(0) / 4))
    assert net.steps == 2
    np.testing.assert_allclose(net.eval()(x), net(x))


# ---------------------------------------------------------------------- what a spec knows of itself
@pytest.mark.parametrize(
    ("node", "training", "random"),
    [
        (Node("nn.Dropout"), True, True),
        (Node("nn.Dropout"), False, False),
        (Node("nn.Dropout", (), {"p": 1.0}), True, False),
        (Node("F.dropout", (In(0),)), False, True),
        (Node("F.dropout", (In(0),), {"training": False}), True, False),
        (Node("ops.random_uniform", ((2,),)), False, True),
        (Node("nn.TransformerEncoderLayer", (4, 2)), True, True),
        (Node("nn.RReLU"), True, True),
        (Node("nn.RReLU", (), {"lower": 0.25, "upper": 0.25}), True, False),
        (Node("nn.LSTM", (2, 2), {"num_layers": 2, "dropout": 0.5}), True, True),
    ],
)
def test_a_spec_knows_whether_it_is_random(node, training, random):
    assert Spec(node, training=training).random is random


def test_a_spec_knows_whether_values_are_read():
    assert Spec(block("Residual", block("WhileNorm"))).reads_values
    assert not Spec(block("Cond", TANH, TANH)).reads_values
