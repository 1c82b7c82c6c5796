"""Module: the base of every net.

How a call stays cheap. A bound module keeps its native tensors in its own ``__dict__``, so ``self.weight`` in
``forward`` is a plain attribute read. ``__call__`` only asks whether the type of its input is one that the net's backend
knows; if so, it runs ``forward``. All else (binding an unbound net, lazy shapes, NumPy inputs, tensors of another
backend) is told by the type not being known, and goes through ``_enter``.

How a functional call stays pure. ``functional_clone`` copies the tree of modules, not the values: each copy holds the
tensors it is given, so tracing in one thread cannot disturb another, and no tracer ever stays in a net.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import inspect
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from .. import _random, dtypes, registry
from ..backend import Backend, Tensor
from ..errors import (
    ArgumentError,
    BackendMismatchError,
    DtypeError,
    ModuleError,
    ShapeError,
    UninitializedError,
    running_modules,
)
from ..ops._dispatch import kernel
from ..registry import find_backend, get_backend, parse_device
from .parameter import Buffer, Constant, Parameter, Variable

_NOTHING: frozenset[type] = frozenset()
_PLAIN: tuple[type, ...] = (type(None), bool, int, float, str)
_ACCEPTED: dict[str, set[type]] = {}
"""By backend: the types of arguments that a bound module takes without a second look. Filled as types are met."""

_OWN = ("_variables", "_modules")
_MISSING: Any = object()

originals: contextvars.ContextVar[frozenset[int]] = contextvars.ContextVar("unimodule_originals", default=frozenset())
"""Modules (by id) that must not be called now, because functional clones of them run in this thread or task."""
_bind_lock = threading.RLock()


class LoadResult(NamedTuple):
    """What ``load_state_dict`` reports."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
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

    training: bool = True

    # What the call below looks at on every call; instances override them in their __dict__.
    _accepts: set[type] | frozenset[type] = _NOTHING
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "forward" in cls.__dict__ and "__call__" not in cls.__dict__:
            cls.__call__ = _call_one if _takes_one_input(cls.forward) else _call_any  # type: ignore[method-assign, assignment]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from the inputs. Every subclass defines it; call the module, not this."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``, after binding, lazy shape inference and conversion of NumPy inputs where needed."""
        return _call_any(self, *args, **kwargs)

    def infer_shapes(self, *args: Any, **kwargs: Any) -> None:
        """Give shapes to parameters that were declared with unknown sizes, from the inputs of the first call.

        A lazy layer overrides it: it sets ``self.parameter("weight").shape = ...`` (and ``.init``, where that depends
        on the shape) and its own attributes. Called once, before the first ``forward``.
        """

    # ------------------------------------------------------------------ attributes
    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if isinstance(value, Variable | Module):
            if "_variables" not in state:
                raise ModuleError(
                    f"{type(self).__name__}.{name} is assigned before super().__init__() was called; "
                    f"call super().__init__() first in {type(self).__name__}.__init__"
                )
            if isinstance(value, Variable):
                self._register_variable(name, value)
            else:
                self._register_module(name, value)
            return
        if "_variables" in state:
            if name in state["_variables"]:
                self._assign(name, value)
                return
            if name in state["_modules"]:
                if value is not None:
                    raise ModuleError(
                        f"{type(self).__name__}.{name} is a submodule and expected a Module or None, "
                        f"got {type(value).__name__}"
                    )
                del state["_modules"][name]
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is not there, so it costs nothing where all is well.
        if name in _OWN:
            raise _not_initialised(self)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        variable = self._variables.pop(name, None)
        if variable is not None:
            variable.detach(self, name)
        self._modules.pop(name, None)
        object.__delattr__(self, name)

    def _register_variable(self, name: str, variable: Variable) -> None:
        _check_name(self, name)
        old = self._variables.get(name)
        if old is not None:
            old.detach(self, name)
        self._modules.pop(name, None)
        elsewhere = self._backend is not None and variable._backend not in (None, self._backend)
        if elsewhere and variable.held:
            raise BackendMismatchError(
                f"{type(self).__name__}.{name} is on {self.backend!r} and cannot be tied to {variable}, which another "
                f"module holds on {variable.backend!r}; move one of the nets first"
            )
        self._variables[name] = variable
        if not variable.shape_known:
            self.__dict__["_lazy"] = True
            self.__dict__["_accepts"] = _NOTHING
        if self._backend is not None and variable._backend is not self._backend:
            self._place(variable)
        variable.attach(self, name)

    def _register_module(self, name: str, module: Module) -> None:
        _check_name(self, name)
        old = self._variables.pop(name, None)
        if old is not None:
            old.detach(self, name)
        self._modules[name] = module
        self.__dict__[name] = module
        if self._backend is not None and not self._functional and module._backend is not self._backend:
            module.to(self._backend.info.name, device=self._device, dtype=self._dtype)

    def _place(self, variable: Variable) -> None:
        assert self._backend is not None and self._device is not None
        value, dtype = variable.converted(self._backend, self._device, self._dtype)
        variable.commit(value, dtype, self._backend)

    def _assign(self, name: str, value: Any) -> None:
        """``self.name = value`` where name is a parameter, constant or buffer."""
        variable = self._variables[name]
        if value is None:
            variable.detach(self, name)
            del self._variables[name]
            self.__dict__[name] = None
            return
        if isinstance(variable, Constant):
            raise ModuleError(
                f"{name!r} is a Constant, which never changes; use nn.Buffer, or set net.constants()' .data"
            )
        backend = self._backend
        if backend is None:
            variable.data = value
            return
        if find_backend(value) is not backend:
            variable.data = value
            return
        if backend.shape(value) != variable._shape:
            raise ShapeError(f"{name!r} expected shape {variable._shape}, got {backend.shape(value)}")
        if variable._value is not None and backend.dtype(value) != (dtype := backend.dtype(variable._value)):
            if dtypes.is_floating(backend.dtype(value)) and not dtypes.is_floating(dtype):
                raise DtypeError(f"{name!r} expected dtype {variable._dtype}, got {backend.dtype(value)}")
            value = kernel(backend, "astype")(value, dtype)
        if self._functional:
            self.__dict__[name] = value
            return
        if not backend.live_variables and not backend.outlives_trace(value):
            if not backend.is_concrete(value):
                raise ModuleError(
                    f"{name!r} was assigned while the framework traces this net; its value would be a tracer. "
                    "Use um.functional_call, um.value_and_grad or um.compile, which carry buffers out of the trace"
                )
            # An eager gradient with this net in a closure: the value is known, and is kept without its tape.
            variable.data = backend.to_numpy(value)
            return
        variable.write(value)

    # ------------------------------------------------------------------ registering by name
    def add_module(self, name: str, module: Module) -> None:
        """Add a submodule under ``name`` (``self.name = module`` for names made at run time).

        Raises:
            ModuleError: ``module`` is not a Module, or the name is taken by another attribute or malformed.
        """
        if not isinstance(module, Module):
            raise ModuleError(f"add_module({name!r}) expected a Module, got {type(module).__name__}")
        if name not in self._modules and self.__dict__.get(name) is not None:
            raise ModuleError(f"{type(self).__name__}.{name} exists already; choose another name than {name!r}")
        setattr(self, name, module)

    register_module = add_module

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Add a parameter under ``name``. Registering one handle in two places ties them; None reserves the name."""
        self._register(name, parameter, Parameter)

    def register_buffer(self, name: str, buffer: Any, persistent: bool = True) -> None:
        """Add a buffer under ``name``, from an array or a Buffer."""
        if buffer is not None and not isinstance(buffer, Buffer):
            buffer = Buffer(buffer, persistent=persistent)
        self._register(name, buffer, Buffer)

    def register_constant(self, name: str, constant: Any) -> None:
        """Add a constant under ``name``, from an array or a Constant."""
        if constant is not None and not isinstance(constant, Constant):
            constant = Constant(constant)
        self._register(name, constant, Constant)

    def _register(self, name: str, variable: Variable | None, kind: type[Variable]) -> None:
        if variable is not None and not isinstance(variable, kind):
            raise ModuleError(f"{name!r} expected a {kind.__name__}, got {type(variable).__name__}")
        setattr(self, name, variable)

    def parameter(self, name: str) -> Variable:
        """The handle of one of this module's own parameters, constants or buffers (``self.name`` is its tensor).

        Raises:
            ModuleError: there is none of that name.
        """
        try:
            return self._variables[name]
        except KeyError:
            raise ModuleError(
                f"{type(self).__name__} has no parameter {name!r}; it has {list(self._variables)}"
            ) from None

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
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def get_submodule(self, path: str) -> Module:
        """The module at a dotted path; ``""`` is this one.

        Raises:
            ModuleError: there is none.
        """
        module = self
        for step in path.split(".") if path else ():
            if step not in module._modules:
                raise ModuleError(f"{type(self).__name__} has no submodule {path!r}: no {step!r} in {list(module._modules)}")
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
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Put the module and all below it in training mode (or evaluation mode); returns self."""
        if not isinstance(mode, bool):
            raise ArgumentError(f"train() expected a bool, got {mode!r}")
        for module in self.modules():
            module.__dict__["training"] = mode
        return self

    def eval(self) -> Self:
        """Put the module and all below it in evaluation mode; returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze or thaw all parameters; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def initialize(self, seed: int | None = None) -> Self:
        """Draw every parameter anew and reset the buffers; constants stay. Returns self.

        A parameter is drawn from its initialiser (one that was given as an array keeps its value), in the order of
        ``named_parameters()``, from NumPy's Philox: the same seed gives the same values on every backend. Lazy ones
        follow when their shape is known.

        Args:
            seed: fixes the values; by default they come from the generator that ``um.seed`` resets.
        """
        stream = _random.reserve() if seed is None else (_random.check_seed(seed),)
        for index, variable in enumerate(v for _, v in self.named_variables()):
            if not isinstance(variable, Constant):
                if variable.init is not None:
                    variable.restart((*stream, index))
            elif not variable.has_value:
                variable.restart((*stream, index))
        return self

    # ------------------------------------------------------------------ backend, device, dtype
    @property
    def backend(self) -> str | None:
        """The name of the backend that the net is bound to, or None."""
        return None if self._backend is None else self._backend.info.name

    @property
    def device(self) -> str | None:
        """The device that the net is on ("cpu", "gpu:0"), or None."""
        return self._device

    @property
    def dtype(self) -> str:
        """The net's float dtype."""
        return self._dtype or dtypes.DEFAULT_FLOAT

    def to(self, backend: str | None = None, *, device: str | None = None, dtype: Any = None) -> Self:
        """Bind the net to a backend, or move it to another backend, device or float dtype, in place; returns self.

        Values stay the same (to the precision of the dtype); parameters without a value are drawn. All values are
        converted before any is replaced, so a failure leaves the net as it was.

        Args:
            backend: a registered backend's name; by default the one it is bound to. With only ``dtype``, an unbound net
                stays unbound; with only ``device`` it is bound to the default backend.
            device: "cpu", "gpu" or "gpu:N"; by default the present one ("cpu" on a new backend).
            dtype: the float dtype for all floating parameters, constants and buffers.

        Raises:
            UnknownBackendError, BackendNotInstalledError: the backend is not there.
            DeviceError: the device is not there; raised before any work.
            DtypeError: ``dtype`` is not a float dtype, or the backend cannot have it.
            ModuleError: modules or parameters are kept in a plain list, tuple or dict.
        """
        float_dtype = None if dtype is None else dtypes.canonical(dtype)
        if float_dtype is not None and not dtypes.is_floating(float_dtype):
            raise DtypeError(f"to() expected a floating dtype, got {float_dtype}")
        with _bind_lock:
            self._check_tree()
            home = self._home(backend)
            if backend is None and home is None and device is None:
                for _, variable in self.named_variables():
                    if float_dtype is not None:
                        variable.retype(float_dtype)
                for module in self.modules():
                    module.__dict__["_dtype"] = float_dtype or module._dtype
                return self
            if backend is None:
                backend = registry.current_backend() if home is None else str(home.backend)
            target = get_backend(backend)
            place = home._device if home is not None and target is home._backend else None
            where = parse_device(target, device) if device is not None else place or "cpu"
            kind = float_dtype or (self if home is None else home)._dtype
            if kind is not None and kind not in target.float_dtypes:
                raise DtypeError(
                    f"backend {target.info.name!r} has no {kind} nets; it has {', '.join(sorted(target.float_dtypes))}"
                )
            self._rebind(target, where, kind)
        return self

    def _home(self, backend: str | None = None) -> Module | None:
        """The module that says where this net is: itself or, while it is not bound, a bound one below it (a new
        Sequential of old layers); of modules on several backends, the one on ``backend``.

        Raises:
            BackendMismatchError: modules below it are bound to several backends.
        """
        if self._backend is not None:
            return self
        bound = {str(m.backend): m for m in self.modules() if m._backend is not None}
        if backend is not None:
            return bound.get(backend)
        if len(bound) > 1:
            raise BackendMismatchError(
                f"{type(self).__name__} holds modules on {' and '.join(bound)}; choose one backend with net.to(...)"
            )
        return next(iter(bound.values()), None)

    def _rebind(self, backend: Backend, device: str, float_dtype: str | None) -> None:
        variables = list(self.named_variables())
        stream: _random.Stream | None = None
        for index, (_, variable) in enumerate(variables):
            if not variable.has_value and variable.stream is None:
                stream = stream or _random.reserve()
                variable.stream = (*stream, index)
        converted = [v.converted(backend, device, float_dtype) for _, v in variables]
        for (_, variable), (value, dtype) in zip(variables, converted, strict=True):
            variable.commit(value, dtype, backend)
        accepted = accepted_types(backend)
        for module in self.modules():
            state = module.__dict__
            state["_backend"], state["_device"] = backend, device
            state["_dtype"] = float_dtype or module._dtype
            state["_accepts"] = _NOTHING if module._lazy else accepted

    def _check_tree(self) -> None:
        for path, module in self.named_modules():
            if "_variables" not in module.__dict__:
                raise _not_initialised(module)
            for name, value in module.__dict__.items():
                if name not in _OWN and (found := _hidden(value)) is not None:
                    where = f"{type(self).__name__}{'.' + path if path else ''}.{name}"
                    raise ModuleError(
                        f"{where} is a plain {type(value).__name__} that holds a {type(found).__name__}, which would "
                        "never be bound, trained or saved; use nn.ModuleList, nn.ModuleDict, nn.ParameterList or "
                        "nn.ParameterDict (or nn.Sequential)"
                    )

    # ------------------------------------------------------------------ the slow way into forward
    def _enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call whose inputs are not all of known types: bind, convert, infer shapes; then run ``forward``."""
        if "_variables" not in self.__dict__:
            raise _not_initialised(self)
        if self._watchers and id(self) in originals.get():
            raise ModuleError(
                f"{type(self).__name__} itself was called where a copy of it holds the values in question, as in a closure "
                "or a lambda kept as an attribute; call the net that the function gets as its argument, or in a module "
                "self.<layer>, else its gradients would be lost"
            )
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
        if kind in _PLAIN:
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
        with _bind_lock:
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
        sizes and flags are attributes of each."""
        if self._lazy and not clone._lazy:
            for name, value in clone.__dict__.items():
                if name not in self._variables and name not in self._modules and not name.startswith("_"):
                    self.__dict__[name] = value
            self.__dict__["_lazy"] = False
            assert self._backend is not None
            self.__dict__["_accepts"] = accepted_types(self._backend)

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
            f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules_or_nothing().items()
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


