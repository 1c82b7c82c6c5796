"""um.compile: one native program for each signature of a call.

A signature is all that a program may depend on: the structure of the arguments, the shape, dtype and device of each
tensor, every Python value, and of each net its modules, their modes and plain attributes, and which parameters are
trainable. For a new one, the function runs once on functional clones of its nets, as a pure function of a flat list of
tensors (``Backend.compile``); parameters and buffers are in that list, so no value is ever baked in, and buffers come
back as outputs. Afterwards Python only gathers the tensors, calls the program and writes the buffers.

The signature of a net is not worked out on every call: a counter tells whether any module anywhere has changed since.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from ..backend import Backend, Tensor
from ..errors import ArgumentError, CompileError
from ..nn._tree import changes
from ..nn.module import Module, clones_only
from ..nn.parameter import Variable
from ..registry import find_backend
from .functional import (
    Assignment,
    Tree,
    assignments,
    common_backend,
    leaves,
    map_tree,
    materialize,
    prepare,
    with_values,
)

_SIMPLE = (type(None), bool, int, float, complex, str, bytes, np.dtype)


@dataclasses.dataclass
class _Slot:
    """The place of a tensor in a structure."""

    index: int


class _Program:
    """One signature's native program, and how to feed it."""

    def __init__(self, backend: Backend, fn: Callable[..., Any], args: Tree, options: dict[str, Any]) -> None:
        # The nets themselves, not clones of an outer transformation, whose tensors must not be kept.
        args = map_tree(
            lambda leaf: leaf.__dict__.get("_original", leaf) if isinstance(leaf, Module) else leaf, args
        )
        self.nets = _nets(args)
        self.sites = _sites(self.nets)
        self._fn, self._backend = fn, backend
        tensors: list[Tensor] = []
        self._inputs = map_tree(lambda leaf: self._slot(leaf, tensors), args)
        self._output: Tree = None
        self.assigned: list[tuple[int, str, Variable]] = []
        self.run = backend.compile(self._flat, **options)

    def _slot(self, leaf: Any, tensors: list[Tensor]) -> Any:
        if find_backend(leaf) is not self._backend:
            return leaf
        tensors.append(leaf)
        return _Slot(len(self.sites) + len(tensors) - 1)

    def _flat(self, tensors: list[Tensor]) -> list[Tensor]:
        """The function, pure, from a flat list of tensors to another. Runs while the framework traces."""
        given = {id(variable): tensors[i] for i, (_, _, variable) in enumerate(self.sites)}
        args = map_tree(lambda leaf: tensors[leaf.index] if isinstance(leaf, _Slot) else leaf, self._inputs)
        (new_args, new_kwargs), pairs = with_values(args, given)
        with clones_only([original for original, _ in pairs]):
            result = self._fn(*new_args, **new_kwargs)
        outputs: list[Tensor] = []

        def collect(leaf: Any) -> Any:
            if find_backend(leaf) is not self._backend:
                return leaf
            outputs.append(leaf)
            return _Slot(len(outputs) - 1)

        self._output = map_tree(collect, result)
        made = assignments(pairs, given)
        position = {id(module): i for i, module in enumerate(_modules(self.nets))}
        self.assigned = [(position[id(a.module)], a.name, a.variable) for a in made]
        return outputs + [a.value for a in made]

    def finish(self, outputs: list[Tensor], nets: list[Module]) -> Any:
        """The result in its structure, with the buffers of ``nets`` written."""
        if self.assigned:
            values = outputs[len(outputs) - len(self.assigned) :]
            modules = _modules(nets)
            for (position, name, variable), value in zip(self.assigned, values, strict=True):
                Assignment(modules[position], name, variable, value).carry_out()
        if isinstance(self._output, _Slot):
            return outputs[self._output.index]
        return map_tree(lambda leaf: outputs[leaf.index] if isinstance(leaf, _Slot) else leaf, self._output)


