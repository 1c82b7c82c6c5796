"""Gradients where there is a choice: at kinks, ties, zeros and infinities, and past NaN. PyTorch's choice is ours."""

from __future__ import annotations

import numpy as np
import pytest

from unimodule import ops
from unimodule.errors import NotSupportedError

INF, NAN = np.inf, np.nan

CASES = {
    "abs at 0": (lambda x: ops.abs(x), [0.0, -0.0, 2.0], [0.0, 0.0, 1.0]),
    "sign": (lambda x: ops.add(ops.sign(x), x), [0.0, 2.0], [1.0, 1.0]),
    "floor": (lambda x: ops.add(ops.floor(x), x), [0.5, 2.0], [1.0, 1.0]),
    "max shared by ties": (lambda x: ops.max(x), [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
    "min shared by ties": (lambda x: ops.min(x), [1.0, 1.0, 3.0, 1.0], [1 / 3, 1 / 3, 0.0, 1 / 3]),
    "maximum with a scalar": (lambda x: ops.maximum(x, 1.0), [0.0, 1.0, 2.0], [0.0, 0.5, 1.0]),
    "minimum with a scalar": (lambda x: ops.minimum(x, 1.0), [0.0, 1.0, 2.0], [1.0, 0.5, 0.0]),
    "clip at its bounds": (
        lambda x: ops.clip(x, 0.0, 1.0),
        [-1.0, 0.0, 0.5, 1.0, 2.0],
        [0, 1.0, 1.0, 1.0, 0],
    ),
    "square at 0": (lambda x: ops.pow(x, 2), [0.0, -3.0], [0.0, -6.0]),
    "first power at 0": (lambda x: ops.pow(x, 1.0), [0.0, 2.0], [1.0, 1.0]),
    "power 0 at 0": (lambda x: ops.pow(x, 0.0), [0.0, 2.0], [0.0, 0.0]),
    "where past a NaN": (lambda x: ops.where(ops.greater(x, 0.0), ops.log(x), 0.0), [-1.0, 2.0], [0.0, 0.5]),
    "std of equals": (lambda x: ops.std(x), [2.0, 2.0], [0.0, 0.0]),
    "product with one 0": (lambda x: ops.prod(x), [2.0, 0.0, 3.0], [0.0, 6.0, 0.0]),
    "product with two 0": (lambda x: ops.prod(x), [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    "logaddexp of equals": (lambda x: ops.logaddexp(x, 1.0), [1.0, -INF], [0.5, 0.0]),
    "logaddexp far apart": (lambda x: ops.logaddexp(x, 0.0), [-200.0, 200.0], [0.0, 1.0]),
    "hypot on an axis": (lambda x: ops.hypot(x, 1.0), [0.0, 1e30, -1e30], [0.0, 1.0, -1.0]),
    "copysign": (lambda x: ops.copysign(x, -1.0), [2.0, -2.0], [-1.0, 1.0]),
    "take of an element twice": (
        lambda x: ops.take(x, np.array([0, 0, 1]), axis=0),
        [5.0, 6.0, 7.0],
        [2.0, 1.0, 0.0],
    ),
    "getitem of an element twice": (lambda x: ops.getitem(x, [2, 2]), [5.0, 6.0, 7.0], [0.0, 0.0, 2.0]),
    "sort with ties": (
        lambda x: ops.multiply(ops.sort(x), np.float32([1, 2, 3])),
        [2.0, 1.0, 1.0],
        [3.0, 1.0, 2.0],
    ),
    "stop_gradient": (lambda x: ops.multiply(ops.stop_gradient(x), x), [2.0, 3.0], [2.0, 3.0]),
    "no part": (lambda x: ops.zeros((), like=x), [2.0, 3.0], [0.0, 0.0]),
    "past an integer": (lambda x: ops.astype(ops.astype(x, "int32"), "float32"), [2.5], [0.0]),
    "astype": (lambda x: ops.astype(ops.astype(x, "float16"), "float32"), [2.5], [1.0]),
    "broadcast": (lambda x: ops.broadcast_to(x, (4, 2)), [1.0, 2.0], [4.0, 4.0]),
}


@pytest.mark.parametrize("what", CASES)
def test_gradient(adapter, what):
    fn, at, expected = CASES[what]
    x = adapter.from_numpy(np.array(at), "float32", "cpu")
    _, _, (gradient,) = adapter.value_and_grad(lambda v: (ops.sum(fn(v[0])), None), [x])
    assert ops.dtype(gradient) == "float32"
    np.testing.assert_allclose(ops.to_numpy(gradient), np.array(expected, np.float32), rtol=1e-6)


def test_ties_of_two_tensors_share(adapter):
    x, y = (adapter.from_numpy(np.array(v), "float32", "cpu") for v in ([1.0, 2.0], [1.0, 3.0]))
    _, _, (gx, gy) = adapter.value_and_grad(lambda v: (ops.sum(ops.maximum(*v)), None), [x, y])
    assert (ops.to_numpy(gx).tolist(), ops.to_numpy(gy).tolist()) == ([0.5, 0.0], [0.5, 1.0])


def test_gradient_of_a_gradient(adapter):
    """d/dx of |grad of sum(x^3)|^2 = d/dx of sum(9 x^4) = 36 x^3."""
    x = adapter.from_numpy(np.array([1.0, -2.0]), "float32", "cpu")

    def outer(v):
        _, _, (g,) = adapter.value_and_grad(lambda w: (ops.sum(ops.pow(w[0], 3)), None), v)
        return ops.sum(ops.multiply(g, g)), None

    try:
        _, _, (gradient,) = adapter.value_and_grad(outer, [x])
    except NotSupportedError:
        pytest.skip("this backend declares that it has no gradients of gradients")
    np.testing.assert_allclose(ops.to_numpy(gradient), [36.0, -288.0], rtol=1e-5)
