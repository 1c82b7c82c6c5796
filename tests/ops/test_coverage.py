"""No public op without a test, no name without a docstring, no signature that strays from the standard's."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

from unimodule import ops
from unimodule.backend import OPTIONAL, REQUIRED
from unimodule.ops import _dispatch

from . import test_control_flow, test_creation, test_random
from .test_ops import CASES

FUNCTIONS = sorted(n for n in ops.__all__ if callable(getattr(ops, n)))

# The array API standard, version 2023.12: signatures, with our own keywords behind.
STANDARD = """
    abs(x, /) acos(x, /) add(x1, x2, /) all(x, /, *, axis=None, keepdims=False) argmax(x, /, *, axis=None,
    keepdims=False) argsort(x, /, *, axis=-1, descending=False, stable=True) astype(x, dtype, /, *, copy=True,
    device=None) atan2(x1, x2, /) broadcast_arrays(*arrays) broadcast_to(x, /, shape) can_cast(from_, to, /)
    clip(x, /, min=None, max=None) concat(arrays, /, *, axis=0) cumulative_sum(x, /, *, axis=None, dtype=None,
    include_initial=False) empty_like(x, /, *, dtype=None, device=None) expand_dims(x, /, *, axis=0) finfo(dtype, /)
    flip(x, /, *, axis=None) full_like(x, /, fill_value, *, dtype=None, device=None) isdtype(dtype, kind)
    matmul(x1, x2, /) matrix_transpose(x, /) max(x, /, *, axis=None, keepdims=False) mean(x, /, *, axis=None,
    keepdims=False) meshgrid(*arrays, indexing='xy') moveaxis(x, source, destination, /) nonzero(x, /)
    permute_dims(x, /, axes) prod(x, /, *, axis=None, dtype=None, keepdims=False) repeat(x, repeats, /, *, axis=None)
    reshape(x, /, shape, *, copy=None) result_type(*arrays_and_dtypes) roll(x, /, shift, *, axis=None)
    searchsorted(x1, x2, /, *, side='left', sorter=None) sort(x, /, *, axis=-1, descending=False, stable=True)
    squeeze(x, /, axis) stack(arrays, /, *, axis=0) std(x, /, *, axis=None, correction=0.0, keepdims=False) sum(x, /,
    *, axis=None, dtype=None, keepdims=False) take(x, indices, /, *, axis=None) take_along_axis(x, indices, /, *,
    axis=-1) tensordot(x1, x2, /, *, axes=2) tile(x, repetitions, /) tril(x, /, *, k=0) unique_all(x, /) unstack(x, /,
    *, axis=0) var(x, /, *, axis=None, correction=0.0, keepdims=False) vecdot(x1, x2, /, *, axis=-1)
    where(condition, x1, x2, /) zeros_like(x, /, *, dtype=None, device=None)
"""
SIGNATURES = re.findall(r"(\w+)(\([^()]*\))", re.sub(r"\s+", " ", STANDARD))
MADE_SOMEWHERE = {"device", "like", "backend"}


def test_every_op_has_a_case():
    covered = {c.name for c in CASES} | set(test_creation.COVERS) | set(test_random.COVERS)
    covered |= set(test_control_flow.COVERS)
    assert not sorted(set(FUNCTIONS) - covered)


def test_every_op_of_the_contract_is_declared():
    assert not set(REQUIRED) - set(_dispatch.DEFAULTS)
    assert {name for name in REQUIRED if _dispatch.DEFAULTS[name] is not None} == set()
    assert not {name for name in OPTIONAL if _dispatch.DEFAULTS.get(name) is None}


def test_exports_are_there():
    assert all(hasattr(ops, name) for name in ops.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name):
    text = inspect.getdoc(getattr(ops, name)) or ""
    assert text, f"ops.{name} has no docstring"
    assert not text.startswith("The kernel of"), f"ops.{name} has the docstring of its kernel"


@pytest.mark.parametrize(("name", "signature"), SIGNATURES)
def test_signature(name, signature):
    found = inspect.signature(getattr(ops, name))
    bare = found.replace(
        parameters=[p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()],
        return_annotation=inspect.Signature.empty,
    )
    assert str(bare) == signature


@pytest.mark.parametrize("name", ["arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros"])
def test_creation_functions_say_where(name):
    found = inspect.signature(getattr(ops, name)).parameters
    assert all(found[p].kind is inspect.Parameter.KEYWORD_ONLY for p in MADE_SOMEWHERE | {"dtype"})


def test_importing_ops_imports_nothing_heavy():
    code = (
        "import sys, unimodule.ops; heavy = {'torch', 'jax', 'tensorflow', 'mxnet', 'autograd', 'scipy', 'ml_dtypes'};"
        "print(sorted(heavy & {m.partition('.')[0] for m in sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
