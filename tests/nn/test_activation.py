"""Activations against torch.nn: values and gradients, at kinks and far out, and what wrong calls are told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ArgumentError, DtypeError, ShapeError

RNG = np.random.default_rng(0)
X = 3.0 * RNG.normal(size=(4, 3, 5))

LAYERS = [
    ("ReLU", ()),
    ("ReLU6", ()),
    ("LeakyReLU", ()),
    ("LeakyReLU", (0.3,)),
    ("PReLU", ()),
    ("PReLU", (3, 0.1)),
    ("ELU", ()),
    ("ELU", (0.4,)),
    ("CELU", (2.0,)),
    ("SELU", ()),
    ("GELU", ()),
    ("GELU", ("tanh",)),
    ("SiLU", ()),
    ("Mish", ()),
    ("Sigmoid", ()),
    ("LogSigmoid", ()),
    ("Tanh", ()),
    ("Softplus", ()),
    ("Softplus", (2.0, 3.0)),
    ("Softsign", ()),
    ("Tanhshrink", ()),
    ("Softshrink", (0.7,)),
    ("Hardshrink", (0.7,)),
    ("Hardtanh", (-0.5, 2.0)),
    ("Hardswish", ()),
    ("Threshold", (0.3, 5.0)),
]


@pytest.mark.parametrize(("name", "arguments"), LAYERS, ids=str)
def test_layer(backend, name, arguments):
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    assert_same_as_torch(backend, ours, theirs, X, modes=(True,))


@pytest.mark.parametrize("name", ["GELU", "ELU", "SELU", "CELU"])
def test_nan_infinity_and_the_largest_numbers(backend, name):
    """A long enough row for vectorized kernels; -infinity is NaN in gelu, being infinity times 0."""
    largest = np.finfo("float32").max
    x = np.tile(np.array([np.inf, -np.inf, np.nan, largest, -largest, 1e30, 20, -20], "float32"), 5)
    expected = getattr(torch.nn, name)()(torch.from_numpy(x).double()).numpy()
    with np.errstate(over="ignore"):
        expected = expected.astype("float32")
    y = um.to_numpy(getattr(nn, name)().to(backend)(x))
    np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["ELU", "SELU", "CELU"])
def test_exponential_units_keep_their_digits_near_0(backend, name):
    x = -np.geomspace(1e-7, 1e-2, 40).astype("float32")
    expected = getattr(torch.nn, name)()(torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(um.to_numpy(getattr(nn, name)().to(backend)(x)), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (7,)])
@pytest.mark.parametrize("name", ["ReLU", "GELU", "Softplus", "Hardtanh"])
def test_any_shape(backend, name, shape):
    net = getattr(nn, name)().to(backend)
    out = net(np.ones(shape, "float32"))
    assert um.registry.get_backend(backend).shape(out) == shape
    assert um.registry.get_backend(backend).dtype(out) == "float32"


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 2, 2)])
def test_prelu_by_channel(backend, shape):
    channels = shape[1] if len(shape) > 1 else 1
    x = RNG.normal(size=shape)
    assert_same_as_torch(backend, nn.PReLU(channels), torch.nn.PReLU(channels), x, modes=(True,))


def test_hardsigmoid(backend, finest):
    # Not by the common helper: torch's float64 gradient is 1/6 rounded to float32. (CELU's has such a factor too: it is
    # exact above only because alpha is a power of two.)
    value, slope = evaluate(backend, finest, ops.hardsigmoid, np.linspace(-4.0, 4.0, 9))
    np.testing.assert_allclose(value, np.clip(np.linspace(-1, 7, 9) / 6, 0, 1), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(slope, [0, 0, *[1 / 6] * 5, 0, 0], rtol=1e-6)
    assert repr(nn.Hardsigmoid()) == repr(torch.nn.Hardsigmoid())


def test_inplace_shows_and_does_nothing(backend):
    for ours, theirs in ((nn.ReLU(True), torch.nn.ReLU(True)), (nn.ELU(0.5, True), torch.nn.ELU(0.5, True))):
        x = ops.asarray(np.asarray([-1.0, 2.0], "float32"), backend=backend)
        ours.to(backend)(x)
        assert um.to_numpy(x).tolist() == [-1.0, 2.0]
        assert repr(ours) == repr(theirs)


# ---------------------------------------------------------------------- kinks and extremes
def evaluate(backend, dtype, fn, x):
    """Values and slopes of a function of each cell."""
    native = um.ops.asarray(np.asarray(x, dtype), backend=backend)
    _, slope = um.value_and_grad(lambda t: ops.sum(fn(t)))(native)
    return um.to_numpy(fn(native)), um.to_numpy(slope)


KINKS = [
    ("relu", ()),
    ("relu6", ()),
    ("leaky_relu", (0.25,)),
    ("elu", (0.5,)),
    ("selu", ()),
    ("celu", (2.0,)),
    ("hardtanh", (-1.0, 3.0)),
    ("hardswish", ()),
    ("hardshrink", (0.5,)),
    ("softshrink", (0.5,)),
    ("threshold", (1.0, 5.0)),
    ("softplus", (1.0, 3.0)),
    ("logsigmoid", ()),
    ("softsign", ()),
]


@pytest.mark.parametrize(("name", "arguments"), KINKS, ids=str)
def test_gradient_at_kinks_is_pytorchs(backend, finest, name, arguments):
    points = [-3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0]
    fn = getattr(nn.functional, name)
    value, slope = evaluate(backend, finest, lambda x: fn(x, *arguments), points)
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    want = getattr(torch.nn.functional, name)(x, *arguments)
    tolerance = 1e-12 if finest == "float64" else 1e-6
    np.testing.assert_allclose(value, want.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        slope, torch.autograd.grad(want.sum(), x)[0].numpy(), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize(
    "name",
    "relu leaky_relu elu selu celu softplus logsigmoid sigmoid silu gelu mish hardtanh relu6 tanhshrink".split(),
)
def test_far_out_there_is_neither_nan_nor_overflow(backend, finest, name):
    points = [-1000.0, -90.0, 90.0, 1000.0]
    value, slope = evaluate(backend, finest, getattr(nn.functional, name), points)
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    want = getattr(torch.nn.functional, name)(x)
    np.testing.assert_allclose(value, want.detach().numpy(), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(slope, torch.autograd.grad(want.sum(), x)[0].numpy(), rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize(
    "name",
    "relu leaky_relu elu selu celu softplus logsigmoid sigmoid silu gelu mish hardtanh relu6 softsign "
    "tanhshrink hardswish hardsigmoid softshrink hardshrink threshold tanh".split(),
)
def test_nan_stays_nan(backend, name):
    arguments = (0.0, 1.0) if name == "threshold" else ()
    x = ops.asarray(np.asarray([np.nan, 1.0], "float32"), backend=backend)
    out = um.to_numpy(getattr(nn.functional, name)(x, *arguments))
    assert np.isnan(out).tolist() == [True, False]


def test_sigmoid_of_large_negative_keeps_its_digits(backend, has_float64):
    dtype, x = ("float64", -300.0) if has_float64 else ("float32", -60.0)
    out = um.to_numpy(ops.sigmoid(ops.asarray(np.asarray([x], dtype), backend=backend)))
    np.testing.assert_allclose(out, [math.exp(x)], rtol=1e-5 if dtype == "float32" else 1e-13)


# ---------------------------------------------------------------------- PyTorch's calls
FUNCTIONS = [
    ("threshold", (0.1, 2.0)),
    ("relu", (True,)),
    ("hardtanh", (-0.2, 0.7)),
    ("hardswish", ()),
    ("relu6", ()),
    ("elu", (0.3, False)),
    ("selu", ()),
    ("celu", (0.3,)),
    ("leaky_relu", (0.3,)),
    ("rrelu", (0.1, 0.3)),
    ("glu", (0,)),
    ("gelu", ()),
    ("logsigmoid", ()),
    ("hardshrink", (0.3,)),
    ("tanhshrink", ()),
    ("softsign", ()),
    ("softplus", (3, 1)),
    ("softmin", (1,)),
    ("softmax", (0,)),
    ("softshrink", (0.3,)),
    ("log_softmax", (-1,)),
    ("tanh", ()),
    ("sigmoid", ()),
    ("hardsigmoid", (True,)),
    ("silu", ()),
    ("mish", ()),
]


@pytest.mark.parametrize(("name", "arguments"), FUNCTIONS, ids=str)
def test_functional_takes_pytorchs_arguments_and_writes_nothing(backend, name, arguments):
    host = RNG.normal(size=(4, 3)).astype("float32")
    x = ops.asarray(host, backend=backend)
    out = um.to_numpy(getattr(nn.functional, name)(x, *arguments))
    want = getattr(torch.nn.functional, name)(torch.tensor(host.astype("float64")), *arguments)
    np.testing.assert_allclose(out, want.numpy(), rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(um.to_numpy(x), host)


def test_integers_become_the_default_float(backend):
    x = ops.asarray(np.asarray([-1, 0, 2]), backend=backend)
    for fn in (ops.sigmoid, ops.gelu, ops.elu, ops.softplus, ops.silu, ops.softmax):
        assert um.registry.get_backend(backend).dtype(fn(x)) == "float32"
    assert um.to_numpy(ops.relu(x)).tolist() == [0, 0, 2]


# ---------------------------------------------------------------------- randomness
def test_rrelu_draws_slopes_in_training_only(backend):
    um.seed(3)
    net = nn.RReLU(0.2, 0.6).to(backend)
    x = np.full((4000,), -1.0, "float32")
    slopes = -um.to_numpy(net(x))
    assert 0.2 <= slopes.min() < 0.21 and 0.59 < slopes.max() <= 0.6
    assert abs(slopes.mean() - 0.4) < 0.01 and abs(slopes.std() - 0.4 / math.sqrt(12)) < 0.01
    assert not np.array_equal(um.to_numpy(net(x)), -slopes)
    np.testing.assert_allclose(um.to_numpy(net.eval()(x)), -0.4, rtol=1e-6)
    np.testing.assert_array_equal(um.to_numpy(net.train()(-x)), -x)


def test_gumbel_softmax_draws_from_the_distribution(backend):
    um.seed(3)
    probabilities = np.asarray([0.6, 0.3, 0.1], "float32")
    logits = ops.asarray(np.tile(np.log(probabilities), (4000, 1)), backend=backend)
    drawn = um.to_numpy(nn.functional.gumbel_softmax(logits, tau=0.5, hard=True))
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(drawn.max(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(drawn.mean(axis=0), probabilities, atol=0.03)
    soft = um.to_numpy(nn.functional.gumbel_softmax(logits, dim=0))
    np.testing.assert_allclose(soft.sum(axis=0), 1.0, rtol=1e-4)


# ---------------------------------------------------------------------- wrong calls
def test_wrong_arguments(backend):
    x = ops.asarray(np.ones((2, 3), "float32"), backend=backend)
    with pytest.raises(ArgumentError, match="'none' or 'tanh', got 'erf'"):
        ops.gelu(x, "erf")
    with pytest.raises(ArgumentError, match="GELU expected approximate"):
        nn.GELU("erf")
    with pytest.raises(ArgumentError, match="lambd >= 0, got -1"):
        nn.Softshrink(-1)
    with pytest.raises(ArgumentError, match="min_val < max_val, got 2 and 1"):
        nn.Hardtanh(2, 1)
    with pytest.raises(ArgumentError, match="lower <= upper"):
        nn.RReLU(0.5, 0.1)
    with pytest.raises(ArgumentError, match="other than 0"):
        nn.CELU(0)
    with pytest.raises(DtypeError, match="relu expected a tensor or a NumPy array, got list"):
        ops.relu([1.0])


def test_wrong_shapes_name_the_layer(backend):
    x = np.ones((2, 3), "float32")
    net = nn.Sequential(nn.ReLU(), nn.PReLU(4)).to(backend)
    with pytest.raises(
        ShapeError, match=r"Sequential\.1 \(PReLU\): .*\(1,\) or \(3,\) for input \(2, 3\), got \(4,\)"
    ):
        net(x)


def test_retired_names_of_hardtanh_warn():
    with pytest.warns(FutureWarning, match="min_val"):
        assert nn.Hardtanh(min_value=-2.0).min_val == -2.0
