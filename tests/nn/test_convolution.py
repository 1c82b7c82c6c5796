"""Convolutions and their transposes against torch.nn, with different sizes on every axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn
from unimodule.errors import ArgumentError, DtypeError, ShapeError

RNG = np.random.default_rng(0)
SIZES = {1: (9,), 2: (7, 9), 3: (5, 6, 7)}

CONV = [
    (1, {"kernel_size": 3}),
    (1, {"kernel_size": 4, "stride": 3, "padding": 2, "dilation": 2, "groups": 2, "bias": False}),
    (1, {"kernel_size": 3, "padding": "same", "dilation": 3}),
    (1, {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"}),
    (1, {"kernel_size": 2, "padding": "same", "padding_mode": "circular"}),
    (2, {"kernel_size": 1}),
    (2, {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 2), "dilation": (3, 1)}),
    (2, {"kernel_size": (3, 2), "stride": (1, 3), "padding": (0, 1), "dilation": (1, 2), "groups": 2}),
    (2, {"kernel_size": (3, 1), "groups": 4, "bias": False}),
    (2, {"kernel_size": (4, 3), "padding": "same", "dilation": (1, 2)}),
    (2, {"kernel_size": (2, 3), "padding": "valid", "stride": 2}),
    (2, {"kernel_size": (2, 3), "padding": (1, 2), "padding_mode": "reflect", "stride": (2, 1)}),
    (2, {"kernel_size": (2, 3), "padding": (3, 1), "padding_mode": "replicate"}),
    (2, {"kernel_size": (4, 3), "padding": "same", "padding_mode": "circular", "groups": 2}),
    (3, {"kernel_size": (1, 2, 3), "stride": (1, 2, 3), "padding": (0, 1, 2), "dilation": (1, 2, 1)}),
    (3, {"kernel_size": (2, 2, 1), "groups": 2, "padding": (1, 0, 2), "bias": False}),
    (3, {"kernel_size": (2, 3, 4), "padding": "same"}),
    (3, {"kernel_size": (2, 1, 2), "padding": (2, 1, 0), "padding_mode": "replicate"}),
]

TRANSPOSE = [
    (1, {"kernel_size": 3}),
    (
        1,
        {
            "kernel_size": 4,
            "stride": 3,
            "padding": 2,
            "output_padding": 1,
            "dilation": 2,
            "groups": 2,
            "bias": False,
        },
    ),
    (1, {"kernel_size": 2, "stride": 1, "dilation": 3, "output_padding": 2}),
    (2, {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 2), "dilation": (3, 1)}),
    (2, {"kernel_size": (3, 2), "stride": (2, 3), "padding": (0, 1), "output_padding": (1, 2), "groups": 2}),
    (2, {"kernel_size": (1, 2), "stride": (3, 2), "groups": 4, "bias": False}),
    (2, {"kernel_size": (3, 3), "padding": (3, 2), "dilation": (2, 1), "output_padding": (1, 0)}),
    (3, {"kernel_size": (1, 2, 3), "stride": (1, 2, 3), "padding": (0, 1, 2), "output_padding": (0, 1, 2)}),
    (3, {"kernel_size": (2, 3, 2), "dilation": (2, 1, 1), "groups": 2}),
]


def pair(kind: str, rank: int, *arguments, **options):
    """The same layer of ours and of torch.nn."""
    name = f"{kind}{rank}d"
    return getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # the oracle's
@pytest.mark.parametrize(("rank", "options"), CONV)
def test_conv(backend, rank, options):
    x = RNG.normal(size=(2, 4, *SIZES[rank]))
    assert_same_as_torch(backend, *pair("Conv", rank, 4, 8, **options), x, modes=(True,))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 1)},
        {"kernel_size": (2, 3), "stride": (1, 3), "padding": (1, 1)},
        {"kernel_size": (1, 1), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 1)},
        {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 1)},
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1)])
def test_several_rows_of_one_column(backend, options, size):
    """oneDNN's kernel loses cells of these (found by the conformance suite)."""
    x = RNG.normal(size=(3, 1, *size))
    assert_same_as_torch(backend, *pair("Conv", 2, 1, 2, **options), x, modes=(True,))


@pytest.mark.parametrize(("rank", "options"), TRANSPOSE)
def test_conv_transpose(backend, rank, options):
    x = RNG.normal(size=(2, 4, *SIZES[rank]))
    assert_same_as_torch(backend, *pair("ConvTranspose", rank, 4, 8, **options), x, modes=(True,))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_without_batch_axis(backend, kind, rank):
    x = RNG.normal(size=(4, *SIZES[rank]))
    assert_same_as_torch(backend, *pair(kind, rank, 4, 6, 2, stride=2, groups=2), x, modes=(True,))


def test_reflection_without_batch_axis(backend):
    pad = {"padding": (2, 1), "padding_mode": "reflect"}
    assert_same_as_torch(backend, *pair("Conv", 2, 3, 2, 3, **pad), RNG.normal(size=(3, 5, 4)), modes=(True,))


@pytest.mark.parametrize("size", [(13, 16), (14, 17), (2, 5, 14, 16)])
def test_output_size(backend, size):
    x = RNG.normal(size=(2, 4, 7, 6))
    ours, theirs = pair("ConvTranspose", 2, 4, 5, (3, 4), stride=(2, 3), padding=(1, 2))
    assert_same_as_torch(backend, ours, theirs, x, modes=(True,), output_size=list(size))


