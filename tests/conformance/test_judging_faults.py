"""Planted faults, each of which the check that one expects must find, and nothing found where none is planted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops
from unimodule.registry import get_backend, replaced
from unimodule_conformance.case import Case
from unimodule_conformance.checks import CHECKS
from unimodule_conformance.oracle.optimisers import drawn
from unimodule_conformance.outcome import Status, Target
from unimodule_conformance.specs import Array, In, Spec

from .varied import array, block, chain, function, layer, op, places, spec

torch = pytest.importorskip("torch")
F = torch.nn.functional
TORCH, CORE = Target("torch"), Target("numpy")


@dataclass(frozen=True)
class Planted:
    """A fault: on which spec which check is to find it."""

    check: str
    spec: Spec
    plant: Callable[[], Any]
    target: Target = TORCH


def kernels(**functions: Callable[..., Any]) -> Callable[[], Any]:
    """Other functions in the adapter's place."""
    return lambda: replaced("torch", functions)


def patched(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[], Any]:
    """Another attribute, made from the one that is there."""

    @contextmanager
    def plant() -> Iterator[None]:
        before = owner.__dict__[name]
        setattr(owner, name, make(before))
        try:
            yield
        finally:
            setattr(owner, name, before)

    return plant


def original(name: str) -> Callable[..., Any]:
    return get_backend("torch").functions[name]


def _alternating_linear() -> Callable[..., Any]:
    calls = iter(range(10**6))

    def linear(x: Any, weight: Any, bias: Any) -> Any:
        return F.linear(x, weight.detach() if next(calls) % 2 else weight, bias)

    return linear


def _biased_train(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    y, mean, var = original("batch_norm_train")(x, weight, bias, eps)
    n = x.numel() / x.shape[1]
    return y, mean, var * (n - 1) / n


def _misplaced_eps(x: Any, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    y = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0).sqrt() + eps)
    return y * weight + bias


def _other_mask(x: Any, p: float) -> Any:
    """A dropout whose gradient has a mask of its own."""
    value, slope = F.dropout(x, p), F.dropout(torch.ones_like(x), p)
    return value.detach() + (x - x.detach()) * slope


class _Decayed:
    """An optimiser's step that decays every tensor of the last net that was built."""

    nets: ClassVar[list[nn.Module]] = []

    @classmethod
    def step(cls, step: Any) -> Any:
        def run(self: Any, gradients: Any) -> None:
            step(self, gradients)
            for constant in cls.nets[-1].constants():
                constant.data = ops.multiply(constant.data, 0.5)

        return run

    @classmethod
    def net(cls, make: Any) -> Any:
        def run(self: Any, target: Target) -> nn.Module:
            cls.nets.append(make(self, target))
            return cls.nets[-1]

        return run

    @classmethod
    @contextmanager
    def planted(cls) -> Iterator[None]:
        with patched(um.optim.Optimizer, "step", cls.step)(), patched(Case, "net", cls.net)():
            yield


def _rounded_state(state_dict: Any) -> Any:
    def run(self: nn.Module) -> Any:
        return {name: ops.add(value, 1e-7) for name, value in state_dict(self).items()}

    return run


def _writes(call: Any) -> Any:
    def run(net: nn.Module, state: Any, *args: Any, **kwargs: Any) -> Any:
        net.load_state_dict(state)
        return call(net, state, *args, **kwargs)

    return run


def _spoiled(compile: Any) -> Any:
    """A compiler whose programs are a little off."""

    def run(self: Any, fn: Any, **options: Any) -> Any:
        program = compile(self, fn, **options)
        return lambda tensors: [x * 1.0001 if x.is_floating_point() else x for x in program(tensors)]

    return run


def _mirrored(move: Any) -> Any:
    return lambda self, mean, var, momentum, *rest: move(self, mean, var, 1 - momentum, *rest)


def _seed(name: str, **options: Any) -> int:
    """A seed that draws an optimiser with these options."""
    return next(
        seed
        for seed in range(999)
        if (found := drawn(seed))[0] == name and options.items() <= found[1].items()
    )


