"""um.seed(..., portable=True): one bit generator, the same masks on every backend, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import _draws, _threefry, nn, ops, optim
from unimodule.nn import functional as F

X = np.random.default_rng(0).normal(size=(7, 9)).astype("float32") + 2


@pytest.fixture(autouse=True)
def _here(request):
    """NumPy's arrays, which are data beside another backend, are the reference's tensors; and back to native masks."""
    name = (
        request.node.callspec.params.get("backend", "numpy") if hasattr(request.node, "callspec") else "numpy"
    )
    with um.use_backend(name):
        yield
    um.seed(0, portable=False)


def compiled(backend: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    return um.compile(fn, **({"backend": "aot_eager"} if backend == "torch" else {}))


# ---------------------------------------------------------------------- the generator
def test_known_answers():
    """Of the authors' Random123, in its file kat_vectors."""
    ones = np.full(1, 0xFFFFFFFF, np.uint32)
    pi = np.array([0x243F6A88], np.uint32), np.array([0x85A308D3], np.uint32)
    cases = [
        ((0, 0), (np.zeros(1, np.uint32),) * 2, (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (ones, ones), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), pi, (0xC4923A9C, 0x483DF7A0)),
    ]
    for key, counters, expected in cases:
        y0, y1 = _threefry.threefry(key, *counters)
        assert (int(y0[0]), int(y1[0])) == expected


@pytest.mark.parametrize("count", [0, 1, 2, 7, 2**13, 2**14 + 3])
def test_words_do_not_depend_on_how_they_are_cut(count):
    whole = _threefry.threefry((5, 6), np.arange(40000, dtype=np.uint32), np.full(40000, 3, np.uint32))
    for part, expected in zip(_threefry.words((5, 6), 3, count), whole, strict=True):
        np.testing.assert_array_equal(part, expected[:count])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniform_numbers(dtype):
    x = _threefry.uniform((1, 2), 0, (200, 500), dtype).astype("float64")
    assert x.min() >= 0 and x.max() < 1 and abs(x.mean() - 0.5) < 0.005 and abs(x.var() - 1 / 12) < 0.001
    counts = np.histogram(x, 8, (0, 1))[0]
    assert ((counts - 12500) ** 2 / 12500).sum() < 30  # chi squared, 7 degrees of freedom
    y = _threefry.uniform((1, 2), 1, (200, 500), dtype).astype("float64")
    assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(x.ravel()[1:], x.ravel()[:-1])[0, 1]) < 0.02


def test_a_key_is_changed_before_its_count_overflows(monkeypatch):
    monkeypatch.setattr(_draws, "_LIMIT", 5)
    root = _draws._Root()
    root.reset((1, 2))
    seen = [(*root.advance(2),) for _ in range(5)]
    assert [first for _, _, first in seen] == [0, 2, 0, 2, 0] and len({key[:2] for key in seen}) == 3


# ---------------------------------------------------------------------- everything that draws
def many(x: Any) -> tuple[Any, ...]:
    heads = ops.reshape(x, (1, 7, 9))
    return (
        F.dropout(x, 0.3),
        F.rrelu(x - 2, training=True),
        F.gumbel_softmax(x, tau=1.0),
        F.dropout1d(ops.expand_dims(x, axis=-1), 0.5),
        F.dropout2d(ops.reshape(x, (7, 9, 1, 1)), 0.5),
        F.dropout3d(ops.reshape(x, (7, 9, 1, 1, 1)), 0.5),
        ops.scaled_dot_product_attention(heads, heads, heads, dropout_p=0.5),
        ops.random_uniform((3, 5), like=x),
        ops.random_uniform((0, 5), like=x),
        ops.random_uniform((), like=x),
        F.dropout(x, 0.7),
    )


def in_loops(x: Any) -> tuple[Any, ...]:
    def step(carry: Any, row: Any) -> tuple[Any, Any]:
        return F.dropout(carry + row, 0.4), F.dropout(row, 0.5)

    last, rows = ops.scan(step, x[0], x)
    backwards, _ = ops.scan(step, x[0], x, reverse=True)
    walked = ops.while_loop(
        lambda state: ops.sum(state) > 3, lambda state: F.dropout(state, 0.3) * 0.6, x * x, max_iters=20
    )
    counted = ops.fori_loop(0, 3, lambda i, state: F.dropout(state, 0.2), x)
    nested = ops.map(lambda row: ops.fori_loop(0, 2, lambda i, r: F.dropout(r, 0.3), row), x)
    return last, rows, backwards, walked, counted, nested, F.dropout(x, 0.5)


def in_branches(x: Any) -> tuple[Any, ...]:
    chosen = ops.cond(ops.sum(x) > 0, lambda x: F.dropout(F.dropout(x, 0.2), 0.2), lambda x: x * 1, x)
    return chosen, F.dropout(x, 0.5)


def mapped(x: Any) -> tuple[Any, ...]:
    return um.vmap(lambda row: F.dropout(row, 0.5))(x), F.dropout(x, 0.5)


def rematerialised(x: Any) -> tuple[Any, ...]:
    slope = um.grad(lambda x: ops.sum(um.checkpoint(lambda x: F.dropout(ops.exp(x), 0.5))(x)))(x)
    return slope, F.dropout(x, 0.5)


