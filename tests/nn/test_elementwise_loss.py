"""Losses that compare cell by cell, against torch.nn: reductions, weights, kinks, edges and wrong calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
REDUCTIONS = ("mean", "sum", "none")
X, TARGET = 2.0 * RNG.normal(size=(5, 4)), RNG.uniform(0.05, 0.8, (5, 4))
PROBABILITIES = RNG.uniform(0.05, 0.8, (5, 4))

LOSSES = [
    ("MSELoss", {}),
    ("L1Loss", {}),
    ("HuberLoss", {}),
    ("HuberLoss", {"delta": 0.3}),
    ("SmoothL1Loss", {}),
    ("SmoothL1Loss", {"beta": 0.4}),
    ("SmoothL1Loss", {"beta": 0.0}),
    ("BCEWithLogitsLoss", {}),
]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "options"), LOSSES, ids=str)
def test_loss(backend, name, options, reduction):
    ours, theirs = (getattr(module, name)(reduction=reduction, **options) for module in (nn, torch.nn))
    assert_same_as_torch(backend, ours, theirs, X, TARGET, modes=(True,))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4,), (5, 4), (1,), (5, 1)])
def test_binary_cross_entropies_with_weights(backend, reduction, shape):
    weight, positive = RNG.uniform(0.5, 2.0, shape), RNG.uniform(0.5, 2.0, shape)
    ours = nn.BCEWithLogitsLoss(weight, reduction=reduction, pos_weight=positive)
    theirs = torch.nn.BCEWithLogitsLoss(
        torch.tensor(weight), reduction=reduction, pos_weight=torch.tensor(positive)
    )
    assert_same_as_torch(backend, ours, theirs, X, TARGET, modes=(True,))
    ours, theirs = (
        nn.BCELoss(weight, reduction=reduction),
        torch.nn.BCELoss(torch.tensor(weight), reduction=reduction),
    )
    assert_same_as_torch(backend, ours, theirs, PROBABILITIES, TARGET, modes=(True,))


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div(backend, reduction, log_target):
    ours, theirs = (m.KLDivLoss(reduction=reduction, log_target=log_target) for m in (nn, torch.nn))
    assert_same_as_torch(backend, ours, theirs, X, TARGET, modes=(True,))


def test_kl_div_of_a_zero(backend):
    target = ops.asarray(np.asarray([0.0, 1.0], "float32"), backend=backend)
    x = ops.asarray(np.asarray([-3.0, -0.5], "float32"), backend=backend)
    loss, slope = um.value_and_grad(lambda x: ops.kl_div(x, target, "sum"))(x)
    np.testing.assert_allclose(um.to_numpy(loss), 0.5, rtol=1e-6)
    np.testing.assert_allclose(um.to_numpy(slope), [0.0, -1.0])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_cells(backend, finest, name, reduction):
    weight = RNG.uniform(size=(5, 4))
    arrays = [a.astype(finest) for a in (X, TARGET, weight)]
    x, target, w = (ops.asarray(a, backend=backend) for a in arrays)
    out = getattr(nn.functional, name)(x, target, reduction=reduction, weight=w)
    tx, tt, tw = (torch.tensor(a.astype("float64")) for a in arrays)
    want = getattr(torch.nn.functional, name)(tx, tt, reduction=reduction, weight=tw)
    np.testing.assert_allclose(um.to_numpy(out), want.numpy(), rtol=1e-12 if finest == "float64" else 2e-6)


# ---------------------------------------------------------------------- kinks and edges
@pytest.mark.parametrize(
    ("name", "options"), [("l1_loss", {}), ("huber_loss", {"delta": 0.5}), ("smooth_l1_loss", {"beta": 0.5})]
)
def test_gradient_at_kinks_is_pytorchs(backend, finest, name, options):
    points = np.asarray([-1.0, -0.5, 0.0, 0.5, 1.0, 1e4])
    zero = ops.asarray(np.zeros(6, finest), backend=backend)
    slope = um.grad(lambda x: getattr(nn.functional, name)(x, zero, reduction="sum", **options))(
        ops.asarray(points.astype(finest), backend=backend)
    )
    x = torch.tensor(points, requires_grad=True)
    loss = getattr(torch.nn.functional, name)(
        x, torch.zeros(6, dtype=torch.float64), reduction="sum", **options
    )
    np.testing.assert_allclose(um.to_numpy(slope), torch.autograd.grad(loss, x)[0].numpy(), rtol=1e-6)


def test_logits_far_out(backend, finest):
    x, target = np.asarray([-1000.0, 1000.0, -1000.0, 1000.0, 0.0]), np.asarray([0.0, 1.0, 1.0, 0.0, 0.5])
    native = ops.asarray(target.astype(finest), backend=backend)
    loss, slope = um.value_and_grad(
        lambda x: nn.functional.binary_cross_entropy_with_logits(x, native, reduction="sum")
    )(ops.asarray(x.astype(finest), backend=backend))
    np.testing.assert_allclose(um.to_numpy(loss), 2000.0 + np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(um.to_numpy(slope), [0.0, 0.0, -1.0, 1.0, 0.0], atol=1e-7)


def test_probabilities_of_zero_and_one_are_bounded_as_in_pytorch(backend, finest):
    points, targets = np.asarray([0.0, 0.0, 1.0, 1.0, 1e-13]), np.asarray([1.0, 0.0, 1.0, 0.0, 0.25])
    x, target = (ops.asarray(a.astype(finest), backend=backend) for a in (points, targets))
    loss = nn.functional.binary_cross_entropy(x, target, reduction="none")
    slope = um.grad(lambda x: nn.functional.binary_cross_entropy(x, target, reduction="sum"))(x)
    given = torch.tensor(points, requires_grad=True)
    want = torch.nn.functional.binary_cross_entropy(given, torch.tensor(targets), reduction="none")
    np.testing.assert_allclose(um.to_numpy(loss), want.detach().numpy(), rtol=1e-6)
    # To 1e-6: PyTorch's bound 1e-12 is rounded to float32.
    np.testing.assert_allclose(
        um.to_numpy(slope), torch.autograd.grad(want.sum(), given)[0].numpy(), rtol=1e-6
    )


# ---------------------------------------------------------------------- wrong calls
def test_target_that_broadcasts_warns(backend):
    x, target = np.ones((3, 1), "float32"), np.zeros((3,), "float32")
    for loss in (nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.SmoothL1Loss()):
        with pytest.warns(UserWarning, match=r"target \(3,\) differs from input \(3, 1\) and broadcasts"):
            assert um.to_numpy(loss.to(backend)(x, target)).shape == ()


def test_wrong_shapes(backend):
    x = np.full((3, 2), 0.5, "float32")
    for loss in (nn.MSELoss(), nn.BCELoss(), nn.BCEWithLogitsLoss(), nn.SmoothL1Loss()):
        with pytest.raises(ShapeError, match=r"input's shape \(3, 2\), got \(2, 3\)") as error:
            loss.to(backend)(x, np.ones((2, 3), "float32"))
        assert str(error.value).startswith(type(loss).__name__)
    with pytest.raises(ShapeError, match=r"input's shape \(3, 2\), got \(2,\)"):
        nn.BCELoss().to(backend)(x, np.ones(2, "float32"))
    with pytest.raises(ShapeError, match=r"pos_weight that broadcasts to \(3, 2\), got \(5,\)"):
        nn.BCEWithLogitsLoss(pos_weight=np.ones(5)).to(backend)(x, x)
    with pytest.raises(ShapeError, match=r"weight \(3, 2\), got \(2,\)"):
        ops.mse_loss(x, x, weight=np.ones(2, "float32"))


def test_wrong_arguments(backend):
    x = np.full((3, 2), 0.5, "float32")
    with pytest.raises(ArgumentError, match="delta > 0, got 0"):
        nn.HuberLoss(delta=0).to(backend)(x, x)
    with pytest.raises(ArgumentError, match="beta >= 0, got -1"):
        nn.SmoothL1Loss(beta=-1).to(backend)(x, x)
    with pytest.raises(ArgumentError, match=r"input in \[0, 1\], got values in \[0.5, 1.5\]"):
        nn.BCELoss().to(backend)(x + np.asarray([0.0, 1.0], "float32"), x)
    with pytest.raises(ArgumentError, match=r"target in \[0, 1\], got values in \[-0.5, -0.5\]"):
        nn.BCELoss().to(backend)(x, -x)
    with pytest.raises(ArgumentError, match="none, mean, sum, batchmean, got 'max'"):
        nn.KLDivLoss(reduction="max").to(backend)(x, x)
    with pytest.raises(ArgumentError, match="none, mean, sum, got 'batchmean'"):
        nn.MSELoss(reduction="batchmean").to(backend)(x, x)
