"""The PyTorch adapter's metadata. Reading it imports no framework; ``adapter.py`` is imported on first use."""

from unimodule.backend import BackendInfo

INFO = BackendInfo(
    name="torch",
    adapter="unimodule_torch.adapter:TorchBackend",
    framework="torch",
    distribution=("torch",),
    module_roots=("torch",),
    pip='pip install "unimodule[torch]"',
    priority=10,
)

__all__ = ["INFO"]
