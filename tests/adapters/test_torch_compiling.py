"""Compiled calls on PyTorch go past Dynamo where all is as it was when their program was built, and only there."""

import contextlib

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import unimodule as um
from unimodule import nn, ops

from .harness import NAMES

if "torch" not in NAMES:
    pytest.skip("torch is not selected", allow_module_level=True)


@pytest.fixture
def net():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)).initialize(seed=0).to("torch")


@pytest.fixture
def compiled(net):
    """The compiled net, with a program for inputs of (2, 4) and no tape."""
    made = um.compile(net)
    with torch.no_grad():
        for _ in range(2):
            made(torch.ones(2, 4))
    return made


@pytest.fixture
def built(monkeypatch):
    """The sizes of the graphs that inductor was given past Dynamo."""
    found = []
    original = torch._inductor.compile

    def counted(graph, inputs, options=None):
        found.append(len(inputs))
        return original(graph, inputs, options)

    monkeypatch.setattr(torch._inductor, "compile", counted)
    return found


def test_one_program_serves_calls_without_a_tape(net, built):
    made = um.compile(net)
    x = torch.ones(2, 4)
    seen = dict(torch._dynamo.utils.counters["frames"])
    for mode in (torch.no_grad, torch.inference_mode, torch.no_grad):
        with mode():
            torch.testing.assert_close(made(x), net(x))
    assert built == [5]
    assert torch._dynamo.utils.counters["frames"] == seen  # Dynamo was not asked


def test_options_are_left_to_torch_compile(net, built):
    with torch.no_grad():
        um.compile(net, mode="max-autotune-no-cudagraphs")(torch.ones(2, 4))
    assert built == []


def test_a_tape_is_kept_where_there_is_one(compiled, net):
    x = torch.arange(8.0).reshape(2, 4).requires_grad_()
    compiled(x).square().sum().backward()
    found, x.grad = x.grad, None
    net(x).square().sum().backward()
    torch.testing.assert_close(found, x.grad)


@pytest.mark.parametrize(
    "x",
    [
        torch.arange(8.0).reshape(4, 2).T,
        torch.arange(16.0).reshape(2, 8)[:, ::2],
        torch.arange(4.0).expand(2, 4),
        torch.arange(9.0)[1:].reshape(2, 4),
    ],
    ids=["transposed", "strided", "expanded", "unaligned"],
)
def test_inputs_of_another_layout(compiled, net, x):
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), net(x))
        torch.testing.assert_close(compiled(torch.ones(2, 4)), net(torch.ones(2, 4)))


def test_parameters_of_another_layout(compiled, net):
    net[0].weight = torch.arange(32.0).reshape(4, 8).T / 32
    with torch.no_grad():
        torch.testing.assert_close(compiled(torch.ones(2, 4)), net(torch.ones(2, 4)))


def test_autocast_is_seen(compiled):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert compiled(torch.ones(2, 4)).dtype == torch.bfloat16
    with torch.no_grad():
        assert compiled(torch.ones(2, 4)).dtype == torch.float32


def test_vmap_over_a_compiled_net(compiled, net):
    x = torch.arange(24.0).reshape(3, 2, 4)
    with torch.no_grad():
        torch.testing.assert_close(torch.vmap(compiled)(x), torch.stack([net(one) for one in x]))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_change_of_threads(compiled, net, threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with torch.no_grad():
            torch.testing.assert_close(compiled(torch.ones(2, 4)), net(torch.ones(2, 4)))
    finally:
        torch.set_num_threads(before)


def test_dispatch_modes_see_the_operations(compiled):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), contextlib.redirect_stdout(None), FlopCounterMode(display=False) as counter:
        compiled(torch.ones(2, 4))
    assert counter.get_total_flops() == 2 * 2 * (4 * 8 + 8 * 4)


def test_outputs_that_are_inputs_or_views_of_them(built):
    same = um.compile(lambda x: (x, um.ops.reshape(x, (8,)), um.ops.add(x, 1)))
    x = torch.arange(8.0).reshape(2, 4)
    with torch.no_grad():
        for _ in range(3):
            first, second, third = same(x)
            np.testing.assert_array_equal(first, x)
            np.testing.assert_array_equal(second, x.reshape(8))
            np.testing.assert_array_equal(third, x + 1)
    assert built == [1]


@pytest.mark.parametrize("shape", [(1, 4, 2, 1), (1, 1, 2, 4), (1, 4, 2, 3)])
@pytest.mark.parametrize("staged", ["while", "cond"])
def test_strides_of_axes_of_one_element_in_bodies(shape, staged):
    """PyTorch compares them, though they say nothing (found by the conformance suite)."""

    class Body(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, (2, 1), padding="same")

        def step(self, x):
            return ops.multiply(ops.sigmoid(self.conv(x)), 0.3)

        def forward(self, x):
            x = ops.moveaxis(x, (3,), (0,))
            if staged == "while":
                return ops.while_loop(lambda x: ops.sum(ops.abs(x)) > 1, self.step, x, 5)
            return ops.cond(ops.sum(x) > 0, self.step, lambda x: x, x)

    net, x = Body().initialize(seed=0).to("torch"), torch.randn(shape, generator=torch.manual_seed(0))
    slopes = um.grad(lambda net, x: ops.sum(ops.square(net(x))), argnums=(0, 1))
    compiled = um.compile(net)
    want = slopes(net, x)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), net(x))
    for got in (um.compile(slopes)(net, x), slopes(compiled, x)):
        torch.testing.assert_close(dict(got[0]), dict(want[0]), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(got[1], want[1], rtol=1e-4, atol=1e-6)


def test_gradients_taken_inside_are_no_part_of_a_tape(net):
    slopes = um.compile(um.value_and_grad(lambda net, x: um.ops.sum(um.ops.square(net(x)))))
    x = torch.ones(2, 4)
    for _ in range(2):
        value, gradients = slopes(net, x)
        assert not value.requires_grad
        assert not any(tensor.requires_grad for tensor in gradients.values())
