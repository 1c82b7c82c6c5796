"""Where a net is: its backend, device and float dtype; binding, moving and drawing its values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from .. import _random, dtypes, registry
from .._changes import changes
from ..backend import Backend
from ..errors import BackendMismatchError, DtypeError, ModuleError
from ..registry import get_backend, parse_device
from ._attributes import Attributes
from ._tree import NOTHING, OWN, Tree, bind_lock, not_initialised
from .parameter import Constant, Variable

if TYPE_CHECKING:
    from .module import Module

PLAIN: tuple[type, ...] = (type(None), bool, int, float, str)
_ACCEPTED: dict[str, set[type]] = {}


def accepted_types(backend: Backend) -> set[type]:
    """The types of arguments that modules bound to ``backend`` take without a second look. Grows as types are met."""
    return _ACCEPTED.setdefault(backend.info.name, set(PLAIN))


class Placement(Attributes):
    """Backend, device and dtype of a net, and its initial values. See ``Module``."""

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
        with bind_lock:
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
            return cast("Module", self)
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
            state["_accepts"] = NOTHING if module._lazy else accepted
        changes.count += 1

    def _check_tree(self) -> None:
        for path, module in self.named_modules():
            if "_variables" not in module.__dict__:
                raise not_initialised(module)
            for name, value in module.__dict__.items():
                if name not in OWN and (found := _hidden(value)) is not None:
                    where = f"{type(self).__name__}{'.' + path if path else ''}.{name}"
                    raise ModuleError(
                        f"{where} is a plain {type(value).__name__} that holds a {type(found).__name__}, which would "
                        "never be bound, trained or saved; use nn.ModuleList, nn.ModuleDict, nn.ParameterList or "
                        "nn.ParameterDict (or nn.Sequential)"
                    )


def _hidden(value: Any, depth: int = 3) -> Variable | Tree | None:
    """A module or variable kept in a plain container, where iteration would not find it."""
    if not depth or not isinstance(value, list | tuple | dict | set):
        return None
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, Variable | Tree):
            return item
        if (found := _hidden(item, depth - 1)) is not None:
            return found
    return None
