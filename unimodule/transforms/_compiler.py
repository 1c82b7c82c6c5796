"""The programs of one compiled function, and the two ways to them.

The slow way works out the signature of a call, and records a program where there is none. The quick way serves calls
that were seen before: nothing that a signature depends on can have changed while the count of changes to modules stands
still, so nets are told by identity and tensors by shape and dtype.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from operator import getitem
from typing import Any

from .. import _draws
from .._changes import changes
from ..backend import Backend, Tensor
from ..errors import CompileError
from ..nn._calling import recorder
from ..nn._placement import accepted_types
from ..nn.module import Module
from ..nn.parameter import Variable
from ..registry import find_backend
from ._program import Captured, Program, modules_of, nets_of, sites
from ._signature import of_arguments, of_net
from .functional import Tree, common_backend, leaves, materialize, prepare, with_values

ADVICE = (
    "the value of a tensor was read while its computation was being compiled ({}); for control flow on values use "
    "ops.cond, ops.where, ops.while_loop or ops.scan, and read values (ops.item, float, bool) outside compiled code"
)
building = threading.RLock()
"""Held while a program is recorded and compiled, whichever function's: frameworks trace one at a time."""


_BY_VALUE: tuple[type, ...] = (int, bool, str, type(None))


class _NotQuick(Exception):
    """Arguments that need a closer look."""


Entry = Callable[..., Any]


def _entry(program: Program, nets: list[Module]) -> Entry:
    """All that a call needs that was seen before: the function's result, given the tensors among its arguments."""
    run, build = program.quick(), program.build
    found = sites(nets)
    states, names = [module.__dict__ for module, _, _ in found], [name for _, name, _ in found]
    modules = modules_of(nets)
    written: list[Variable] = [modules[number]._variables[name] for number, name in program.assigned]

    def pure(*tensors: Tensor) -> Any:
        return build(run(*map(getitem, states, names), *tensors))

    def writing(*tensors: Tensor) -> Any:
        outputs = run(*map(getitem, states, names), *tensors)
        for variable, value in zip(written, outputs[-len(written) :], strict=True):
            variable.write(value)
        return build(outputs)

    return writing if written else pure


