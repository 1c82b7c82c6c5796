"""The two forms of a compiled graph: a quick one for finite values, and what eager code gives wherever they are not."""

import functools

import numpy as np
import pytest

from .harness import NAMES, load
from .mxnet_tape import put, rand, taped

if "mxnet" not in NAMES:
    pytest.skip("mxnet is not selected", allow_module_level=True)

nan, inf = np.nan, np.inf
LOWEST = np.finfo("float32").min
VALUES = {
    "finite": lambda x: x,
    "nan": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 40, nan, x),
    "nan-everywhere": lambda x: x * nan,
    "inf": lambda x: np.where(np.arange(x.size).reshape(x.shape) % 50 == 40, inf, x),
    "minus-inf": lambda x: np.where(np.arange(x.size).reshape(x.shape) % 2, -inf, x),
    "minus-inf-windows": lambda x: np.where(np.arange(x.shape[-1]) < 4, -inf, x),
    "all-of-these": lambda x: np.choose(np.arange(x.size).reshape(x.shape) % 5, [x, nan, inf, -inf, -x]),
    "large": lambda x: np.where(x > 0, 3e38, -3e38),  # whose sum is infinite
    "lowest": lambda x: np.where(np.arange(x.shape[-1]) < 4, LOWEST, x),
    "ties": lambda x: np.round(x),
}


@pytest.fixture(scope="module")
def backend():
    return load("mxnet")


@pytest.fixture(scope="module")
def mx(backend):
    from unimodule_mxnet.loading import mx

    return mx


def pooled(ops, x, kernel=2, stride=2, padding=0, ceil_mode=False):
    n = x.ndim - 2
    return ops["max_pool"](x, (kernel,) * n, (stride,) * n, (padding,) * n, (1,) * n, ceil_mode)


def conv(ops, x, w):
    n = x.ndim - 2
    return ops["conv"](x, w, None, (1,) * n, ((1, 1),) * n, (1,) * n, 1)


def normed(ops, x, w):
    c = w.shape[0]
    one, zero = (put(load("mxnet"), np.full(c, value), np.dtype(w.dtype).name) for value in (1, 0))
    return ops["batch_norm"](conv(ops, x, w), zero, one, None, None, 1e-5)


NETS = {
    "pool": lambda ops, x, w: pooled(ops, x),
    "pool-overlapping": lambda ops, x, w: pooled(ops, x, 3, 2, 1, True),
    "pool-ceil": lambda ops, x, w: pooled(ops, x, 3, 3, 0, True),
    "pool-of-one": lambda ops, x, w: pooled(ops, x, 1, 1),
    "pool-of-one-strided": lambda ops, x, w: pooled(ops, x, 1, 2),
    "conv-relu-pool-of-one": lambda ops, x, w: pooled(ops, ops["relu"](conv(ops, x, w)), 1, 1),
    "relu-pool": lambda ops, x, w: pooled(ops, ops["relu"](x)),
    "relu-and-pool": lambda ops, x, w: (lambda y: pooled(ops, y, 3, 1, 1) + y)(ops["relu"](x)),
    "conv-relu": lambda ops, x, w: ops["relu"](conv(ops, x, w)),
    "conv-relu-pool": lambda ops, x, w: pooled(ops, ops["relu"](conv(ops, x, w))),
    "conv-norm-relu-pool": lambda ops, x, w: pooled(ops, ops["relu"](normed(ops, x, w)), 3, 2, 1),
    "conv-pool-relu": lambda ops, x, w: ops["relu"](pooled(ops, conv(ops, x, w))),
    "pool-conv-pool": lambda ops, x, w: pooled(ops, conv(ops, pooled(ops, x), w)),
    "shifted": lambda ops, x, w: pooled(ops, x * 2 + 1) * 3 - 1,
}


