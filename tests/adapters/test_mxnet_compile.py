"""Functions compiled for MXNet: every op of the contract, recorded, against the oracle of the eager ones, in value and
gradient; whole nets; state; threads; and what is refused."""

import functools
import pickle
import threading

import numpy as np
import pytest

from unimodule.errors import ArgumentError, CompileError, NotSupportedError

from . import cases_core, cases_nn
from .harness import NAMES, as_tuple, check, leaves, load, tree_map
from .oracles import ORACLES

if "mxnet" not in NAMES:
    pytest.skip("mxnet is not selected", allow_module_level=True)
pytest.importorskip("torch", reason="torch is the oracle")

CASES = cases_core.CASES + cases_nn.CASES


class Compiling:
    """The adapter with its functions compiled before they are called.

    ``inside``: gradients are taken inside the compiled function, not through it.
    """

    def __init__(self, backend, inside):
        self._backend = backend
        self._inside = inside
        self.functions = (
            backend.functions if inside else {n: self._compiled(f) for n, f in backend.functions.items()}
        )

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def _compiled(self, fn):
        def call(*args, **kwargs):
            tensors = [x for x in leaves([args, kwargs]) if self._backend.is_tensor(x)]

            def of_list(values):
                supply = iter(values)
                new = tree_map(
                    lambda x: next(supply) if self._backend.is_tensor(x) else x, [list(args), kwargs]
                )
                result.append(fn(*new[0], **new[1]))
                return list(as_tuple(result[0]))

            result = []
            compiled = self._backend.compile(of_list)
            compiled(tensors)
            out = compiled(tensors)
            assert len(result) == 1
            return tuple(out) if isinstance(result[0], (tuple, list)) else out[0]

        return call

    def value_and_grad(self, fn, values):
        if not self._inside:
            return self._backend.value_and_grad(fn, values)

        def both(inner):
            loss, _, gradients = self._backend.value_and_grad(fn, inner)
            return [loss, *gradients]

        compiled = self._backend.compile(both)
        compiled(values)
        loss, *gradients = compiled(values)
        return loss, None, gradients


@pytest.mark.parametrize("inside", [False, True], ids=["through", "inside"])
@pytest.mark.parametrize(
    ("dtype", "case"),
    [
        pytest.param(
            dtype, case, id="-".join(filter(None, [dtype if case.floats else "exact", case.name, case.tag]))
        )
        for dtype in ("float32", "float64")
        for case in CASES
        if case.floats or dtype == "float32"
    ],
)
def test_op(dtype, case, inside):
    backend = load("mxnet")
    if inside and not (case.floats and case.grad):
        pytest.skip("there is no gradient")
    if backend.function(case.name) is None:
        pytest.skip("left to the default composition")
    try:
        check(Compiling(backend, inside), case, dtype, case.oracle or ORACLES[case.name])
    except NotSupportedError as error:
        pytest.skip(f"declared: {error}")


# ---------------------------------------------------------------------- natives, written by users
@pytest.fixture(scope="module")
def backend():
    return load("mxnet")


@pytest.fixture(scope="module")
def mx(backend):
    from unimodule_mxnet.loading import mx

    return mx


def put(backend, values, dtype="float32"):
    return backend.from_numpy(np.asarray(values), dtype, "cpu")


