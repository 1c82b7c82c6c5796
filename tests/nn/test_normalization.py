"""Batch, instance, layer and group normalisation against torch.nn."""

from __future__ import annotations

import functools
import inspect

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch as same

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ArgumentError, ShapeError

# Of late, PyTorch's layers may have a weight without a bias, and print which.
BIAS = "bias" in inspect.signature(torch.nn.GroupNorm).parameters
NO_BIAS = [{"bias": False}] if BIAS else []
assert_same_as_torch = functools.partial(same, same_repr=BIAS)

RNG = np.random.default_rng(0)
SHAPES = {1: (4, 3, 5), 2: (4, 3, 2, 5), 3: (2, 3, 2, 3, 4)}

OPTIONS = [
    {},
    {"eps": 1e-2, "momentum": 0.3},
    {"momentum": None},
    {"affine": False},
    {"track_running_stats": False},
    {"affine": False, "track_running_stats": False},
    {"momentum": 0.0},
    *NO_BIAS,
]


def pair(kind: str, *arguments, **options):
    """The same layer of ours and of torch.nn."""
    return getattr(nn, kind)(*arguments, **options), getattr(torch.nn, kind)(*arguments, **options)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_batch_norm(backend, rank, options):
    assert_same_as_torch(backend, *pair(f"BatchNorm{rank}d", 3, **options), RNG.normal(size=SHAPES[rank]))


def test_batch_norm_without_spatial_axes(backend):
    assert_same_as_torch(backend, *pair("BatchNorm1d", 3), RNG.normal(size=(5, 3)))


def test_batch_norm_of_one_sample_in_evaluation(backend):
    assert_same_as_torch(backend, *pair("BatchNorm1d", 3), RNG.normal(size=(1, 3)), modes=(False,))


@pytest.mark.parametrize("options", [*OPTIONS, {"affine": True, "track_running_stats": True}])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_instance_norm(backend, rank, options):
    x = RNG.normal(size=SHAPES[rank])
    assert_same_as_torch(backend, *pair(f"InstanceNorm{rank}d", 3, **options), x)


@pytest.mark.parametrize("options", [{}, {"affine": True, "track_running_stats": True}])
def test_instance_norm_without_batch_axis(backend, options):
    assert_same_as_torch(backend, *pair("InstanceNorm2d", 3, **options), RNG.normal(size=(3, 4, 5)))


@pytest.mark.parametrize("options", [{}, {"eps": 0.1}, {"elementwise_affine": False}, {"bias": False}])
@pytest.mark.parametrize("shape", [5, (5,), (4, 5), (3, 4, 5)])
def test_layer_norm(backend, shape, options):
    x = RNG.normal(size=(2, 3, 4, 5))
    assert_same_as_torch(backend, *pair("LayerNorm", shape, **options), x, modes=(True,))


@pytest.mark.parametrize("options", [{}, {"eps": 0.1, "affine": False}, *NO_BIAS])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (1, 6, 2, 3), (2, 6, 2, 3, 2)])
def test_group_norm(backend, shape, groups, options):
    if len(shape) == 2 and groups == 6:
        shape = (*shape, 4)  # one value in a block leaves nothing but rounding
    assert_same_as_torch(
        backend, *pair("GroupNorm", groups, 6, **options), RNG.normal(size=shape), modes=(True,)
    )


