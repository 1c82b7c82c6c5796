"""um.compile: one native program for each signature of a call.

A signature is all that a program may depend on: the structure of the arguments, the shape, dtype and device of each
tensor, every Python value, and of each net its modules, their modes and plain attributes, and which parameters are
trainable. For a new one, the function runs once on functional clones of its nets, as a pure function of a flat list of
tensors (``Backend.compile``; see ``_program``). Afterwards Python only gathers the tensors, calls the program and writes
the buffers (see ``_compiler``).
"""

from __future__ import annotations

import copy
import functools
import types
from typing import Any, ClassVar, Self

from .._changes import changes
from ..errors import ArgumentError
from ..nn.module import Module
from ..nn.parameter import Variable
from ._compiler import Compiler


class CompiledModule(Module):
    """What ``um.compile`` makes of a net: the same module, sharing all its state, whose call runs compiled.

    Each has a class of its own, below this one and the net's, since instances hold nothing but the shared state.
    """

    _plain: ClassVar[Module]
    _compiler: ClassVar[Compiler]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The net's output, from the compiled program of this signature."""
        compiler = type(self)._compiler  # of the class: a net may have attributes of these names
        if len(args) != 1 or kwargs or self._functional or type(args[0]) not in self._accepts:
            return compiler(self, *args, **kwargs)
        # One tensor, the most common call, is kept short.
        x = args[0]
        quick = compiler.quick
        try:
            key = (
                (x.shape, x.dtype)
                if compiler.device_of is None
                else (x.shape, x.dtype, compiler.device_of(x))
            )
        except AttributeError:  # a number
            return compiler(self, x)
        if quick.version == changes.count and (entry := quick.entries.get(key)) is not None:
            return entry(x)
        return compiler.slow(key, (self, x), {})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new: Self = compile(copy.deepcopy(type(self)._plain, memo), **type(self)._compiler.options)
        memo[id(self)] = new
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self)._plain, type(self)._compiler.options)

    def _register_variable(self, name: str, variable: Variable) -> None:
        type(self)._plain._register_variable(
            name, variable
        )  # a variable knows the module that it is an attribute of


def _restore(net: Module, options: dict[str, Any]) -> Any:
    return compile(net, **options)


def _call_plain(net: Module, *args: Any, **kwargs: Any) -> Any:
    """Call a compiled net, or a functional clone of one, as the net that it was compiled from."""
    if isinstance(net, CompiledModule):
        state = net.__dict__
        if net._functional:
            net = object.__new__(type(type(net)._plain))
            net.__dict__ = state
        else:
            net = type(net)._plain
    return net(*args, **kwargs)


def compile(target: Any, **options: Any) -> Any:
    """A net or function whose calls run as one native program: torch.compile, tf.function, jax.jit or an MXNet CachedOp.

    Outputs, gradients, buffer updates and errors are those of an ordinary call. The Python code runs once for each
    signature (shapes, dtypes, devices, train or eval, Python values among the arguments) and not again; parameters and
    buffers are inputs of the program, so loading a state or a training step is seen at once. On the NumPy reference
    nothing is compiled.

    Args:
        target: a net, or a function of nets, tensors and Python values (``um.value_and_grad(loss_fn)`` is one).
        **options: handed to the native compiler.

    Returns:
        For a net, a module that shares parameters, submodules and modes with it and can stand in its place; for a
        function, a function.

    Raises:
        ArgumentError: ``target`` cannot be called, or an argument of a compiled call cannot be part of a signature.
        CompileError: at a call, where Python code reads the value of a tensor.

    Example:
        >>> import numpy as np, unimodule as um
        >>> net = um.nn.Linear(2, 1).to("numpy")
        >>> fast = um.compile(net)
        >>> x = np.ones((3, 2), "float32")
        >>> bool((fast(x) == net(x)).all())
        True
    """
    if isinstance(target, Module):
        plain = type(target)._plain if isinstance(target, CompiledModule) else target
        kind = type(plain)
        compiler = Compiler(_call_plain, options)
        own = {"__module__": kind.__module__, "__doc__": kind.__doc__, "_plain": plain, "_compiler": compiler}
        new: Any = object.__new__(type(kind.__name__, (CompiledModule, kind), own))
        new.__dict__ = plain.__dict__
        return new
    if not callable(target) or isinstance(target, type):
        raise ArgumentError(f"compile expected a net or a function, got {type(target).__name__}")
    if isinstance(target, types.MethodType) and isinstance(target.__self__, Module):
        return functools.wraps(target)(functools.partial(Compiler(target.__func__, options), target.__self__))
    call = Compiler(target, options).__call__

    @functools.wraps(target)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    return compiled
