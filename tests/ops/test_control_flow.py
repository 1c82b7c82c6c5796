"""ops.cond, while_loop, scan, fori_loop and map on every backend: eager, compiled and differentiated there, differentiated
through what was compiled; against plain NumPy in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import (
    ArgumentError,
    BackendMismatchError,
    CompileError,
    DtypeError,
    NotSupportedError,
    ShapeError,
)

from .cases_control import FLOWS, V, W, X, gradient

COVERS = ("cond", "while_loop", "scan", "fori_loop", "map")
OPTIONS: dict[str, dict[str, Any]] = {"torch": {"backend": "aot_eager"}}


@pytest.fixture(autouse=True)
def default_backend(request):
    """NumPy arrays are data, which goes to the default backend."""
    with um.use_backend(request.getfixturevalue("backend") if "backend" in request.fixturenames else "numpy"):
        yield


def put(array: Any, backend: str, dtype: str = "float32") -> Any:
    return ops.asarray(np.asarray(array), dtype=dtype, backend=backend)


def compiled(fn: Any, backend: str) -> Any:
    return um.compile(fn, **OPTIONS.get(backend, {}))


def close(got: Any, expected: Any, dtype: str = "float32") -> None:
    tolerance = 1e-7 if dtype == "float64" else 3e-4
    np.testing.assert_allclose(ops.to_numpy(got), expected, rtol=tolerance, atol=tolerance)


SOME = (
    "cond-true",
    "cond-nested",
    "while-bounded",
    "while-never",
    "scan",
    "fori_loop",
)  # torch compiles for seconds
RUNS = [
    pytest.param(
        flow,
        mode,
        id=f"{flow}-{mode}",
        marks=[pytest.mark.slow] * (mode != "eager" and flow.name not in SOME),
    )
    for flow in FLOWS
    for mode in ("eager", "inside", "through")
]


@pytest.mark.parametrize(("flow", "mode"), RUNS)
def test_values_and_gradients(backend, finest, flow, mode):
    tensors = [put(a, backend, finest) for a in flow.arrays]
    fn = flow.fn if mode != "through" else compiled(flow.fn, backend)

    def loss(*tensors):
        out = fn(*tensors)
        return ops.sum(out * out), out

    both = um.value_and_grad(loss, argnums=tuple(range(len(tensors))), has_aux=True)
    if mode == "inside":
        both = compiled(both, backend)
    if mode != "eager":
        if backend == "mxnet" and not flow.mxnet:
            with pytest.raises(CompileError, match=r"ops\."):
                both(*tensors)
            return
        if backend == "jax" and not flow.bounded:
            with pytest.raises(NotSupportedError, match="max_iters"):
                both(*tensors)
            close(compiled(flow.fn, backend)(*tensors), flow.plain(*flow.arrays), finest)
            return
    for _ in range(2 if mode != "eager" else 1):
        (_, out), gradients = both(*tensors)
        close(out, flow.plain(*flow.arrays), finest)
        for got, expected in zip(gradients, gradient(flow.plain, flow.arrays), strict=True):
            close(got, expected, finest)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # inductor's
@pytest.mark.parametrize("flow", [f for f in FLOWS if f.name.startswith(("cond", "while"))], ids=str)
def test_torch_inductor(flow):
    pytest.importorskip("torch")
    tensors = [put(a, "torch") for a in flow.arrays]
    fn = um.compile(flow.fn)
    inside = um.compile(um.grad(lambda *a: ops.sum(flow.fn(*a) ** 2), argnums=tuple(range(len(tensors)))))
    through = um.grad(lambda *a: ops.sum(fn(*a) ** 2), argnums=tuple(range(len(tensors))))
    close(fn(*tensors), flow.plain(*flow.arrays))
    for gradients in (inside(*tensors), through(*tensors)):
        for got, expected in zip(gradients, gradient(flow.plain, flow.arrays), strict=True):
            close(got, expected)


# ---------------------------------------------------------------------- nets
class FixedHiddenMLP(nn.Module):
    def __init__(self, form: str):
        super().__init__()
        self.rand_weight = nn.Constant(np.linspace(0, 1, 400).reshape(20, 20))
        self.linear = nn.LazyLinear(20)
        self.form = form

    def forward(self, x):
        x = self.linear(x)
        x = ops.relu(x @ self.rand_weight + 1)
        if self.form == "python":
            x = self.linear(x)
            while ops.sum(ops.abs(x)) > 1:
                x = x / 2
        else:
            x = ops.while_loop(lambda x: ops.sum(ops.abs(x)) > 1, self.body, self.linear(x), 40)
        return ops.sum(x)

    def body(self, x):
        return x / 2 + 0 * self.linear(x)  # through the parameters, in the body


def test_fixed_hidden_mlp(backend):
    x = np.random.default_rng(0).normal(size=(2, 20)).astype("float32")
    nets = [FixedHiddenMLP(form) for form in ("python", "ops")]
    for net in nets:
        net.to("numpy").initialize(seed=0)
        net(x)
    nets[1].load_state_dict(nets[0].state_dict())
    loss = lambda net, x: net(x)  # noqa: E731
    expected, expected_grads = um.value_and_grad(loss)(nets[0], x)
    python, op = (net.to(backend) for net in nets)
    for run in (um.value_and_grad(loss), compiled(um.value_and_grad(loss), backend)):
        value, grads = run(op, x)
        close(value, expected)
        for name, g in grads.items():
            close(g, expected_grads[name])
    fast = compiled(op, backend)
    through = um.value_and_grad(lambda x: fast(x))(put(x, backend))
    close(through[0], expected)
    value, grads = um.value_and_grad(loss)(python, x)
    close(grads["linear.weight"], expected_grads["linear.weight"])
    if backend != "numpy":
        with pytest.raises(CompileError, match=r"ops\.while_loop"):
            compiled(python, backend)(x)


def test_buffers_do_not_leave_a_staged_body(backend):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = nn.Buffer(np.zeros(()))

        def forward(self, x):
            def body(x):
                self.steps = self.steps + 1
                return x / 2

            return ops.while_loop(lambda x: ops.sum(x) > 1, body, x, 10)

    net = Counting().to(backend)
    x = put([3.0, 2.0], backend)
    net(x)
    assert float(ops.to_numpy(net.steps)) == 3
    if backend != "numpy":
        with pytest.raises(CompileError, match="steps"):
            compiled(net, backend)(x)
        assert float(ops.to_numpy(net.steps)) == 3


def test_dropout_differs_between_steps(backend):
    fn = compiled(lambda x: ops.scan(lambda c, _: (c, ops.dropout(x, 0.5)), ops.sum(x), length=4)[1], backend)
    x = put(np.ones(64), backend)
    masks = [ops.to_numpy(fn(x)) for _ in range(2)]
    rows = {row.tobytes() for mask in masks for row in mask}
    assert len(rows) == 8


# ---------------------------------------------------------------------- values of every kind
def test_zero_steps(backend):
    x = put(np.ones((0, 3)), backend)
    for wrap in (lambda f: f, lambda f: compiled(f, backend)):
        last, ys = wrap(lambda x: ops.scan(lambda c, row: (c + row, {"y": row[0]}), ops.zeros(3, like=x), x))(
            x
        )
        assert ops.shape(last) == (3,) and ops.shape(ys["y"]) == (0,)
        assert ops.shape(wrap(lambda x: ops.map(lambda row: row[None], x))(x)) == (0, 1, 3)
    y = put([1.0], backend)
    close(ops.fori_loop(3, 3, lambda i, x: x * 2, y), [1])
    close(ops.fori_loop(3, 1, lambda i, x: x * 2, y), [1])


def test_numbers_and_arrays_become_tensors(backend):
    x = put([1.0, 2.0], backend)
    total, count = ops.while_loop(lambda s: s[1] < 3, lambda s: (s[0] + ops.sum(x), s[1] + 1), (0.0, 0))
    with um.use_backend(backend):
        last, _ = ops.scan(lambda c, row: (c + row, None), 0.0, x)
    out = ops.cond(True, lambda x, n, flag: (x, n) if flag == "yes" else None, lambda *a: None, x, 2, "yes")
    assert [um.backend_of(t) for t in (last, out[1])] == [backend] * 2
    assert (float(ops.item(last)), int(ops.item(out[1]))) == (3.0, 2)
    assert int(ops.item(count)) == 3 and (backend != um.backend_of(total) or ops.item(total) == 9)
    c, _ = ops.scan(lambda c, _: (c, None), np.ones(2, "float32"), x)
    assert um.backend_of(c) == backend


def test_a_python_float_takes_the_dtype_around_it(backend):
    x = put([1.0, 2.0], backend, "float16")
    assert ops.dtype(ops.scan(lambda c, row: (c + row, None), 0.0, x)[0]) == "float16"


def test_bounds_that_are_not_known(backend):
    fn = lambda n, x: ops.fori_loop(0, n, lambda i, x: x * 2, x)  # noqa: E731
    n, x = put(3, backend, "int64"), put([1.0], backend)
    close(fn(n, x), [8])
    if backend == "mxnet":
        with pytest.raises(CompileError, match="max_iters"):
            compiled(fn, backend)(n, x)
    else:
        close(compiled(fn, backend)(n, x), [8])


def test_values_of_no_backend_follow_the_default():
    with um.use_backend("numpy"):
        assert ops.while_loop(lambda i: i < 3, lambda i: i + 1, 0).item() == 3


# ---------------------------------------------------------------------- errors
BAD = {
    "shape": (ShapeError, lambda x: ops.while_loop(lambda x: ops.sum(x) < 9, lambda x: x[:1], x, 9)),
    "dtype": (
        DtypeError,
        lambda x: ops.while_loop(lambda x: ops.sum(x) < 9, lambda x: ops.astype(x, "float16"), x, 9),
    ),
    "structure": (
        ArgumentError,
        lambda x: ops.while_loop(lambda s: ops.sum(s[0]) < 9, lambda s: s[0], (x,), 9),
    ),
    "keys": (ArgumentError, lambda x: ops.fori_loop(0, 2, lambda i, s: {"b": s["a"]}, {"a": x})),
    "pred axes": (ShapeError, lambda x: ops.cond(x > 0, lambda x: x, lambda x: x, x)),
    "test axes": (ShapeError, lambda x: ops.while_loop(lambda x: x > 0, lambda x: x, x)),
    "test dtype": (DtypeError, lambda x: ops.while_loop(lambda x: ops.sum(x), lambda x: x, x)),
    "pred type": (DtypeError, lambda x: ops.cond("yes", lambda x: x, lambda x: x, x)),
    "max_iters": (ArgumentError, lambda x: ops.while_loop(lambda x: ops.sum(x) > 0, lambda x: x, x, -1)),
    "carry": (ShapeError, lambda x: ops.scan(lambda c, r: (c[None], r), x, x)),
    "no pair": (ArgumentError, lambda x: ops.scan(lambda c, r: c, x, x)),
    "ys": (
        ShapeError,
        lambda x, n=[]: ops.scan(lambda c, r: (c, x[: 1 + len(n.append(0) or n) % 2]), x, length=3),
    ),
    "length": (ShapeError, lambda x: ops.scan(lambda c, r: (c, r), x, x, length=7)),
    "lengths": (ShapeError, lambda x: ops.map(lambda r: r, (x, x[:1]))),
    "no length": (ArgumentError, lambda x: ops.scan(lambda c, r: (c, r), x)),
    "no axis": (ShapeError, lambda x: ops.map(lambda r: r, ops.sum(x))),
    "bound": (DtypeError, lambda x: ops.fori_loop(0, 2.5, lambda i, x: x, x)),
    "leaf": (DtypeError, lambda x: ops.while_loop(lambda s: True, lambda s: s, (x, "a"))),
    "result": (DtypeError, lambda x: ops.map(lambda r: "a", x)),
}


@pytest.mark.parametrize("name", BAD)
def test_errors(backend, name):
    kind, fn = BAD[name]
    x = put([1.0, 2.0], backend)
    with pytest.raises(kind, match=r"ops\.(cond|while_loop|scan|fori_loop|map)") as eager:
        fn(x)
    assert "unimodule" in type(eager.value).__module__
    if name == "ys" and backend in ("jax", "tensorflow"):
        return  # one tracing stands for all steps
    with pytest.raises(kind):
        compiled(fn, backend)(x)


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (ShapeError, lambda x: x[:1]),
        (DtypeError, lambda x: ops.astype(x, "float16")),
        (ArgumentError, lambda x: (x,)),
    ],
)
def test_branches_must_agree(backend, kind, other):
    fn = compiled(lambda x: ops.cond(ops.sum(x) > 0, lambda x: x * 1, other, x), backend)
    x = put([1.0, 2.0], backend)
    if backend == "numpy":
        close(fn(x), [1, 2])
        return
    with pytest.raises(CompileError if backend == "mxnet" else kind):
        fn(x)


def test_two_backends(backend):
    if backend in ("numpy", "torch"):
        pytest.skip("one of the two is the other backend here")
    pytest.importorskip("torch")
    with pytest.raises(BackendMismatchError):
        ops.scan(lambda c, r: (c, r), put(X, backend), put(V, "torch"))


def test_under_native_compilers(backend):
    fn, x, w = FLOWS[0].fn, put(X, backend), put(W, backend)
    if backend == "torch":
        import torch

        native = torch.compile(fn, backend="eager")  # runs it eagerly; um.compile compiles it
    elif backend == "jax":
        import jax

        native = jax.jit(fn)
    elif backend == "tensorflow":
        import tensorflow as tf

        native = tf.function(fn, autograph=False)
    else:
        pytest.skip(f"{backend} has no compiler that takes a function as it is")
    close(native(x, w), np.tanh(X @ W))
    close(native(-x, w), -X * 2 - W.sum())