IMAGE = spec(
    layer("Conv2d", 2, 3, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)), (2, 2, 8, 9), seed=1
)
POOL = spec(layer("MaxPool2d", 2, ceil_mode=True), array(1, 2, 5, 5, fill="apart"), seed=1)
MEAN = spec(layer("AvgPool2d", 3, stride=2, padding=1, count_include_pad=False), (1, 2, 6, 6), seed=1)
NORM = spec(layer("BatchNorm2d", 3), (4, 3, 2, 2), seed=1, training=True)
DROP = spec(layer("Dropout", 0.3), (6, 8), seed=1, training=True)
COND = spec(block("Cond", layer("Linear", 3, 3), layer("Tanh")), (2, 3), seed=1)
TWO = spec(chain(layer("Linear", 3, 4), layer("Linear", 4, 2)), (2, 3), seed=1)
TIES = array(4, values=(-1.0, 0.0, 0.0, 2.0))

FAULTS = {
    "relu's gradient at 0 is 1": Planted(
        "gradients",
        spec(function("relu", In(0)), TIES, exact=True, seed=1),
        kernels(relu=lambda x: torch.clamp(x, min=0)),
    ),
    "the row padding_idx gets a gradient": Planted(
        "core gradients",
        spec(layer("Embedding", 3, 2, padding_idx=1), places(8, below=3), seed=1),
        patched(nn.Embedding, "forward", lambda _: lambda self, x: ops.embedding(x, self.weight)),
        CORE,
    ),
    "stride and dilation of a convolution are swapped": Planted(
        "structure", IMAGE, kernels(conv=lambda x, w, b, s, p, d, g: original("conv")(x, w, b, d, p, s, g))
    ),
    "the padding of a convolution is turned round": Planted(
        "values",
        replace(IMAGE, root=layer("Conv2d", 2, 3, 3, padding=(1, 2)), inputs=(Array((1, 2, 5, 5)),)),
        kernels(conv=lambda x, w, b, s, p, d, g: original("conv")(x.mT, w, b, s, p, d, g).mT),
    ),
    "ceil_mode is ignored": Planted(
        "structure",
        POOL,
        kernels(max_pool=lambda x, k, s, p, d, c: original("max_pool")(x, k, s, p, d, False)),
    ),
    "count_include_pad is ignored": Planted(
        "values",
        MEAN,
        kernels(avg_pool=lambda x, k, s, p, c, i, o: original("avg_pool")(x, k, s, p, c, True, o)),
    ),
    "softmax runs over the other axis": Planted(
        "values",
        spec(function("softmax", In(0), 1), (4, 4), seed=1),
        kernels(softmax=lambda x, axis: torch.softmax(x, 0)),
    ),
    "a cumulative sum is exclusive": Planted(
        "values",
        spec(op("cumulative_sum", In(0), axis=1), (3, 4), seed=1),
        kernels(cumulative_sum=lambda x, *, axis: torch.cumsum(x, axis) - x),
    ),
    "the branches of cond are swapped, compiled": Planted(
        "control flow", COND, kernels(cond=lambda p, t, f, given: original("cond")(p, f, t, given))
    ),
    "a constant decays": Planted(
        "constants",
        spec(chain(block("WithConstant", args=(array(3),)), layer("Linear", 3, 2)), (2, 3)),
        _Decayed.planted,
    ),
    "a weight that is used twice gets the gradient of one use": Planted(
        "gradients",
        spec(block("Shared", layer("Linear", 3, 3)), (2, 3), seed=1),
        lambda: replaced("torch", {"linear": _alternating_linear()}),
    ),
    "dropout is active in eval mode": Planted(
        "values",
        replace(DROP, training=False),
        patched(nn.Dropout, "forward", lambda _: lambda self, x: ops.dropout(x, self.p)),
    ),
    "the running variance is biased": Planted("values", NORM, kernels(batch_norm_train=_biased_train)),
    "the momentum of running statistics is mirrored": Planted(
        "core values",
        NORM,
        patched(
            next(kind for kind in nn.BatchNorm2d.__mro__ if "_move" in kind.__dict__), "_move", _mirrored
        ),
        CORE,
    ),
    "eps stands outside the root in layer norm": Planted(
        "float64", spec(layer("LayerNorm", 5), (4, 5), seed=1), kernels(layer_norm=_misplaced_eps)
    ),
    "float64 is computed in float32": Planted(
        "float64",
        spec(op("exp", In(0)), (3, 4), seed=1),
        kernels(exp=lambda x: torch.exp(x.float()).to(x.dtype)),
    ),
    "argmax returns int32": Planted(
        "structure",
        spec(op("argmax", In(0), axis=1), array(3, 4, fill="apart"), differentiable=False),
        kernels(argmax=lambda x, *, axis=None, keepdims=False: torch.argmax(x, axis, keepdims).int()),
    ),
    "the maximum of equals gives its gradient to one": Planted(
        "gradients",
        spec(op("max", In(0), axis=1), array(3, 6, fill="zeros"), exact=True, seed=3),
        kernels(max=lambda x, *, axis=None, keepdims=False: torch.max(x, axis, keepdims)[0]),
    ),
    "state_dict is off in the last digit": Planted(
        "state", TWO, patched(nn.Module, "state_dict", _rounded_state)
    ),
    "a clone is the net itself": Planted(
        "clone", TWO, patched(nn.Module, "clone", lambda _: lambda self: self)
    ),
    "functional_call writes into the net": Planted("purity", TWO, patched(um, "functional_call", _writes)),
    "a compiled program is a little off": Planted(
        "compiled",
        TWO,
        patched(type(get_backend("torch")), "compile", _spoiled),
    ),
    "the seed is ignored": Planted(
        "determinism", DROP, patched(type(get_backend("torch")), "seed", lambda _: lambda self, seed: None)
    ),
    "dropout does not scale what it keeps": Planted(
        "statistics", DROP, kernels(dropout=lambda x, p: F.dropout(x, p) * (1 - p))
    ),
    "dropout's gradient has another mask": Planted("random gradient", DROP, kernels(dropout=_other_mask)),
    "a wrong shape raises ValueError": Planted(
        "errors",
        spec(layer("Linear", 3, 2), (2, 4), error="ShapeError"),
        patched(nn.Linear, "forward", lambda _: lambda self, x: (_ for _ in ()).throw(ValueError("no"))),
    ),
    "Adam's eps stands inside the root": Planted(
        "core steps",
        replace(TWO, seed=_seed("Adam", eps=1e-2)),
        patched(
            um.optim.Adam,
            "numbers",
            lambda numbers: (
                lambda self, *given: {**(found := numbers(self, *given)), "eps": found["eps"] * 1.01}
            ),
        ),
        CORE,
    ),
    "the running variance is biased after a step of training": Planted(
        "training", NORM, kernels(batch_norm_train=_biased_train)
    ),
}


