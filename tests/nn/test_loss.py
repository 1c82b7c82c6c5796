"""Losses of classification against torch.nn: targets, weights, reductions, what is ignored, and wrong calls."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError

RNG = np.random.default_rng(0)
REDUCTIONS = ("mean", "sum", "none")
SHAPES = [(6, 4), (2, 4, 3, 2), (4,), (3, 4, 5)]
CASES = [(shape, "mean") for shape in SHAPES] + [(shape, r) for shape in SHAPES[:2] for r in ("sum", "none")]


def target_shape(shape):
    return () if len(shape) == 1 else (shape[0], *shape[2:])


def pair(name, weighted, **options):
    """The same loss of ours and of torch.nn, with weights that PyTorch takes as a tensor and we as an array."""
    if not weighted:
        return getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    weight = RNG.uniform(0.5, 2.0, 4)
    return (
        getattr(nn, name)(weight=weight, **options),
        getattr(torch.nn, name)(weight=torch.tensor(weight), **options),
    )


@pytest.mark.parametrize(("shape", "reduction"), CASES, ids=str)
@pytest.mark.parametrize(("weighted", "smoothing"), [(False, 0.0), (True, 0.0), (False, 0.3), (True, 0.2)])
def test_cross_entropy_of_classes(backend, shape, reduction, weighted, smoothing):
    x, target = RNG.normal(size=shape), RNG.integers(0, 4, target_shape(shape))
    losses = pair("CrossEntropyLoss", weighted, reduction=reduction, label_smoothing=smoothing)
    assert_same_as_torch(backend, *losses, x, target, modes=(True,))


@pytest.mark.parametrize(("shape", "reduction"), CASES, ids=str)
@pytest.mark.parametrize(("weighted", "smoothing"), [(False, 0.0), (True, 0.2)])
def test_cross_entropy_of_probabilities(backend, shape, reduction, weighted, smoothing):
    x, target = RNG.normal(size=shape), RNG.uniform(size=shape)
    losses = pair("CrossEntropyLoss", weighted, reduction=reduction, label_smoothing=smoothing)
    assert_same_as_torch(backend, *losses, x, target, modes=(True,))


@pytest.mark.parametrize(("shape", "reduction"), CASES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_nll(backend, shape, reduction, weighted):
    x, target = -RNG.uniform(0.1, 3.0, shape), RNG.integers(0, 4, target_shape(shape))
    assert_same_as_torch(backend, *pair("NLLLoss", weighted, reduction=reduction), x, target, modes=(True,))


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("ignored", "weighted"), [(-100, True), (2, False), (2, True), (255, False)])
def test_ignored_targets(backend, name, reduction, ignored, weighted):
    target = np.asarray([[0, ignored, 3], [ignored, 1, 1]])
    losses = pair(name, weighted, reduction=reduction, ignore_index=ignored)
    assert_same_as_torch(backend, *losses, -RNG.uniform(0.1, 3.0, (2, 4, 3)), target, modes=(True,))


def test_ignored_targets_with_smoothing_and_weights(backend):
    losses = pair("CrossEntropyLoss", True, ignore_index=1, label_smoothing=0.4)
    target = np.asarray([1, 0, 3, 1, 2])
    assert_same_as_torch(backend, *losses, RNG.normal(size=(5, 4)), target, modes=(True,))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(3, 4), (4,)])
def test_mean_over_no_case_is_nan(backend, shape, smoothing):
    x = ops.asarray(RNG.normal(size=shape).astype("float32"), backend=backend)
    target = np.full(target_shape(shape), -100)
    assert np.isnan(um.to_numpy(ops.cross_entropy(x, target, label_smoothing=smoothing)))
    assert um.to_numpy(ops.cross_entropy(x, target, reduction="sum", label_smoothing=smoothing)) == 0.0


def test_empty_batch(backend):
    x, target = ops.asarray(np.zeros((0, 4), "float32"), backend=backend), np.zeros((0,), "int64")
    assert np.isnan(um.to_numpy(ops.cross_entropy(x, target)))
    assert um.to_numpy(ops.cross_entropy(x, target, reduction="sum")) == 0.0


def test_infinite_scores(backend, finest):
    """A class that cannot be (-inf) neither hurts the others nor their gradients."""
    x = np.asarray([[-np.inf, 1.0, 2.0], [3.0, -np.inf, 4.0]])
    target = np.asarray([1, 0])
    loss, slope = um.value_and_grad(lambda x: ops.cross_entropy(x, target))(
        ops.asarray(x.astype(finest), backend=backend)
    )
    oracle = torch.tensor(x, requires_grad=True)
    want = torch.nn.functional.cross_entropy(oracle, torch.tensor(target))
    np.testing.assert_allclose(um.to_numpy(loss), want.item(), rtol=1e-6)
    expected = torch.autograd.grad(want, oracle)[0].numpy()
    np.testing.assert_allclose(um.to_numpy(slope), expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integer_targets_of_any_width(backend, dtype):
    x, target = RNG.normal(size=(5, 4)).astype("float32"), RNG.integers(0, 4, 5)
    out = nn.CrossEntropyLoss().to(backend)(x, target.astype(dtype))
    want = torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(target))
    np.testing.assert_allclose(um.to_numpy(out), want.numpy(), rtol=1e-6)


def test_retired_arguments_are_honoured(backend):
    x = ops.asarray(RNG.normal(size=(5, 4)).astype("float32"), backend=backend)
    target = RNG.integers(0, 4, 5)
    for size_average, reduce in itertools.product((None, True, False), repeat=2):
        if size_average is None and reduce is None:
            continue
        with pytest.warns(DeprecationWarning, match="write reduction="):
            out = nn.functional.nll_loss(x, target, None, size_average, -100, reduce)
        chosen = "none" if reduce is False else "sum" if size_average is False else "mean"
        want = ops.nll_loss(x, target, reduction=chosen)
        np.testing.assert_array_equal(um.to_numpy(out), um.to_numpy(want))


def test_weight_is_a_buffer():
    loss = nn.CrossEntropyLoss(weight=np.asarray([1.0, 2.0]))
    assert [name for name, _ in loss.named_buffers()] == ["weight"] and not list(loss.parameters())
    assert list(nn.CrossEntropyLoss().state_dict()) == []


# ---------------------------------------------------------------------- wrong calls
@pytest.mark.parametrize("wrong", [[0, 4], [-1, 0], [0, -101]])
def test_targets_out_of_range(backend, wrong):
    for loss in (nn.CrossEntropyLoss(), nn.NLLLoss()):
        with pytest.raises(OutOfRangeError, match=r"to be in \[0, 4\) or ignore_index -100, got") as error:
            loss.to(backend)(np.zeros((2, 4), "float32"), np.asarray(wrong))
        assert isinstance(error.value, IndexError)
        assert type(loss).__name__ in str(error.value)


WRONG = [
    (ShapeError, r"target \(2,\) for input \(2, 4\), got \(3,\)", (2, 4), np.zeros(3, int), {}),
    (
        ShapeError,
        r"target \(2, 3\) for input \(2, 4, 3\), got \(2, 5\)",
        (2, 4, 3),
        np.zeros((2, 5), int),
        {},
    ),
    (ShapeError, "got a scalar", (), np.asarray(0), {}),
    (
        ShapeError,
        r"weight \(4,\) for input \(2, 4\), got \(3,\)",
        (2, 4),
        np.zeros(2, int),
        {"weight": np.ones(3)},
    ),
    (DtypeError, "integer dtype .*, got float32", (2, 4), np.zeros(2, "float32"), {}),
    (DtypeError, "probabilities of a float dtype .*, got int64", (2, 4), np.zeros((2, 4), int), {}),
    (ArgumentError, "0 <= label_smoothing <= 1, got 1.5", (2, 4), np.zeros(2, int), {"label_smoothing": 1.5}),
    (ArgumentError, "none, mean, sum, got 'max'", (2, 4), np.zeros(2, int), {"reduction": "max"}),
    (ArgumentError, "no ignore_index", (2, 4), np.zeros((2, 4), "float32"), {"ignore_index": 1}),
]


@pytest.mark.parametrize(("kind", "text", "shape", "target", "options"), WRONG, ids=range(len(WRONG)))
def test_wrong_arguments(backend, kind, text, shape, target, options):
    loss = nn.CrossEntropyLoss(**options).to(backend)
    if text.endswith("int64"):
        text = text.replace("int64", "int(64|32)")  # where a backend carries integers in 32 bits
    with pytest.raises(kind, match=text) as error:
        loss(np.zeros(shape, "float32"), target)
    assert str(error.value).startswith("CrossEntropyLoss")


def test_integer_scores(backend):
    with pytest.raises(DtypeError, match="input of a float dtype, got int"):
        nn.NLLLoss().to(backend)(np.zeros((2, 4), "int32"), np.zeros(2, "int32"))
