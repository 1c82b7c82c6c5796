"""Apache MXNet as a backend of unimodule. Importing this package does not import MXNet."""

from unimodule.backend import BackendInfo

INFO = BackendInfo(
    name="mxnet",
    adapter="unimodule_mxnet.adapter:MXNetBackend",
    framework="mxnet",
    distribution=("mxnet", "mxnet-cu117", "mxnet-cu112", "mxnet-cu110", "mxnet-cu102", "mxnet-cu101"),
    module_roots=("mxnet",),
    pip='pip install "unimodule[mxnet]"',
    priority=40,
)

__all__ = ["INFO"]
