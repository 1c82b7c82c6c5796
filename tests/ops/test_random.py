"""Draws from a framework's random state: range, repeatability, dropout's two values and its gradient."""

from __future__ import annotations

import numpy as np
import pytest

from unimodule import ops
from unimodule.errors import DtypeError
from unimodule.registry import seed_all

COVERS = ("dropout", "random_uniform")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_uniform(backend, adapter, dtype):
    seed_all(0)
    first = ops.random_uniform((64, 32), dtype=dtype, backend=backend)
    second = ops.random_uniform((64, 32), dtype=dtype, backend=backend)
    seed_all(0)
    again = ops.random_uniform((64, 32), dtype=dtype, backend=backend)
    x = ops.to_numpy(first).astype(np.float64)
    assert ops.dtype(first) == dtype and adapter.is_tensor(first)
    assert (x >= 0).all() and (x < 1).all() and abs(x.mean() - 0.5) < 0.03 and abs(x.var() - 1 / 12) < 0.01
    assert not np.array_equal(x, ops.to_numpy(second))
    np.testing.assert_array_equal(x, ops.to_numpy(again))


def test_uniform_integers_are_refused(backend):
    with pytest.raises(DtypeError):
        ops.random_uniform((2,), dtype="int32", backend=backend)


@pytest.mark.parametrize("p", [0.25, 0.8])
def test_dropout(adapter, p):
    seed_all(0)
    x = adapter.from_numpy(np.full((50, 40), 3.0), "float32", "cpu")
    kept: list[np.ndarray] = []

    def loss(values):
        out = ops.dropout(values[0], p)
        kept.append(ops.to_numpy(out))
        return ops.sum(out), None

    _, _, (gradient,) = adapter.value_and_grad(loss, [x])
    zero = kept[0] == 0
    np.testing.assert_allclose(kept[0][~zero], 3 / (1 - p), rtol=1e-6)
    np.testing.assert_allclose(ops.to_numpy(gradient), np.where(zero, 0, 1 / (1 - p)), rtol=1e-6)
    assert abs(zero.mean() - p) < 0.05
