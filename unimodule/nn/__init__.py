"""Modules: the base class, containers, and PyTorch's layers, written once in neutral terms."""

from . import init
from .containers import Function, ModuleDict, ModuleList, Parallel, ParameterDict, ParameterList, Sequential, repeat
from .module import Module
from .parameter import Buffer, Constant, Parameter

__all__ = [
    "Buffer",
    "Constant",
    "Function",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parallel",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "Sequential",
    "init",
    "repeat",
]
