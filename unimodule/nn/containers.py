"""Containers of modules: in sequence, in lists and dictionaries, side by side."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self, overload

from ..backend import Tensor
from ..errors import ArgumentError, ModuleError, OutOfRangeError
from .module import Module


class Function(Module):
    """A plain function of tensors as a module, which is what ``Sequential`` makes of one.

    Args:
        function: called with the inputs of the module.

    Example:
        >>> from unimodule import nn, ops
        >>> nn.Function(ops.relu)
        Function(relu)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        if not callable(function):
            raise ModuleError(f"Function expected a callable, got {type(function).__name__}")
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)``."""
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        """The function's name."""
        return str(getattr(self.function, "__name__", self.function))


def _as_module(value: Any, owner: str) -> Module:
    if isinstance(value, Module):
        return value
    if isinstance(value, type) and issubclass(value, Module):
        raise ModuleError(
            f"{owner} expected a module, got the class {value.__name__}; write {value.__name__}(...)"
        )
    if callable(value):
        return Function(value)
    raise ModuleError(f"{owner} expected modules or functions, got {type(value).__name__}")


class _ModuleSequence(Module):
    """What Sequential and ModuleList share: modules under the names "0", "1", ... in order."""

    def _position(self, index: int) -> str:
        names = list(self._modules)
        if not -len(names) <= index < len(names):
            raise OutOfRangeError(f"{type(self).__name__} has {len(names)} modules, got index {index}")
        return names[index]

    def _replace_all(self, modules: list[Module]) -> None:
        """Renumber: the modules under "0", "1", ..."""
        for name in list(self._modules):
            delattr(self, name)
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def _wrap(self, value: Any) -> Module:
        return _as_module(value, type(self).__name__)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module | Self:
        if isinstance(index, slice):
            return self._sliced(list(self._modules.items())[index])
        return self._modules[self._position(index)]

    def _sliced(self, items: list[tuple[str, Module]]) -> Self:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Any) -> None:
        name = self._position(index)
        setattr(self, name, self._wrap(module))

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        gone = set(names[index]) if isinstance(index, slice) else {self._position(index)}
        kept = [(n, m) for n, m in self._modules.items() if n not in gone]
        if all(n.isdigit() for n in names):
            self._replace_all([m for _, m in kept])
        else:
            for name in gone:
                delattr(self, name)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __contains__(self, module: object) -> bool:
        return any(m is module for m in self._modules.values())

    def _next_name(self) -> str:
        return str(max((int(n) + 1 for n in self._modules if n.isdigit()), default=len(self._modules)))

    def append(self, module: Any) -> Self:
        """Add one module at the end; returns self."""
        self.add_module(self._next_name(), self._wrap(module))
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add modules at the end; returns self."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Any) -> Self:
        """Put a module before the one at ``index``; later ones move up a number. Returns self."""
        modules = list(self._modules.values())
        if not -len(modules) <= index <= len(modules):
            raise OutOfRangeError(
                f"{type(self).__name__} has {len(modules)} modules, got index {index} to insert at"
            )
        if not all(n.isdigit() for n in self._modules):
            raise ModuleError(
                f"cannot insert into a {type(self).__name__} with named modules; build a new one"
            )
        modules.insert(index, self._wrap(module))
        self._replace_all(modules)
        return self


