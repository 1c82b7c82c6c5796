"""Compiled functions of MXNet when they run: references, constants, tapes, gradients inside, random numbers, threads."""

import threading

import numpy as np
import pytest

from unimodule.errors import NotSupportedError

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