# ---------------------------------------------------------------------- the call itself
def _call_one(self: Module, input: Any = _MISSING, /, **kwargs: Any) -> Any:
    """``module(x)`` for a forward that takes one input."""
    if type(input) in self._accepts and not kwargs:
        return self.forward(input)
    return self._enter(() if input is _MISSING else (input,), kwargs)


_call_one.__qualname__ = "Module.__call__"  # as Python's own errors name it


def _call_any(self: Module, /, *args: Any, **kwargs: Any) -> Any:
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


def accepted_types(backend: Backend) -> set[type]:
    """The types of arguments that modules bound to ``backend`` take without a second look."""
    return _ACCEPTED.setdefault(backend.info.name, set(_PLAIN))


@contextlib.contextmanager
def clones_only(modules: Iterable[Module]) -> Iterator[None]:
    """Inside the block, calling one of ``modules`` is an error in this thread or task: functional clones run for them.

    To be told of a call, it takes the slow way for the time being, in other threads too, where it goes on as usual.
    """
    watched = list(modules)
    with _bind_lock:
        for module in watched:
            module.__dict__["_watchers"] = module._watchers + 1
            module.__dict__["_accepts"] = _NOTHING
    token = originals.set(originals.get() | {id(m) for m in watched})
    try:
        yield
    finally:
        originals.reset(token)
        with _bind_lock:
            for module in watched:
                module.__dict__["_watchers"] = module._watchers - 1
                if not module._watchers and not module._lazy and module._backend is not None:
                    module.__dict__["_accepts"] = accepted_types(module._backend)


