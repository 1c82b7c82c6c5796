"""Compiled functions: of several nets and tensors, of structures, numbers, strings."""

from __future__ import annotations

import collections
import math

import numpy as np
import pytest

import unimodule as um
from unimodule import ops
from unimodule.errors import ArgumentError, BackendMismatchError, CompileError, ShapeError

from .models import Counter, assert_close, chapter, compiles, data, loss_of, mlp, normed, options, tensor

Pair = collections.namedtuple("Pair", "left right")


def test_several_nets_structures_and_plain_values(backend):
    runs = []

    def fn(first, batch, second, *, scale=1.0, how="plain", extra=None):
        runs.append(1)
        y = first(batch["x"]) * scale
        z = second(batch["pair"].left) - batch["list"][0]
        if how == "sum":
            y = ops.sum(y)
        return {"y": y, "rest": [Pair(z, how), extra, (1, 2.5)], "input": batch["x"]}

    first, second = normed().to(backend), mlp().to(backend)
    x = tensor(data((3,)), backend)
    batch = {"x": x, "pair": Pair(x, x), "list": [tensor(data((2,)), backend)]}
    fast = um.compile(fn, **options(backend))
    calls = [
        {},
        {"scale": 2.0},
        {"scale": 0.0, "how": "sum"},
        {"scale": math.inf},
        {"extra": "text"},
        {"extra": -0.0},
    ]
    first.eval()
    for _ in range(3):
        for kwargs in calls:
            got, want = fast(first, batch, second, **kwargs), fn(first, batch, second, **kwargs)
            runs.pop()
            assert_close(got, want)
            assert isinstance(got["rest"][0], Pair) and isinstance(got["rest"][2], tuple)
    if compiles(backend):
        assert len(runs) == len(calls)


def test_numbers_that_are_equal_and_are_not_the_same(backend):
    with um.use_backend(backend):
        fast = um.compile(lambda x, n: x * math.copysign(1.0, n), **options(backend))
        x = tensor(np.ones(3, "float32"), backend)
        for n in (0.0, -0.0, 0.0, -0.0, 1, 1.0, True):
            assert ops.item(fast(x, n)[0]) == math.copysign(1.0, n)


def test_arguments_of_the_same_tensors_in_other_places(backend):
    def fn(*args, **kwargs):
        return args[0] * (len(args) * 10 + len(kwargs)), [
            type(arg).__name__ for arg in args[1:] if isinstance(arg, tuple | list | dict)
        ]

    fast, x = um.compile(fn, **options(backend)), tensor(np.ones(3, "float32"), backend)
    calls = [((x, {"a": x}), {}), ((x,), {"a": x}), ((x, x), {}), ((x, [x]), {}), ((x, (x,)), {})]
    with um.use_backend(backend):
        for args, kwargs in calls * 3:
            got, want = fast(*args, **kwargs), fn(*args, **kwargs)
            assert_close(got[0], want[0])
            assert got[1] == want[1]


def test_a_net_that_is_only_called_compiled_takes_the_short_way(backend):
    if not compiles(backend):
        pytest.skip("nothing is compiled")
    fast = um.compile(mlp().to(backend), **options(backend))
    x = tensor(data((3,)), backend)
    fast(x)
    fast(x)
    assert type(x) in fast._accepts


def test_not_a_number_does_not_record_again(backend):
    runs = []
    with um.use_backend(backend):
        fast = um.compile(lambda x, n: (runs.append(1), x * n)[1], **options(backend))
        for _ in range(4):
            assert np.isnan(um.to_numpy(fast(tensor(data((3,)), backend), math.nan))).all()
    assert len(runs) == (1 if compiles(backend) else 4)


def test_has_aux_and_argnums(backend):
    def loss(net, x, y):
        out = net(x)
        return ops.sum(ops.square(out - y)), {"out": out, "name": "aux"}

    net = normed().to(backend)
    other = net.clone()
    x, y = tensor(data((3,)), backend), tensor(data((2,)), backend)
    eager = um.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    run = um.compile(eager, **options(backend))
    for _ in range(3):
        got = run(net, x, y)
        assert_close(got, eager(other, x, y))
        assert {id(p) for p in got[1][0].parameters.values()} == {id(p) for p in net.parameters()}


