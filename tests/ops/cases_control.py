"""Control flow: the same computation with ``ops`` and in plain NumPy, with what it closes over among the arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from unimodule import ops


@dataclasses.dataclass(frozen=True)
class Flow:
    """One computation.

    Attributes:
        mxnet: whether MXNet, whose compiler has neither branches nor loops, compiles it.
        bounded: whether JAX differentiates it when it is compiled.
    """

    name: str
    fn: Callable[..., Any]
    plain: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    mxnet: bool = True
    bounded: bool = True

    def __str__(self) -> str:
        return self.name


def _random(*shape: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(len(shape) + sum(shape)).uniform(0.2, 1, shape) * scale


X, W, V = _random(2, 3), _random(3, 3, scale=0.5), _random(4, 3)


# ---------------------------------------------------------------------- cond
def _cond(x, w):
    return ops.cond(ops.sum(x) > 0, lambda x: ops.tanh(x @ w), lambda x: x * 2 - ops.sum(w), x)


def _cond_plain(x, w):
    return np.tanh(x @ w) if x.sum() > 0 else x * 2 - w.sum()


def _cond_nan(x, w):  # what is not taken is infinite
    return ops.cond(ops.max(x) < 1e3, lambda x: x * w[0], lambda x: ops.log(ops.sum(x) * 0) * x, x)


def _cond_nested(x, w):
    def both(d):
        inner = ops.cond(ops.max(d["a"]) > 100, lambda: w[0] * 2, lambda: w[1] + ops.mean(d["a"]))
        return {"b": [d["a"] * inner], "c": (ops.sum(w), ops.argmax(w[0]))}

    def less(d):
        return {"c": (ops.sum(w), ops.argmax(w[0])), "b": [d["a"]]}

    out = ops.cond(ops.sum(x) > 0, both, less, {"a": x})
    return out["b"][0] + out["c"][0] + 0 * ops.astype(out["c"][1], ops.dtype(x))


# ---------------------------------------------------------------------- while_loop
def _halve(x, w, max_iters=None, until=1.0):
    return ops.while_loop(lambda x: ops.sum(ops.abs(x)) > until, lambda x: x @ w / 2, x * 8, max_iters)


def _halve_plain(x, w, max_iters=None, until=1.0):
    x, done = x * 8, 0
    while np.abs(x).sum() > until and done != max_iters:
        x, done = x @ w / 2, done + 1
    return x


def _counted(x, w):
    def body(state):
        return {"i": state["i"] + 1, "x": (ops.sin(state["x"][0] @ w), state["x"][1])}

    out = ops.while_loop(
        lambda s: ops.logical_and(s["i"] < 5, ops.sum(s["x"][0]) > 0.5),
        body,
        {"x": (x, ops.sum(x)), "i": 0},
        6,
    )
    return out["x"][0] * out["x"][1] + ops.astype(out["i"], ops.dtype(x))


def _counted_plain(x, w):
    i, s = 0, x.sum()
    while i < 5 and x.sum() > 0.5:
        i, x = i + 1, np.sin(x @ w)
    return x * s + i


def _singular(x, w):  # past the last step it would divide by zero
    return ops.while_loop(lambda x: ops.min(x) > 0, lambda x: (x - 1) / (ops.min(x) * w[0, 0]), x + 1, 5)


def _singular_plain(x, w):
    x = x + 1
    while x.min() > 0:
        x = (x - 1) / (x.min() * w[0, 0])
    return x


# ---------------------------------------------------------------------- scan, fori_loop, map
def _rnn(x, w, v, reverse=False):
    def step(h, rows):
        h = ops.tanh(h @ w + rows["v"])
        return h, (ops.sum(h, axis=1), {"y": h * rows["s"]})

    last, (sums, ys) = ops.scan(step, x, {"v": v, "s": v[:, 0]}, reverse=reverse)
    weights = ops.asarray(np.arange(1.0, 5), dtype=ops.dtype(x), like=x)
    return last + ops.sum(ys["y"] * weights[:, None, None], axis=0) + ops.sum(sums * weights[:, None])


def _rnn_plain(x, w, v, reverse=False):
    total = 0.0
    for i in reversed(range(4)) if reverse else range(4):
        x = np.tanh(x @ w + v[i])
        total = total + (x * v[i, 0] + x.sum()) * (i + 1)
    return x + total


def _repeat(x, w):
    last, ys = ops.scan(lambda c, _: (ops.sin(c @ w), ops.mean(c)), x, length=3)
    return last * ops.sum(ys)


def _repeat_plain(x, w):
    total = 0.0
    for _ in range(3):
        total, x = total + x.mean(), np.sin(x @ w)
    return x * total


def _powers(x, w, v):
    def body(i, state):
        x, rows = state
        return ops.sin(x @ w) + ops.take(rows, i, axis=0), rows

    return ops.fori_loop(1, 4, body, (x, v))[0]


def _powers_plain(x, w, v):
    for i in range(1, 4):
        x = np.sin(x @ w) + v[i]
    return x


def _rows(x, w, v):
    out = ops.map(lambda row: {"a": ops.tanh(ops.matmul(row, w)), "b": ops.sum(row) * ops.sum(x)}, v)
    return out["a"] * out["b"][:, None]


FLOWS = [
    Flow("cond-true", _cond, _cond_plain, (X, W), mxnet=False),
    Flow("cond-false", _cond, _cond_plain, (-X, W), mxnet=False),
    Flow("cond-nan", _cond_nan, lambda x, w: x * w[0], (X, W), mxnet=False),
    Flow("cond-nested", _cond_nested, lambda x, w: x * (w[1] + x.mean()) + w.sum(), (X, W), mxnet=False),
    Flow("cond-nested-false", _cond_nested, lambda x, w: x + w.sum(), (-X, W), mxnet=False),
    Flow("while", _halve, _halve_plain, (X, W), mxnet=False, bounded=False),
    Flow("while-bounded", lambda x, w: _halve(x, w, 20), _halve_plain, (X, W)),
    Flow("while-stopped", lambda x, w: _halve(x, w, 2), lambda x, w: _halve_plain(x, w, 2), (X, W)),
    Flow("while-never", lambda x, w: _halve(x, w, 3, 1e3), lambda x, w: x * 8, (X, W)),
    Flow("while-none", lambda x, w: _halve(x, w, 0), lambda x, w: x * 8, (X, W)),
    Flow("while-counted", _counted, _counted_plain, (X, W)),
    Flow("while-singular", _singular, _singular_plain, (X, W)),
    Flow("scan", _rnn, _rnn_plain, (X, W, V)),
    Flow("scan-reverse", lambda *a: _rnn(*a, True), lambda *a: _rnn_plain(*a, True), (X, W, V)),
    Flow("scan-length", _repeat, _repeat_plain, (X, W)),
    Flow("fori_loop", _powers, _powers_plain, (X, W, V)),
    Flow("map", _rows, lambda x, w, v: np.tanh(v @ w) * v.sum(1)[:, None] * x.sum(), (X, W, V)),
]


def gradient(plain: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Central differences of ``sum(plain(...) ** 2)``."""
    found = []
    for k, array in enumerate(arrays):
        g = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[k][index] += sign * 1e-6
                sides.append((plain(*moved) ** 2).sum())
            g[index] = (sides[0] - sides[1]) / 2e-6
        found.append(g)
    return found
