"""JAX's adapter in a process of its own, and tensors for its tests."""

import os
import subprocess
import sys
import textwrap

import numpy as np

from .conftest import ROOT


def put(backend, values, dtype="float32"):
    return backend.from_numpy(np.asarray(values), dtype, "cpu")


def run_alone(code, **environment):
    """Run ``code`` in a process of its own, with the adapter as ``backend`` and its functions as ``op``."""
    start = """
        import numpy as np
        from unimodule_jax import INFO
        import sys; assert "jax" not in sys.modules
        import jax, jax.numpy as jnp
        from unimodule_jax.adapter import JaxBackend
        backend = JaxBackend(); op = backend.functions
        put = lambda values, dtype="float32": backend.from_numpy(np.asarray(values), dtype, "cpu")
    """
    script = textwrap.dedent(start) + textwrap.dedent(code)
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()