def test_gradients_through_a_compiled_function(backend):
    net = mlp().to(backend)
    fast = um.compile(lambda net, x: ops.tanh(net(x)) * 2, **options(backend))
    x = tensor(data((3,)), backend)
    for _ in range(2):
        got = um.value_and_grad(lambda net, x: ops.sum(fast(net, x)), (0, 1))(net, x)
        want = um.value_and_grad(lambda net, x: ops.sum(ops.tanh(net(x)) * 2), (0, 1))(net, x)
        assert_close(got, want)


def test_compiled_inside_compiled(backend):
    net = Counter(normed()).to(backend)
    inner = um.compile(lambda net, x: net(x) * 2, **options(backend))
    outer = um.compile(lambda net, x: inner(net, x) + 1, **options(backend))
    other, x = net.clone(), tensor(data((3,)), backend)
    for _ in range(3):
        assert_close(outer(net, x), other(x) * 2 + 1)
        assert_close(net.state_dict(), other.state_dict())


def test_returns_a_net_or_nothing(backend):
    net, x = mlp().to(backend), tensor(data((3,)), backend)
    fast = um.compile(lambda net, x: (net, None, x + 1), **options(backend))
    for _ in range(3):
        same, nothing, y = fast(net, x)
        assert same is net and nothing is None
        assert_close(y, x + 1)


def test_numpy_arguments(backend):
    with um.use_backend(backend):
        fast = um.compile(lambda x, y: ops.sum(x) + y, **options(backend))
        for _ in range(3):
            y = fast(data((3,)), np.float32(2))
            assert um.backend_of(y) == backend
            assert_close(y, tensor(data((3,)).sum() + np.float32(2), backend))


# ---------------------------------------------------------------------- errors
def test_what_cannot_be_compiled_or_compared(backend):
    for target in (3, "net", dict):
        with pytest.raises(ArgumentError, match="compile expected"):
            um.compile(target)
    if not compiles(backend):
        return
    fast = um.compile(lambda x, what: x, **options(backend))
    with pytest.raises(ArgumentError, match="cannot take a set"):
        fast(tensor(data((3,)), backend), {1, 2})


@pytest.mark.parametrize("name", ["FixedHiddenMLP", "FancyMLP", "chimera"])
def test_reading_a_value_is_a_compile_error(backend, name):
    net = chapter.MODELS[name]().initialize(seed=0).to(backend)
    x = tensor(data((chapter.FEATURES,)), backend)
    want = net(x)
    fast = um.compile(net, **options(backend))
    if not compiles(backend):
        assert_close(fast(x), want)
        return
    for run in (lambda: fast(x), lambda: um.compile(um.value_and_grad(loss_of), **options(backend))(net, x)):
        with pytest.raises(CompileError, match=r"ops\.cond.*ops\.while_loop"):
            run()
    assert_close(net(x), want)
    assert all(not module._watchers for module in net.modules())


@pytest.mark.parametrize("read", [float, bool, ops.item, um.to_numpy, np.asarray])
def test_every_way_to_read_a_value(backend, read):
    if not compiles(backend):
        pytest.skip("nothing is compiled")
    fast = um.compile(lambda x: x * float(np.sum(read(ops.sum(x)))), **options(backend))
    with pytest.raises(CompileError, match="value of a tensor"):
        fast(tensor(data((3,)), backend))


def test_wrong_shapes_are_the_errors_of_eager_calls(backend):
    net = normed().to(backend)
    fast = um.compile(net, **options(backend))
    wrong = tensor(data((5,)), backend)
    with pytest.raises(ShapeError) as eager:
        net(wrong)
    for _ in range(2):
        with pytest.raises(ShapeError) as compiled:
            fast(wrong)
        assert compiled.value.module_path == eager.value.module_path == "Sequential.0"
    x = tensor(data((3,)), backend)
    assert_close(fast(x), net.clone()(x))


def test_a_tensor_of_another_framework_is_the_error_of_eager_calls(backend):
    others = [b.name for b in um.backends() if b.installed and b.name not in (backend, "numpy")]
    if backend == "numpy" or not others:
        pytest.skip("needs two frameworks: NumPy's arrays are data to every backend")
    net = normed().to(backend)
    fast = um.compile(net, **options(backend))
    with pytest.raises(BackendMismatchError):
        fast(tensor(data((3,)), others[0]))
    x = tensor(data((3,)), backend)
    assert_close(fast(x), net.clone()(x))
