"""Transformations of functions of nets and tensors: functional calls, gradients, compiled and batched functions."""

from ..ops import stop_gradient
from .checkpoint import checkpoint
from .compile import compile
from .functional import functional_call
from .gradient import Gradients, grad, value_and_grad
from .vmap import vmap

__all__ = [
    "Gradients",
    "checkpoint",
    "compile",
    "functional_call",
    "grad",
    "stop_gradient",
    "value_and_grad",
    "vmap",
]
