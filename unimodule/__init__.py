"""Write a neural network once; run it on PyTorch, TensorFlow, JAX, MXNet or NumPy.

Importing this package imports no framework. See ``README.md`` for a first net and ``docs/`` for the rest.
"""

from . import nn, ops, optim
from ._random import get_rng_state, seed, set_rng_state
from .backend import Backend, BackendInfo, Tensor
from .errors import (
    ArgumentError,
    BackendMismatchError,
    BackendNotInstalledError,
    CompileError,
    DeviceError,
    DtypeError,
    IntegerRangeError,
    ModuleError,
    NonFiniteError,
    NotSupportedError,
    OutOfRangeError,
    ShapeError,
    StateDictError,
    UnimoduleError,
    UninitializedError,
    UnknownBackendError,
)
from .nn import init
from .ops import convert, to_numpy
from .registry import backend_of, backends, current_backend, set_backend, use_backend
from .transforms import checkpoint, compile, functional_call, grad, stop_gradient, value_and_grad, vmap

__version__ = "0.1.0"

_LAZY = {
    "compare": "comparison",
    "summary": "inspection",
    "save": "state",
    "load": "state",
    "Trainer": "train",
    "train_step": "train",
}


def __getattr__(name: str) -> object:
    """Import on first use what a forward pass does not need."""
    if name in _LAZY:
        import importlib

        value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ArgumentError",
    "Backend",
    "BackendInfo",
    "BackendMismatchError",
    "BackendNotInstalledError",
    "CompileError",
    "DeviceError",
    "DtypeError",
    "IntegerRangeError",
    "ModuleError",
    "NonFiniteError",
    "NotSupportedError",
    "OutOfRangeError",
    "ShapeError",
    "StateDictError",
    "Tensor",
    "Trainer",
    "UnimoduleError",
    "UninitializedError",
    "UnknownBackendError",
    "backend_of",
    "backends",
    "checkpoint",
    "compare",
    "compile",
    "convert",
    "current_backend",
    "functional_call",
    "get_rng_state",
    "grad",
    "init",
    "load",
    "nn",
    "ops",
    "optim",
    "save",
    "seed",
    "set_backend",
    "set_rng_state",
    "stop_gradient",
    "summary",
    "to_numpy",
    "train_step",
    "use_backend",
    "value_and_grad",
    "vmap",
]