class Quick:
    """The entries that are good for one count of changes."""

    __slots__ = ("entries", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.entries: dict[Hashable, Entry] = {}


class Compiler:
    """The programs of one function.

    Args:
        fn: the function.
        options: the native compiler's.
    """

    def __init__(self, fn: Callable[..., Any], options: dict[str, Any]) -> None:
        self.fn, self.options = fn, options
        self.quick = Quick(-1)
        self._programs: dict[Hashable, Program] = {}
        self._captured: list[Module] = []
        self._tensor_types: set[type] = set()
        self._backend: Backend | None = None
        self.device_of: Callable[[Tensor], str] | None = None
        """Tells a tensor's device for the key of a quick call, where there are several devices."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result for any arguments."""
        version, quick = changes.count, self.quick
        key: Hashable = None
        try:
            parts: list[Any] = [len(args)]
            tensors: list[Tensor] = []
            for arg in args:
                self._scan(arg, parts, tensors)
            if kwargs:
                self._scan(kwargs, parts, tensors)
            key = tuple(parts)
        except _NotQuick:
            pass
        else:
            if quick.version == version and (entry := quick.entries.get(key)) is not None:
                return entry(*tensors)
        return self.slow(key, args, kwargs)

    def _scan(self, value: Any, key: list[Any], tensors: list[Tensor]) -> None:
        """Append what tells arguments apart to ``key``, and the tensors among them to ``tensors``."""
        kind = type(value)
        if kind in self._tensor_types:
            key.append(value.shape)
            key.append(value.dtype)
            if self.device_of is not None:
                key.append(self.device_of(value))
            tensors.append(value)
        elif kind is tuple or kind is list:
            key.append((kind, len(value)))
            for item in value:
                self._scan(item, key, tensors)
        elif kind is dict:
            key.append((kind, *value))
            for item in value.values():
                self._scan(item, key, tensors)
        elif isinstance(value, Module) and not value._functional:
            key.append(id(value))
        elif kind in _BY_VALUE or (
            kind is float and value * 0 == 0 != value
        ):  # 0.0 equals -0.0; NaN equals nothing
            key.append(kind)
            key.append(value)
        else:
            raise _NotQuick

    def slow(self, key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The function's result, the slow way; the next call of the same quick ``key`` (if not None) is quick."""
        version = changes.count
        backend = common_backend((args, kwargs))
        if type(backend).compile is Backend.compile or recorder.get() is not None:
            return self.fn(*args, **kwargs)
        args, kwargs = prepare((args, kwargs), backend)
        materialize(self.fn, args, kwargs)
        while True:
            nets = nets_of((args, kwargs, [net for net in self._captured if net._backend is backend]))
            tensors = [module.__dict__[name] for module, name, _ in sites(nets)]
            tensors += [leaf for leaf in leaves((args, kwargs)) if find_backend(leaf) is backend]
            if not all(map(backend.is_concrete, tensors)):
                return self.fn(*args, **kwargs)  # part of what someone else compiles
            try:
                program, outputs = self._run(backend, args, kwargs, nets, tensors)
                break
            except Captured as found:
                self._capture(found.net, backend, args, kwargs)
        result = program.finish(outputs, nets)
        if self._backend is not backend:
            self._backend = backend
            self.device_of = backend.device if len(backend.devices()) > 1 else None
        elif key is not None and version == changes.count and not any(net._functional for net in nets):
            if self.quick.version != version:
                self.quick = Quick(version)  # swapped whole: another thread may be reading the old one
            self.quick.entries[key] = _entry(program, nets)
        kinds = {type(t) for t in tensors if backend.outlives_trace(t)}
        self._tensor_types |= kinds
        accepted_types(backend).update(kinds)  # a net that is never called uncompiled would not learn them
        return result

    def _capture(self, net: Module, backend: Backend, args: Tree, kwargs: Tree) -> None:
        """Make a net that the function has from elsewhere an input of its programs."""
        if net.backend is None:
            prepare((net, args, kwargs), backend)
        if any(module._lazy for module in net.modules()):
            (some_args, some_kwargs), _ = with_values((args, kwargs), {})
            self.fn(*some_args, **some_kwargs)
        if not any(known is net for known in self._captured):
            self._captured.append(net)

    def _run(
        self, backend: Backend, args: Tree, kwargs: Tree, nets: list[Module], tensors: list[Tensor]
    ) -> tuple[Program, list[Tensor]]:
        """The program of a signature, made where there is none, and its outputs."""
        signature = (
            backend.info.name,
            _draws.portable(backend),
            of_arguments((args, kwargs), backend),
            *map(of_net, nets),
        )
        program = self._programs.get(signature)
        if program is None or not program.is_of(nets):
            with building:
                program = self._programs.get(signature)
                if program is None or not program.is_of(nets):
                    return self._make(signature, backend, (args, kwargs), nets, tensors)
        return program, program.run(tensors)

    def _make(
        self, signature: Hashable, backend: Backend, args: Tree, nets: list[Module], tensors: list[Tensor]
    ) -> tuple[Program, list[Tensor]]:
        owner = weakref.ref(self)

        def forget(_: Any) -> None:
            if (compiler := owner()) is not None:
                compiler._programs.pop(signature, None)
                compiler.quick = Quick(-1)

        program = Program(backend, self.fn, args, nets, self.options, forget)
        try:
            outputs = program.run(tensors)
        except Exception as error:
            if backend.is_trace_error(error):
                raise CompileError(ADVICE.format(type(error).__name__)) from error
            raise
        self._programs[signature] = program
        return program, outputs
