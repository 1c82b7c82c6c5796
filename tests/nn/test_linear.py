"""Linear, Bilinear, Identity, Flatten and Unflatten against torch.nn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn
from unimodule.errors import ArgumentError, DtypeError, ShapeError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (0,), (2, 1, 3)])
def test_linear(backend, lead, bias):
    x = RNG.normal(size=(*lead, 5))
    assert_same_as_torch(backend, nn.Linear(5, 4, bias=bias), torch.nn.Linear(5, 4, bias=bias), x)


@pytest.mark.parametrize("bias", [True, False])
def test_lazy_linear_becomes_linear(backend, bias):
    layer = nn.LazyLinear(4, bias=bias).to(backend)
    y = layer(np.ones((2, 3), "float32"))
    assert tuple(y.shape) == (2, 4)
    assert repr(layer) == repr(torch.nn.Linear(3, 4, bias=bias))
    bound = 1 / np.sqrt(3)
    for parameter in layer.parameters():
        assert np.abs(parameter.numpy()).max() <= bound
        assert np.abs(parameter.numpy()).max() > 0


def test_lazy_linear_takes_a_state_dict(backend):
    assert_same_as_torch(
        backend, nn.LazyLinear(4), torch.nn.Linear(5, 4), RNG.normal(size=(3, 5)), same_repr=False
    )


def test_lazy_draws_what_eager_draws(backend):
    um.seed(3)
    lazy = nn.LazyLinear(4).to(backend)
    lazy(np.ones((2, 3), "float32"))
    um.seed(3)
    eager = nn.Linear(3, 4).to(backend)
    for name, parameter in eager.named_parameters():
        np.testing.assert_array_equal(parameter.numpy(), lazy.parameter(name).numpy())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(3,), (2, 3)])
def test_bilinear(backend, lead, bias):
    a, b = RNG.normal(size=(*lead, 5)), RNG.normal(size=(*lead, 2))
    assert_same_as_torch(
        backend, nn.Bilinear(5, 2, 4, bias=bias), torch.nn.Bilinear(5, 2, 4, bias=bias), a, b
    )


def test_identity(backend):
    assert_same_as_torch(backend, nn.Identity(3, unused=4), torch.nn.Identity(), RNG.normal(size=(2, 3)))


@pytest.mark.parametrize("ends", [(1, -1), (0, 1), (2, 3), (-3, -2), (1, 1), (0, -1)])
def test_flatten(backend, ends):
    assert_same_as_torch(backend, nn.Flatten(*ends), torch.nn.Flatten(*ends), RNG.normal(size=(2, 3, 4, 5)))


def test_flatten_makes_an_axis_of_a_scalar(backend):
    assert tuple(nn.Flatten(0).to(backend)(np.asarray(2.0)).shape) == (1,)


@pytest.mark.parametrize(("dim", "sizes"), [(1, (2, 3)), (-2, (2, -1)), (1, (6, 1)), (2, (2, 1, 2))])
def test_unflatten(backend, dim, sizes):
    ours, theirs = nn.Unflatten(dim, sizes), torch.nn.Unflatten(dim, sizes)
    assert_same_as_torch(backend, ours, theirs, RNG.normal(size=(2, 6, 4)))


@pytest.mark.parametrize("shape", [(2, 4), (4,), ()])
def test_linear_refuses_wrong_features(backend, shape):
    net = nn.Sequential(nn.Identity(), nn.Linear(5, 3)).to(backend)
    with pytest.raises(ShapeError) as error:
        net(np.ones(shape, "float32"))
    assert "Sequential.1 (Linear)" in str(error.value)
    assert "(..., 5)" in str(error.value) and str(shape) in str(error.value)


def test_linear_refuses_integers(backend):
    with pytest.raises(DtypeError):
        nn.Linear(5, 3).to(backend)(np.ones((2, 5), "int32"))


@pytest.mark.parametrize("arguments", [(-1, 2), (2, -1), (2.5, 3), ("2", 3), (True, 3)])
def test_linear_refuses_bad_sizes(arguments):
    with pytest.raises(ArgumentError):
        nn.Linear(*arguments)


def test_flatten_and_unflatten_refuse(backend):
    x = np.ones((2, 3, 4), "float32")
    for layer in (
        nn.Flatten(3),
        nn.Flatten(2, 1),
        nn.Unflatten(1, (2, 2)),
        nn.Unflatten(3, (2,)),
        nn.Unflatten(1, (-1, 2)),
    ):
        with pytest.raises(ShapeError):
            layer.to(backend)(x)
    for arguments in [("C", (1, 2)), (1, ()), (1, (-1, -1)), (1, 5), (1, (2.5,))]:
        with pytest.raises(ArgumentError):
            nn.Unflatten(*arguments)


def test_dtype_argument():
    assert nn.Linear(2, 3, dtype="float64").to("numpy").weight.dtype == np.float64
