"""The minitensor backend's metadata. Reading it imports no framework; ``adapter.py`` is imported on first use."""

from unimodule.backend import BackendInfo

INFO = BackendInfo(
    name="minitensor",
    adapter="unimodule_minitensor.adapter:MinitensorBackend",
    framework="minitensor",
    distribution=("unimodule-minitensor",),
    module_roots=("minitensor",),
    pip="pip install examples/minimal_adapter",
    priority=2_000_000,  # behind NumPy: never the default by itself
)

__all__ = ["INFO"]
