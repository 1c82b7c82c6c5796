"""Assignment to a module's attributes: how parameters and submodules are registered, and buffers and parameters set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .. import dtypes
from .._changes import changes
from ..errors import BackendMismatchError, DtypeError, ModuleError, ShapeError
from ..ops._dispatch import kernel
from ..ops._staging import refuse_assignment
from ..registry import find_backend
from ._tree import NOTHING, OWN, Tree, not_initialised
from .parameter import Buffer, Constant, Parameter, Variable

if TYPE_CHECKING:
    from .module import Module


class Attributes(Tree):
    """Attributes that are parameters, constants, buffers and modules. See ``Module``."""

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if isinstance(value, Variable | Tree):
            if "_variables" not in state:
                raise ModuleError(
                    f"{type(self).__name__}.{name} is assigned before super().__init__() was called; "
                    f"call super().__init__() first in {type(self).__name__}.__init__"
                )
            if isinstance(value, Variable):
                self._register_variable(name, value)
            else:
                self._register_module(name, cast("Module", value))
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
        if not self._functional:
            changes.count += 1  # when it is done: who saw the count before may have seen the old value

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is not there, so it costs nothing where all is well.
        if name in OWN:
            raise not_initialised(self)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        variable = self._variables.pop(name, None)
        if variable is not None:
            variable.detach(self, name)
        self._modules.pop(name, None)
        object.__delattr__(self, name)
        changes.count += 1

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
            self.__dict__["_accepts"] = NOTHING
        if self._backend is not None and variable._backend is not self._backend:
            self._place(variable)
        variable.attach(self, name)
        changes.count += 1

    def _register_module(self, name: str, module: Module) -> None:
        _check_name(self, name)
        old = self._variables.pop(name, None)
        if old is not None:
            old.detach(self, name)
        self._modules[name] = module
        self.__dict__[name] = module
        if self._backend is not None and not self._functional and module._backend is not self._backend:
            module.to(self._backend.info.name, device=self._device, dtype=self._dtype)
        changes.count += 1

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
            changes.count += 1
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
        refuse_assignment(name)
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
        if not isinstance(module, Tree):
            raise ModuleError(f"add_module({name!r}) expected a Module, got {type(module).__name__}")
        if name not in self._modules and self.__dict__.get(name) is not None:
            raise ModuleError(
                f"{type(self).__name__}.{name} exists already; choose another name than {name!r}"
            )
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


def _check_name(module: Tree, name: Any) -> None:
    if not isinstance(name, str) or not name or "." in name:
        raise ModuleError(f"a parameter or submodule needs a non-empty name without dots, got {name!r}")
    known = name in module._variables or name in module._modules
    if not known and (name in OWN or hasattr(type(module), name)):
        raise ModuleError(f"{type(module).__name__}.{name} exists already; choose another name than {name!r}")
