"""The wrong dtype, and the wrong error or none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import unimodule as um
from unimodule import nn, ops, registry
from unimodule.errors import DtypeError, StateDictError
from unimodule.nn import functional as F

from .model import Fault
from .planting import Bench, Tensor, adapter, both, module, of_core, of_ops, patch, raises, swap, wrong


# ---------------------------------------------------------------------- dtypes
def _in_float32(native: Any) -> Any:
    def run(*args: Any, **options: Any) -> Tensor:
        def narrow(x: Any) -> Any:
            tensor = registry.find_backend(x) is not None
            return ops.astype(x, "float32") if tensor and ops.dtype(x) == "float64" else x

        wide = any(registry.find_backend(a) is not None and ops.dtype(a) == "float64" for a in args)
        out = native(*map(narrow, args), **options)
        return ops.astype(out, "float64") if wide else out

    return run


def _as_float32(native: Any) -> Any:
    return lambda *args, **options: ops.astype(native(*args, **options), "float32")


def _narrowing() -> Any:
    """JAX computes in 32 bits, and nobody says that a float64 net cannot be."""
    quiet = [
        patch(module(f"unimodule_jax.{name}"), "require", lambda n: lambda dtype: None)
        for name in ("adapter", "casting")
    ]
    return both(*quiet)


def _kind(fn: Any, *values: Any, dtype: str | None = None) -> Any:
    def compute(b: Bench) -> str:
        with um.use_backend(b.backend):
            return b.dtype(fn(*[b.tensor(v, dtype) for v in values]))

    return compute


def _wide_net(b: Bench) -> str:
    if b.backend == "jax" and registry.get_backend("jax").dtype(_wide_or_none(b)) == "float64":
        return "DtypeError"  # the process computes in 64 bits: nothing is narrowed, and nothing to be refused
    return raises(lambda: nn.Linear(1, 1).to(b.backend, dtype="float64"))


def _wide_or_none(b: Bench) -> Tensor:
    try:
        return b.tensor([1.0], "float64")
    except DtypeError:
        return b.tensor([1.0])


DTYPES = [
    of_ops(
        "torch",
        "dtype",
        "exp of float64 is computed in float32",
        {"exp": _in_float32},
        lambda b: b.run(ops.exp, [1.0], dtype="float64"),
        [math.e],
        ("ops.exp",),
        1e-12,
    ),
    of_ops(
        "tensorflow",
        "dtype",
        "matrices of float64 are multiplied in float32",
        {"matmul": _in_float32},
        lambda b: b.run(ops.matmul, [[0.1]], [[1.0]], dtype="float64"),
        [[0.1]],
        ("ops.matmul", "F.bilinear"),
        1e-12,
    ),
    of_ops(
        "mxnet",
        "dtype",
        "convolutions of float64 are computed in float32",
        {"conv": _in_float32},
        lambda b: b.run(F.conv1d, [[[0.1]]], [[[1.0]]], dtype="float64").ravel(),
        [0.1],
        ("nn.Conv1d", "nn.Conv2d"),
        1e-12,
    ),
    of_ops(
        "jax",
        "dtype",
        "argmax is a float32",
        {"argmax": _as_float32},
        lambda b: _kind(ops.argmax, [2.0, 1.0])(b).startswith("int"),
        True,
        ("ops.argmax",),
    ),
    of_ops(
        "mxnet",
        "dtype",
        "a comparison is a float32",
        {"less": _as_float32},
        _kind(ops.less, [1.0], [2.0]),
        "bool",
        ("ops.less",),
    ),
    Fault(
        "jax: float64 becomes float32 without a word",
        "jax",
        "dtype",
        _narrowing(),
        wrong("jax", _wide_net, "DtypeError"),
        ("nn.Linear",),
    ),
    of_core(
        "dtype",
        "buffers stay float32 in a float64 net",
        patch(lambda: nn.Buffer, "target_dtype", lambda native: lambda self, float_dtype: self._dtype),
        lambda b: nn.BatchNorm1d(1).to(b.backend, dtype="float64").parameter("running_mean").dtype,
        "float64",
        ("nn.BatchNorm1d",),
    ),
    of_core(
        "dtype",
        "an integer beside a float32 makes it float64",
        patch(
            module("unimodule.dtypes"),
            "promote",
            lambda native: lambda *kinds: "float64" if len(set(kinds)) > 1 else native(*kinds),
        ),
        _kind(ops.add, [1.0], np.array([1])),
        "float32",
        ("ops.add", "ops.result_type"),
    ),
]


# ---------------------------------------------------------------------- errors
def _clamped(native: Any) -> Any:
    return lambda indices, weight: native(ops.clip(indices, 0, weight.shape[0] - 1), weight)


def _first_columns(native: Any) -> Any:
    def linear(x: Tensor, weight: Tensor, bias: Any) -> Tensor:
        return native(x[..., : weight.shape[1]] if x.shape[-1] > weight.shape[1] else x, weight, bias)

    return linear


def _of_another_class(native: Any) -> Any:
    def broadcast_shapes(*args: Any) -> Any:
        try:
            return native(*args)
        except ValueError as error:
            raise DtypeError(str(error)) from None

    return broadcast_shapes


def _unchecked(native: Any) -> Any:
    return lambda indices, size, low=0: None


def _lookup(index: int) -> Any:
    def compute(b: Bench) -> str:
        with um.use_backend(b.backend):
            return raises(lambda: b.numpy(F.embedding(b.tensor(np.array([index])), b.tensor([[1.0], [2.0]]))))

    return compute


def _loads(b: Bench) -> str:
    net = b.net(nn.Linear(1, 1))
    return raises(lambda: net.load_state_dict({"weight": np.ones((1, 1), "float32")}))


ERRORS = [
    Fault(
        "torch: an index out of range reads the nearest row",
        "torch",
        "error",
        both(patch(adapter("torch"), "check_indices", _unchecked), swap("torch", embedding=_clamped)),
        wrong("torch", _lookup(5), "OutOfRangeError"),
        ("nn.Embedding", "F.embedding"),
    ),
    Fault(
        "jax: indices are not looked at",
        "jax",
        "error",
        patch(adapter("jax"), "check_indices", _unchecked),
        wrong("jax", _lookup(5), "OutOfRangeError"),
        ("nn.Embedding", "F.embedding"),
    ),
    of_ops(
        "tensorflow",
        "error",
        "a linear layer takes the first columns of too wide an input",
        {"linear": _first_columns},
        lambda b: raises(lambda: b.net(nn.Linear(1, 1))(b.tensor([[1.0, 2.0]]))),
        "ShapeError",
        ("nn.Linear", "F.linear"),
    ),
    of_core(
        "error",
        "operands that do not broadcast are a DtypeError",
        patch(module("unimodule.ops.arithmetic"), "broadcast_shapes", _of_another_class),
        lambda b: raises(lambda: b.run(ops.add, [1.0, 2.0], [1.0, 2.0, 3.0])),
        "ShapeError",
        ("ops.add", "ops.multiply"),
    ),
    of_core(
        "error",
        "load_state_dict is never strict",
        patch(
            lambda: nn.Module,
            "load_state_dict",
            lambda native: lambda self, state, strict=True: native(self, state, False),
        ),
        _loads,
        StateDictError.__name__,
        ("nn.Linear",),
    ),
    of_core(
        "error",
        "batch_norm takes one value for each channel in training",
        patch(module("unimodule.nn.batchnorm"), "expect_many", lambda native: lambda *args: None),
        lambda b: raises(lambda: b.net(nn.BatchNorm1d(1)).train()(b.tensor([[1.0]]))),
        "ShapeError",
        ("nn.BatchNorm1d",),
    ),
    of_core(
        "error",
        "any number is a probability",
        patch(module("unimodule.nn.dropout"), "probability", lambda native: lambda name, p: float(p)),
        lambda b: raises(lambda: nn.Dropout(2.0)),
        "ArgumentError",
        ("nn.Dropout",),
    ),
]

FAULTS: list[Fault] = [*DTYPES, *ERRORS]
