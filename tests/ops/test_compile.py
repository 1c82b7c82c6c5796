"""Each op under each framework's own compiler, whole: nothing on its way may look at values or break the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from unimodule import ops

from .harness import Case, is_float, leaves, outputs, tree_map
from .test_ops import CASES

# They answer with places or shapes that depend on values, or run on the host by nature.
UNCOMPILED = {
    "nextafter",
    "nonzero",
    "searchsorted",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
}
FIRST = list({c.name: c for c in reversed(CASES) if c.name not in UNCOMPILED}.values())
KEYS = [c for c in CASES if c.name == "getitem" and "mask" not in c.tag]
MORE = [c for c in CASES if c.tag in ("scalar", "scalar first", "(0, 2)-True", "counts", "promoted", "copy")]


def _torch(fn: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    torch._dynamo.reset()
    return torch.compile(fn, fullgraph=True, backend="eager")


def _jax(fn: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    return jax.jit(fn)


def _tensorflow(fn: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    return tf.function(fn, autograph=False)


COMPILERS = {"torch": _torch, "jax": _jax, "tensorflow": _tensorflow}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what a compiler has to say is not ours
@pytest.mark.parametrize("given", list(dict.fromkeys(str(c) for c in FIRST + KEYS + MORE)))
def test_compiled(backend, adapter, given):
    if backend not in COMPILERS:
        pytest.skip(f"{backend} has no compiler that takes a function as it is")
    case: Case = next(c for c in CASES if str(c) == given)
    tree = [list(case.args), case.kwargs]

    def put(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        return adapter.from_numpy(x, "float32" if is_float(x) else x.dtype.name, "cpu")

    flat = leaves(tree_map(put, tree))
    where = [i for i, x in enumerate(flat) if adapter.is_tensor(x)]
    skeleton = tree_map(lambda _: None, tree)

    def call(*tensors: Any) -> list[Any]:
        rest = list(flat)
        for i, tensor in zip(where, tensors, strict=True):
            rest[i] = tensor
        source = iter(rest)
        args, kwargs = tree_map(lambda _: next(source), skeleton)
        return outputs(getattr(ops, case.name)(*args, **kwargs))

    tensors = [flat[i] for i in where]
    expected, got = call(*tensors), COMPILERS[backend](call)(*tensors)
    for a, b in zip(got, expected, strict=True):
        assert (ops.dtype(a), ops.shape(a)) == (ops.dtype(b), ops.shape(b))
        np.testing.assert_allclose(ops.to_numpy(a), ops.to_numpy(b), rtol=2e-5, atol=1e-6)
