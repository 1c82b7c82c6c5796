"""Embedding against torch.nn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn
from unimodule.errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError

RNG = np.random.default_rng(0)
INDICES = RNG.integers(0, 7, size=(4, 5))


@pytest.mark.parametrize("shape", [(), (3,), (4, 5), (2, 3, 2), (0,)])
def test_embedding(backend, shape):
    indices = RNG.integers(0, 7, size=shape)
    assert_same_as_torch(backend, nn.Embedding(7, 3), torch.nn.Embedding(7, 3), indices, modes=(True,))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize(
    "options",
    [
        {"padding_idx": 2},
        {"padding_idx": -1},
        {"scale_grad_by_freq": True},
        {"padding_idx": 0, "scale_grad_by_freq": True},
    ],
)
def test_options(backend, options, dtype):
    layers = nn.Embedding(7, 3, **options), torch.nn.Embedding(7, 3, **options)
    assert_same_as_torch(backend, *layers, INDICES.astype(dtype), modes=(True,))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of compilers
def test_gradients_by_frequency_compile(backend):
    """Found by the conformance suite: the indices were counted on the host, where no compiler follows."""
    net = nn.Embedding(7, 3, scale_grad_by_freq=True).initialize(seed=0).to(backend)

    def loss(net, indices):
        return um.ops.sum(net(indices) ** 2)

    _, eager = um.value_and_grad(loss)(net, INDICES)
    _, compiled = um.compile(um.value_and_grad(loss))(net, INDICES)
    np.testing.assert_allclose(um.to_numpy(compiled["weight"]), um.to_numpy(eager["weight"]), rtol=1e-6)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
def test_max_norm_as_pytorchs_but_the_table_stays(backend, norm_type):
    table = RNG.normal(size=(7, 3)).astype("float32")
    layer = nn.Embedding.from_pretrained(table, freeze=False, max_norm=0.9, norm_type=norm_type).to(backend)
    theirs = torch.nn.functional.embedding(
        torch.from_numpy(INDICES), torch.from_numpy(table.copy()), max_norm=0.9, norm_type=norm_type
    )
    weights = RNG.normal(size=(4, 5, 3)).astype("float32")
    (_, y), grads = um.value_and_grad(
        lambda net: (um.ops.sum(um.ops.multiply(y := net(INDICES), weights)), y), has_aux=True
    )(layer)
    np.testing.assert_allclose(um.to_numpy(y), theirs.numpy(), rtol=2e-6)
    expected = np.zeros_like(table)
    np.add.at(
        expected, INDICES.reshape(-1), weights.reshape(-1, 3)
    )  # the scaling is not part of the gradient
    np.testing.assert_allclose(um.to_numpy(grads["weight"]), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.parameter("weight").numpy(), table)


def test_first_values(backend):
    layer = nn.Embedding(200, 50, padding_idx=-3)
    layer.initialize(seed=0).to(backend)
    weight = layer.parameter("weight").numpy()
    assert (weight[197] == 0).all()
    assert abs(weight.std() - 1) < 0.05 and abs(weight.mean()) < 0.05


def test_from_pretrained(backend):
    table = RNG.normal(size=(7, 3))
    layer = nn.Embedding.from_pretrained(table, padding_idx=1).to(backend)
    assert [p.requires_grad for p in layer.parameters()] == [False]
    np.testing.assert_array_equal(um.to_numpy(layer(np.asarray([1, 5]))), table[[1, 5]].astype("float32"))
    assert nn.Embedding.from_pretrained(table, freeze=False).parameter("weight").requires_grad
    table[:] = 0
    assert (layer.parameter("weight").numpy() != 0).all()
    with pytest.raises(ArgumentError):
        nn.Embedding.from_pretrained(np.ones(3))


def test_repr():
    options = {
        "padding_idx": 1,
        "max_norm": 2.0,
        "norm_type": 1.0,
        "scale_grad_by_freq": True,
        "sparse": True,
    }
    assert repr(nn.Embedding(7, 3, **options)) == repr(torch.nn.Embedding(7, 3, **options))


# ---------------------------------------------------------------------- refusals
@pytest.mark.parametrize("index", [7, -1, 2**20])
def test_refuses_indices_out_of_range(backend, index):
    net = nn.Sequential(nn.Identity(), nn.Embedding(7, 3)).to(backend)
    with pytest.raises(OutOfRangeError) as error:
        net(np.asarray([[0, index]]))
    message = str(error.value)
    assert "Sequential.1 (Embedding)" in message and str(index) in message and "7" in message


@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_refuses_other_dtypes(backend, dtype):
    with pytest.raises(DtypeError, match=dtype):
        nn.Embedding(7, 3).to(backend)(np.ones(3, dtype))


def test_refuses_bad_arguments():
    for options in [{"padding_idx": 7}, {"padding_idx": -8}, {"num_embeddings": -1}, {"embedding_dim": 2.5}]:
        with pytest.raises(ArgumentError, match="Embedding"):
            nn.Embedding(**{"num_embeddings": 7, "embedding_dim": 3, **options})
    with pytest.raises(ShapeError):
        nn.Embedding(7, 3, _weight=np.ones((3, 7)))
