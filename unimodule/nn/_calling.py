"""How a call reaches ``forward``: straight, where the input is of a known type, and through ``_enter`` where not."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .. import dtypes, registry
from ..backend import Backend, Tensor
from ..errors import BackendMismatchError, ModuleError, UninitializedError, running_modules
from ..registry import find_backend
from ._placement import PLAIN, Placement, accepted_types
from ._tree import NOTHING, bind_lock, not_initialised

if TYPE_CHECKING:
    from .module import Module

MISSING: Any = object()

originals: contextvars.ContextVar[frozenset[int]] = contextvars.ContextVar(
    "unimodule_originals", default=frozenset()
)
"""Modules (by id) that must not be called now, because functional clones of them run in this thread or task."""

recorder: contextvars.ContextVar[Callable[[Module], Module] | None] = contextvars.ContextVar(
    "unimodule_recorder", default=None
)
"""While a function is recorded in this thread or task: gives what to call for a module that is no functional clone."""


class Calling(Placement):
    """The slow way into ``forward``. See ``Module``."""

    # ------------------------------------------------------------------ the slow way into forward
    def _enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call whose inputs are not all of known types: bind, convert, infer shapes; then run ``forward``."""
        if "_variables" not in self.__dict__:
            raise not_initialised(self)
        if self._watchers and id(self) in originals.get():
            raise ModuleError(
                f"{type(self).__name__} itself was called where a copy of it holds the values in question, as in a closure "
                "or a lambda kept as an attribute; call the net that the function gets as its argument, or in a module "
                "self.<layer>, else its gradients would be lost"
            )
        choose = None if self._functional else recorder.get()
        if choose is not None and (clone := choose(cast("Module", self))) is not self:
            return clone(*args, **kwargs)
        if self._backend is None:
            self._bind_to_inputs((args, kwargs))
        backend = self._backend
        assert backend is not None
        args = tuple(self._adapt(a, backend) for a in args)
        kwargs = {k: self._adapt(v, backend) for k, v in kwargs.items()}
        if self._lazy:
            self._materialize(args, kwargs)
        return self.forward(*args, **kwargs)

    def _bind_to_inputs(self, inputs: Any) -> None:
        self._check_tree()
        if (home := self._home()) is not None:
            self.to(home.backend)
            return
        for leaf in _leaves(inputs):
            found = find_backend(leaf)
            if found is not None and not isinstance(leaf, np.ndarray | np.generic):
                device = found.device(leaf) if found.is_concrete(leaf) else "cpu"
                self.to(found.info.name, device=device)
                return
        self.to(registry.current_backend())

    def _adapt(self, value: Any, backend: Backend) -> Any:
        """An input as ``forward`` gets it: NumPy becomes native, another backend's tensor is an error."""
        kind = type(value)
        if kind in PLAIN:
            return value
        if isinstance(value, np.ndarray | np.generic):
            return self._from_host(np.asarray(value), backend)
        if isinstance(value, list | tuple):
            items = [self._adapt(v, backend) for v in value]
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        if isinstance(value, dict):
            return {k: self._adapt(v, backend) for k, v in value.items()}
        found = find_backend(value)
        if found is None:
            return value
        if found is not backend:
            raise BackendMismatchError(
                f"{type(self).__name__} is bound to {backend.info.name!r}, got a {found.info.name!r} tensor; "
                f"move the net with net.to({found.info.name!r}) or the tensor with um.convert(x, {backend.info.name!r})"
            )
        if backend.outlives_trace(
            value
        ):  # no tracer goes straight to forward: while one runs, _enter has questions
            accepted_types(backend).add(kind)
        return value

    def _from_host(self, array: np.ndarray[Any, Any], backend: Backend) -> Tensor:
        dtype = dtypes.canonical(array.dtype)
        native = find_backend(array) is backend
        if native and running_modules():
            return array  # inside a NumPy net's forward, where arrays are native tensors
        wanted = self.dtype if dtypes.is_floating(dtype) else dtype
        if native and wanted == dtype:
            return array
        return backend.from_numpy(array, wanted, self._device or "cpu")

    def _materialize(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Lazy parameters get their shapes and values from the inputs of the first call."""
        with bind_lock:
            if not self._lazy:
                return
            self.infer_shapes(*args, **kwargs)
            for name, variable in self._variables.items():
                if not variable.shape_known:
                    raise UninitializedError(
                        f"{type(self).__name__}.{name} has unknown shape {variable.shape} after infer_shapes(); override "
                        f"infer_shapes to set self.parameter({name!r}).shape"
                    )
                if not variable.has_value:
                    self._place(variable)
                if self.__dict__[name] is variable:  # a clone made before there was a value
                    self.__dict__[name] = variable.data
            self.__dict__["_lazy"] = False
            assert self._backend is not None
            self.__dict__["_accepts"] = accepted_types(self._backend)

    def learn_shapes(self, clone: Module) -> None:
        """Take over what a functional clone of this module inferred in its first call: the variables are shared, but
        sizes and flags are attributes of each.
        """
        if self._lazy and not clone._lazy:
            for name, value in clone.__dict__.items():
                if name not in self._variables and name not in self._modules and not name.startswith("_"):
                    self.__dict__[name] = value
            for name, variable in self._variables.items():
                if self.__dict__[name] is variable:  # it is a clone itself, made before there was a value
                    self.__dict__[name] = variable.data
            self.__dict__["_lazy"] = False
            assert self._backend is not None
            self.__dict__["_accepts"] = accepted_types(self._backend)


# ---------------------------------------------------------------------- the call itself
def call_one(self: Module, input: Any = MISSING, /, **kwargs: Any) -> Any:
    """``module(x)`` for a forward that takes one input."""
    if type(input) in self._accepts and not kwargs:
        return self.forward(input)
    return self._enter(() if input is MISSING else (input,), kwargs)


call_one.__qualname__ = "Module.__call__"  # as Python's own errors name it


def call_any(self: Module, /, *args: Any, **kwargs: Any) -> Any:
    """``module(...)`` for any forward."""
    accepts = self._accepts
    for arg in args:
        if type(arg) not in accepts:
            return self._enter(args, kwargs)
    for arg in kwargs.values():
        if type(arg) not in accepts:
            return self._enter(args, kwargs)
    if not accepts:  # no argument at all, and a net that is not ready
        return self._enter(args, kwargs)
    return self.forward(*args, **kwargs)


@contextlib.contextmanager
def clones_only(modules: Iterable[Module]) -> Iterator[None]:
    """Inside the block, calling one of ``modules`` is an error in this thread or task: functional clones run for them.

    To be told of a call, it takes the slow way for the time being, in other threads too, where it goes on as usual.
    """
    watched = list(modules)
    with bind_lock:
        for module in watched:
            module.__dict__["_watchers"] = module._watchers + 1
            module.__dict__["_accepts"] = NOTHING
    token = originals.set(originals.get() | {id(m) for m in watched})
    try:
        yield
    finally:
        originals.reset(token)
        with bind_lock:
            for module in watched:
                module.__dict__["_watchers"] = module._watchers - 1
                if not module._watchers and not module._lazy and module._backend is not None:
                    module.__dict__["_accepts"] = accepted_types(module._backend)


def takes_one_input(forward: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(forward).parameters.values())[1:]
    return len(parameters) == 1 and parameters[0].kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
    else:
        yield value