def not_rematerialised(x: Any) -> tuple[Any, ...]:
    """What the reference, which has no um.checkpoint, has in its place: another thing with parts."""

    def inner(x: Any) -> Any:
        return ops.cond(True, lambda x: F.dropout(ops.exp(x), 0.5), lambda x: x, x)

    return um.grad(lambda x: ops.sum(inner(x)))(x), F.dropout(x, 0.5)


def recurrent(x: Any) -> tuple[Any, ...]:
    def weights(rows: int, columns: int) -> Any:
        return ops.asarray(np.linspace(-1, 1, rows * columns).reshape(rows, columns), dtype="float32", like=x)

    h = ops.zeros((2, 1, 4), dtype="float32", like=x)
    rows = [(weights(16, 9), weights(16, 4)), (weights(16, 4), weights(16, 4))]
    return ops.lstm(ops.reshape(x, (7, 1, 9)), h, h, rows, 2, dropout=0.5)


UNSUPPORTED = {
    (mapped, "mxnet"),
    (rematerialised, "mxnet"),
    (rematerialised, "numpy"),
}
COMPILES_NO_BRANCH = {(in_branches, "mxnet")}


@pytest.mark.parametrize("fn", [many, in_loops, in_branches, mapped, rematerialised, recurrent])
def test_the_same_as_on_the_reference(backend, fn):
    """Each function draws twice, so that the second call continues where the first ended."""
    if (fn, backend) in UNSUPPORTED:
        with pytest.raises(um.NotSupportedError):
            fn(um.convert(X, backend))
        return
    native = um.convert(X, backend)
    ways = [fn] if (fn, backend) in COMPILES_NO_BRANCH else [fn, compiled(backend, fn)]
    um.seed(3, portable=True)
    oracle = fn if fn is not rematerialised else not_rematerialised
    with um.use_backend("numpy"):
        expected = [[um.to_numpy(y) for y in oracle(X)] for _ in range(3)]
    for way in ways:
        um.seed(3)
        for call in expected:
            for found, wanted in zip(way(native), call, strict=True):
                np.testing.assert_allclose(um.to_numpy(found), wanted, rtol=2e-5, atol=2e-6)
    assert not np.array_equal(expected[0][-1], expected[1][-1])


@pytest.mark.filterwarnings("ignore")  # what inductor has to say is not ours
def test_the_native_compiler():
    pytest.importorskip("torch")
    x = um.convert(X, "torch")
    um.seed(3, portable=True)
    expected = [um.to_numpy(F.dropout(x, 0.3)) for _ in range(3)]
    um.seed(3)
    fast = um.compile(lambda x: F.dropout(x, 0.3))
    for wanted in expected:
        np.testing.assert_allclose(um.to_numpy(fast(x)), wanted, rtol=1e-6)


def test_layers_and_training(backend):
    """Ten steps of a net with every kind of dropout: the compiled losses are those of the eager reference."""

    def losses(where: str, **kwargs: Any) -> list[float]:
        um.seed(7, portable=True)
        net = nn.Sequential(nn.LazyLinear(12), nn.ReLU(), nn.Dropout(0.4), nn.Linear(12, 3)).to(where)
        step = um.train_step(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1), **kwargs)
        return [float(ops.item(step(X, np.arange(7) % 3))) for _ in range(10)]

    expected = losses("numpy")
    options = {"backend": "aot_eager"} if backend == "torch" else {}
    np.testing.assert_allclose(losses(backend, **options), expected, rtol=1e-5)
    np.testing.assert_allclose(losses(backend, compile=False), expected, rtol=1e-5)
    assert len(set(expected)) == 10


def test_attention_layer(backend):
    um.seed(1, portable=True)
    outputs = []
    for where in ("numpy", backend):
        um.seed(1)
        net = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True).to(where)
        x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
        outputs.append([um.to_numpy(net(x, x, x, need_weights=need)[0]) for need in (True, False)])
    for a, b in zip(*outputs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_switch_is_seen_by_what_was_compiled(backend):
    fast = compiled(backend, lambda x: F.dropout(x, 0.5))
    x = um.convert(np.ones((40, 50), "float32"), backend)
    um.seed(0, portable=False)
    own = um.to_numpy(fast(x))
    um.seed(0, portable=True)
    portable = um.to_numpy(fast(x))
    um.seed(0)  # as it was: portable
    np.testing.assert_array_equal(um.to_numpy(F.dropout(x, 0.5)), portable)
    um.seed(0, portable=False)
    np.testing.assert_array_equal(um.to_numpy(fast(x)), own)
    assert (own != portable).any()


def test_float64_and_halves(backend, has_float64):
    um.seed(2, portable=True)
    kinds = ["float16", "float32"] + ["float64"] * has_float64
    for kind in kinds:
        expected = _threefry.uniform(_draws.ROOT.key[:2], _draws.ROOT.count, (50,), kind)
        np.testing.assert_array_equal(
            um.to_numpy(ops.random_uniform((50,), dtype=kind, backend=backend)), expected
        )

        def draw(x: Any, kind: str = kind) -> Any:
            return ops.random_uniform((51,), dtype=kind, like=x) * 1

        native = um.convert(np.zeros(1, "float32"), backend)
        expected = _threefry.uniform(_draws.ROOT.key[:2], _draws.ROOT.count, (51,), kind)
        np.testing.assert_array_equal(um.to_numpy(compiled(backend, draw)(native)), expected)
