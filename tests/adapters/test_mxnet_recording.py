"""What a recording for MXNet takes, of operators that users write on native arrays, and what it refuses."""

import functools
import pickle

import numpy as np
import pytest

from unimodule.errors import ArgumentError, CompileError

from .harness import NAMES, load
from .mxnet_tape import put, rand, taped

if "mxnet" not in NAMES:
    pytest.skip("mxnet is not selected", allow_module_level=True)


@pytest.fixture(scope="module")
def backend():
    return load("mxnet")


@pytest.fixture(scope="module")
def mx(backend):
    from unimodule_mxnet.loading import mx

    return mx


def paused(mx, x):
    with mx.autograd.pause():
        return x * 3


def filled(mx, x):
    table = mx.np.zeros((4, 6))
    table[:, 0:2] = 1.5
    table[1] = mx.np.ones(6)
    return table * x


NATIVE = {
    "arithmetic": lambda mx, x, w: 1 - (x @ w) / (x * x + 1) + x % 2 + 3 / (x * x + 1) - (-x) ** 2,
    "power": lambda mx, x, w: abs(x) ** 1.5 + 2 ** (x / 4),
    "comparison": lambda mx, x, w: (x @ w) * ((x @ w) > 0) * (x != 0) * (x <= 9),
    "row": lambda mx, x, w: (x @ w)[0] + (x @ w)[-1],
    "element": lambda mx, x, w: (x @ w)[1, 2],
    "slice": lambda mx, x, w: (x @ w)[1:3, ::2],
    "column": lambda mx, x, w: (x @ w)[:, 1],
    "backwards": lambda mx, x, w: (x @ w)[::-1],
    "none": lambda mx, x, w: (x @ w)[..., None] * 2,
    "nothing": lambda mx, x, w: (x @ w)[2:2].sum() + x.sum(),
    "gather": lambda mx, x, w: (x @ w)[mx.np.array([0, 2], dtype="int64")],
    "lists": lambda mx, x, w: (x @ w)[[0, 2], [1, 1]],
    "iteration": lambda mx, x, w: sum(row * i for i, row in enumerate(x @ w)),
    "methods": lambda mx, x, w: (x @ w).reshape(3, 8).sum(axis=1).astype("float64").astype("float32").copy(),
    "size": lambda mx, x, w: x * len(x) * x.size * x.ndim,
    "transpose": lambda mx, x, w: (x @ w.T).swapaxes(0, 1),
    "max": lambda mx, x, w: (x @ w).max(axis=1),
    "functions": lambda mx, x, w: mx.np.where(x > 0, x @ w, mx.np.zeros_like(x)) + mx.npx.softmax(x),
    "numpy": lambda mx, x, w: np.sum(np.exp(x @ w / 9), axis=0),
    "tensordot": lambda mx, x, w: mx.np.tensordot(x, w, axes=1) + mx.np.tensordot(x, w, axes=((1,), (0,))),
    "einsum": lambda mx, x, w: mx.np.einsum("ij,jk->ik", x, w),
    "split": lambda mx, x, w: mx.np.split(x @ w, 2, axis=1)[1],
    "inverse": lambda mx, x, w: x @ mx.np.linalg.inv(w @ w.T + mx.np.eye(6) * 3),
    "legacy": lambda mx, x, w: mx.nd.hard_sigmoid(
        (x @ w).as_nd_ndarray().reshape((-1, 3))[1:3] * 2
    ).as_np_ndarray(),
    "detach": lambda mx, x, w: (x @ w) * (x @ w).detach(),
    "pause": lambda mx, x, w: (x @ w) * paused(mx, x @ w),
    "constants": lambda mx, x, w: filled(mx, x),
    "itself": lambda mx, x, w: x,
}


