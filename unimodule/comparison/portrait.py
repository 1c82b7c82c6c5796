"""A net as JSON and arrays, to be made again in another process: its tree of modules, its values, its plain attributes.

No code travels. A class or function is named by where it is imported from: a module that both processes can import, or
the file that defines it. A module is made again without its ``__init__``, from what is in it. What cannot be named (a lambda,
a function defined inside another, an open file) is an error that says which attribute it is.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError
from ..nn.module import Module
from ..nn.parameter import Buffer, Constant, Parameter, Variable
from .measure import Array
from .origin import find, origin

_PLAIN = (type(None), bool, int, str)
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, np.ufunc)
_KINDS: dict[str, type[Variable]] = {kind.__name__: kind for kind in (Parameter, Constant, Buffer)}


class Encoder:
    """Turns values into JSON and a list of arrays. What occurs twice is one thing in the copy, too.

    Attributes:
        arrays: the arrays so far.
    """

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self._modules: dict[int, int] = {}
        self._variables: dict[int, int] = {}
        self._alive: list[Any] = []

    def encode(self, value: Any, where: str) -> Any:
        """A value as JSON.

        Args:
            value: a net, an array, a class or function, or tuples, lists, dicts, dataclasses and enums of these.
            where: what it is called in an error.

        Raises:
            ArgumentError: it cannot be made again in another process.
        """
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, float):
            return {"float": value.hex()}
        if isinstance(value, Module):
            return self._module(value, where)
        if isinstance(value, np.ndarray | np.generic):
            return {"array": self._array(np.asarray(value)), "scalar": isinstance(value, np.generic)}
        if isinstance(value, tuple | list | set | frozenset | dict):
            return self._container(value, where)
        if isinstance(value, _NAMED):
            return {"name": origin(value, where)}
        return self._instance(value, where)

    def _container(self, value: Any, where: str) -> Any:
        if isinstance(value, dict):
            if type(value) is not dict:
                raise ArgumentError(f"{where} is a {type(value).__name__}, which a worker cannot have")
            items = [[self.encode(k, where), self.encode(v, f"{where}[{k!r}]")] for k, v in value.items()]
            return {"dict": items}
        items = [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
        if hasattr(value, "_fields"):
            return {"named": origin(type(value), where), "items": items}
        return {type(value).__name__: items}

    def _instance(self, value: Any, where: str) -> Any:
        if isinstance(value, np.dtype):
            return {"dtype": dtypes.canonical(value)}
        if isinstance(value, functools.partial):
            parts = [value.func, value.args, value.keywords]
            return {"partial": [self.encode(part, where) for part in parts]}
        if isinstance(value, types.MethodType):
            return {"method": self.encode(value.__self__, where), "called": value.__func__.__name__}
        if isinstance(value, enum.Enum):
            return {"enum": origin(type(value), where), "member": value.name}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            made = {name: self.encode(item, f"{where}.{name}") for name, item in fields.items()}
            return {"dataclass": origin(type(value), where), "fields": made}
        raise ArgumentError(
            f"{where} is a {type(value).__name__}, which a worker under another interpreter cannot have"
        )

    def _array(self, array: Array) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1

    def _module(self, module: Module, where: str) -> Any:
        if id(module) in self._modules:
            return {"module": self._modules[id(module)]}
        self._alive.append(module)
        number = self._modules[id(module)] = len(self._modules)
        state = module.__dict__
        variables = {name: self._variable(v) for name, v in module._variables.items()}
        children = {name: self._module(m, f"{where}.{name}") for name, m in module._modules.items()}
        skipped = {
            "_variables",
            "_modules",
            "_backend",
            "_device",
            "_accepts",
            "_dtype",
            *variables,
            *children,
        }
        rest = {name: value for name, value in state.items() if name not in skipped}
        return {
            "module": number,
            "class": origin(type(module), where),
            "variables": variables,
            "children": children,
            "attributes": {name: self.encode(value, f"{where}.{name}") for name, value in rest.items()},
        }

    def _variable(self, variable: Variable) -> Any:
        if id(variable) in self._variables:
            return {"variable": self._variables[id(variable)]}
        self._alive.append(variable)
        number = self._variables[id(variable)] = len(self._variables)
        made: dict[str, Any] = {
            "variable": number,
            "kind": next(name for name, kind in _KINDS.items() if isinstance(variable, kind)),
            "array": self._array(variable.numpy()),
            "dtype": variable._fixed_dtype,
        }
        if isinstance(variable, Parameter):
            made["requires_grad"] = variable.requires_grad
        if isinstance(variable, Buffer):
            made["persistent"] = variable.persistent
        return made


class Decoder:
    """Makes what ``Encoder`` encoded.

    Args:
        arrays: its arrays.
    """

    def __init__(self, arrays: list[Array]) -> None:
        self._arrays = arrays
        self._modules: dict[int, Module] = {}
        self._variables: dict[int, Variable] = {}

    def decode(self, data: Any) -> Any:
        """The value.

        Raises:
            ImportError, AttributeError: a class or function is not where it was.
        """
        if not isinstance(data, dict):
            return data
        kind, first = next(iter(data.items()))
        return getattr(self, f"_make_{kind}")(first, data)

    def _make_float(self, text: str, _: Any) -> float:
        return float.fromhex(text)

    def _make_array(self, number: int, data: Any) -> Any:
        return self._arrays[number][()] if data["scalar"] else self._arrays[number]

    def _make_tuple(self, items: list[Any], _: Any) -> Any:
        return tuple(map(self.decode, items))

    def _make_list(self, items: list[Any], _: Any) -> Any:
        return list(map(self.decode, items))

    def _make_set(self, items: list[Any], _: Any) -> Any:
        return set(map(self.decode, items))

    def _make_frozenset(self, items: list[Any], _: Any) -> Any:
        return frozenset(map(self.decode, items))

    def _make_named(self, name: Any, data: Any) -> Any:
        return find(name)(*map(self.decode, data["items"]))

    def _make_dict(self, items: list[Any], _: Any) -> Any:
        return {self.decode(key): self.decode(value) for key, value in items}

    def _make_name(self, name: Any, _: Any) -> Any:
        return find(name)

    def _make_dtype(self, name: str, _: Any) -> Any:
        return dtypes.to_numpy_dtype(name)

    def _make_partial(self, parts: list[Any], _: Any) -> Any:
        function, args, kwargs = map(self.decode, parts)
        return functools.partial(function, *args, **kwargs)

    def _make_method(self, owner: Any, data: Any) -> Any:
        return getattr(self.decode(owner), data["called"])

    def _make_enum(self, name: Any, data: Any) -> Any:
        return find(name)[data["member"]]

    def _make_dataclass(self, name: Any, data: Any) -> Any:
        made: Any = object.__new__(find(name))
        for field, value in data["fields"].items():
            object.__setattr__(made, field, self.decode(value))
        return made

    def _make_module(self, number: int, data: Any) -> Module:
        if number in self._modules:
            return self._modules[number]
        module: Module = object.__new__(find(data["class"]))
        self._modules[number] = module
        module.__dict__.update(_variables={}, _modules={})
        for name, variable in data["variables"].items():
            setattr(module, name, self._made_variable(variable))
        for name, child in data["children"].items():
            setattr(module, name, self.decode(child))
        for name, value in data["attributes"].items():
            module.__dict__[name] = self.decode(value)
        return module

    def _made_variable(self, data: Any) -> Variable:
        number = data["variable"]
        if number not in self._variables:
            options = {key: data[key] for key in ("dtype", "requires_grad", "persistent") if key in data}
            self._variables[number] = _KINDS[data["kind"]](self._arrays[data["array"]], **options)
        return self._variables[number]


__all__ = ["Decoder", "Encoder"]
