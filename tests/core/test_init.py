"""Initialisers: shapes, moments, bounds, PyTorch's formulas."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import unimodule as um
from unimodule import init, nn

RNG = 17


def draw(initializer, *shape):
    return initializer(shape, np.random.default_rng(RNG))


ALL = {
    "constant": (init.constant(2.5), (3, 4)),
    "zeros": (init.zeros(), (3,)),
    "ones": (init.ones(), ()),
    "uniform": (init.uniform(-2, 3), (5,)),
    "normal": (init.normal(1, 2), (5, 2)),
    "trunc_normal": (init.trunc_normal(), (7,)),
    "xavier_uniform": (init.xavier_uniform(), (3, 4)),
    "xavier_normal": (init.xavier_normal(), (3, 4, 2)),
    "kaiming_uniform": (init.kaiming_uniform(), (3, 4)),
    "kaiming_normal": (init.kaiming_normal(), (3, 4)),
    "eye": (init.eye(), (3, 4)),
    "dirac": (init.dirac(), (3, 4, 3)),
    "orthogonal": (init.orthogonal(), (3, 4)),
    "sparse": (init.sparse(0.5), (4, 3)),
}


@pytest.mark.parametrize("name", ALL)
def test_each_gives_an_array_of_the_shape_and_repeats(name):
    initializer, shape = ALL[name]
    first = draw(initializer, *shape)
    assert first.shape == shape and first.dtype == np.float64
    np.testing.assert_array_equal(first, draw(initializer, *shape))
    assert repr(initializer).startswith(f"{name}(") and copy.deepcopy(initializer) is initializer
    if name in ("uniform", "normal", "trunc_normal", "xavier_uniform", "kaiming_normal", "orthogonal"):
        other = initializer(shape, np.random.default_rng(RNG + 1))
        assert not np.array_equal(first, other)


def test_every_public_initialiser_is_tested():
    assert set(ALL) == set(init.__all__) - {"calculate_gain", "fans"}


@pytest.mark.parametrize(
    ("initializer", "mean", "std"),
    [
        (init.uniform(-2, 3), 0.5, 5 / math.sqrt(12)),
        (init.normal(1, 2), 1, 2),
        (init.xavier_uniform(2.0), 0, 2 * math.sqrt(2 / (400 + 500))),
        (init.xavier_normal(), 0, math.sqrt(2 / (400 + 500))),
        (init.kaiming_uniform(), 0, math.sqrt(2 / 400)),
        (init.kaiming_uniform(a=math.sqrt(5)), 0, math.sqrt(1 / 3 / 400)),
        (init.kaiming_normal(mode="fan_out", nonlinearity="relu"), 0, math.sqrt(2 / 500)),
        (init.kaiming_normal(nonlinearity="tanh"), 0, 5 / 3 / 20),
    ],
)
def test_mean_and_deviation(initializer, mean, std):
    values = draw(initializer, 500, 400)
    error = 5 * std / math.sqrt(values.size)
    assert abs(values.mean() - mean) < error
    assert abs(values.std() - std) < error
    kernel = draw(init.kaiming_normal(), 50, 40, 5, 5)
    assert abs(kernel.std() - math.sqrt(2 / 1000)) < 5 * kernel.std() / math.sqrt(kernel.size)


@pytest.mark.parametrize(
    ("initializer", "bound"),
    [
        (init.uniform(-0.1, 0.1), 0.1),
        (init.xavier_uniform(), math.sqrt(6 / 70)),
        (init.kaiming_uniform(a=math.sqrt(5)), 1 / math.sqrt(40)),
    ],
)
def test_bounds(initializer, bound):
    values = np.abs(draw(initializer, 30, 40))
    assert 0.95 * bound < values.max() <= bound


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (0, 1, 3, 5), (0, 1, -6, -4), (1, 0.02, 0.99, 1.01), (0, 1, 4, math.inf), (0, 10, -1, 1)],
)
def test_truncated_normal(mean, std, a, b):
    values = draw(init.trunc_normal(mean, std, a, b), 40_000)
    assert a <= values.min() and values.max() <= b

    def density(z):
        return math.exp(-z * z / 2) / math.sqrt(2 * math.pi) if math.isfinite(z) else 0.0

    def weight(z):
        return math.erfc(-z / math.sqrt(2)) / 2

    low, high = (a - mean) / std, (b - mean) / std
    # The tail that is not cut off, computed without cancellation.
    mass = weight(high) - weight(low) if low < 0 else weight(-low) - weight(-high)
    want = mean + std * (density(low) - density(high)) / mass
    assert abs(values.mean() - want) < 5 * values.std() / math.sqrt(values.size)


def test_orthogonal():
    for shape in ((4, 4), (3, 7), (7, 3), (4, 2, 3)):
        flat = draw(init.orthogonal(2.0), *shape).reshape(shape[0], -1)
        small = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_eye_and_dirac():
    np.testing.assert_array_equal(draw(init.eye(), 2, 3), np.eye(2, 3))
    torch = pytest.importorskip("torch")
    for shape, groups in (((3, 4, 3), 1), ((4, 3, 3, 5), 2), ((6, 2, 1, 1, 3), 3)):
        want = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
        np.testing.assert_array_equal(draw(init.dirac(groups), *shape), want)


def test_sparse():
    values = draw(init.sparse(0.3, std=1.0), 10, 6)
    assert [(values[:, i] == 0).sum() for i in range(6)] == [3] * 6


def test_gains_and_fans_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.2) == torch.nn.init.calculate_gain("leaky_relu", 0.2)
    for shape in ((3, 4), (8, 3, 5, 5), (2, 3, 4)):
        assert init.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: init.calculate_gain("relu7"), um.ArgumentError),
        (lambda: init.kaiming_uniform(mode="fan"), um.ArgumentError),
        (lambda: draw(init.kaiming_normal(nonlinearity="relu7"), 2, 2), um.ArgumentError),
        (lambda: init.trunc_normal(a=1, b=1), um.ArgumentError),
        (lambda: draw(init.xavier_uniform(), 3), um.ShapeError),
        (lambda: draw(init.kaiming_uniform(), 3), um.ShapeError),
        (lambda: draw(init.orthogonal(), 3), um.ShapeError),
        (lambda: draw(init.eye(), 3), um.ShapeError),
        (lambda: draw(init.sparse(0.1), 3), um.ShapeError),
        (lambda: draw(init.dirac(), 3, 3), um.ShapeError),
        (lambda: draw(init.dirac(2), 3, 3, 3), um.ShapeError),
    ],
)
def test_errors(make, error):
    with pytest.raises(error):
        make()


def test_values_are_rounded_once_from_float64(backend, has_float64):
    net = nn.Module()
    net.w = nn.Parameter(init.normal(), shape=(50,))
    exact = net.clone().to("numpy", dtype="float64").initialize(seed=1)
    np.testing.assert_array_equal(
        um.to_numpy(net.to(backend).initialize(seed=1).w), um.to_numpy(exact.w).astype("float32")
    )
    if has_float64:
        np.testing.assert_array_equal(
            um.to_numpy(net.to(dtype="float64").initialize(seed=1).w), um.to_numpy(exact.w)
        )


def test_empty_shapes():
    for name in ("xavier_uniform", "kaiming_uniform", "normal", "trunc_normal", "orthogonal"):
        assert draw(ALL[name][0], 0, 3).shape == (0, 3)
        assert draw(ALL[name][0], 3, 0).shape == (3, 0)
