"""The environment of the processes that judge: read by the frameworks when they are imported, never again.

These are names of environment variables, not of backends: who does not know one does not read it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

CACHE = Path(tempfile.gettempdir()) / "unimodule-conformance"

COMMON = {
    # one thread each: as many processes as there are cores
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # processes and frameworks that share a GPU
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    # what was compiled once is found again by the next run
    "JAX_COMPILATION_CACHE_DIR": str(CACHE / "jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis"),
    "PYTHONWARNINGS": "ignore",
}
"""Unless the caller has set them."""

WIDE = {"JAX_ENABLE_X64": "1"}
"""For a round in 64 bits, where that is a choice for a whole process; the others are in 32."""


def environment(wide: bool) -> dict[str, str]:
    """The environment of a worker; its modules are found where this process finds them."""
    found = {**COMMON, **os.environ}
    for name, value in WIDE.items():
        found.pop(name, None)
        if wide:
            found[name] = value
    found["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return found


__all__ = ["CACHE", "environment"]