def judged(fault: Planted) -> Status:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return CHECKS[fault.check].run(Case(fault.spec), fault.target).status


@pytest.fixture(autouse=True)
def quick_compilers(monkeypatch):
    monkeypatch.setenv("UNIMODULE_CONFORMANCE_COMPILE", '{"torch": {"backend": "aot_eager"}}')


@pytest.mark.parametrize("name", FAULTS)
def test_caught(name):
    fault = FAULTS[name]
    assert CHECKS[fault.check].applies(fault.spec)
    assert judged(fault) is Status.PASSED
    with fault.plant():
        assert judged(fault) is Status.FAILED
    assert judged(fault) is Status.PASSED


def test_what_depends_on_nothing_is_vacuous_and_no_pass():
    dead = spec(chain(layer("ReLU"), layer("Threshold", 100.0, 1.0)), (2, 3), seed=1)
    assert judged(Planted("values", dead, kernels())) is Status.VACUOUS
    frozen = spec(layer("PReLU"), array(3, 4, fill="positive"), seed=1)
    assert judged(Planted("values", frozen, kernels())) is Status.VACUOUS


def test_a_wide_tolerance_is_weak():
    large = spec(function("layer_norm", In(0), (5,)), array(3, 5, fill="large"), seed=1)
    assert judged(Planted("values", large, kernels())) is Status.WEAK


def test_a_declared_limit_is_skipped_and_any_other_error_fails():
    def refuses(x: Any) -> Any:
        raise um.NotSupportedError("backend 'torch' does not support this")

    def breaks(x: Any) -> Any:
        raise RuntimeError("a mistake")

    case = spec(op("exp", In(0)), (3, 4), seed=1)
    for kernel, status in ((refuses, Status.SKIPPED), (breaks, Status.FAILED)):
        with replaced("torch", {"exp": kernel}):
            assert judged(Planted("values", case, kernels())) is status