class _Compiler:
    """The programs of one function."""

    def __init__(self, fn: Callable[..., Any], options: dict[str, Any]) -> None:
        self.fn, self.options = fn, options
        self._programs: dict[Hashable, _Program] = {}
        self._hot: dict[Hashable, tuple[_Program, list[tuple[dict[str, Any], str]]]] = {}
        self._version = -1
        self._lock = threading.RLock()

    def __deepcopy__(self, memo: dict[int, Any]) -> _Compiler:
        return _Compiler(self.fn, self.options)

    def call_net(self, net: Module, x: Tensor) -> Any:
        """``net(x)`` for a tensor of its backend: the way that is kept short."""
        key = (getattr(x, "shape", x), getattr(x, "dtype", None))
        if self._version == changes.count:
            known = self._hot.get(key)
            if known is not None:
                program, places = known
                outputs = program.run([*[state[name] for state, name in places], x])
                return program.finish(outputs, [net])
        version = changes.count
        program, result = self._call((net, x), {})
        if program is not None:
            if version != self._version:
                self._hot, self._version = {}, version
            if version == changes.count:
                self._hot[key] = (program, [(module.__dict__, name) for module, name, _ in _sites([net])])
        return result

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result for any arguments."""
        return self._call(args, kwargs)[1]

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Program | None, Any]:
        backend = common_backend((args, kwargs))
        if type(backend).compile is Backend.compile:
            return None, self.fn(*args, **kwargs)
        args, kwargs = prepare((args, kwargs), backend)
        materialize(self.fn, args, kwargs)
        nets = _nets((args, kwargs))
        key = (
            backend.info.name,
            _signature((args, kwargs), backend),
            tuple(_net_signature(n, backend) for n in nets),
        )
        with self._lock:
            program = self._programs.get(key)
            new = program is None
            if program is None:
                program = _Program(backend, self.fn, (args, kwargs), self.options)
        tensors = [module.__dict__[name] for module, name, _ in _sites(nets)]
        tensors += [leaf for leaf in leaves((args, kwargs)) if find_backend(leaf) is backend]
        if new:
            with self._lock:
                try:
                    outputs = program.run(tensors)
                except Exception as error:
                    if backend.is_trace_error(error):
                        raise CompileError(_ADVICE.format(type(error).__name__)) from error
                    raise
                self._programs[key] = program
        else:
            outputs = program.run(tensors)
        return program, program.finish(outputs, nets)


_ADVICE = (
    "the value of a tensor was read while its computation was being compiled ({}); for control flow on values use "
    "ops.cond, ops.where, ops.while_loop or ops.scan, and read values (ops.item, float, bool) outside compiled code"
)


class CompiledModule(Module):
    """What ``um.compile`` makes of a net: the same module, sharing all its state, whose call runs compiled."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The net's output, from the compiled program of this signature."""
        compiler: _Compiler = self.__dict__["_compiler"]
        if len(args) == 1 and not kwargs and not self._functional and type(args[0]) in self._accepts:
            return compiler.call_net(self, args[0])
        return compiler.call(self, *args, **kwargs)


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
        kind = type(target)
        if isinstance(target, CompiledModule):
            kind = kind.__mro__[2]
        new = object.__new__(type(kind.__name__, (CompiledModule, kind), {"__module__": kind.__module__}))
        target.__dict__["_compiler"] = _Compiler(_call_plain, options)
        new.__dict__ = target.__dict__
        return new
    if not callable(target) or isinstance(target, type):
        raise ArgumentError(f"compile expected a net or a function, got {type(target).__name__}")
    compiler = _Compiler(target, options)

    @functools.wraps(target)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        return compiler.call(*args, **kwargs)

    return compiled


def _call_plain(net: Module, *args: Any, **kwargs: Any) -> Any:
    """Call a compiled net's clone as the net that it was compiled from."""
    kind = type(net)
    if isinstance(net, CompiledModule):
        object.__setattr__(net, "__class__", kind.__mro__[2])
    try:
        return net(*args, **kwargs)
    finally:
        object.__setattr__(net, "__class__", kind)


# ---------------------------------------------------------------------- signatures
def _nets(tree: Tree) -> list[Module]:
    return list({id(leaf): leaf for leaf in leaves(tree) if isinstance(leaf, Module)}.values())


def _modules(nets: list[Module]) -> list[Module]:
    found: dict[int, Module] = {}
    for net in nets:
        for module in net.modules():
            found.setdefault(id(module), module)
    return list(found.values())


def _sites(nets: list[Module]) -> list[tuple[Module, str, Variable]]:
    """Where each variable of the nets stands, each once."""
    found: dict[int, tuple[Module, str, Variable]] = {}
    for module in _modules(nets):
        for name, variable in module._variables.items():
            found.setdefault(id(variable), (module, name, variable))
    return list(found.values())


def _signature(tree: Tree, backend: Backend) -> Hashable:
    if isinstance(tree, tuple | list):
        return (type(tree), *(_signature(item, backend) for item in tree))
    if isinstance(tree, dict):
        return (dict, *((key, _signature(value, backend)) for key, value in tree.items()))
    if isinstance(tree, Module):
        return (Module, id(tree.__dict__.get("_original", tree)))
    if find_backend(tree) is backend:
        return (backend.shape(tree), backend.dtype(tree), backend.device(tree))
    try:
        hash(tree)
    except TypeError:
        raise ArgumentError(
            f"a compiled call cannot take a {type(tree).__name__}: pass tensors, nets, numbers, strings, or tuples, "
            "lists and dicts of them"
        ) from None
    return (type(tree), tree)


def _net_signature(net: Module, backend: Backend) -> Hashable:
    parts: list[Hashable] = []
    for module in net.modules():
        parts.append((type(module), tuple(module._modules)))
        own = (module._variables, module._modules)
        for name, value in module.__dict__.items():
            if name[0] != "_" and name not in own[0] and name not in own[1]:
                parts.append((name, type(value), value if _is_simple(value) else id(value)))
        for name, variable in module._variables.items():
            parts.append((name, id(variable), variable.shape, variable.dtype, variable.trainable, net.device))
    return tuple(parts)


def _is_simple(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_simple(item) for item in value)
    return isinstance(value, _SIMPLE)
