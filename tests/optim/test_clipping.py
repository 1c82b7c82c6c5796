"""Gradient clipping against torch.nn.utils, on gradients as value_and_grad returns them and on other trees."""

from __future__ import annotations

import math

import numpy as np
import pytest

import unimodule as um
from unimodule import optim

from .cases import gradients, make_net
from .cases import torch as torch  # a fixture

ORDERS = [2.0, 1, 3.5, 0, math.inf, "inf", -math.inf]


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    shapes = {"a": (3, 4), "b": (4,), "c": ()}
    return {k: np.asarray(rng.normal(size=shape), "float32") for k, shape in shapes.items()}


def native(adapter, values):
    return {k: adapter.from_numpy(v, str(v.dtype), "cpu") for k, v in values.items()}


def theirs(torch, values, clip, *args, **kwargs):
    parameters = [
        torch.nn.Parameter(torch.zeros(v.shape, dtype=torch.from_numpy(v).dtype)) for v in values.values()
    ]
    for parameter, value in zip(parameters, values.values(), strict=True):
        parameter.grad = torch.from_numpy(value.copy())
    norm = clip(parameters, *args, **kwargs)
    return {k: p.grad.numpy() for k, p in zip(values, parameters, strict=True)}, norm


@pytest.mark.parametrize("max_norm", [0.5, 100.0, 0.0])
@pytest.mark.parametrize("order", ORDERS)
def test_norm_equals_torchs(adapter, torch, order, max_norm):
    values = arrays()
    values["b"][1:] = 0.0
    expected, expected_norm = theirs(torch, values, torch.nn.utils.clip_grad_norm_, max_norm, order)
    got, norm = optim.clip_grad_norm(native(adapter, values), max_norm, order)
    assert adapter.shape(norm) == () and adapter.dtype(norm) == "float32"
    np.testing.assert_allclose(um.to_numpy(norm), expected_norm.numpy(), rtol=1e-6)
    for key, value in expected.items():
        assert adapter.dtype(got[key]) == "float32"
        np.testing.assert_allclose(um.to_numpy(got[key]), value, rtol=2e-6, atol=1e-7, err_msg=key)


def test_value_equals_torchs(adapter, torch):
    values = arrays()
    values["a"][0, 0] = np.nan
    expected, _ = theirs(torch, values, torch.nn.utils.clip_grad_value_, 0.4)
    for key, value in optim.clip_grad_value(native(adapter, values), 0.4).items():
        np.testing.assert_array_equal(um.to_numpy(value), expected[key])


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_norms_that_are_not_finite(adapter, torch, bad):
    values = arrays()
    values["a"][0, 0] = bad
    expected, expected_norm = theirs(torch, values, torch.nn.utils.clip_grad_norm_, 1.0)
    got, norm = optim.clip_grad_norm(native(adapter, values), 1.0)
    np.testing.assert_array_equal(um.to_numpy(norm), expected_norm.numpy())
    for key, value in expected.items():
        np.testing.assert_array_equal(um.to_numpy(got[key]), value)
    with pytest.raises(um.ArgumentError, match="cannot be clipped"):
        optim.clip_grad_norm(native(adapter, values), 1.0, error_if_nonfinite=True)


def test_half_precision_is_summed_in_single(adapter, torch):
    if "float16" not in adapter.float_dtypes:
        pytest.skip("no float16 here")
    values = {
        "a": np.full(300, 30.0, "float16"),
        "b": np.full(4, 2.0, "float16"),
    }  # squares beyond float16's range
    expected, expected_norm = theirs(torch, values, torch.nn.utils.clip_grad_norm_, 1.0)
    got, norm = optim.clip_grad_norm(native(adapter, values), 1.0)
    assert adapter.dtype(norm) == "float16"
    np.testing.assert_allclose(um.to_numpy(norm), expected_norm.numpy(), rtol=1e-3)
    np.testing.assert_allclose(um.to_numpy(got["a"]), expected["a"], rtol=2e-3)


def test_what_value_and_grad_returned_keeps_its_handles(backend):
    net = make_net(backend)
    grads = gradients(net)
    for clipped in (optim.clip_grad_norm(grads, 0.01)[0], optim.clip_grad_value(grads, 0.01)):
        assert type(clipped) is type(grads) and clipped.parameters is grads.parameters
        before = um.to_numpy(net[0].weight)
        optim.SGD(net[0].parameters(), lr=1.0).step(clipped)  # found by handle: the names here are others
        np.testing.assert_allclose(
            um.to_numpy(net[0].weight), before - um.to_numpy(clipped["0.weight"]), rtol=1e-6, atol=1e-7
        )


def test_trees(adapter):
    values = native(adapter, arrays())
    tree = ({"x": values["a"], "none": None}, [values["b"], (values["c"],)])
    flat, norm = optim.clip_grad_norm(values, 0.5)
    clipped, same = optim.clip_grad_norm(tree, 0.5)
    assert um.to_numpy(norm) == um.to_numpy(same)
    assert clipped[0]["none"] is None and isinstance(clipped[1][1], tuple)
    for got, expected in (
        (clipped[0]["x"], flat["a"]),
        (clipped[1][0], flat["b"]),
        (clipped[1][1][0], flat["c"]),
    ):
        assert np.array_equal(um.to_numpy(got), um.to_numpy(expected))
    alone, _ = optim.clip_grad_norm(values["a"], 0.5)
    assert adapter.shape(alone) == (3, 4)
    nothing, zero = optim.clip_grad_norm({"a": None}, 1.0)
    assert nothing == {"a": None} and float(um.to_numpy(zero)) == 0.0


def test_compiled(adapter):
    """Nothing is read on the host: a compiler can follow."""
    values = list(native(adapter, arrays()).values())

    def clip(a, b, c):
        clipped, norm = optim.clip_grad_norm([a, b, c], 0.5)
        return [*optim.clip_grad_value(clipped, 0.1), norm]

    for got, expected in zip(adapter.accelerate(clip)(*values), clip(*values), strict=True):
        np.testing.assert_allclose(um.to_numpy(got), um.to_numpy(expected), rtol=1e-6)


def test_bad_arguments():
    grads = {"a": np.ones(3)}
    for call in (
        lambda: optim.clip_grad_norm(grads, -1.0),
        lambda: optim.clip_grad_norm(grads, math.nan),
        lambda: optim.clip_grad_norm(grads, "1"),
        lambda: optim.clip_grad_norm(grads, 1.0, "two"),
        lambda: optim.clip_grad_norm({"a": 1.0}, 1.0),
        lambda: optim.clip_grad_value(grads, -1.0),
        lambda: optim.clip_grad_value({"a": "text"}, 1.0),
    ):
        with pytest.raises(um.ArgumentError):
            call()
