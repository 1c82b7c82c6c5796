"""The ops that the PyTorch adapter overrides though the contract asks for none of them: each must mean what the core's
default composition means, in value, dtype and gradient, at kinks, infinities and NaN."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from unimodule import registry
from unimodule.backend import CONTROL_FLOW, OPTIONAL, REQUIRED
from unimodule.ops import _dispatch

from .cases_core import f, rand
from .cases_nn import weights
from .harness import NAMES, Case, as_tuple, assert_close, load, tree_map

if "torch" not in NAMES:
    pytest.skip("torch is not selected", allow_module_level=True)

EDGES = f(-np.inf, -100.0, -20.0, -3.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 3.0, 6.0, 20.0, 100.0, np.inf)
KINKS = f(-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0)
SMOOTH = rand(3, 4, low=-5, high=5)
ACTIVATIONS = {
    "hardshrink": [(0.5,)],
    "hardswish": [()],
    "hardtanh": [(-1.0, 1.0), (-0.5, 3.0)],
    "logsigmoid": [()],
    "mish": [()],
    "selu": [()],
    "softshrink": [(0.5,)],
    "softsign": [()],
    "tanhshrink": [()],
    "threshold": [(0.5, -7.0)],
}
CASES: list[Case] = []


def add(name, *args, tag="", grad=True, **kwargs):
    CASES.append(Case(name, args, kwargs, tag, grad))


for name, variants in ACTIVATIONS.items():
    for args in variants:
        add(name, SMOOTH, *args)
        add(name, KINKS, *args, tag="kinks")
        add(name, EDGES, *args, tag="edges", grad=False)
add("glu", rand(2, 6, 3), 1)
add("glu", rand(4), -1, tag="1d")
add("prelu", SMOOTH, rand(1).reshape(()))
add("prelu", rand(2, 3, 4), rand(3, 1), tag="channels")
add("prelu", rand(2, 3), rand(3), tag="2d")
add("prelu", f(0.0, -1.0), rand(1).reshape(()), tag="kink")
for name in ["log2", "log10", "rsqrt", "reciprocal"]:
    add(name, rand(5, low=0.1, high=9.0))
    add(name, f(0.0, -1.0, np.inf, np.nan), tag="edges", grad=False)
add("square", SMOOTH)
add("square", np.array([-3, 4]), tag="int")
for name in ["trunc", "isfinite", "isinf"]:
    add(name, f(-1.5, -0.5, 0.5, 2.5, np.inf, -np.inf, np.nan), grad=False)
for name in ["not_equal", "less_equal", "greater", "greater_equal"]:
    for pair in [(SMOOTH, rand(4)), (f(0, 1, np.nan), 1.0), (1.0, f(0, 1, np.nan)), (f(0, 1), f(0, np.nan))]:
        add(name, *pair)
    add(name, np.array([1, 2]), np.array([2, 2]), tag="int")
add("logical_xor", np.array([True, True, False]), np.array([True, False, False]))
for kwargs in [{}, {"axis": 1}, {"axis": (0, -1), "keepdims": True}]:
    add("mean", rand(2, 3, 4, low=0.1), **kwargs)
add("mean", np.zeros((2, 0)), tag="empty", axis=1)
for low, high in [(-1.0, 1.0), (None, 0.5), (-0.5, None), (3.0, -3.0)]:
    add("clip", KINKS, low, high, tag=f"{low}-{high}")
    add("clip", EDGES, low, high, tag=f"edges-{low}-{high}", grad=False)
add("clip", SMOOTH, rand(4, low=-3, high=0), rand(4, low=0, high=3), tag="tensors")
add("clip", KINKS, f(-1.0), 1.0, tag="mixed")
add("clip", f(np.nan, 1.0), -1.0, 1.0, tag="nan", grad=False)
add("clip", f(0.0, 1.0), f(np.nan), None, tag="nan-bound", grad=False)
add("clip", f(0.0, 1.0), np.nan, 1.0, tag="nan-number", grad=False)
add("clip", np.array([-5, 5], np.int8), -3, 4, tag="int8")
add("clip", np.array([1, 5], np.int64), 2, None, tag="int64")
for nonlinearity in ("tanh", "relu"):
    for layers, directions, bias in [(1, 1, True), (2, 2, False)]:
        w = weights(1, 3, 5, 0, layers, directions, bias)
        state = rand(layers * directions, 2, 5)
        add("rnn", rand(4, 2, 3), state, w, layers, directions == 2, 0.0, nonlinearity)
    for reverse in (False, True):
        w = weights(1, 3, 5, 0, 1, 1, True)[0][:4]
        add("rnn_layer", rand(4, 2, 3), rand(2, 5), *w, nonlinearity, reverse)
CLASSES, TARGET = rand(5, 4), np.array([0, 3, -100, 2, 1])
for reduction in ("mean", "sum", "none"):
    for weight in (None, rand(4, low=0.5, high=2.0)):
        grad = weight is None  # PyTorch's kernels give weights none
        add("nll_loss", CLASSES, TARGET, weight, -100, reduction, grad=grad)
        add("soft_cross_entropy", CLASSES, rand(5, 4, low=0.0), weight, reduction, 0.3, grad=grad)
        for smoothing in (0.0, 0.3):
            add(
                "cross_entropy",
                CLASSES,
                TARGET.astype("int32"),
                weight,
                -100,
                reduction,
                smoothing,
                grad=grad,
            )
    logits = rand(3, 4, low=-5.0, high=5.0)
    add("binary_cross_entropy_with_logits", logits, rand(3, 4, low=0.0), None, None, reduction)
    add(
        "binary_cross_entropy_with_logits",
        logits,
        rand(3, 4, low=0.0),
        rand(4),
        rand(3, 4),
        reduction,
        grad=False,
    )
    for name, options in [
        ("mse_loss", ()),
        ("l1_loss", ()),
        ("huber_loss", (0.7,)),
        ("smooth_l1_loss", (0.7,)),
    ]:
        add(name, logits, rand(3, 4), reduction, *options)
        add(name, logits, rand(4), reduction, *options, tag="broadcast")
        add(name, f(-0.7, 0.0, 0.7, 1.0), f(0.0, 0.0, 0.0, 1.0), reduction, *options, tag="kinks")


def run(fn, case):
    inputs = []

    def put(x):
        if not isinstance(x, np.ndarray):
            return x
        tensor = torch.tensor(x)
        if tensor.is_floating_point() and case.grad:
            inputs.append(tensor.requires_grad_())
        return tensor

    args, kwargs = tree_map(put, list(case.args)), tree_map(put, case.kwargs)
    outputs = as_tuple(fn(*args, **kwargs))
    floating = [out for out in outputs if out.is_floating_point() and out.requires_grad]
    if not floating:
        return outputs, []
    loss = sum(
        (out * torch.linspace(0.5, 1.5, out.numel()).double().reshape(out.shape)).sum() for out in floating
    )
    found = torch.autograd.grad(loss, inputs, allow_unused=True)
    return outputs, [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.tag}")
def test_an_override_means_what_the_default_means(case):
    backend = load("torch")
    registry.register(backend.info)
    got, want = run(backend.functions[case.name], case), run(_dispatch.DEFAULTS[case.name], case)
    for kind in (0, 1):
        assert len(got[kind]) == len(want[kind])
        for a, b in zip(got[kind], want[kind], strict=True):
            assert a.dtype == b.dtype
            assert_close(a.detach().numpy(), b.detach().numpy(), 1e-12, f"{case.name} {kind}", False)


def test_every_override_has_cases():
    named = REQUIRED.keys() | OPTIONAL.keys() | CONTROL_FLOW.keys()  # these have cases elsewhere
    overridden = load("torch").functions.keys() - named
    assert overridden == {case.name for case in CASES}


def test_clip_bounds_beyond_the_integers_are_no_bounds():
    clip = load("torch").functions["clip"]
    x = torch.tensor([-128, 5, 127], dtype=torch.int8)
    assert clip(x, -1000, 1000).tolist() == [-128, 5, 127] and clip(x, 0, 300).tolist() == [0, 5, 127]
    assert clip(x, None, 300).dtype is torch.int8
    wide = torch.tensor([1, 9]).to(torch.uint16)
    assert clip(wide, 2, None).tolist() == [2, 9] and clip(wide, -5, 70000).tolist() == [1, 9]