@pytest.mark.parametrize("size", [(12, 15), (15, 16), (13,), (1, 2, 3, 13, 15)])
def test_output_size_out_of_reach(backend, size):
    layer = nn.ConvTranspose2d(4, 5, (3, 4), stride=(2, 3), padding=(1, 2)).to(backend)
    with pytest.raises(ShapeError, match="output_size"):
        layer(np.ones((2, 4, 7, 6), "float32"), output_size=size)


def test_empty_batch(backend):
    assert tuple(nn.Conv2d(3, 4, 2).to(backend)(np.ones((0, 3, 5, 6), "float32")).shape) == (0, 4, 4, 5)


LAZY = [
    ("Conv", 1, {"kernel_size": 3, "groups": 2}),
    ("Conv", 2, {"kernel_size": (2, 3), "bias": False}),
    ("Conv", 3, {"kernel_size": 2, "padding": "same"}),
    ("ConvTranspose", 1, {"kernel_size": 3, "stride": 2}),
    ("ConvTranspose", 2, {"kernel_size": (2, 3), "groups": 2}),
    ("ConvTranspose", 3, {"kernel_size": 2, "bias": False}),
]


@pytest.mark.parametrize(("kind", "rank", "options"), LAZY)
def test_lazy(backend, kind, rank, options):
    lazy = getattr(nn, f"Lazy{kind}{rank}d")(8, **options)
    regular = getattr(nn, f"{kind}{rank}d")(4, 8, **options)
    x = RNG.normal(size=(2, 4, *SIZES[rank])).astype("float32")
    lazy.initialize(seed=5).to(backend)
    regular.initialize(seed=5).to(backend)
    np.testing.assert_array_equal(um.to_numpy(lazy(x)), um.to_numpy(regular(x)))
    assert repr(lazy) == repr(regular) and type(lazy) is type(regular)
    theirs = getattr(torch.nn, f"{kind}{rank}d")(4, 8, **options)
    assert {n: p.shape for n, p in lazy.named_parameters()} == {
        n: tuple(p.shape) for n, p in theirs.named_parameters()
    }


@pytest.mark.parametrize(("kind", "rank"), [("Conv", 2), ("ConvTranspose", 1)])
def test_initial_values_have_pytorchs_distribution(kind, rank):
    ours, theirs = pair(kind, rank, 6, 64, 3, groups=2)
    ours.initialize(seed=0).to("numpy")
    for name, _ in theirs.named_parameters():
        values = ours.parameter(name).numpy()
        fan_in = theirs.weight[0].numel()
        bound = 1 / np.sqrt(fan_in)
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.9 * bound
        assert abs(values.std() - bound / np.sqrt(3)) < 0.2 * bound


# ---------------------------------------------------------------------- refusals
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize(
    "shape", [(2, 3, 8, 8), (2, 1, 8, 8), (3, 8, 8), (8, 8), (2, 4, 8, 8, 8), (2, 8, 8, 8)]
)
def test_refuses_wrong_inputs(backend, kind, shape):
    net = nn.Sequential(nn.Identity(), getattr(nn, f"{kind}2d")(4, 6, 3, groups=2)).to(backend)
    with pytest.raises(ShapeError) as error:
        net(np.ones(shape, "float32"))
    message = str(error.value)
    assert f"Sequential.1 ({kind}2d)" in message
    assert "4" in message and str(shape[-2:])[1:-1] in message


def test_refuses_inputs_smaller_than_the_kernel(backend):
    with pytest.raises(ShapeError, match="too small"):
        nn.Conv2d(3, 4, (3, 5)).to(backend)(np.ones((2, 3, 4, 4), "float32"))
    with pytest.raises(ShapeError):
        nn.Conv1d(3, 4, 1, padding=4, padding_mode="reflect").to(backend)(np.ones((2, 3, 4), "float32"))
    with pytest.raises(ShapeError):
        nn.ConvTranspose1d(3, 4, 1, padding=2).to(backend)(np.ones((2, 3, 4), "float32"))


def test_refuses_integers(backend):
    for layer in (nn.Conv1d(3, 4, 1), nn.ConvTranspose1d(3, 4, 1)):
        with pytest.raises(DtypeError):
            layer.to(backend)(np.ones((2, 3, 4), "int32"))


def test_lazy_refuses(backend):
    for shape in [(4, 4), (2, 3, 4, 4), (2, 4, 4, 4, 4)]:
        with pytest.raises(ShapeError):
            nn.LazyConv2d(4, 2, groups=2).to(backend)(np.ones(shape, "float32"))


BAD = [
    {"groups": 0},
    {"groups": 3},
    {"groups": 1.5},
    {"stride": 0},
    {"stride": (1, 2, 3)},
    {"kernel_size": 0},
    {"kernel_size": (2, -1)},
    {"kernel_size": "3"},
    {"dilation": 0},
    {"padding": -1},
    {"padding": "full"},
    {"padding_mode": "zero"},
    {"in_channels": 0},
    {"out_channels": -4},
]


@pytest.mark.parametrize("options", BAD)
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_refuses_bad_arguments(kind, options):
    with pytest.raises(ArgumentError, match=kind.__name__):
        kind(**{"in_channels": 4, "out_channels": 4, "kernel_size": 3, **options})


def test_refuses_arguments_that_do_not_go_together():
    with pytest.raises(ArgumentError, match="stride 1"):
        nn.Conv2d(3, 4, 3, stride=2, padding="same")
    for options in [
        {"padding_mode": "reflect"},
        {"padding": "same"},
        {"output_padding": 1},
        {"output_padding": -1},
    ]:
        with pytest.raises(ArgumentError):
            nn.ConvTranspose2d(3, 4, 3, **options)
