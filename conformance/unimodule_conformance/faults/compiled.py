"""Compiled nets that do something else than eager ones."""

from __future__ import annotations

from typing import Any

import numpy as np

import unimodule as um
from unimodule import nn, ops, optim, registry

from .model import Fault
from .planting import Bench, adapter, module, of_core, patch, swap, wrong

SHOWN = "mxnet"
"""Where faults of the core that show in compiled nets only are shown: what compiles fastest."""


# ---------------------------------------------------------------------- the core's programs
class _Frozen:
    """Stands for a module, with one of its values as it is now."""

    def __init__(self, state: dict[str, Any], name: str) -> None:
        value = state[name]
        if (backend := registry.find_backend(value)) is not None:
            host, dtype, device = backend.to_numpy(value), backend.dtype(value), backend.device(value)
            value = backend.variable(backend.from_numpy(host, dtype, device), trainable=False)
        self.__dict__[name] = value


def _frozen(native: Any) -> Any:
    """The quick way serves the values that parameters and buffers had when it was taken first."""
    return lambda nets: [(_Frozen(module.__dict__, name), name, v) for module, name, v in native(nets)]


def _modeless(native: Any) -> Any:
    def of_net(net: nn.Module) -> Any:
        return tuple(p for p in native(net) if not (isinstance(p, tuple) and p and p[0] == "training"))

    return of_net


def _unwritten(native: Any) -> Any:
    def finish(self: Any, outputs: Any, nets: Any) -> Any:
        self.assigned = []
        return native(self, outputs, nets)

    return finish


def _baked(native: Any) -> Any:
    """Constants are what they were when the program was recorded."""

    def record(self: Any, tensors: Any) -> Any:
        from unimodule.transforms._program import sites

        nets = [net for ref in self.nets if (net := ref()) is not None]
        given = list(tensors)
        for i, (_, _, variable) in enumerate(sites(nets)):
            if isinstance(variable, nn.Constant):
                backend = self._backend
                given[i] = backend.from_numpy(variable.numpy(), variable.dtype, backend.device(variable.data))
        return native(self, given)

    return record


def _after_a_step(b: Bench) -> Any:
    """What a compiled net gives after the third of three steps from 1 to 0: calls one and two build it."""
    net = b.net(nn.Linear(1, 1, bias=False), weight=[[1.0]])
    fast, x = um.compile(net), b.tensor([[1.0]])
    for _ in range(3):
        fast(x)
    optim.SGD(net.parameters(), lr=1.0).step({"weight": b.tensor([[1.0]])})
    return b.numpy(fast(x))


def _in_both_modes(b: Bench) -> Any:
    net = b.net(nn.BatchNorm1d(1, eps=0.0))
    fast, x = um.compile(net), b.tensor([[0.0], [2.0]])
    fast.train()(x)
    fast.eval().load_state_dict(nn.BatchNorm1d(1).to("numpy").state_dict())
    return b.numpy(fast(x))


def _counted(b: Bench) -> Any:
    net = b.net(nn.BatchNorm1d(1)).train()
    fast, x = um.compile(net), b.tensor([[0.0], [2.0]])
    for _ in range(3):
        fast(x)
    return net.parameter("num_batches_tracked").item()


class _Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Constant(np.ones(1, "float32"))

    def forward(self, x: Any) -> Any:
        return x * self.factor


def _loaded_constant(b: Bench) -> Any:
    net = b.net(_Scaled())
    fast, x = um.compile(net), b.tensor([3.0])
    fast(x)
    net.load_state_dict({"factor": np.full(1, 2.0, "float32")})
    return b.numpy(fast(x))


CORE = [
    of_core(
        "compiled",
        "a compiled net keeps the weights that it had",
        patch(module("unimodule.transforms._compiler"), "sites", _frozen),
        _after_a_step,
        [[0.0]],
        ("nn.Linear", "nn.BatchNorm1d"),
        shown_on=SHOWN,
    ),
    of_core(
        "compiled",
        "a compiled net does not see train and eval",
        patch(module("unimodule.transforms._compiler"), "of_net", _modeless),
        _in_both_modes,
        [[0.0], [2.0]],
        ("nn.BatchNorm1d", "nn.Dropout"),
        shown_on=SHOWN,
    ),
    of_core(
        "compiled",
        "a compiled net loses what happens to its buffers",
        patch(lambda: _program(), "finish", _unwritten),
        _counted,
        3,
        ("nn.BatchNorm1d", "block.WithBuffer"),
        shown_on=SHOWN,
    ),
    of_core(
        "compiled",
        "a compiled net keeps the constants that it had",
        patch(lambda: _program(), "_record", _baked),
        _loaded_constant,
        [6.0],
        ("block.WithConstant",),
        shown_on=SHOWN,
    ),
]


def _program() -> Any:
    from unimodule.transforms._program import Program

    return Program