def both_ways(backend, mx, fn, arrays, want):
    """Assert that a compiled ``fn`` is ``want``: by itself, differentiated inside, and on MXNet's tape."""

    def whole(v):
        def loss(p):
            y = fn(p)[0]
            return backend.functions["sum"](backend.functions["multiply"](y, y)), y

        _, y, gradients = backend.value_and_grad(loss, v)
        return [y, *gradients]

    compiled, inside = backend.compile(fn), backend.compile(whole)
    for _ in range(2):
        for form, result in {
            "called": [y.asnumpy() for y in compiled(arrays)],
            "inside": [y.asnumpy() for y in inside(arrays)],
            "taped": taped(mx, compiled, arrays),
        }.items():
            for i, (got, expected) in enumerate(zip(result, want, strict=form != "called")):
                finite = np.abs(expected[np.isfinite(expected)])
                atol = 2e-6 * (float(finite.max()) if finite.size else 1.0)
                np.testing.assert_allclose(got, expected, rtol=2e-6, atol=atol, err_msg=f"{form}, {i}")
                assert got.dtype == expected.dtype


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_eager_code_gives(backend, mx, dtype, net, values):
    with np.errstate(all="ignore"):
        x = VALUES[values](rand(2, 8, 9, 9)).astype(dtype)
        w = rand(8, 8, 3, 3, seed=1) / 8
    fn = functools.partial(NETS[net], backend.functions)
    arrays = [put(backend, x, dtype), put(backend, w, dtype)]
    want = taped(mx, lambda v: [fn(*v)], arrays)
    both_ways(backend, mx, lambda v: [fn(*v)], arrays, want)


@pytest.mark.parametrize("shape", [(2, 3, 12), (1, 2, 6, 7, 6)])
def test_one_and_three_axes(backend, mx, shape):
    for values in ("finite", "all-of-these"):
        x = put(backend, VALUES[values](rand(*shape)))
        fn = lambda v: [pooled(backend.functions, v[0])]  # noqa: E731
        both_ways(backend, mx, fn, [x], taped(mx, fn, [x]))


@pytest.mark.parametrize("window", [(2, 2, 0, 1), (3, 2, 1, 1), (3, 3, 1, 2), (2, 1, 1, 3)])
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pooling_of_any_values_is_pytorchs(backend, ceil_mode, values, window):
    """Gradient included: to the first of the largest, to the last NaN, and never to the padding."""
    torch = pytest.importorskip("torch", reason="the oracle")
    x = VALUES[values](rand(2, 3, 9, 10)).astype("float32")
    theirs = torch.tensor(x, requires_grad=True)
    want = torch.nn.functional.max_pool2d(theirs, *window, ceil_mode=ceil_mode)
    weights = rand(*want.shape, seed=2).astype("float32")
    (slope,) = torch.autograd.grad(want, theirs, torch.tensor(weights))

    def whole(v):
        def loss(p):
            y = backend.functions["max_pool"](p[0], *((n, n) for n in window), ceil_mode)
            return backend.functions["sum"](y * v[1]), y

        _, y, gradients = backend.value_and_grad(loss, v[:1])
        return [y, *gradients]

    given = [put(backend, x), put(backend, weights)]
    for form in (whole, backend.compile(whole)):
        y, gradient = form(given)
        np.testing.assert_array_equal(y.asnumpy(), want.detach().numpy())
        np.testing.assert_allclose(gradient.asnumpy(), slope.numpy(), rtol=1e-6, atol=1e-6)


def test_one_program_for_both(backend):
    """The forward runs once, and each call gets what its own values ask for."""
    runs = []

    def fn(v):
        runs.append(None)
        return [pooled(backend.functions, v[0])]

    compiled = backend.compile(fn)
    finite, other = rand(1, 2, 4, 4), VALUES["nan"](rand(1, 4, 4, 4))[:, 2:]
    assert np.isnan(other).sum() == 1
    for x in (finite, other, other, finite, other):
        got = compiled([put(backend, x)])[0].asnumpy()
        want = x.astype("float32").reshape(1, 2, 2, 2, 2, 2).max(axis=(3, 5))
        np.testing.assert_array_equal(got, want)
    assert len(runs) == 1


