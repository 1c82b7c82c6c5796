"""The tree that a module is the root of: what it holds, its names, the order of iteration, and walks over all of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, cast

from .._changes import changes
from ..backend import Backend
from ..errors import ArgumentError, ModuleError
from .parameter import Buffer, Constant, Parameter, Variable

if TYPE_CHECKING:
    from .module import Module

NOTHING: frozenset[type] = frozenset()
OWN = ("_variables", "_modules")
bind_lock = threading.RLock()
"""Held while nets are bound and lazy parameters get their shapes."""


class Tree:
    """What a module holds, and iteration over it. See ``Module``."""

    training: bool = True

    # What a call looks at each time; instances override them in their __dict__.
    _accepts: set[type] | frozenset[type] = NOTHING
    _backend: Backend | None = None
    _device: str | None = None
    _dtype: str | None = None
    _lazy: bool = False
    _functional: bool = False
    _watchers: int = 0

    _variables: dict[str, Variable]
    _modules: dict[str, Module]

    def __init__(self) -> None:
        state = self.__dict__
        if "_variables" not in state:
            state["_variables"], state["_modules"], state["training"] = {}, {}, True

    # ------------------------------------------------------------------ iteration, in the order of registration
    def children(self) -> Iterator[Module]:
        """The direct submodules, each once."""
        return (module for _, module in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules with their names, each once."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_modules(self, prefix: str = "", _seen: set[int] | None = None) -> Iterator[tuple[str, Module]]:
        """This module (named ``prefix``) and all below it with their dotted names, each once."""
        seen = set() if _seen is None else _seen
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, cast("Module", self)
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def get_submodule(self, path: str) -> Module:
        """The module at a dotted path; ``""`` is this one.

        Raises:
            ModuleError: there is none.
        """
        module = cast("Module", self)
        for step in path.split(".") if path else ():
            if step not in module._modules:
                raise ModuleError(
                    f"{type(self).__name__} has no submodule {path!r}: no {step!r} in {list(module._modules)}"
                )
            module = module._modules[step]
        return module

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """Parameters, constants and buffers with their dotted names, each once, own ones before those of children."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, variable in module._variables.items():
                if id(variable) not in seen:
                    seen.add(id(variable))
                    variable.name = f"{prefix}.{name}" if prefix else name
                    yield variable.name, variable

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names, each once (a tied one under its first name)."""
        return ((n, v) for n, v in self.named_variables() if isinstance(v, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """Handles of the parameters, each once: ``name, shape, dtype, requires_grad, data``."""
        return (v for _, v in self.named_parameters())

    def named_constants(self) -> Iterator[tuple[str, Constant]]:
        """The constants with their dotted names, each once."""
        return ((n, v) for n, v in self.named_variables() if isinstance(v, Constant))

    def constants(self) -> Iterator[Constant]:
        """Handles of the constants, each once."""
        return (v for _, v in self.named_constants())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """The buffers with their dotted names, each once."""
        return ((n, v) for n, v in self.named_variables() if isinstance(v, Buffer))

    def buffers(self) -> Iterator[Buffer]:
        """Handles of the buffers, each once."""
        return (v for _, v in self.named_buffers())

    # ------------------------------------------------------------------ changing the whole tree
    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every module below this one and then on this one; returns self."""
        for module in self.children():
            module.apply(fn)
        fn(cast("Module", self))
        return self

    def train(self, mode: bool = True) -> Self:
        """Put the module and all below it in training mode (or evaluation mode); returns self."""
        if not isinstance(mode, bool):
            raise ArgumentError(f"train() expected a bool, got {mode!r}")
        for module in self.modules():
            module.__dict__["training"] = mode
        changes.count += 1
        return self

    def eval(self) -> Self:
        """Put the module and all below it in evaluation mode; returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze or thaw all parameters; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self


def not_initialised(module: Tree) -> ModuleError:
    kind = type(module).__name__
    return ModuleError(f"{kind}.__init__ did not call super().__init__(); call it first in {kind}.__init__")
