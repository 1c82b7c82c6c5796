"""The reference backend: plain NumPy written from the definitions, with gradients by the ``autograd`` package."""

from unimodule.backend import BackendInfo

INFO = BackendInfo(
    name="numpy",
    adapter="unimodule_numpy.adapter:NumpyBackend",
    framework="numpy",
    distribution=("numpy",),
    module_roots=("numpy", "autograd"),
    pip="pip install unimodule",
    priority=1_000_000,  # after every framework
)