@pytest.mark.filterwarnings("ignore:ndarray.as_in_context")  # MXNet's, of itself
@pytest.mark.parametrize("name", NATIVE)
def test_native_operators(backend, mx, name):
    arrays = [put(backend, rand(4, 6)), put(backend, rand(6, 6, seed=1))]

    def fn(values):
        return [NATIVE[name](mx, *values)]

    compiled = backend.compile(fn)
    want = fn(arrays)[0]
    for _ in range(2):
        got = compiled(arrays)[0]
        assert got.dtype == want.dtype and type(got) is type(want)
        np.testing.assert_allclose(got.asnumpy(), want.asnumpy(), rtol=1e-5, atol=1e-6)
    for got, expected in zip(taped(mx, compiled, arrays), taped(mx, fn, arrays), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_plain_gluon_blocks_are_recorded(backend, mx):
    dense = mx.gluon.nn.Dense(3, in_units=6)
    dense.initialize()
    x = put(backend, rand(4, 6))
    compiled = backend.compile(lambda v: [dense(v[0].as_nd_ndarray()).as_np_ndarray()])
    for _ in range(2):
        np.testing.assert_allclose(compiled([x])[0].asnumpy(), dense(x.as_nd_ndarray()).asnumpy(), rtol=1e-6)
        dense.weight.set_data(dense.weight.data() * 2)  # by reference: the new values count


# ---------------------------------------------------------------------- what is refused
class Square:
    """Stands for a user's own gradient."""

    def __new__(cls, mx):
        class Own(mx.autograd.Function):
            def forward(self, x):
                return x * x

            def backward(self, dy):
                return dy * 0

        return Own()


@functools.cache
def dense(mx):
    block = mx.gluon.nn.Dense(3, in_units=3)
    block.initialize()
    block.hybridize()
    return block


def hybrid(mx, x):
    return dense(mx)(x.as_nd_ndarray()).as_np_ndarray()


def inplace(x):
    x += 1
    return x


def taped_inside(mx, x):
    with mx.autograd.record():
        loss = (x * 2).sum()
    return mx.autograd.grad(loss, [x])[0]


def stored(target, key, value):
    target[key] = value
    return value


VALUE, WRITE, SHAPE, TAPE, PAST = (
    "ops.cond.*ops.while_loop",
    "in place",
    "depends? on values",
    "value_and_grad",
    "recorded",
)
REFUSED = {  # (mx, backend, argument, array from outside) -> anything; what the message says
    "if": (lambda mx, b, x, o: x if x.sum() > 0 else -x, VALUE),
    "while": (lambda mx, b, x, o: [1 for _ in iter(lambda: bool(x[0, 0] > 0), False)], VALUE),
    "float": (lambda mx, b, x, o: x * float(x.sum()), VALUE),
    "int": (lambda mx, b, x, o: x * int(x.sum()), VALUE),
    "index": (lambda mx, b, x, o: x * len(range(x[0, 0])), VALUE),
    "item": (lambda mx, b, x, o: x * x[0, 0].item(), VALUE),
    "asnumpy": (lambda mx, b, x, o: b.from_numpy(x.asnumpy(), "float32", "cpu"), VALUE),
    "to_numpy": (lambda mx, b, x, o: b.to_numpy(x), VALUE),
    "array": (lambda mx, b, x, o: np.asarray(x), VALUE),
    "tolist": (lambda mx, b, x, o: x.tolist(), VALUE),
    "outside-float": (lambda mx, b, x, o: x * float(o.sum()), VALUE),
    "outside-item": (lambda mx, b, x, o: x * o[0, 0].item(), VALUE),
    "outside-asnumpy": (lambda mx, b, x, o: x * o.asnumpy().sum(), VALUE),
    "numpy-only": (lambda mx, b, x, o: np.fft.fft(x), VALUE),
    "numpy-ufunc": (lambda mx, b, x, o: np.heaviside(x, 1), VALUE),
    "mask": (lambda mx, b, x, o: x[x > 0], SHAPE),
    "constant-mask": (lambda mx, b, x, o: x[np.array([True, False])], SHAPE),
    "nonzero": (lambda mx, b, x, o: mx.np.nonzero(x)[0], SHAPE),
    "unique": (lambda mx, b, x, o: mx.np.unique(x), SHAPE),
    "set": (lambda mx, b, x, o: stored(x, 0, 1), WRITE),
    "set-outside": (lambda mx, b, x, o: stored(o, 0, 1), WRITE),
    "set-outside-all": (lambda mx, b, x, o: stored(o, slice(None), 1), WRITE),
    "set-outside-view": (lambda mx, b, x, o: stored(o[0], 0, 1), WRITE),
    "set-constant": (lambda mx, b, x, o: stored(mx.np.zeros((2, 3)), 0, x[0]), WRITE),
    "iadd": (lambda mx, b, x, o: inplace(x), WRITE),
    "iadd-computed": (lambda mx, b, x, o: inplace(x * 2), WRITE),
    "iadd-outside": (lambda mx, b, x, o: inplace(o), WRITE),
    "out": (lambda mx, b, x, o: mx.np.add(x, x, out=mx.np.zeros((2, 3))), WRITE),
    "copyto": (lambda mx, b, x, o: x.copyto(o), WRITE),
    "assign": (lambda mx, b, x, o: b.assign(o, x), WRITE),
    "shuffle": (lambda mx, b, x, o: mx.np.random.shuffle(x), WRITE),
    "optimizer": (lambda mx, b, x, o: mx.nd.sgd_mom_update(*[x.as_nd_ndarray()] * 3, lr=0.1), "writes"),
    "batch-norm": (lambda mx, b, x, o: mx.npx.batch_norm(x, *[mx.np.ones(3)] * 4), "writes"),
    "dropout": (lambda mx, b, x, o: mx.npx.dropout(x, p=0.5), "train mode"),
    "attach": (lambda mx, b, x, o: x.attach_grad(), TAPE),
    "grad": (lambda mx, b, x, o: o.grad, TAPE),
    "tape": (lambda mx, b, x, o: taped_inside(mx, x), PAST),
    "function": (lambda mx, b, x, o: Square(mx)(x), PAST),
    "function-outside": (lambda mx, b, x, o: Square(mx)(o), PAST),
    "hybrid": (lambda mx, b, x, o: hybrid(mx, x), PAST),
    "hybrid-outside": (lambda mx, b, x, o: hybrid(mx, o), PAST),
    "pickle": (lambda mx, b, x, o: pickle.dumps(x), PAST),
    "dlpack": (lambda mx, b, x, o: mx.nd.to_dlpack_for_read(x), PAST),
    "sparse": (lambda mx, b, x, o: x.as_nd_ndarray().tostype("csr"), PAST),
    "seed": (lambda mx, b, x, o: b.seed(1), "random state"),
    "no-tensor": (lambda mx, b, x, o: 3.0, "returns tensors"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(backend, mx, name):
    action, message = REFUSED[name]
    dense(mx)  # made before anything is compiled
    x, outside = put(backend, np.arange(6.0).reshape(2, 3)), put(backend, np.ones((2, 3)))
    with pytest.raises(CompileError, match=message):
        backend.compile(lambda v: [action(mx, backend, v[0], outside)])([x])
    np.testing.assert_array_equal(x.asnumpy(), np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(outside.asnumpy(), np.ones((2, 3)))
    assert not mx.autograd.is_recording() and not mx.autograd.is_training()


def test_nothing_stays_patched(backend, mx):
    def snapshot():
        owners = [mx.np.ndarray, mx.nd.NDArray, mx.ndarray.register, mx.nd.CachedOp, mx.autograd.Function]
        owners += [mx.np.ndarray.__mro__[2], mx.ndarray.numpy._op._api_internal]
        return [dict(vars(owner)) for owner in owners]

    before = snapshot()
    x = put(backend, [1.0, 2.0])
    backend.compile(lambda v: [v[0] * 2])([x])
    with pytest.raises(ZeroDivisionError):
        backend.compile(lambda v: 1 / 0)([x])
    with pytest.raises(CompileError):
        backend.compile(lambda v: [v[0] * float(v[0].sum())])([x])
    assert snapshot() == before
    assert float((x * 2).sum()) == 6


def test_a_tensor_of_a_compilation_that_is_over(backend):
    kept = []
    x = put(backend, [1.0, 2.0])
    backend.compile(lambda v: [kept.append(v[0] * 2) or v[0]])([x])
    assert not backend.is_concrete(kept[0]) and not backend.outlives_trace(kept[0])
    with pytest.raises(CompileError, match="recorded"):
        backend.functions["add"](kept[0], x)
    with pytest.raises(CompileError, match="over"):
        backend.compile(lambda v: [v[0] + kept[0]])([x])


def test_errors_of_mxnet_pass(backend, mx):
    with pytest.raises(mx.MXNetError, match="matmul"):
        backend.compile(lambda v: [v[0] @ v[0]])([put(backend, np.ones((2, 3)))])
    with pytest.raises(IndexError):
        backend.compile(lambda v: [v[0][5]])([put(backend, np.ones((2, 3)))])


def test_options(backend):
    x = put(backend, [1.0])
    for options in ({}, {"static_alloc": False}, {"static_shape": False, "inline_limit": 0}):
        assert backend.compile(lambda v: [v[0] * 2 + 1], **options)([x])[0].item() == 3
    with pytest.raises(ArgumentError, match="fullgraph"):
        backend.compile(lambda v: v, fullgraph=True)