class Sequential(_ModuleSequence):
    """Modules applied one after the other: ``y = m_n(...m_1(m_0(x)))``.

    Args:
        *modules: modules and plain functions of one tensor; or one list or tuple of them; or one (ordered) dict from
            names to them.

    Raises:
        ModuleError: something is neither a module nor callable.

    Source: PyTorch ``torch.nn.Sequential``.

    Example:
        >>> import numpy as np
        >>> from unimodule import nn, ops
        >>> net = nn.Sequential([nn.Linear(4, 8), ops.relu, nn.Linear(8, 2)]).to("numpy")
        >>> net(np.ones((3, 4), "float32")).shape, len(net), len(net[:2])
        ((3, 2), 3, 2)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, self._wrap(module))
            return
        if len(modules) == 1 and isinstance(modules[0], list | tuple):
            modules = tuple(modules[0])
        self.extend(modules)

    def add(self, *modules: Any) -> Self:
        """Add modules or functions at the end; returns self."""
        return self.extend(modules)

    def _sliced(self, items: list[tuple[str, Module]]) -> Self:
        return type(self)(OrderedDict(items)) if type(self) is Sequential else Sequential(OrderedDict(items))  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        """Apply each module to the output of the one before."""
        for module in self._modules.values():
            x = module(x)
        return x


class ModuleList(_ModuleSequence):
    """A list of modules that the net knows of. It has no ``forward``; the owner's calls its items.

    Args:
        modules: an iterable of modules.

    Source: PyTorch ``torch.nn.ModuleList``.

    Example:
        >>> from unimodule import nn
        >>> len(nn.ModuleList([nn.Identity(), nn.Identity()]).append(nn.Identity()))
        3
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def _sliced(self, items: list[tuple[str, Module]]) -> Self:
        return type(self)(m for _, m in items)

    def pop(self, index: int = -1) -> Module:
        """Remove and return the module at ``index``."""
        module = self[index]
        del self[index]
        return module


class ModuleDict(Module):
    """A dictionary of modules that the net knows of. It has no ``forward``.

    Args:
        modules: a mapping from names to modules, or pairs of them.

    Source: PyTorch ``torch.nn.ModuleDict``.

    Example:
        >>> from unimodule import nn
        >>> d = nn.ModuleDict({"a": nn.Identity()}); d["b"] = nn.ReLU(); list(d)
        ['a', 'b']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self._modules[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Names and modules."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules."""
        for key, module in modules.items() if isinstance(modules, Mapping) else modules:
            self[key] = module

    def pop(self, key: str) -> Module:
        """Remove and return a module."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Remove all modules."""
        for key in list(self._modules):
            del self[key]


class Parallel(_ModuleSequence):
    """Nets side by side: each runs on the same input, and their outputs are concatenated.

    Args:
        *nets: modules or functions of one tensor; their outputs agree in all sizes but that of ``axis``.
        axis: the axis to concatenate along.

    Raises:
        ArgumentError: there is no net.

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> net = nn.Parallel(nn.Linear(3, 2), nn.Linear(3, 4), axis=-1).to("numpy")
        >>> net(np.ones((5, 3), "float32")).shape
        (5, 6)
    """

    def __init__(self, *nets: Any, axis: int = -1) -> None:
        super().__init__()
        if len(nets) == 1 and isinstance(nets[0], list | tuple):
            nets = tuple(nets[0])
        if not nets:
            raise ArgumentError("Parallel expected at least one net, got none")
        self.axis = axis
        self.extend(nets)

    def _sliced(self, items: list[tuple[str, Module]]) -> Self:
        return type(self)(*(m for _, m in items), axis=self.axis)

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate what the nets make of ``x``."""
        from .. import ops

        return ops.concat([net(x) for net in self._modules.values()], axis=self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


def repeat(factory: Callable[[], Any], n: int) -> Sequential:
    """``n`` independent modules from one factory, one after the other.

    Args:
        factory: called ``n`` times; each call must return a new module (or a function).
        n: how many, at least 0.

    Returns:
        A ``Sequential`` of them.

    Raises:
        ArgumentError: ``n`` is no such integer, or the factory returned one module twice (which would tie them).

    Example:
        >>> from unimodule import nn
        >>> len(nn.repeat(lambda: nn.Linear(3, 3), 4))
        4
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise ArgumentError(f"repeat expected a non-negative integer, got {n!r}")
    if isinstance(factory, Module) or not callable(factory):
        raise ArgumentError(
            f"repeat expected a function that returns a new module, got {type(factory).__name__}"
        )
    modules = [factory() for _ in range(n)]
    made = [id(m) for m in modules if isinstance(m, Module)]
    if len(set(made)) != len(made):
        raise ArgumentError(
            "repeat's factory returned the same module twice; it must make a new one on each call"
        )
    return Sequential(modules)


__all__ = [
    "Function",
    "ModuleDict",
    "ModuleList",
    "Parallel",
    "Sequential",
    "repeat",
]
