"""The JAX adapter of unimodule. Importing this package imports no JAX; ``adapter`` does."""

from unimodule.backend import BackendInfo

INFO = BackendInfo(
    name="jax",
    adapter="unimodule_jax.adapter:JaxBackend",
    framework="jax",
    distribution=("jax",),
    module_roots=("jax", "jaxlib"),
    pip='pip install "unimodule[jax]"',
    priority=20,
)

__all__ = ["INFO"]
