"""TensorFlow as a backend of unimodule. Importing this package imports no TensorFlow."""

from unimodule.backend import BackendInfo

INFO = BackendInfo(
    name="tensorflow",
    adapter="unimodule_tensorflow.adapter:TensorFlowBackend",
    framework="tensorflow",
    distribution=("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos", "tf-nightly"),
    module_roots=("tensorflow",),
    pip='pip install "unimodule[tensorflow]"',
    priority=30,
)

__all__ = ["INFO"]
