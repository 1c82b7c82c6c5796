"""Every case on every backend, in float32 and, where it can be had, float64."""

from __future__ import annotations

import pytest

from unimodule import ops

from . import cases_math, cases_nn, cases_shape
from .harness import Case, check

CASES = cases_math.CASES + cases_shape.CASES + cases_nn.CASES


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", CASES, ids=str)
def test_op(adapter, has_float64, given: Case, dtype):
    if dtype == "float64" and not has_float64:
        pytest.skip("float64 is off in this process")
    check(adapter, given, dtype)


def test_cases_have_names_of_their_own():
    ids = [str(c) for c in CASES]
    assert sorted(ids) == sorted(set(ids))
    assert all(callable(getattr(ops, c.name)) for c in CASES)