def test_relu_has_no_negative_zero(backend):
    x, w = rand(1, 8, 6, 6), rand(8, 8, 3, 3)
    x[..., :3] = 0
    ops = backend.functions
    compiled = backend.compile(lambda v: [ops["relu"](conv(ops, *v))])
    y = compiled([put(backend, x), put(backend, w)])[0].asnumpy()
    assert (y == 0).any() and not np.signbit(y).any()


def test_a_relu_off_the_tape_stays_off_it(backend, mx):
    ops = backend.functions

    def fn(v):
        with mx.autograd.pause():
            y = ops["relu"](v[0])
        return [pooled(ops, y) * v[1]]

    for values in ("finite", "nan"):
        arrays = [put(backend, VALUES[values](rand(2, 2, 6, 6))), put(backend, [2.0])]
        got, want = taped(mx, backend.compile(fn), arrays), taped(mx, fn, arrays)
        assert not want[1].any()
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_what_draws_draws_once(backend, mx):
    compiled = backend.compile(
        lambda v: [pooled(backend.functions, v[0]), mx.np.random.uniform(size=(3,), ctx=mx.cpu())]
    )
    drawn = []
    for values in ("finite", "nan"):
        x = put(backend, VALUES[values](rand(1, 4, 6, 6)))
        backend.seed(5)
        drawn.append([compiled([x])[1].asnumpy() for _ in range(2)])
    np.testing.assert_array_equal(*drawn)
    assert not np.array_equal(*drawn[0])


# ---------------------------------------------------------------------- a bias beside a weight that may take no gradient
def biased(backend, weight_of):
    """``linear`` of ``[x, w, b]``, its weight made of ``w``."""
    return lambda v: [backend.functions["linear"](v[0], weight_of(v[1]), v[2])]


WEIGHTS = {"itself": lambda w: w, "computed": lambda w: w * 2, "a-constant": lambda w: w.detach() * 2}


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (4,)])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_a_layer_with_a_bias(backend, mx, weight, shape):
    fn = biased(backend, WEIGHTS[weight])
    arrays = [put(backend, rand(*shape)), put(backend, rand(5, 4, seed=1)), put(backend, rand(5, seed=2))]
    both_ways(backend, mx, fn, arrays, taped(mx, fn, arrays))


@pytest.mark.parametrize("marked", [(0, 1, 2), (1, 2), (0, 2), (2,), (0, 1), (1,)])
@pytest.mark.parametrize("first", [(1, 2), (2,)])
def test_the_gradient_of_a_bias_whatever_else_takes_one(backend, mx, marked, first):
    """On a tape around one compiled function, in two calls that ask for gradients of other arrays, and inside."""
    values = [rand(3, 4), rand(5, 4, seed=1), rand(5, seed=2)]
    fn = biased(backend, lambda w: w)
    compiled = backend.compile(fn)

    def slopes(of, fn):
        arrays = [put(backend, x) for x in values]
        for i in of:
            arrays[i].attach_grad()
        with mx.autograd.record():
            y = fn(arrays)[0]
            loss = (y * y).sum()
        loss.backward()
        return [arrays[i].grad.asnumpy() for i in of]

    every = slopes((0, 1, 2), fn)  # eager
    for of in (first, marked, first):
        for i, got in zip(of, slopes(of, compiled), strict=True):
            np.testing.assert_allclose(got, every[i], rtol=1e-5, atol=1e-5, err_msg=f"{of}, {i}")

    def inside(v):
        def loss(p):
            full = list(v)
            for i, x in zip(marked, p, strict=True):
                full[i] = x
            y = fn(full)[0]
            return backend.functions["sum"](backend.functions["multiply"](y, y)), None

        return backend.value_and_grad(loss, [v[i] for i in marked])[2]

    for i, got in zip(marked, backend.compile(inside)([put(backend, x) for x in values]), strict=True):
        np.testing.assert_allclose(got.asnumpy(), every[i], rtol=1e-5, atol=1e-5, err_msg=f"inside, {i}")
