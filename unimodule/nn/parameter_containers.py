"""Containers of parameters: lists and dictionaries that the net knows of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..backend import Tensor
from ..errors import OutOfRangeError
from .module import Module
from .parameter import Parameter, Variable


def _as_variable(value: Any) -> Variable:
    return value if isinstance(value, Variable) else Parameter(value)


class ParameterList(Module):
    """A list of parameters that the net knows of. An item reads as the native tensor once the net is bound.

    Args:
        parameters: parameters, constants, or arrays (which become parameters).

    Source: PyTorch ``torch.nn.ParameterList``.

    Example:
        >>> from unimodule import init, nn
        >>> len(nn.ParameterList([nn.Parameter(init.ones(), shape=(2,)), nn.Parameter([1.0])]))
        2
    """

    def __init__(self, parameters: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(parameters)

    def _position(self, index: int) -> str:
        size = len(self._variables)
        if not -size <= index < size:
            raise OutOfRangeError(f"ParameterList has {size} parameters, got index {index}")
        return str(index % size)

    def __getitem__(self, index: int) -> Tensor:
        return self.__dict__[self._position(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._position(index), value)

    def __len__(self) -> int:
        return len(self._variables)

    def __iter__(self) -> Iterator[Tensor]:
        return (self.__dict__[name] for name in self._variables)

    def append(self, parameter: Any) -> Self:
        """Add a parameter at the end; returns self."""
        setattr(self, str(len(self._variables)), _as_variable(parameter))
        return self

    def extend(self, parameters: Iterable[Any]) -> Self:
        """Add parameters at the end; returns self."""
        for parameter in list(parameters):
            self.append(parameter)
        return self

    def extra_repr(self) -> str:
        """Shapes and dtypes."""
        return ", ".join(f"({n}): {v}" for n, v in self._variables.items())


class ParameterDict(Module):
    """A dictionary of parameters that the net knows of. An item reads as the native tensor once the net is bound.

    Args:
        parameters: a mapping from names to parameters, constants, or arrays (which become parameters).

    Source: PyTorch ``torch.nn.ParameterDict``.

    Example:
        >>> from unimodule import init, nn
        >>> list(nn.ParameterDict({"scale": nn.Parameter(init.ones(), shape=(2,))}))
        ['scale']
    """

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._variables:
            raise KeyError(key)
        return self.__dict__[key]

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value if key in self._variables else _as_variable(value))

    def __delitem__(self, key: str) -> None:
        self._variables[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._variables)

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __contains__(self, key: object) -> bool:
        return key in self._variables

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._variables.keys()

    def values(self) -> Iterable[Tensor]:
        """The native tensors."""
        return [self.__dict__[name] for name in self._variables]

    def items(self) -> Iterable[tuple[str, Tensor]]:
        """Names and native tensors."""
        return [(name, self.__dict__[name]) for name in self._variables]

    def update(self, parameters: Mapping[str, Any]) -> None:
        """Add or replace parameters."""
        for key, parameter in parameters.items():
            self[key] = parameter

    def extra_repr(self) -> str:
        """Shapes and dtypes."""
        return ", ".join(f"({n}): {v}" for n, v in self._variables.items())


__all__ = ["ParameterDict", "ParameterList"]
