"""Module: the base of every net.

How a call stays cheap. A bound module keeps its native tensors in its own ``__dict__``, so ``self.weight`` in
``forward`` is a plain attribute read. ``__call__`` only asks whether the type of its input is one that the net's backend
knows; if so, it runs ``forward``. All else (binding an unbound net, lazy shapes, NumPy inputs, tensors of another
backend) is told by the type not being known, and goes through ``_enter``.

How a functional call stays pure. ``functional_clone`` copies the tree of modules, not the values: each copy holds the
tensors it is given, so tracing in one thread cannot disturb another, and no tracer ever stays in a net.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from ..backend import Tensor
from ._calling import Calling, call_any, call_one, clones_only, takes_one_input


class LoadResult(NamedTuple):
    """What ``load_state_dict`` reports."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Calling):
    """Base class of all layers and nets.

    A subclass declares parameters and submodules as attributes in ``__init__`` (after ``super().__init__()``) and
    computes in ``forward``, on native tensors, with ``unimodule.ops``, ``unimodule.nn.functional`` and the operators
    that all frameworks share. It is written once and runs on every backend: ``to`` chooses one, and so does the first
    call, which takes the backend of its input.

    Attributes:
        training: whether the module is in training mode; read by layers such as Dropout. Set it with ``train``.

    Example:
        >>> import numpy as np, unimodule as um
        >>> from unimodule import nn, ops
        >>> class MLP(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = nn.LazyLinear(8)
        ...         self.out = nn.LazyLinear(3)
        ...     def forward(self, x):
        ...         return self.out(ops.relu(self.hidden(x)))
        >>> net = MLP().to("numpy")
        >>> net(np.ones((2, 4), "float32")).shape
        (2, 3)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "forward" in cls.__dict__ and "__call__" not in cls.__dict__:
            cls.__call__ = call_one if takes_one_input(cls.forward) else call_any  # type: ignore[method-assign, assignment]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from the inputs. Every subclass defines it; call the module, not this."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``, after binding, lazy shape inference and conversion of NumPy inputs where needed."""
        return call_any(self, *args, **kwargs)

    def infer_shapes(self, *args: Any, **kwargs: Any) -> None:
        """Give shapes to parameters that were declared with unknown sizes, from the inputs of the first call.

        A lazy layer overrides it: it sets ``self.parameter("weight").shape = ...`` (and ``.init``, where that depends
        on the shape) and its own attributes. Called once, before the first ``forward``.
        """

    # ------------------------------------------------------------------ copies
    def clone(self) -> Self:
        """An independent copy: same values, same backend, nothing shared. Ties inside the net stay ties."""
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new: Self = object.__new__(type(self))
        memo[id(self)] = new
        state = new.__dict__
        shared = ("_backend", "_accepts")
        state["_variables"] = {n: copy.deepcopy(v, memo) for n, v in self._variables.items()}
        for name, value in self.__dict__.items():
            if name in shared:
                state[name] = value
            elif name != "_variables" and name not in self._variables:
                state[name] = copy.deepcopy(value, memo)
        for name, variable in state["_variables"].items():
            variable.attach(new, name)
        return new

    def functional_clone(self, values: Mapping[int, Tensor], memo: dict[int, Module] | None = None) -> Self:
        """A copy of the tree of modules that holds ``values`` (``id`` of a variable's handle -> native tensor) instead of
        this net's own, for one functional call. Assigning a buffer in it changes the copy alone. Ties stay ties.
        ``memo`` maps the ids of modules to their copies; pass one dict to clone nets that share modules.
        """
        memo = {} if memo is None else memo
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[return-value]
        new: Self = object.__new__(type(self))
        memo[id(self)] = new
        state = new.__dict__
        state.update(self.__dict__)
        state["_functional"] = True
        state["_original"] = self.__dict__.get("_original", self)
        for name, variable in self._variables.items():
            if id(variable) in values:
                state[name] = values[id(variable)]
        children = {name: module.functional_clone(values, memo) for name, module in self._modules.items()}
        state["_modules"] = children
        state.update(children)
        _follow_bound_methods(new, memo)
        return new

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Tensor]:
        """All parameters, constants and persistent buffers: dotted name -> native tensor, cut off from any tape (NumPy
        arrays for a net that is not bound). A tied one stands under each of its names, as in PyTorch.

        Raises:
            UninitializedError: a parameter has no value yet.
        """
        from ._state import state_dict

        return state_dict(self)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Take over the values of a state_dict: tensors of any backend, or NumPy arrays.

        Everything is checked and converted before anything is changed. A net that is not bound, or a lazy one, takes the
        shapes too.

        Args:
            state_dict: dotted name -> tensor.
            strict: whether missing and unexpected keys are errors.

        Raises:
            StateDictError: keys are missing or unexpected (``strict``), or shapes differ; the net is as it was.
        """
        from ._state import load_state_dict

        return LoadResult(*load_state_dict(self, state_dict, strict))

    # ------------------------------------------------------------------ looks
    def extra_repr(self) -> str:
        """What ``repr`` shows between the parentheses. Layers override it."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules_or_nothing().items()
        ]
        extra = self.extra_repr()
        head = type(self).__name__
        if not lines:
            return f"{head}({extra})"
        body = ([extra] if extra else []) + lines
        return f"{head}(\n  " + "\n  ".join(body) + "\n)"

    def _modules_or_nothing(self) -> dict[str, Module]:
        modules: dict[str, Module] = self.__dict__.get("_modules", {})
        return modules


def _follow_bound_methods(module: Module, memo: dict[int, Module]) -> None:
    """In a functional clone, ``self.f = self.layer.forward`` must mean the clone's layer."""
    state = module.__dict__
    for name, value in state.items():
        if isinstance(value, types.MethodType) and id(value.__self__) in memo:
            state[name] = types.MethodType(value.__func__, memo[id(value.__self__)])


__all__ = ["LoadResult", "Module", "clones_only"]
