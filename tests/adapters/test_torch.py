"""What only the PyTorch adapter promises: live parameters, the caller's grad modes, tracing, integers by NumPy."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from . import cases_core, cases_nn
from .conftest import ROOT
from .harness import NAMES, as_tuple, load, native, tree_map

if "torch" not in NAMES:
    pytest.skip("torch is not selected", allow_module_level=True)


@pytest.fixture
def backend():
    return load("torch")


@pytest.fixture
def op(backend):
    return backend.functions


def square_sum(op):
    return lambda values: (op["sum"](op["multiply"](values[0], values[0])), None)


def test_info_imports_no_torch():
    code = (
        f"import sys; sys.path += {[str(ROOT), str(ROOT / 'backends')]}; import unimodule_torch; "
        "print(unimodule_torch.INFO.name, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["torch", "False"]


# ---------------------------------------------------------------------- parameters and the tape
def test_variables_are_leaves_of_torch(backend):
    p = backend.variable(torch.ones(3), trainable=True)
    assert type(p) is torch.nn.Parameter and p.is_leaf and p.requires_grad
    assert backend.assign(p, torch.zeros(3)) is p and p.is_leaf and p.sum() == 0
    assert backend.set_trainable(p, False) is p and not p.requires_grad
    buffer = backend.variable(torch.ones(3, requires_grad=True), trainable=False)
    assert type(buffer) is torch.Tensor and not buffer.requires_grad


def test_live_leaves_are_passed_on_and_others_are_detached(backend, op):
    live, plain = torch.nn.Parameter(torch.ones(2)), torch.ones(2)
    made = (live * 2).exp()
    seen = []

    def fn(values):
        seen.extend(values)
        return op["sum"](op["multiply"](op["multiply"](values[0], values[1]), values[2])), None

    live.grad = torch.full((2,), 5.0)
    backend.value_and_grad(fn, [live, plain, made])
    assert seen[0] is live and all(x.is_leaf for x in seen)
    assert not plain.requires_grad and live.grad.tolist() == [5.0, 5.0]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_gradients_whatever_the_callers_mode(backend, op, mode):
    p = backend.variable(torch.tensor([3.0]), trainable=True)
    with mode():
        inside = backend.from_numpy(np.array([2.0]), "float32", "cpu") * 1.0
        assert backend.value_and_grad(square_sum(op), [p])[2][0].item() == 6.0
        assert backend.value_and_grad(square_sum(op), [inside])[2][0].item() == 4.0


def test_what_is_made_in_inference_mode_can_be_trained_later(backend, op):
    with torch.inference_mode():
        p = backend.variable(backend.from_numpy(np.ones(2), "float32", "cpu"), trainable=True)
    square_sum(op)([p])[0].backward()
    assert p.grad.tolist() == [2.0, 2.0]
    backend.assign(p, torch.zeros(2))


# ---------------------------------------------------------------------- tracing
def _first_cases():
    return list({case.name: case for case in cases_core.CASES + cases_nn.CASES if case.floats}.values())


@pytest.mark.slow
@pytest.mark.parametrize("case", _first_cases(), ids=lambda case: case.name)
def test_every_op_traces_in_one_graph(backend, case):
    fn = backend.function(case.name)
    if fn is None:
        pytest.skip("left to the default composition, which has cases of its own")
    torch._dynamo.reset()
    args, kwargs = tree_map(
        lambda x: native(backend, x, "float32") if isinstance(x, np.ndarray) else x,
        [list(case.args), case.kwargs],
    )
    compiled = torch.compile(lambda args, kwargs: fn(*args, **kwargs), fullgraph=True, backend="aot_eager")
    for got, want in zip(as_tuple(compiled(args, kwargs)), as_tuple(fn(*args, **kwargs)), strict=True):
        torch.testing.assert_close(got, want, equal_nan=True)


def test_ops_that_share_their_code_stay_apart_in_one_graph(backend, op):
    """Dynamo has mixed up wrappers that share a name: here are six of them in one expression."""

    def fn(x, y):
        product = op["multiply"](op["add"](x, y), op["negative"](x))
        return op["maximum"](op["subtract"](product, op["abs"](y)), op["minimum"](x, op["pow"](y, 2.0)))

    x, y = torch.randn(5), torch.randn(5)
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(fn, fullgraph=True, backend="aot_eager")(x, y), fn(x, y))


def test_value_and_grad_traces_in_one_graph(backend, op):
    def cube(values):
        x = values[0]
        return op["sum"](op["multiply"](op["multiply"](x, x), x)), {
            "twice": op["add"](x, x),
            "text": (1, None),
        }

    def outer(values):
        _, _, (g, _) = backend.value_and_grad(cube, values)
        return op["sum"](op["multiply"](g, g)), [None, g]

    p, unused = backend.variable(torch.tensor([1.0, -2.0]), trainable=True), torch.ones(3)
    for fn in (cube, outer):
        torch._dynamo.reset()
        compiled = torch.compile(
            lambda a, b, fn=fn: backend.value_and_grad(fn, [a, b]), fullgraph=True, backend="aot_eager"
        )
        got, want = compiled(p, unused), backend.value_and_grad(fn, [p, unused])
        torch.testing.assert_close([got[0], *got[2]], [want[0], *want[2]])
        assert not any(x.requires_grad for x in [got[0], *got[2]])
        assert str(got[1]) == str(want[1])


def test_numpy_data_traces_in_one_graph(backend, op):
    data = np.arange(3.0)
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda x: op["add"](x, backend.from_numpy(data, "float32", "cpu")),
        fullgraph=True,
        backend="aot_eager",
    )
    out = compiled(torch.ones(3))
    assert out.tolist() == [1.0, 2.0, 3.0] and out.dtype is torch.float32


def test_nothing_traced_counts_as_concrete(backend):
    seen = []

    def fn(x):
        seen.append(backend.is_concrete(x))
        backend.check_indices(x, 1)  # would raise, if it looked
        return x + 1

    torch._dynamo.reset()
    torch.compile(fn, fullgraph=True, backend="eager")(torch.tensor([5]))
    torch.vmap(lambda x: (seen.append(backend.is_concrete(x)), x)[1])(torch.ones(2))
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        seen.append(backend.is_concrete(torch.ones(2)))
    seen.append(backend.is_concrete(torch.ones(2, device="meta")))
    assert seen == [False] * 4


# ---------------------------------------------------------------------- precision, integers, noise
def test_full_precision_restores_what_it_found(backend):
    matmul = torch.backends.cuda.matmul
    name = "fp32_precision" if hasattr(torch.backends.cudnn, "conv") else "allow_tf32"
    loose, strict = ("tf32", "ieee") if name == "fp32_precision" else (True, False)
    before = getattr(matmul, name)
    try:
        setattr(matmul, name, loose)
        with pytest.raises(KeyError), backend.full_precision():
            assert getattr(matmul, name) == strict
            raise KeyError
        assert getattr(matmul, name) == loose
    finally:
        setattr(matmul, name, before)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("layer_norm", ((6,), None, None, 1e-3)),
        ("group_norm", (2, None, None, 1e-3)),
        ("batch_norm_train", (None, None, 1e-3)),
    ],
)
def test_gradients_of_norms_survive_16_bits(backend, op, name, args, dtype):
    """With the statistics rounded to 16 bits, as PyTorch's CPU kernels do, these are noise."""
    spread = {"float16": 2**-7, "bfloat16": 2**-4}[dtype]
    values = 3.0 + spread * np.random.default_rng(0).permutation(24).reshape(4, 6)
    weight = np.linspace(0.5, 1.5, 24).reshape(4, 6) ** 2

    def gradient(kind):
        x, w = (backend.from_numpy(a, kind, "cpu") for a in (values, weight))

        def fn(inside):
            y = op[name](inside[0], *args)
            return op["sum"](op["multiply"](y[0] if isinstance(y, tuple) else y, w)), None

        return backend.to_numpy(backend.value_and_grad(fn, [x])[2][0]).astype(np.float64)

    want = gradient("float64")
    assert np.abs(gradient(dtype) - want).max() < 0.05 * np.abs(want).max()


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_unsigned_integers_wrap_around(backend, op, dtype):
    limit = int(np.iinfo(dtype).max)
    x = backend.from_numpy(np.array([limit, 1], dtype), dtype, "cpu")
    assert backend.to_numpy(op["add"](x, 1)).tolist() == [0, 2]
    assert backend.to_numpy(op["subtract"](0, x)).tolist() == [1, limit]
    assert backend.item(op["max"](x)) == limit and backend.dtype(op["max"](x, axis=0)) == dtype
    assert backend.to_numpy(op["argsort"](x, descending=True)).tolist() == [0, 1]


def test_a_missing_float_kernel_is_torchs_own_error(op):
    x = torch.ones(2).to(torch.float8_e5m2)
    with pytest.raises(NotImplementedError):
        op["add"](x, x)
