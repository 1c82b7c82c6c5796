"""nn.functional's linear, convolution, padding, pooling, normalisation and embedding against torch.nn.functional."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn
from unimodule.errors import ArgumentError, DtypeError, ShapeError, UnimoduleError
from unimodule.nn import functional as F

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


class Theirs(torch.nn.Module):
    """A function of torch.nn.functional as a module."""

    def __init__(self, name, options):
        super().__init__()
        self.function, self.options = getattr(torch.nn.functional, name), options

    def forward(self, *args, **tensors):
        return self.function(*args, **tensors, **self.options)


def assert_same(backend: str, name: str, *args, **options) -> None:
    """Values, and gradients with respect to every float array in ``args`` (those in ``options`` are held fixed)."""
    tensors = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
    rest = {k: v for k, v in options.items() if k not in tensors}
    ours = nn.Function(lambda *args, **tensors: getattr(F, name)(*args, **tensors, **rest))
    assert_same_as_torch(backend, ours, Theirs(name, rest), *args, modes=(True,), same_repr=False, **tensors)


PAD = [
    ((5,), (1, 2), {}),
    ((2, 3, 4), (1, 0, 2, 3, 0, 1), {"value": -1.5}),
    ((3, 4), (-1, 2, 1, -2), {"value": 2.0}),
    ((3, 4), (-1, -1), {}),
    ((2, 3, 5), (3, 4), {"mode": "reflect"}),
    ((2, 5), (-2, 3), {"mode": "reflect"}),
    ((2, 3, 4, 5), (1, 2, 3, 0), {"mode": "reflect"}),
    ((2, 1, 2, 3, 4), (1, 2, 2, 0, 1, 1), {"mode": "reflect"}),
    ((3, 5), (7, 2), {"mode": "replicate"}),
    ((2, 3, 4, 5), (1, -2, 6, 0), {"mode": "replicate"}),
    ((1, 2, 2, 3, 4), (1, 2, 3, 0, 1, 4), {"mode": "replicate"}),
    ((3, 5), (5, 2), {"mode": "circular"}),
    ((2, 3, 5), (-1, 3), {"mode": "circular"}),
    ((2, 3, 4, 5), (2, -2, 0, 4), {"mode": "circular"}),
    ((1, 2, 2, 3, 4), (1, 2, 3, 0, 1, 2), {"mode": "circular"}),
]


@pytest.mark.parametrize(("shape", "pad", "options"), PAD)
def test_pad(backend, shape, pad, options):
    assert_same(backend, "pad", normal(*shape), pad=pad, **options)


BAD_PAD = [
    ((3, 4), (1,), {}, ArgumentError),
    ((3, 4), (1.5, 1), {}, ArgumentError),
    ((3, 4), (1, 1), {"mode": "mirror"}, ArgumentError),
    ((3, 4), (1, 1), {"mode": "reflect", "value": 1.0}, ArgumentError),
    ((3, 4), (1, 1, 1, 1, 1, 1), {}, ShapeError),
    ((3, 4), (-3, -2), {}, ShapeError),
    ((3, 4), (-5, 2), {}, ShapeError),
    ((3, 4), (4, 0), {"mode": "reflect"}, ShapeError),
    ((3, 4), (5, 0), {"mode": "circular"}, ShapeError),
    ((4,), (1, 0), {"mode": "reflect"}, ShapeError),
    ((2, 3, 4, 5), (1, 0), {"mode": "replicate"}, ShapeError),
]


@pytest.mark.parametrize(("shape", "pad", "options", "error"), BAD_PAD)
def test_pad_refuses(backend, shape, pad, options, error):
    with pytest.raises(error, match="pad"):
        F.pad(um.convert(np.ones(shape, "float32"), backend), pad, **options)


CALLS = [
    ("linear", (normal(2, 3), normal(4, 3), normal(4)), {}),
    ("linear", (normal(2, 5, 3), normal(3)), {}),
    ("bilinear", (normal(2, 3), normal(2, 4), normal(5, 3, 4), normal(5)), {}),
    ("conv1d", (normal(2, 4, 7), normal(6, 2, 3), normal(6)), {"padding": "same", "groups": 2}),
    (
        "conv2d",
        (normal(4, 6, 7), normal(6, 4, 2, 3)),
        {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)},
    ),
    ("conv3d", (normal(1, 2, 4, 5, 6), normal(3, 2, 1, 2, 3), normal(3)), {"padding": "valid"}),
    (
        "conv_transpose1d",
        (normal(4, 7), normal(4, 3, 2), normal(6)),
        {"stride": 3, "output_padding": 1, "groups": 2},
    ),
    ("conv_transpose2d", (normal(2, 3, 4, 5), normal(3, 2, 2, 3)), {"stride": (2, 1), "dilation": (1, 3)}),
    ("conv_transpose3d", (normal(1, 2, 2, 3, 2), normal(2, 2, 2, 1, 2), normal(2)), {"padding": (1, 0, 1)}),
    ("max_pool1d", (normal(2, 3, 7),), {"kernel_size": 3, "stride": 2, "return_indices": True}),
    ("max_pool2d", (normal(3, 6, 7),), {"kernel_size": (2, 3), "dilation": (3, 1), "return_indices": True}),
    ("max_pool3d", (normal(2, 1, 4, 5, 4),), {"kernel_size": 2, "ceil_mode": True}),
    ("avg_pool1d", (normal(3, 7),), {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
    ("avg_pool2d", (normal(2, 3, 5, 6),), {"kernel_size": (2, 3), "ceil_mode": True, "divisor_override": 3}),
    ("avg_pool3d", (normal(1, 2, 4, 5, 4),), {"kernel_size": (1, 2, 3), "stride": (2, 1, 1)}),
    ("adaptive_avg_pool1d", (normal(3, 7),), {"output_size": 3}),
    ("adaptive_avg_pool2d", (normal(2, 3, 5, 7),), {"output_size": (None, 3)}),
    ("adaptive_avg_pool3d", (normal(2, 3, 4, 3, 2),), {"output_size": 2}),
    (
        "batch_norm",
        (normal(4, 3, 2),),
        {"running_mean": normal(3), "running_var": normal(3) ** 2, "bias": normal(3)},
    ),
    ("batch_norm", (normal(4, 3, 2), None, None, normal(3), normal(3)), {"training": True, "eps": 0.1}),
    ("instance_norm", (normal(2, 3, 5),), {}),
    (
        "instance_norm",
        (normal(2, 3, 5),),
        {"running_mean": normal(3), "running_var": normal(3) ** 2, "use_input_stats": False},
    ),
    ("instance_norm", (normal(2, 3, 5), None, None, normal(3), normal(3)), {"eps": 0.1}),
    ("layer_norm", (normal(2, 3, 4),), {"normalized_shape": (3, 4)}),
    ("group_norm", (normal(2, 6, 4),), {"num_groups": 3}),
    ("normalize", (normal(3, 4),), {}),
    ("normalize", (normal(3, 4, 2),), {"p": 1, "dim": -1}),
    ("normalize", (normal(3, 4, 2),), {"p": 3.5, "dim": (0, 2)}),
    ("normalize", (normal(3, 4),), {"p": float("inf"), "dim": 0}),
    ("normalize", (normal(3, 4),), {"p": float("-inf")}),
    ("normalize", (normal(3, 4),), {"eps": 10.0}),
    ("embedding", (RNG.integers(0, 5, (2, 3)), normal(5, 2)), {"padding_idx": -2}),
]


@pytest.mark.parametrize(("name", "args", "options"), CALLS)
def test_equals_torch(backend, name, args, options):
    assert_same(backend, name, *args, **options)


def test_linear_with_one_output_without_an_axis(backend):
    x = um.convert(np.ones((2, 3), "float32"), backend)
    y = F.linear(x, np.asarray([1, 2, 3], "float32"), np.asarray(0.5, "float32"))
    np.testing.assert_array_equal(um.to_numpy(y), [6.5, 6.5])


def test_normalize_of_a_zero_vector(backend):
    x = um.convert(np.zeros((2, 3), "float32"), backend)
    for p in (1.0, 2.0, 3.0):
        y, slope = um.value_and_grad(lambda x, p=p: um.ops.sum(F.normalize(x, p, eps=1e-3)))(x)
        assert um.ops.item(y) == 0
        np.testing.assert_allclose(um.to_numpy(slope), 1e3, rtol=1e-5)


def test_running_statistics_are_never_written(backend):
    mean, var = (um.convert(np.ones(3, "float32"), backend) for _ in range(2))
    F.batch_norm(um.convert(normal(4, 3).astype("float32"), backend), mean, var, training=True)
    np.testing.assert_array_equal(um.to_numpy(mean), 1)
    np.testing.assert_array_equal(um.to_numpy(var), 1)


def test_arrays_beside_tensors_are_data(backend):
    x = um.convert(np.ones((1, 2, 3), "float32"), backend)
    y = F.conv1d(x, np.ones((1, 2, 2), "float32"), np.ones(1, "float32"))
    assert um.backend_of(y) == backend
    np.testing.assert_array_equal(um.to_numpy(y), [[[5, 5]]])
    y = F.layer_norm(x, 3, np.ones(3, "float32"), np.full(3, 2, "float32"))
    np.testing.assert_array_equal(um.to_numpy(y), np.full((1, 2, 3), 2))


ONE = np.ones((2, 3, 8, 8), "float32")
WRONG = [
    (lambda x: F.linear(x, np.ones((4, 7), "float32")), ShapeError, "(..., 7)"),
    (lambda x: F.linear(x, np.ones((4, 8), "float32"), np.ones(3, "float32")), ShapeError, "bias (4,)"),
    (lambda x: F.linear(x, np.ones((4, 8), "int64")), DtypeError, "int"),
    (lambda x: F.linear(x, np.ones((1, 4, 8), "float32")), ShapeError, "(1, 4, 8)"),
    (lambda x: F.conv2d(x, np.ones((4, 2, 3, 3), "float32")), ShapeError, "2 channels"),
    (lambda x: F.conv2d(x, np.ones((4, 3, 3, 3), "float32"), np.ones(3, "float32")), ShapeError, "bias (4,)"),
    (lambda x: F.conv2d(x, np.ones((4, 3, 3), "float32")), ShapeError, "4 axes"),
    (lambda x: F.conv2d(x, np.ones((4, 3, 9, 3), "float32")), ShapeError, "too small"),
    (lambda x: F.conv1d(x, np.ones((4, 3, 3), "float32")), ShapeError, "conv1d"),
    (lambda x: F.conv2d(x, np.ones((4, 3, 3, 3), "float32"), stride=0), ArgumentError, "stride"),
    (lambda x: F.conv2d(x, np.ones((4, 3, 3, 3), "float32"), groups=2), ShapeError, "groups=2"),
    (lambda x: F.conv_transpose2d(x, np.ones((4, 3, 3, 3), "float32")), ShapeError, "4 channels"),
    (
        lambda x: F.conv_transpose2d(x, np.ones((3, 3, 3, 3), "float32"), output_padding=1),
        ShapeError,
        "output_padding",
    ),
    (lambda x: F.max_pool2d(x, 9), ShapeError, "too small"),
    (lambda x: F.max_pool1d(x, 2), ShapeError, "max_pool1d"),
    (lambda x: F.max_pool2d(x, 3, padding=2), ArgumentError, "half"),
    (lambda x: F.avg_pool2d(x, 2, divisor_override=0), ArgumentError, "divisor_override"),
    (lambda x: F.adaptive_avg_pool2d(x, (1, 2, 3)), ArgumentError, "output_size"),
    (lambda x: F.batch_norm(x, None, None), ArgumentError, "running_mean"),
    (lambda x: F.batch_norm(x, np.ones(4, "float32"), np.ones(3, "float32")), ShapeError, "mean (3,)"),
    (lambda x: F.layer_norm(x, (7,)), ShapeError, "(7,)"),
    (lambda x: F.layer_norm(x, ()), ArgumentError, "normalized_shape"),
    (lambda x: F.group_norm(x, 2), ShapeError, "num_groups=2"),
    (lambda x: F.normalize(x, dim=4), ShapeError, "dim"),
    (lambda x: F.embedding(x, np.ones((4, 3), "float32")), DtypeError, "integer"),
    (lambda x: F.embedding(np.ones(3, "int32"), x), ShapeError, "(rows, features)"),
]


@pytest.mark.parametrize(("call", "error", "text"), WRONG)
def test_refuses(backend, call, error, text):
    with pytest.raises(UnimoduleError) as raised:
        call(um.convert(ONE, backend))
    assert type(raised.value) is error
    assert text in str(raised.value)
