"""Dropout: what is kept is scaled, how much is dropped, whole channels, seeds, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn
from unimodule.errors import ArgumentError, ShapeError
from unimodule.nn import functional as F


def test_scales_what_it_keeps(backend):
    x = np.ones((100, 100), "float32")
    y = um.to_numpy(nn.Dropout(0.3).to(backend)(x))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.02


def test_each_call_draws_anew_and_a_seed_repeats(backend):
    layer = nn.Dropout(0.5).to(backend)
    x = np.ones(1000, "float32")

    def draw():
        return um.to_numpy(layer(x))

    um.seed(5)
    first, second = draw(), draw()
    um.seed(5)
    assert (first != second).any()
    np.testing.assert_array_equal(draw(), first)
    np.testing.assert_array_equal(draw(), second)


def test_gradient_has_the_mask(backend):
    net = nn.Dropout(0.5).to(backend)
    x = np.full(1000, 3.0, "float32")
    (_, y), slope = um.value_and_grad(lambda x, net: (um.ops.sum(y := net(x)), y), has_aux=True)(x, net)
    np.testing.assert_allclose(um.to_numpy(slope) * 3.0, um.to_numpy(y), rtol=1e-6)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.Dropout1d(0.5), nn.Dropout2d(0.5), nn.Dropout3d(0.5)])
def test_identity_in_evaluation(backend, layer):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6)).astype("float32")
    x = (
        x[..., 0, 0]
        if isinstance(layer, nn.Dropout1d)
        else x[..., 0]
        if isinstance(layer, nn.Dropout2d)
        else x
    )
    np.testing.assert_array_equal(um.to_numpy(layer.clone().to(backend).eval()(x)), x)


@pytest.mark.parametrize(("p", "factor"), [(0.0, 1.0), (1.0, 0.0), (0, 1.0), (1, 0.0)])
def test_certain_probabilities(backend, p, factor):
    x = np.arange(24, dtype="float32").reshape(2, 3, 4)
    for layer in (nn.Dropout(p), nn.Dropout1d(p)):
        np.testing.assert_array_equal(um.to_numpy(layer.to(backend)(x)), factor * x)


CHANNELS = [
    (nn.Dropout1d, F.dropout1d, (40, 30, 5), 2),
    (nn.Dropout1d, F.dropout1d, (900, 5), 1),
    (nn.Dropout2d, F.dropout2d, (40, 30, 5, 2), 2),
    (nn.Dropout2d, F.dropout2d, (40, 30, 5), 2),
    (nn.Dropout3d, F.dropout3d, (40, 30, 2, 3, 2), 2),
    (nn.Dropout3d, F.dropout3d, (900, 2, 3, 2), 1),
]


@pytest.mark.parametrize(("layer", "function", "shape", "lead"), CHANNELS)
def test_drops_whole_channels(backend, layer, function, shape, lead):
    x = np.ones(shape, "float32")
    for y in (layer(0.25).to(backend)(x), function(um.convert(x, backend), 0.25)):
        flat = um.to_numpy(y).reshape(*shape[:lead], -1)
        assert (flat == flat[..., :1]).all()
        assert set(np.unique(flat)) == {np.float32(0), np.float32(1 / 0.75)}
        assert abs((flat == 0).mean() - 0.25) < 0.08


def test_refuses(backend):
    for p in (-0.1, 1.1, "0.5", None, float("nan")):
        with pytest.raises(ArgumentError, match="probability"):
            nn.Dropout(p)
        with pytest.raises(ArgumentError, match="probability"):
            F.dropout(um.convert(np.ones(3, "float32"), backend), p)
    for layer, shape in [(nn.Dropout1d(), (2,)), (nn.Dropout2d(), (2, 3)), (nn.Dropout3d(), (2, 3, 4))]:
        with pytest.raises(ShapeError, match=type(layer).__name__):
            layer.to(backend)(np.ones(shape, "float32"))
    assert repr(nn.Dropout(0.2)) == "Dropout(p=0.2, inplace=False)"


def test_random_uniform(backend):
    um.seed(1)
    x = um.ops.random_uniform((2000,), backend=backend)
    y = um.ops.random_uniform((2000,), like=x)
    assert um.backend_of(x) == backend and um.ops.dtype(x) == "float32"
    x, y = um.to_numpy(x), um.to_numpy(y)
    assert x.min() >= 0 and x.max() < 1 and abs(x.mean() - 0.5) < 0.03 and (x != y).any()
    with pytest.raises(um.DtypeError):
        um.ops.random_uniform(3, dtype="int32", backend=backend)