def rand(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def taped(mx, fn, arrays, train_mode=True):
    """Value of ``fn(list)[0]``, and gradients of its squares' sum, by MXNet's own tape."""
    own = [x.detach() for x in arrays]
    for x in own:
        x.attach_grad()
    with mx.autograd.record(train_mode=train_mode):
        y = fn(own)[0]
        loss = (y * y).sum()
    loss.backward()
    return [y.asnumpy(), *(x.grad.asnumpy() for x in own)]


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


# ---------------------------------------------------------------------- what is passed, and how
def test_arrays_from_outside_are_passed_by_reference(backend, mx):
    w = put(backend, [1.0, 2.0])
    view, x = w.detach(), put(backend, [1.0, 1.0])
    compiled = backend.compile(lambda v: [v[0] * w + w[0] + view.reshape(2) + w.detach(), w])
    for values in ([1.0, 2.0], [5.0, 7.0]):
        backend.assign(w, put(backend, values))
        y, same = compiled([x])
        np.testing.assert_array_equal(y.asnumpy(), 3 * np.array(values) + values[0])
        assert same is w
    w.attach_grad()
    with mx.autograd.record():
        loss = compiled([x])[0].sum()
    loss.backward()
    np.testing.assert_array_equal(w.grad.asnumpy(), [3, 1])


def test_dtypes_scalars_and_nothing(backend):
    ops = backend.functions

    def fn(v):
        return [
            ops["add"](v[0], v[0]),
            ops["equal"](v[1], 3),
            ops["exp"](v[2]),
            ops["multiply"](v[3], 2.0),
            v[1][0],
        ]

    arrays = [put(backend, 2.5, "float64"), put(backend, [3, 4], "int64")]
    arrays += [put(backend, np.zeros((0, 3))), put(backend, np.ones((2, 2)), "float16")]
    for got, want in zip(backend.compile(fn)(arrays), fn(arrays), strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        np.testing.assert_array_equal(got.asnumpy(), want.asnumpy())


def test_no_arguments_and_no_results(backend):
    assert backend.compile(lambda v: [])([]) == []
    compiled = backend.compile(lambda v: [backend.functions["random_uniform"]((3,), "float32", "cpu")])
    first, second = compiled([])[0], compiled([])[0]
    assert (first.asnumpy() != second.asnumpy()).any()


def test_a_constant_is_taken_as_it_was(backend, mx):
    def fn(v):
        table = mx.np.zeros(2)
        y = v[0] + table
        table[:] = 100
        return [y, v[0] + table]

    assert [y.asnumpy().tolist() for y in backend.compile(fn)([put(backend, [1.0, 2.0])])] == [
        [1, 2],
        [101, 102],
    ]


def test_a_constant_that_is_returned_is_the_callers(backend, mx):
    compiled = backend.compile(lambda v: [mx.np.ones(2), v[0]])
    x = put(backend, [1.0])
    compiled([x])[0][:] = 7
    assert compiled([x])[0].asnumpy().tolist() == [1, 1]


def test_one_compiled_function_in_another(backend):
    runs = []
    inner = backend.compile(lambda v: [runs.append(1) or v[0] * v[1]])
    outer = backend.compile(lambda v: [inner([v[0], v[0]])[0] + v[1]])
    x, y = put(backend, [3.0]), put(backend, [1.0])
    assert [outer([x, y])[0].item() for _ in range(3)] == [10] * 3 and len(runs) == 1
    assert inner([x, y])[0].item() == 3


def test_two_calls_on_one_tape(backend):
    compiled = backend.compile(lambda v: [v[0] * v[0] * v[1]])
    a, b = put(backend, [2.0]), put(backend, [3.0])

    def loss(v):
        y = compiled([v[0], v[1]])[0]
        return backend.functions["sum"](compiled([y, v[0]])[0]), y

    value, y, gradients = backend.value_and_grad(loss, [a, b])  # (a a b)^2 a = a^5 b^2
    assert value.item() == 32 * 9 and y.item() == 12
    assert [g.item() for g in gradients] == [5 * 16 * 9, 32 * 2 * 3]


def test_a_tape_in_predict_mode(backend, mx):
    """MXNet's kernels keep what a gradient needs in train mode only; a compiled function does not depend on it."""
    x = put(backend, rand(1, 2, 6, 6))

    def fn(v):
        return [backend.functions["max_pool"](v[0], (2, 2), (2, 2), (0, 0), (1, 1), False)]

    compiled = backend.compile(fn)
    for train_mode in (True, False):
        for got, want in zip(
            taped(mx, compiled, [x], train_mode), taped(mx, fn, [x], train_mode), strict=True
        ):
            np.testing.assert_array_equal(got, want)


# ---------------------------------------------------------------------- gradients inside
def test_a_whole_step_is_compiled(backend):
    """Code before, in and after the gradient; values of one part used in others; no gradient for what takes no part."""
    ops, runs = backend.functions, []

    def step(v):
        w, unused, x = v
        runs.append(1)
        scaled = ops["multiply"](x, 2.0)

        def loss(p):
            y = ops["multiply"](p[0], scaled)
            return ops["sum"](ops["multiply"](y, y)), {"y": y, "leaf": p[0]}

        value, aux, (dw, none) = backend.value_and_grad(loss, [w, unused])
        return [value, aux["y"], aux["leaf"], none, ops["subtract"](w, ops["multiply"](dw, 0.1)), scaled]

    arrays = [put(backend, a) for a in ([1.0, 2.0], [[1.0]], [3.0, 4.0])]
    compiled, want = backend.compile(step), step(arrays)
    for _ in range(3):
        for got, expected in zip(compiled(arrays), want, strict=True):
            np.testing.assert_allclose(got.asnumpy(), expected.asnumpy(), rtol=1e-6)
    assert len(runs) == 2  # eager, and once to record it


def test_losses_that_depend_on_little(backend):
    ops = backend.functions
    x, c = put(backend, 3.0), put(backend, 2.0)
    for loss, value, gradient in [
        (lambda p: p[0], 3, 1),
        (lambda p: c, 2, 0),
        (lambda p: ops["stop_gradient"](p[0]), 3, 0),
        (lambda p: put(backend, 5.0), 5, 0),
    ]:

        def fn(v, loss=loss):
            found, _, (g,) = backend.value_and_grad(lambda p: (loss(p), None), [v[0]])
            return [found, g]

        assert [y.item() for y in backend.compile(fn)([x])] == [value, gradient]


def test_two_gradients_in_one_function_and_none_of_another(backend, mx):
    def loss(p):
        return backend.functions["sum"](backend.functions["multiply"](p[0], p[0])), None

    def fn(v):
        first = backend.value_and_grad(loss, [v[0]])[2][0]
        return [first, backend.value_and_grad(loss, [first])[2][0]]

    x = put(backend, [1.0, 2.0])
    compiled = backend.compile(fn)
    assert [y.asnumpy().tolist() for y in compiled([x])] == [[2, 4], [4, 8]]
    with pytest.raises(NotSupportedError, match="gradients of gradients"), mx.autograd.record():
        compiled([x])
    with pytest.raises(NotSupportedError, match="gradients of gradients"):
        backend.compile(lambda v: [backend.value_and_grad(lambda p: (fn(p)[0].sum(), None), v)[0]])([x])


# ---------------------------------------------------------------------- random numbers
def test_random_numbers(backend):
    ops = backend.functions
    x = put(backend, np.ones(200))
    compiled = backend.compile(
        lambda v: [
            ops["dropout"](v[0], 0.5),
            ops["random_uniform"]((200,), "float32", "cpu"),
            ops["dropout"](v[0], 0.5),
        ]
    )
    draws = []
    for _ in range(2):
        backend.seed(3)
        draws.append([[y.asnumpy() for y in compiled([x])] for _ in range(2)])
    np.testing.assert_array_equal(draws[0], draws[1])  # the recording itself drew nothing
    (a, b, c), (d, _, _) = draws[0]
    assert (a != d).any() and (a != c).any() and set(a) == {0, 2} and 0 <= b.min() < 0.1 < 0.9 < b.max() < 1
    _, y, (gradient,) = backend.value_and_grad(lambda v: (lambda y: (ops["sum"](y), y))(compiled(v)[0]), [x])
    np.testing.assert_array_equal(y.asnumpy(), gradient.asnumpy())  # one mask both ways


def test_seed_reaches_other_threads(backend):
    compiled = backend.compile(lambda v: [backend.functions["dropout"](v[0], 0.5)])
    x = put(backend, np.ones(100))
    compiled([x])

    def elsewhere():
        out = []
        thread = threading.Thread(target=lambda: out.append(compiled([x])[0].asnumpy()))
        thread.start()
        thread.join()
        return out[0]

    backend.seed(5)
    first, second = elsewhere(), elsewhere()
    backend.seed(5)
    np.testing.assert_array_equal(first, elsewhere())
    assert (first != second).any()


# ---------------------------------------------------------------------- threads
def test_threads(backend):
    """Eight threads: some call one compiled function, some compile, some run eagerly, some take gradients."""
    ops = backend.functions
    w = put(backend, rand(5, 3))

    def net(v):
        return [ops["relu"](ops["linear"](v[0], v[1], None))]

    def gradient(v):
        return backend.value_and_grad(lambda p: (ops["sum"](net([v[0], p[0]])[0]), None), [v[1]])[2]

    shared, shared_gradient = backend.compile(net), backend.compile(gradient)
    jobs = [
        (lambda: shared, net),
        (lambda: shared_gradient, gradient),
        (lambda: backend.compile(net), net),
        (lambda: backend.compile(gradient), gradient),
        (lambda: net, net),
        (lambda: gradient, gradient),
        (
            lambda: (
                lambda v: backend.value_and_grad(
                    lambda p: (ops["sum"](shared([v[0], p[0]])[0]), None), [v[1]]
                )[2]
            ),
            gradient,
        ),
        (lambda: shared, net),
    ]
    problems, barrier = [], threading.Barrier(len(jobs))

    def work(i):
        make, reference = jobs[i]
        x = put(backend, rand(4, 3, seed=i))
        want = reference([x, w])[0].asnumpy()
        barrier.wait()
        try:
            for _ in range(25):
                got = make()([x, w])[0].asnumpy()
                if not np.allclose(got, want, rtol=1e-5):
                    problems.append((i, got, want))
        except Exception as error:
            problems.append((i, error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[:3]
