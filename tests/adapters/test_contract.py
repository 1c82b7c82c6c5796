"""Every op of the adapter contract (``unimodule.backend``: REQUIRED and OPTIONAL) on every installed backend: value,
shape, dtype and gradient against float64 torch.

    pytest tests/adapters -k jax                      # one backend
    pytest tests/adapters -k "jax and conv"           # one op on it
    UNIMODULE_TEST_BACKENDS=jax pytest tests/adapters # the others are not even collected
    UNIMODULE_TEST_X64=1 pytest tests/adapters -k "jax and float64"      # JAX's float64, a switch of the whole process

Names read ``test_op[torch-float32-conv-2d-all]``. Data and arguments stand in ``cases_core.py`` and ``cases_nn.py``,
meanings in ``oracles.py``. What is not an op (devices, variables, gradients, random state) is in ``test_methods.py``.
"""

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="torch is the oracle")

from unimodule.backend import OPTIONAL, REQUIRED
from unimodule.errors import DtypeError, NotSupportedError

from . import cases_core, cases_nn
from .conftest import ROOT
from .harness import NAMES, check, load
from .oracles import ORACLES

CASES = cases_core.CASES + cases_nn.CASES
RANDOM = {"dropout", "random_uniform"}  # no oracle can draw their numbers: test_methods.py has them


def _parameters():
    for name in NAMES:
        for dtype in ("float32", "float64"):
            for case in CASES:
                if case.floats or dtype == "float32":
                    tag = "-".join(
                        filter(None, [name, dtype if case.floats else "exact", case.name, case.tag])
                    )
                    yield pytest.param(name, dtype, case, id=tag)


def _half_parameters():
    """The first case of every op that has a float tensor: enough for dtypes whose tolerance hides the rest."""
    first = {case.name: case for case in reversed(CASES) if case.floats}
    for name in NAMES:
        for dtype in ("float16", "bfloat16"):
            for case in first.values():
                yield pytest.param(name, dtype, case, id=f"{name}-{dtype}-{case.name}")


@pytest.mark.parametrize(("name", "dtype", "case"), [*_parameters(), *_half_parameters()])
def test_op(name, dtype, case):
    backend = load(name)
    if case.floats and dtype not in backend.float_dtypes:
        pytest.skip(f"{name} has no {dtype}")
    if case.name in backend.unsupported:
        pytest.skip(f"{name} declares {case.name} unsupported")
    if case.name in OPTIONAL and backend.function(case.name) is None:
        pytest.skip(f"{name} leaves {case.name} to the default composition")
    try:
        check(backend, case, dtype, case.oracle or ORACLES[case.name])
    except NotSupportedError as error:
        pytest.skip(f"declared: {error}")
    except DtypeError as error:
        if case.name != "astype":  # the one op that may be asked for a dtype that is not there
            raise
        pytest.skip(f"declared: {error}")


def test_every_op_of_the_contract_has_cases():
    assert {case.name for case in CASES} | RANDOM == REQUIRED.keys() | OPTIONAL.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_required_op_is_there(name):
    backend = load(name)
    assert not REQUIRED.keys() - backend.functions.keys() - backend.unsupported
    assert not backend.unsupported & backend.functions.keys()
    assert backend.unsupported <= REQUIRED.keys()


@pytest.mark.slow
@pytest.mark.skipif("jax" not in NAMES, reason="jax is not selected")
@pytest.mark.skipif(os.environ.get("UNIMODULE_TEST_X64") == "1", reason="this process has 64 bits already")
def test_jax_float64_in_a_process_of_its_own():
    load("jax")
    environment = {**os.environ, "UNIMODULE_TEST_X64": "1", "UNIMODULE_TEST_BACKENDS": "jax"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "tests/adapters",
        "-k",
        "float64 or exact",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
