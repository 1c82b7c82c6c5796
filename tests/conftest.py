"""What every test shares: the environment, the ``backend`` fixture, Hypothesis profiles and the ``gpu`` marker.

Settings, all by environment variable:

* ``UNIMODULE_TEST_BACKENDS=torch,jax`` narrows the backends under test (default: every installed one);
* ``UNIMODULE_TEST_X64=1`` runs JAX in 64 bits, which is a choice for the whole process;
* ``HYPOTHESIS_PROFILE=ci`` derandomizes property tests (the default where ``CI`` is set).
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from pathlib import Path

# Read once, when a framework is imported: set before anything else is.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "JAX_COMPILATION_CACHE_DIR": str(Path(tempfile.gettempdir()) / "unimodule-jax-cache"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
for _name, _value in ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
if os.environ.get("UNIMODULE_TEST_X64") == "1":
    os.environ["JAX_ENABLE_X64"] = "1"

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from unimodule import _random, registry  # noqa: E402
from unimodule.backend import Backend  # noqa: E402
from unimodule.errors import DtypeError  # noqa: E402

if importlib.util.find_spec("hypothesis") is not None:
    from hypothesis import settings

    settings.register_profile("dev", deadline=None)
    settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


# ---------------------------------------------------------------------- backends
def selected_backends() -> list[str]:
    """The installed backends, narrowed by ``UNIMODULE_TEST_BACKENDS``.

    Raises:
        pytest.UsageError: the variable names one that is not installed.
    """
    present = [name for name in registry.infos() if registry.installed(name)]
    chosen = os.environ.get("UNIMODULE_TEST_BACKENDS")
    if not chosen:
        return present
    wanted = [name.strip() for name in chosen.split(",")]
    if missing := set(wanted) - set(present):
        raise pytest.UsageError(
            f"UNIMODULE_TEST_BACKENDS names {', '.join(missing)}, not among {', '.join(present)}"
        )
    return [name for name in present if name in wanted]


def load_backend(name: str) -> Backend:
    """A backend's adapter. What its framework warns of while it is imported is not ours to fix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return registry.get_backend(name)


@pytest.fixture(params=selected_backends())
def backend(request: pytest.FixtureRequest) -> str:
    """The name of each backend under test, with its framework imported."""
    load_backend(request.param)
    return request.param


@pytest.fixture
def adapter(backend: str) -> Backend:
    """The adapter of ``backend``."""
    return registry.get_backend(backend)


def float64_works(backend: str) -> bool:
    """Whether tensors can be float64 on a backend now (JAX: only in a process that runs in 64 bits)."""
    try:
        load_backend(backend).from_numpy(np.zeros(1), "float64", "cpu")
    except DtypeError:
        return False
    return True


@pytest.fixture
def has_float64(backend: str) -> bool:
    """Whether ``backend`` computes in float64 in this process."""
    return float64_works(backend)


@pytest.fixture
def finest(backend: str) -> str:
    """The widest float dtype of ``backend`` in this process."""
    return "float64" if float64_works(backend) else "float32"


# ---------------------------------------------------------------------- random numbers
@pytest.fixture(autouse=True)
def _same_initial_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test draws the same initial values each time it runs, whatever ran before it."""
    monkeypatch.setattr(_random, "_root", (0,))
    monkeypatch.setattr(_random, "_streams", 0)


# ---------------------------------------------------------------------- markers
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a ``gpu`` test where its backend, or every one, has no GPU."""
    if item.get_closest_marker("gpu") is None:
        return
    callspec = getattr(item, "callspec", None)
    own = callspec.params.get("backend") if callspec is not None else None
    names = [own] if own is not None else selected_backends()
    if not any(len(load_backend(name).devices()) > 1 for name in names):
        pytest.skip(f"no GPU for {', '.join(names)}")
