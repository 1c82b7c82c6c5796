"""Softmax and its kin against torch.nn, on every axis and at infinities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ShapeError

RNG = np.random.default_rng(0)
INF = float("inf")


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax", "Softmin"])
@pytest.mark.parametrize(
    ("shape", "dim"), [((3,), 0), ((2, 5), 1), ((2, 5), 0), ((2, 3, 4), -2), ((2, 3, 2, 2), 1)]
)
def test_layer(backend, name, shape, dim):
    x = RNG.normal(size=shape)
    assert_same_as_torch(backend, getattr(nn, name)(dim), getattr(torch.nn, name)(dim), x, modes=(True,))


@pytest.mark.parametrize(("shape", "dim"), [((4,), -1), ((2, 6), 1), ((4, 3, 2), 0)])
def test_glu(backend, shape, dim):
    assert_same_as_torch(backend, nn.GLU(dim), torch.nn.GLU(dim), RNG.normal(size=shape), modes=(True,))


@pytest.mark.parametrize("shape", [(2, 3, 4, 2), (3, 4, 2)])
def test_softmax2d(backend, shape):
    assert_same_as_torch(backend, nn.Softmax2d(), torch.nn.Softmax2d(), RNG.normal(size=shape), modes=(True,))


ROWS = np.asarray(
    [[-INF, 1.0, 2.0], [-INF, -INF, -INF], [INF, 0.0, 1.0], [1000.0, 999.0, -1000.0], [np.nan, 0.0, 1.0]]
)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_rows_with_infinities(backend, finest, name):
    x = ops.asarray(ROWS.astype(finest), backend=backend)
    out = um.to_numpy(getattr(nn.functional, name)(x, dim=1))
    want = getattr(torch.nn.functional, name)(torch.tensor(ROWS), dim=1).numpy()
    np.testing.assert_allclose(out, want, rtol=1e-6)


def test_gradient_beside_a_masked_element(backend, finest):
    x = ops.asarray(ROWS[:1].astype(finest), backend=backend)
    weight = ops.asarray(np.asarray([[3.0, 1.0, 2.0]], finest), backend=backend)
    slope = um.grad(lambda x: ops.sum(ops.multiply(ops.softmax(x, 1), weight)))(x)
    p = np.exp(-1) / (1 + np.exp(-1))
    np.testing.assert_allclose(um.to_numpy(slope), [[0.0, -p * (1 - p), p * (1 - p)]], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp(backend, finest, axis, keepdims):
    x = ROWS[[0, 3]]
    out = ops.logsumexp(ops.asarray(x.astype(finest), backend=backend), axis=axis, keepdims=keepdims)
    want = torch.logsumexp(torch.tensor(x), (0, 1) if axis is None else axis, keepdims).numpy()
    np.testing.assert_allclose(um.to_numpy(out), want, rtol=1e-6)
    assert um.to_numpy(out).shape == want.shape


@pytest.mark.parametrize("axis", [1, -2, (0, 1)])
def test_logsumexp_over_no_such_axis(backend, axis):
    x = ops.asarray(np.ones(1, "float32"), backend=backend)
    with pytest.raises(ShapeError, match="logsumexp"):
        ops.logsumexp(x, axis=axis)


def test_logsumexp_of_infinities(backend, finest):
    x = np.asarray([[-INF, -INF], [INF, 1.0], [INF, -INF], [np.nan, 1.0]])
    out = ops.logsumexp(ops.asarray(x.astype(finest), backend=backend), axis=1)
    np.testing.assert_array_equal(um.to_numpy(out), [-INF, INF, INF, np.nan])


def test_scalar_is_a_slice_of_one(backend):
    x = ops.asarray(np.asarray(3.0, "float32"), backend=backend)
    assert um.to_numpy(ops.softmax(x, 0)).tolist() == 1.0
    assert abs(um.to_numpy(ops.log_softmax(x, -1))) < 5e-6


def test_dtype_is_cast_first(backend):
    x = ops.asarray(np.asarray([1, 2]), backend=backend)
    out = nn.functional.softmax(x, dim=0, dtype="float32")
    np.testing.assert_allclose(um.to_numpy(out), [0.26894142, 0.73105858], rtol=1e-6)


def test_dim_left_out_warns_and_is_pytorchs_choice(backend):
    x = ops.asarray(RNG.normal(size=(2, 3)).astype("float32"), backend=backend)
    with pytest.warns(UserWarning, match="softmax without dim takes axis 1"):
        out = nn.functional.softmax(x)
    np.testing.assert_allclose(um.to_numpy(out).sum(axis=1), 1.0, rtol=1e-6)


def test_wrong_axes(backend):
    x = np.ones((2, 3), "float32")
    for layer in (nn.Softmax(2), nn.LogSoftmax(-3), nn.GLU(1)):
        with pytest.raises(ShapeError, match=type(layer).__name__):
            layer.to(backend)(x)
    with pytest.raises(ShapeError, match=r"\(C, H, W\), got \(2, 3\)"):
        nn.Softmax2d().to(backend)(x)
