"""Pooling layers against torch.nn, with different sizes on every axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
SIZES = {1: (9,), 2: (7, 10), 3: (5, 6, 8)}

WINDOWS = [
    (1, {"kernel_size": 3}),
    (1, {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}),
    (2, {"kernel_size": 2, "ceil_mode": True}),
    (2, {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)}),
    (2, {"kernel_size": (3, 4), "stride": (3, 2), "padding": (1, 2), "ceil_mode": True}),
    (3, {"kernel_size": (1, 2, 3), "stride": (2, 1, 2), "padding": (0, 1, 1)}),
    (3, {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}),
]
DILATED = [
    (1, {"kernel_size": 3, "dilation": 3, "padding": 1}),
    (2, {"kernel_size": (2, 3), "dilation": (3, 2), "stride": (2, 1), "padding": (1, 0), "ceil_mode": True}),
    (3, {"kernel_size": (2, 1, 2), "dilation": (1, 3, 2), "stride": 1}),
]
AVERAGES = [
    (1, {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True, "count_include_pad": False}),
    (
        2,
        {
            "kernel_size": (3, 4),
            "stride": (3, 2),
            "padding": (1, 2),
            "ceil_mode": True,
            "count_include_pad": False,
        },
    ),
    (2, {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "divisor_override": 5}),
    (3, {"kernel_size": (1, 2, 3), "padding": (0, 1, 1), "ceil_mode": True, "divisor_override": -2}),
    (3, {"kernel_size": (2, 3, 2), "stride": (1, 2, 3), "padding": (1, 1, 0), "count_include_pad": False}),
]


def pair(kind: str, rank: int, **options):
    """The same layer of ours and of torch.nn."""
    name = f"{kind}{rank}d"
    return getattr(nn, name)(**options), getattr(torch.nn, name)(**options)


@pytest.mark.parametrize("return_indices", [False, True])
@pytest.mark.parametrize(("rank", "options"), WINDOWS + DILATED)
def test_max_pool(backend, rank, options, return_indices):
    layers = pair("MaxPool", rank, return_indices=return_indices, **options)
    assert_same_as_torch(backend, *layers, RNG.normal(size=(2, 3, *SIZES[rank])), modes=(True,))


@pytest.mark.parametrize(("rank", "options"), WINDOWS + AVERAGES)
def test_avg_pool(backend, rank, options):
    x = RNG.normal(size=(2, 3, *SIZES[rank]))
    assert_same_as_torch(backend, *pair("AvgPool", rank, **options), x, modes=(True,))


ADAPTIVE = [
    (1, 1),
    (1, 4),
    (1, 12),
    (2, 1),
    (2, (3, 4)),
    (2, (None, 4)),
    (2, (9, 10)),
    (3, (2, 5, 3)),
    (3, (None, 1, 8)),
]


@pytest.mark.parametrize(("rank", "size"), ADAPTIVE)
def test_adaptive_avg_pool(backend, rank, size):
    x = RNG.normal(size=(2, 3, *SIZES[rank]))
    assert_same_as_torch(backend, *pair("AdaptiveAvgPool", rank, output_size=size), x, modes=(True,))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_without_batch_axis(backend, rank):
    x = RNG.normal(size=(3, *SIZES[rank]))
    for kind, options in [
        ("MaxPool", {"kernel_size": 2}),
        ("MaxPool", {"kernel_size": 2, "return_indices": True}),
        ("AvgPool", {"kernel_size": 2}),
        ("AdaptiveAvgPool", {"output_size": 2}),
    ]:
        assert_same_as_torch(backend, *pair(kind, rank, **options), x, modes=(True,))


def test_max_pool_gives_the_gradient_to_the_first_of_equals(backend):
    layers = pair("MaxPool", 2, kernel_size=(2, 3), stride=1, padding=1)
    assert_same_as_torch(backend, *layers, np.round(RNG.normal(size=(2, 3, 5, 6))), modes=(True,))


def test_max_pool_of_infinities_and_nan(backend):
    x = RNG.normal(size=(1, 2, 6, 6))
    x[0, 0] = -np.inf
    x[0, 1, 2, 2] = np.nan
    layers = pair("MaxPool", 2, kernel_size=3, stride=3, padding=1)
    assert_same_as_torch(backend, *layers, x, modes=(True,), gradients=False)
    layers = pair("MaxPool", 2, kernel_size=3, stride=3, padding=1, return_indices=True)
    assert_same_as_torch(backend, *layers, x, modes=(True,), gradients=False)


def test_empty_batch(backend):
    x = np.ones((0, 3, 6, 6), "float32")
    for layer in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(3)):
        assert tuple(layer.to(backend)(x).shape) == (0, 3, 3, 3)


# ---------------------------------------------------------------------- refusals
KINDS = [("MaxPool2d", (3,)), ("AvgPool2d", (3,)), ("AdaptiveAvgPool2d", (2,))]


@pytest.mark.parametrize(("kind", "arguments"), KINDS)
@pytest.mark.parametrize("shape", [(4, 4), (1, 2, 3, 4, 4)])
def test_refuses_wrong_ranks(backend, kind, arguments, shape):
    net = nn.Sequential(nn.Identity(), getattr(nn, kind)(*arguments)).to(backend)
    with pytest.raises(ShapeError) as error:
        net(np.ones(shape, "float32"))
    assert f"Sequential.1 ({kind})" in str(error.value)
    assert "4 axes" in str(error.value) and str(shape) in str(error.value)


@pytest.mark.parametrize("layer", [nn.MaxPool2d((2, 5)), nn.AvgPool2d((2, 5)), nn.MaxPool2d(2, dilation=4)])
def test_refuses_inputs_smaller_than_the_window(backend, layer):
    with pytest.raises(ShapeError, match="too small"):
        layer.clone().to(backend)(np.ones((2, 3, 4, 4), "float32"))


BAD = [
    {"kernel_size": 0},
    {"kernel_size": (1, 2, 3)},
    {"kernel_size": 2.5},
    {"stride": 0},
    {"stride": (2,)},
    {"padding": -1},
    {"padding": 2},
    {"padding": (1, 2)},
]


@pytest.mark.parametrize("options", BAD)
@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_refuses_bad_arguments(kind, options):
    with pytest.raises(ArgumentError, match=kind.__name__):
        kind(**{"kernel_size": 3, **options})


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_refuses_padding_of_more_than_half_the_kernel_whatever_the_dilation(backend, rank):
    x, name = np.ones((1, 1) + (9,) * rank, "float32"), f"max_pool{rank}d"
    # So does PyTorch, though a dilated kernel reaches further.
    with pytest.raises(RuntimeError, match="half"):
        getattr(torch.nn.functional, name)(torch.from_numpy(x), 3, stride=1, padding=2, dilation=2)
    with um.use_backend(backend), pytest.raises(ArgumentError, match=f"{name}.*half"):
        getattr(nn.functional, name)(ops.asarray(x), 3, stride=1, padding=2, dilation=2)
    with pytest.raises(ArgumentError, match="half"):
        getattr(nn, f"MaxPool{rank}d")(3, padding=2, dilation=2)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_average_of_an_input_smaller_than_the_window(backend, rank):
    """It is the padded input that must be as large; PyTorch's own wants more for volumes."""
    layer = getattr(nn, f"AvgPool{rank}d")(3, padding=1)
    y = um.to_numpy(layer.to(backend)(np.full((1, 1) + (2,) * rank, 3.0, "float32")))
    np.testing.assert_allclose(y, np.full((1, 1) + (1,) * rank, 3.0 * (2 / 3) ** rank), rtol=1e-6)


def test_refuses_more_bad_arguments():
    with pytest.raises(ArgumentError, match="dilation"):
        nn.MaxPool1d(2, dilation=0)
    for divisor in (0, 1.5, True):
        with pytest.raises(ArgumentError, match="divisor_override"):
            nn.AvgPool2d(2, divisor_override=divisor)
    for size in (-1, (1, 2), "2", (2.0,)):
        with pytest.raises(ArgumentError, match="output_size"):
            nn.AdaptiveAvgPool1d(size)