def _takes_one_input(forward: Callable[..., Any]) -> bool:
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


# ---------------------------------------------------------------------- checks
def _not_initialised(module: Module) -> ModuleError:
    kind = type(module).__name__
    return ModuleError(f"{kind}.__init__ did not call super().__init__(); call it first in {kind}.__init__")


def _check_name(module: Module, name: Any) -> None:
    if not isinstance(name, str) or not name or "." in name:
        raise ModuleError(f"a parameter or submodule needs a non-empty name without dots, got {name!r}")
    known = name in module._variables or name in module._modules
    if not known and (name in _OWN or hasattr(type(module), name)):
        raise ModuleError(f"{type(module).__name__}.{name} exists already; choose another name than {name!r}")


def _hidden(value: Any, depth: int = 3) -> Variable | Module | None:
    """A module or variable kept in a plain container, where iteration would not find it."""
    if not depth or not isinstance(value, list | tuple | dict | set):
        return None
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, Variable | Module):
            return item
        if (found := _hidden(item, depth - 1)) is not None:
            return found
    return None


def _follow_bound_methods(module: Module, memo: dict[int, Module]) -> None:
    """In a functional clone, ``self.f = self.layer.forward`` must mean the clone's layer."""
    state = module.__dict__
    for name, value in state.items():
        if isinstance(value, types.MethodType) and id(value.__self__) in memo:
            state[name] = types.MethodType(value.__func__, memo[id(value.__self__)])