@pytest.mark.parametrize("kind", ["BatchNorm", "InstanceNorm"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_lazy(backend, kind, rank):
    lazy = getattr(nn, f"Lazy{kind}{rank}d")().to(backend)
    lazy(RNG.normal(size=SHAPES[rank]).astype("float32"))
    theirs = getattr(torch.nn, f"{kind}{rank}d")(3, affine=True, track_running_stats=True)
    assert repr(lazy) == repr(theirs) or not BIAS
    state = {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    assert {k: tuple(v.shape) for k, v in lazy.state_dict().items()} == state


def test_running_statistics_are_cut_off_from_the_gradient(backend):
    layer = nn.BatchNorm1d(2).to(backend)
    x = RNG.normal(size=(4, 2)).astype("float32")
    for _ in range(2):
        um.value_and_grad(lambda net, x: um.ops.sum(net(x) ** 2))(layer, x)
    assert layer.parameter("num_batches_tracked").item() == 2
    layer.eval()
    kept = layer.parameter("running_mean").numpy()
    layer(x)
    np.testing.assert_array_equal(layer.parameter("running_mean").numpy(), kept)


def test_counter_is_saved_as_int64(backend):
    layer = nn.BatchNorm1d(2).to(backend)
    layer(RNG.normal(size=(4, 2)).astype("float32"))
    assert layer.parameter("num_batches_tracked").item() == 1
    assert layer.parameter("num_batches_tracked").dtype == "int64"


# ---------------------------------------------------------------------- refusals
WRONG = [
    ("BatchNorm1d", (3,), (4, 2), "3 channels"),
    ("BatchNorm1d", (3,), (4, 1), "3 channels"),
    ("BatchNorm1d", (1,), (4, 3), "1 channels"),
    ("BatchNorm1d", (3,), (4, 3, 2, 2), "2 or 3 axes"),
    ("BatchNorm2d", (3,), (4, 3, 2), "4 axes"),
    ("BatchNorm3d", (3,), (4, 3, 2, 2), "5 axes"),
    ("BatchNorm1d", (3,), (1, 3), "more than one value"),
    ("InstanceNorm1d", (3,), (2, 3, 1), "more than one value"),
    ("InstanceNorm2d", (3, 1e-5, 0.1, True), (2, 2, 4, 4), "3 channels"),
    ("InstanceNorm2d", (3,), (3, 4), "3 or 4 axes"),
    ("LayerNorm", (5,), (2, 4), "(5,)"),
    ("LayerNorm", (5,), (2, 1), "(5,)"),
    ("LayerNorm", ((4, 5),), (5,), "(4, 5)"),
    ("LayerNorm", (1,), (2, 5), "(1,)"),
    ("GroupNorm", (2, 4), (2, 6, 3), "(6,)"),
    ("GroupNorm", (2, 4), (2, 5, 3), "num_groups=2"),
    ("GroupNorm", (2, 4, 1e-5, False), (2, 5, 4), "num_groups=2"),
    ("GroupNorm", (2, 2), (1, 2), "more than one value"),
]


@pytest.mark.parametrize(("kind", "arguments", "shape", "text"), WRONG)
def test_refuses_wrong_inputs(backend, kind, arguments, shape, text):
    net = nn.Sequential(nn.Identity(), getattr(nn, kind)(*arguments)).to(backend)
    with pytest.raises(ShapeError) as error:
        um.to_numpy(net(np.ones(shape, "float32")))
    message = str(error.value)
    assert f"Sequential.1 ({kind})" in message and text in message and str(shape) in message


def test_channels_do_not_matter_where_nothing_depends_on_them(backend):
    x = np.ones((4, 2, 3), "float32")
    nn.BatchNorm1d(3, affine=False, track_running_stats=False).to(backend)(x)
    with pytest.warns(UserWarning, match="3 channels"):
        nn.InstanceNorm1d(3).to(backend)(x)


def test_refuses_bad_arguments():
    for make in (
        lambda: nn.BatchNorm2d(0),
        lambda: nn.BatchNorm2d(2.5),
        lambda: nn.LayerNorm(()),
        lambda: nn.LayerNorm((2, -1)),
        lambda: nn.GroupNorm(3, 4),
        lambda: nn.GroupNorm(0, 4),
    ):
        with pytest.raises(ArgumentError):
            make()


@pytest.mark.parametrize("axes", [(0, 4, 2, 3, 1), (0, 2, 3, 4, 1), (4, 1, 2, 3, 0)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["BatchNorm3d", "InstanceNorm3d"])
def test_gradients_in_another_order_of_axes(backend, kind, training, axes):
    """PyTorch's kernel for the gradient takes some orders for others (found by the conformance suite)."""
    shape = (2, 4, 3, 3, 1)
    x, dy = RNG.normal(size=shape), RNG.normal(size=[shape[axis] for axis in axes])

    def gradient(name):
        dtype = "float64" if name == "numpy" else "float32"
        net = getattr(nn, kind)(4).train(training).to(name, dtype=dtype)
        given, weights = (ops.asarray(array, dtype=dtype, backend=name) for array in (x, dy))
        with um.use_backend(name):
            return um.to_numpy(um.grad(lambda x: ops.sum(ops.permute_dims(net(x), axes) * weights))(given))

    np.testing.assert_allclose(gradient(backend), gradient("numpy"), rtol=1e-4, atol=1e-4)
