"""LSTM, GRU, RNN and their cells against torch.nn: layers, directions, layouts, states, dropout and wrong calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ArgumentError, DtypeError, ShapeError

RNG = np.random.default_rng(0)
KINDS = ["LSTM", "GRU", "RNN"]
STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 4, 6

OPTIONS = [
    {},
    {"bias": False, "batch_first": True},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "batch_first": True},
    {"bidirectional": True, "bias": False},
]


def pair(kind, **options):
    return getattr(nn, kind)(INPUTS, HIDDEN, **options), getattr(torch.nn, kind)(INPUTS, HIDDEN, **options)


def rows(options):
    return options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)


def sequence(options):
    return RNG.normal(size=(BATCH, STEPS, INPUTS) if options.get("batch_first") else (STEPS, BATCH, INPUTS))


def states(kind, *shape, projected=None):
    h = RNG.normal(size=(*shape[:-1], projected or shape[-1]))
    return (h, RNG.normal(size=shape)) if kind == "LSTM" else h


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_from_zeros(backend, kind, options):
    assert_same_as_torch(backend, *pair(kind, **options), sequence(options))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS[2:4], ids=str)
def test_from_a_given_state(backend, kind, options):
    state = states(kind, rows(options), BATCH, HIDDEN)
    assert_same_as_torch(backend, *pair(kind, **options), sequence(options), state, modes=(True,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [False, True])
def test_unbatched(backend, kind, given):
    options = {"num_layers": 2, "bidirectional": True, "batch_first": True}
    inputs = [RNG.normal(size=(STEPS, INPUTS))]
    if given:
        inputs.append(states(kind, rows(options), HIDDEN))
    assert_same_as_torch(backend, *pair(kind, **options), *inputs, modes=(True,))


@pytest.mark.parametrize("options", OPTIONS[1:4], ids=str)
@pytest.mark.parametrize("given", [False, True])
def test_projected_lstm(backend, options, given):
    options = {**options, "proj_size": 2}
    inputs = [sequence(options)]
    if given:
        inputs.append(states("LSTM", rows(options), BATCH, HIDDEN, projected=2))
    assert_same_as_torch(backend, *pair("LSTM", **options), *inputs, modes=(True,))


def test_rnn_with_relu(backend):
    options = {"nonlinearity": "relu", "num_layers": 2}
    assert_same_as_torch(backend, *pair("RNN", **options), 0.3 * sequence(options), modes=(True,))


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_and_one_feature(backend, kind):
    ours, theirs = getattr(nn, kind)(1, 1), getattr(torch.nn, kind)(1, 1)
    assert_same_as_torch(backend, ours, theirs, RNG.normal(size=(1, 1, 1)), modes=(True,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(BATCH,), ()])
@pytest.mark.parametrize("given", [True, False])
def test_cell(backend, kind, bias, lead, given):
    ours, theirs = pair(f"{kind}Cell", bias=bias)
    inputs = [RNG.normal(size=(*lead, INPUTS))]
    if given:
        inputs.append(states(kind, *lead, HIDDEN))
    assert_same_as_torch(backend, ours, theirs, *inputs, modes=(True,))


def test_cell_steps_make_the_layer(backend):
    layer = nn.GRU(INPUTS, HIDDEN).to(backend)
    cell = nn.GRUCell(INPUTS, HIDDEN).to(backend)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x = RNG.normal(size=(STEPS, BATCH, INPUTS)).astype("float32")
    h = None
    for step in x:
        h = cell(step, h)
    np.testing.assert_allclose(um.to_numpy(h), um.to_numpy(layer(x)[1])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_values(kind):
    net = getattr(nn, kind)(INPUTS, 16).initialize(seed=0)
    values = np.concatenate([p.numpy().ravel() for p in net.parameters()])
    assert abs(values).max() <= 0.25 and abs(values).max() > 0.24
    assert abs(values.mean()) < 0.02 and abs(values.std() - 0.25 / np.sqrt(3)) < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_lies_between_layers_in_training_only(backend, kind):
    um.seed(1)
    net = getattr(nn, kind)(INPUTS, 64, num_layers=2, dropout=0.4).to(backend)
    x = RNG.normal(size=(STEPS, BATCH, INPUTS)).astype("float32")
    (first, *_), (second, *_) = net(x), net(x)
    assert not np.array_equal(um.to_numpy(first), um.to_numpy(second))
    assert np.all(um.to_numpy(first) != 0)  # the last layer's own output is never dropped
    still, again = net.eval()(x)[0], net(x)[0]
    np.testing.assert_array_equal(um.to_numpy(still), um.to_numpy(again))
    # All dropped: the second layer sees zeros, whatever the input is.
    net = getattr(nn, kind)(INPUTS, 8, num_layers=2, dropout=1.0).to(backend)
    (one, *_), (two, *_) = net(x), net(-x)
    np.testing.assert_array_equal(um.to_numpy(one), um.to_numpy(two))


def test_dropout_of_one_layer_warns():
    with pytest.warns(UserWarning, match=r"LSTM .* dropout=0.5 does nothing"):
        nn.LSTM(2, 3, dropout=0.5)


def test_state_shapes_and_dtype(backend):
    net = nn.LSTM(INPUTS, HIDDEN, num_layers=2, bidirectional=True, proj_size=2).to(backend)
    y, (h, c) = net(sequence({}).astype("float32"))
    adapter = um.registry.get_backend(backend)
    assert [adapter.shape(t) for t in (y, h, c)] == [(STEPS, BATCH, 4), (4, BATCH, 2), (4, BATCH, HIDDEN)]
    assert {adapter.dtype(t) for t in (y, h, c)} == {"float32"}


# ---------------------------------------------------------------------- wrong calls
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_inputs(backend, kind):
    net = nn.Sequential(getattr(nn, kind)(INPUTS, HIDDEN, batch_first=True)).to(backend)
    for shape in [(2, 3, 5), (4,), (1, 2, 3, 4)]:
        with pytest.raises(ShapeError, match=rf"Sequential\.0 .*\(N, T, 4\) or \(T, 4\), got \({shape[0]},"):
            net(np.zeros(shape, "float32"))


def test_wrong_states(backend):
    x, one, batch = (
        np.zeros((5, 3, 4), "float32"),
        np.zeros((1, 1, 6), "float32"),
        np.zeros((1, 3, 6), "float32"),
    )
    with pytest.raises(ShapeError, match=r"GRU expected hx \(1, 3, 6\), got \(1, 1, 6\)"):
        nn.GRU(4, 6).to(backend)(x, one)
    with pytest.raises(ShapeError, match=r"LSTM expected c \(1, 3, 6\), got \(1, 1, 6\)"):
        nn.LSTM(4, 6).to(backend)(x, (batch, one))
    with pytest.raises(ArgumentError, match=r"a pair \(h, c\)"):
        nn.LSTM(4, 6).to(backend)(x, batch)
    with pytest.raises(ShapeError, match=r"GRUCell expected a state \(3, 6\), got \(2, 6\)"):
        nn.GRUCell(4, 6).to(backend)(x[0], np.zeros((2, 6), "float32"))
    with pytest.raises(ShapeError, match=r"LSTMCell expected input \(N, 4\) or \(4,\), got \(5, 3, 4\)"):
        nn.LSTMCell(4, 6).to(backend)(x)


def test_wrong_dtypes(backend):
    for net in (nn.LSTM(4, 6), nn.GRU(4, 6), nn.RNN(4, 6)):
        with pytest.raises(DtypeError, match="one dtype, got float32, int"):
            net.to(backend)(np.zeros((5, 3, 4), "int32"))


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("LSTM", {"hidden_size": 0}, "hidden_size to be a positive integer, got 0"),
        ("GRU", {"hidden_size": 2, "num_layers": 0}, "num_layers to be a positive integer"),
        ("GRU", {"hidden_size": 2, "dropout": 1.5}, "0 <= dropout <= 1, got 1.5"),
        ("LSTM", {"hidden_size": 2, "proj_size": 2}, "proj_size < hidden_size 2, got 2"),
        ("RNN", {"hidden_size": 2, "nonlinearity": "gelu"}, "'tanh' or 'relu', got 'gelu'"),
        ("RNNCell", {"hidden_size": 2, "nonlinearity": "gelu"}, "'tanh' or 'relu', got 'gelu'"),
        ("LSTMCell", {"hidden_size": 0}, "positive sizes"),
    ],
)
def test_wrong_arguments(kind, options, text):
    with pytest.raises(ArgumentError, match=text):
        getattr(nn, kind)(3, **options)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_gradients_of_parameters_alone(backend, has_float64, kind, bidirectional):
    """MXNet's kernel leaves those of lower layers out in float64 (found by the conformance suite)."""
    net = getattr(nn, kind)(2, 3, num_layers=3, bidirectional=bidirectional).initialize(seed=0)
    x = np.random.default_rng(0).normal(size=(4, 2, 2))

    def gradients(name, dtype):
        here, given = net.clone().to(name, dtype=dtype), ops.asarray(x, dtype=dtype, backend=name)
        return um.grad(lambda net, x: ops.sum(ops.square(net(x)[0])))(here, given)

    expected = gradients("numpy", "float64")
    for dtype, rtol in (("float32", 1e-4), ("float64", 1e-9))[: 1 + has_float64]:
        for name, value in gradients(backend, dtype).items():
            np.testing.assert_allclose(um.to_numpy(value), expected[name], rtol=rtol, atol=rtol)