# ---------------------------------------------------------------------- the adapters' compilers
def _changed(change: Any) -> Any:
    """A compiler of which every float result is changed."""

    def make(native: Any) -> Any:
        def compile(fn: Any, **options: Any) -> Any:
            compiled = native(fn, **options)

            def run(tensors: Any) -> Any:
                return [
                    change(t) if ops.isdtype(ops.dtype(t), "real floating") else t for t in compiled(tensors)
                ]

            return run

        return compile

    return make


def _to_half(x: Any) -> Any:
    return ops.astype(ops.astype(x, "float16"), ops.dtype(x))


class _SameDraw:
    """The module of random numbers, of which each compiled call gets the same."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Any:
        return getattr(self._native, "peek" if name == "draw" else name)


def _same_stream(native: Any) -> Any:
    def compile(fn: Any, **options: Any) -> Any:
        import tensorflow as tf

        from unimodule_tensorflow import random

        def drawing(tensors: Any) -> Any:
            with random.drawing_from(tf.constant([1, 2], tf.uint64)):
                return fn(tensors)

        return native(drawing, **options)

    return compile


def _dropped(b: Bench) -> Any:
    """Whether two calls drop the same."""
    fast, x = um.compile(b.net(nn.Dropout(0.5)).train()), b.tensor(np.ones(64))
    return bool(np.array_equal(b.numpy(fast(x)), b.numpy(fast(x))))


def _swapped(native: Any) -> Any:
    return lambda pred, true_fn, false_fn, operands: native(pred, false_fn, true_fn, operands)


def _forwards(native: Any) -> Any:
    return lambda f, carry, xs, length, reverse: native(f, carry, xs, length, False)


def _one_less(native: Any) -> Any:
    return lambda cond_fn, body_fn, values, max_iters: native(
        cond_fn, body_fn, values, None if max_iters is None else max(max_iters - 1, 0)
    )


def _branch(b: Bench) -> Any:
    fast = um.compile(lambda x: ops.cond(ops.sum(x) > 0, lambda x: x, lambda x: -x, x))
    return b.numpy(fast(b.tensor([3.0])))


def _scanned(b: Bench) -> Any:
    def fn(x: Any) -> Any:
        return ops.scan(lambda carry, y: (carry * 2 + y, carry), x[0] * 0, x, reverse=True)[0]

    return b.numpy(um.compile(fn)(b.tensor([1.0, 2.0])))


def _looped(b: Bench) -> Any:
    fn = um.compile(lambda x: ops.while_loop(lambda x: ops.sum(x) < 100, lambda x: x * 2, x, max_iters=3))
    return b.numpy(fn(b.tensor([1.0])))


def _slope(b: Bench) -> Any:
    fast = um.compile(b.net(nn.Linear(1, 1, bias=False), weight=[[1.0]]))
    (gradient,) = um.grad(lambda net, x: ops.sum(net(x)))(fast, b.tensor([[3.0]])).values()
    return b.numpy(gradient)


ADAPTERS = [
    Fault(
        "torch: a compiled net has no gradient",
        "torch",
        "compiled",
        patch(adapter("torch"), "compile", _changed(lambda x: ops.stop_gradient(x))),
        wrong("torch", _slope, [[3.0]]),
        ("nn.Linear",),
    ),
    Fault(
        "mxnet: compiled results have the digits of a float16",
        "mxnet",
        "compiled",
        patch(adapter("mxnet"), "compile", _changed(_to_half)),
        wrong("mxnet", lambda b: b.numpy(um.compile(lambda x: x * 1.0)(b.tensor([0.1]))), [0.1]),
        ("nn.Linear",),
    ),
    Fault(
        "jax: a compiled net drops the same each time",
        "jax",
        "compiled",
        patch(module("unimodule_jax.compiling"), "random", lambda native: _SameDraw(native)),
        wrong("jax", _dropped, False),
        ("nn.Dropout",),
    ),
    Fault(
        "tensorflow: a compiled net drops the same each time",
        "tensorflow",
        "compiled",
        patch(adapter("tensorflow"), "compile", _same_stream),
        wrong("tensorflow", _dropped, False),
        ("nn.Dropout",),
    ),
    *(
        Fault(
            f"{name}: a compiled cond takes the other branch",
            name,
            "compiled",
            swap(name, cond=_swapped),
            wrong(name, _branch, [3.0]),
            ("block.Cond", "ops.cond"),
        )
        for name in ("jax", "torch")
    ),
    Fault(
        "tensorflow: a compiled scan runs forwards only",
        "tensorflow",
        "compiled",
        swap("tensorflow", scan=_forwards),
        wrong("tensorflow", _scanned, 5.0),
        ("block.Scan", "ops.scan"),
    ),
    Fault(
        "tensorflow: a compiled while_loop stops a step early",
        "tensorflow",
        "compiled",
        swap("tensorflow", while_loop=_one_less),
        wrong("tensorflow", _looped, [8.0]),
        ("block.While", "ops.while_loop"),
    ),
]

FAULTS: list[Fault] = [*CORE, *ADAPTERS]
