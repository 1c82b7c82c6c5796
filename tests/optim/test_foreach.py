"""Arithmetic on lists: every backend's equals the definition, and overwrites nothing but its first list, if that."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import registry
from unimodule.optim.foreach import lists_of

DEFINITIONS = {
    "copy": (1, 0, lambda x: x),
    "negative": (1, 0, lambda x: -x),
    "sign": (1, 0, np.sign),
    "abs": (1, 0, np.abs),
    "sqrt": (1, 0, np.sqrt),
    "shift": (1, 1, lambda x, a: x + a),
    "add": (2, 1, lambda x, y, a: x + a * y),
    "lerp": (2, 1, lambda x, y, a: x + a * (y - x)),
    "addcmul": (3, 1, lambda x, y, z, a: x + a * y * z),
    "sqrt_": (1, 0, np.sqrt),
    "shift_": (1, 1, lambda x, a: x + a),
    "scale_": (1, 1, lambda x, a: a * x),
    "add_": (2, 1, lambda x, y, a: x + a * y),
    "lerp_": (2, 1, lambda x, y, a: x + a * (y - x)),
    "multiply_": (2, 0, lambda x, y: x * y),
    "divide_": (2, 0, lambda x, y: x / y),
    "maximum_": (2, 0, np.maximum),
    "addcmul_": (3, 1, lambda x, y, z, a: x + a * y * z),
    "addcdiv_": (3, 1, lambda x, y, z, a: x + a * y / z),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_lists(backend, adapter, name):
    lists, numbers, definition = DEFINITIONS[name]
    rng = np.random.default_rng(1)
    lowest = 0.1 if name.startswith("sqrt") else -2.0
    arrays = [
        [rng.uniform(lowest, 2.0, shape).astype("float32") for shape in ((2, 3), (), (4,))]
        for _ in range(lists)
    ]
    tensors = [[adapter.from_numpy(x, "float32", "cpu") for x in row] for row in arrays]
    given = (0.3,) * numbers
    out = getattr(lists_of(adapter), name)(*[list(row) for row in tensors], *given)
    for got, *row in zip(out, *arrays, strict=True):
        assert registry.backend_of(got) == backend
        assert adapter.dtype(got) == "float32" and adapter.shape(got) == row[0].shape
        np.testing.assert_allclose(um.to_numpy(got), definition(*row, *given), rtol=2e-6, atol=1e-6)
    spared = tensors[1:] if name.endswith("_") else tensors
    for row, before in zip(spared, arrays[-len(spared) :] if spared else [], strict=True):
        for tensor, array in zip(row, before, strict=True):
            assert np.array_equal(um.to_numpy(tensor), array)


def test_an_adapters_functions_are_all_of_them(adapter):
    own = adapter.foreach()
    if own is not None:
        assert all(callable(getattr(own, name, None)) for name in DEFINITIONS)
