"""Compiling for MXNet 1.9.1, which has no deferred compute: a function is recorded, and runs as CachedOps from then on.

A function runs once on arrays that have a shape and a dtype but no memory (``arrays``). Nothing is computed: whatever
operator meets one of them becomes a node of an nnvm graph (``recorder``, ``graph``, ``symbols``). What is computed from
constants alone is computed, and goes into the graph as a constant. MXNet's Python code is patched while a function is
recorded (``patches``), for the recording thread only in effect. The graphs then run as CachedOps (``compiled``), with
gradients that were taken inside the function as steps of their own between them (``steps``). Where an operator of
MXNet's is wrong for some values only, a graph has a quick form with it and a sure form without (``Trace.either``).

What is recorded is right, or it is an error: an array without memory has no handle, so that whatever would go past the
recorder, to read a value or to write into an array, raises ``CompileError``.
"""

from .arrays import Traced
from .compiled import compile_function
from .recorder import is_constant, on_host, recording_here, value_and_grad

__all__ = ["Traced", "compile_function", "is_constant", "on_host", "recording_here", "value_and_grad"]
