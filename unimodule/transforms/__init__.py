"""Transformations of functions of nets and tensors: functional calls and gradients."""

from ..ops import stop_gradient
from .compile import compile
from .functional import functional_call
from .gradient import Gradients, grad, value_and_grad

__all__ = ["Gradients", "compile", "functional_call", "grad", "stop_gradient", "value_and_grad"]
