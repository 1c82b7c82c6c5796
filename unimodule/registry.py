"""Which backends exist, which one is current, and whose tensor an object is.

Backends are found through the entry-point group ``unimodule.backends``; nothing here imports a framework until one is
used. The current backend is, in this order: the innermost ``use_backend`` of the thread or task, ``set_backend``, the
environment variable ``UNIMODULE_BACKEND``, the installed backend of lowest priority number.
"""

from __future__ import annotations

import contextvars
import dataclasses
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .backend import Backend, BackendInfo, Tensor
from .errors import BackendNotInstalledError, DeviceError, UnimoduleError, UnknownBackendError

ENTRY_POINT_GROUP = "unimodule.backends"
ENVIRONMENT_VARIABLE = "UNIMODULE_BACKEND"

_lock = threading.RLock()
_infos: dict[str, BackendInfo] | None = None
_failed: dict[str, str] = {}
_loaded: dict[str, Backend] = {}
_NO_TENSORS: tuple[type, ...] = (bool, int, float, complex, str, type(None), list, tuple, dict)
_by_type: dict[type, Backend | None] = dict.fromkeys(_NO_TENSORS)
_lookups: list[Callable[[], object]] = []
_seed: int | None = None
_rng_states: dict[str, dict[str, Any]] = {}  # of backends that are not in use yet
_default: str | None = None
_override: contextvars.ContextVar[str | None] = contextvars.ContextVar("unimodule_backend", default=None)


# ---------------------------------------------------------------------- finding and loading
def register(info: BackendInfo) -> None:
    """Add a backend by hand, where an entry point is not to be had (a notebook, a test)."""
    with _lock:
        infos()[info.name] = info
        _loaded.pop(info.name, None)
        _by_type.clear()
        _by_type.update(dict.fromkeys(_NO_TENSORS))
        forget_lookups()


def unregister(name: str) -> None:
    """Take back what ``register`` did; the backend's tensors are nobody's from then on."""
    with _lock:
        infos().pop(name, None)
        _loaded.pop(name, None)
        _by_type.clear()
        _by_type.update(dict.fromkeys(_NO_TENSORS))
        forget_lookups()


def adopt(backend: Backend, kind: type) -> None:
    """Make an adapter known by its name and by its type of tensor, and register it nowhere: it is in no list and never
    the default. For an adapter that is made at run time around another.

    Example:
        >>> import dataclasses
        >>> numpy = get_backend("numpy")
        >>> class Watched(type(numpy)):
        ...     info = dataclasses.replace(numpy.info, name="watched")
        >>> class Array: ...
        >>> adopt(Watched(), Array)
        >>> backend_for_type(Array).info.name
        'watched'
    """
    with _lock:
        _loaded[backend.info.name] = backend
        _by_type[kind] = backend


@contextmanager
def replaced(name: str, functions: Mapping[str, Callable[..., Any] | None]) -> Iterator[None]:
    """Inside the block, ops of a backend run by other functions than its adapter's: to try a kernel out, or to plant a
    fault in a test. It holds for the whole process; programs that were compiled before stay what they are.

    Args:
        name: the backend.
        functions: by the name of an op, a function of the signature that ``unimodule.backend`` has for it, or None for
            the op's default composition.

    Raises:
        UnknownBackendError, BackendNotInstalledError: the backend is not there.

    Example:
        >>> import numpy as np, unimodule as um
        >>> with um.registry.replaced("numpy", {"exp": np.cosh}):
        ...     um.ops.exp(np.zeros(2) + 1.0)
        array([1.54308063, 1.54308063])
    """
    backend = get_backend(name)
    had = "functions" in vars(backend)  # of the instance, not of its class
    before = backend.functions
    together = {**before, **functions}
    backend.functions = {op: fn for op, fn in together.items() if fn is not None}
    forget_lookups()
    try:
        yield
    finally:
        if had:
            backend.functions = before
        else:
            del backend.functions
        forget_lookups()


def on_forget(forget: Callable[[], object]) -> None:
    """Have ``forget`` called when what was looked up in an adapter, and kept, may no longer hold."""
    _lookups.append(forget)


def forget_lookups() -> None:
    """Have everything looked up again that was kept of adapters' functions and of update rules."""
    for forget in _lookups:
        forget()


def infos() -> dict[str, BackendInfo]:
    """Every registered backend by name, in the order in which a default is looked for."""
    global _infos
    if _infos is None:
        with _lock:
            if _infos is None:
                import importlib.metadata  # slow to import, and not needed before a backend is

                found = []
                for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
                    try:
                        found.append(entry.load())
                    except Exception as error:  # somebody else's broken plugin must not break the import
                        _failed[entry.name] = f"its entry point {entry.value!r} failed: {error}"
                _infos = {i.name: i for i in sorted(found, key=lambda i: (i.priority, i.name))}
    return _infos


def info(name: str) -> BackendInfo:
    """The metadata of one backend.

    Raises:
        UnknownBackendError: there is none of that name.

    Example:
        >>> import unimodule as um
        >>> um.registry.info("numpy").framework
        'numpy'
    """
    try:
        return infos()[name]
    except (KeyError, TypeError):
        why = f": {_failed[str(name)]}" if str(name) in _failed else ""
        raise UnknownBackendError(
            f"no backend is called {name!r}{why}; registered: {', '.join(infos()) or 'none'}"
        ) from None


def installed(name: str) -> bool:
    """Whether the framework behind a backend can be found, without importing it."""
    framework = info(name).framework
    return framework in sys.modules or importlib.util.find_spec(framework) is not None


def get_backend(name: str) -> Backend:
    """The adapter of a backend, imported on first use.

    Raises:
        UnknownBackendError: there is none of that name.
        BackendNotInstalledError: its framework is not installed, or does not import.

    Example:
        >>> import unimodule as um
        >>> um.registry.get_backend("numpy").devices()
        ['cpu']
    """
    try:
        return _loaded[name]
    except (KeyError, TypeError):
        return _load(info(name))


def _load(about: BackendInfo) -> Backend:
    with _lock:
        if about.name in _loaded:
            return _loaded[about.name]
        if not installed(about.name):
            raise BackendNotInstalledError(
                f"backend {about.name!r} needs {about.framework}, which is not installed; run: {about.pip}"
            )
        module_name, _, attribute = about.adapter.partition(":")
        try:
            backend: Backend = getattr(importlib.import_module(module_name), attribute)()
        except UnimoduleError:
            raise
        except Exception as error:
            raise BackendNotInstalledError(
                f"backend {about.name!r} is installed but does not import: {error}; to reinstall: {about.pip}"
            ) from error
        if _seed is not None:
            backend.seed(_seed)
        if (state := _rng_states.pop(about.name, None)) is not None:
            backend.set_rng_state(state)
        _loaded[about.name] = backend
        return backend


def loaded() -> list[Backend]:
    """The backends that have been used so far in this process."""
    return list(_loaded.values())


def seed_all(seed: int) -> None:
    """Seed every backend in use, and those that will be used later."""
    global _seed
    with _lock:
        _seed = seed
        _rng_states.clear()
        for backend in _loaded.values():
            backend.seed(seed)


def rng_states() -> tuple[int | None, dict[str, dict[str, Any]]]:
    """The seed for backends that will be used later, and the random state of each that is in use."""
    global _seed
    with _lock:
        if _seed is None:  # whatever comes into use from now on is to be found again
            _seed = int.from_bytes(os.urandom(8), "little")
        waiting = dict(_rng_states)
        return _seed, waiting | {name: b.rng_state() for name, b in _loaded.items() if name in infos()}


def restore_rng_states(seed: int | None, states: Mapping[str, dict[str, Any]]) -> None:
    """What ``rng_states`` returned, for backends in use and for those that will be used later."""
    global _seed
    with _lock:
        _seed = seed
        _rng_states.clear()
        for name in states.keys() - _loaded.keys():
            _rng_states[name] = states[name]
        for name, backend in _loaded.items():
            if name in states:
                backend.set_rng_state(states[name])
            elif seed is not None:  # it was not in use then, and would have begun with this
                backend.seed(seed)


# ---------------------------------------------------------------------- the current backend
def set_backend(name: str) -> None:
    """Make a backend the process's default for nets that are not bound and data that is NumPy.

    Raises:
        UnknownBackendError, BackendNotInstalledError: it is not there; the default stays as it was.

    Example:
        >>> import unimodule as um
        >>> um.set_backend("numpy"); um.current_backend()
        'numpy'
    """
    global _default
    get_backend(name)
    _default = name


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Make a backend the default inside a ``with`` block, for this thread or task only.

    Example:
        >>> import unimodule as um
        >>> with um.use_backend("numpy"):
        ...     um.backend_of(um.ops.zeros((2,)))
        'numpy'
    """
    get_backend(name)
    token = _override.set(name)
    try:
        yield
    finally:
        _override.reset(token)


def current_backend() -> str:
    """The name of the default backend, as the module's text orders it.

    Example:
        >>> import unimodule as um
        >>> with um.use_backend("numpy"):
        ...     um.current_backend()
        'numpy'
    """
    chosen = _override.get() or _default or os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return info(chosen).name
    for name in infos():
        if installed(name):
            return name
    raise BackendNotInstalledError("no backend is installed; the wheel's own NumPy adapter is missing too")


# ---------------------------------------------------------------------- whose tensor is this
def backend_for_type(kind: type) -> Backend | None:
    """The backend whose tensors are of type ``kind``; None for a type that belongs to none."""
    try:
        return _by_type[kind]
    except KeyError:
        pass
    found: Backend | None = None
    roots = [base.__module__.partition(".")[0] for base in kind.__mro__]
    for about in infos().values():
        # A tensor can only exist where its framework is imported, so loading the adapter costs little here.
        if any(root in about.module_roots for root in roots) and about.framework in sys.modules:
            found = get_backend(about.name)
            break
    _by_type[kind] = found
    return found


def find_backend(x: Any) -> Backend | None:
    """The backend that ``x`` is a tensor of, or None."""
    backend = backend_for_type(type(x))
    return backend if backend is not None and backend.is_tensor(x) else None


def backend_of(x: Tensor) -> str:
    """The name of the backend that a tensor belongs to.

    Raises:
        UnknownBackendError: ``x`` is no tensor of a registered backend.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.backend_of(np.ones(3))
        'numpy'
    """
    backend = find_backend(x)
    if backend is None:
        raise UnknownBackendError(
            f"{type(x).__name__} is not a tensor of a registered backend ({', '.join(infos())})"
        )
    return backend.info.name


def parse_device(backend: Backend, device: str) -> str:
    """A device name as the adapter takes it: "cpu", or "gpu:N" ("gpu" and "cuda" are "gpu:0").

    Raises:
        DeviceError: the name is malformed, or there is no such device.

    Example:
        >>> import unimodule as um
        >>> um.registry.parse_device(um.registry.get_backend("numpy"), "cpu")
        'cpu'
    """
    text = str(device).lower()
    kind, _, index = text.partition(":")
    kind = {"cuda": "gpu"}.get(kind, kind)
    if kind not in ("cpu", "gpu") or (index and not index.isdigit()):
        raise DeviceError(f"{device!r} is not a device name; expected 'cpu', 'gpu' or 'gpu:N'")
    wanted = "cpu" if kind == "cpu" else f"gpu:{int(index or 0)}"
    present = backend.devices()
    if wanted not in present or (kind == "cpu" and int(index or 0)):
        raise DeviceError(
            f"backend {backend.info.name!r} has no device {device!r}; it has {', '.join(present)}"
        )
    return wanted


# ---------------------------------------------------------------------- an overview for people
@dataclasses.dataclass(frozen=True)
class BackendStatus:
    """One row of :func:`backends`: what a backend is and whether it can be used here."""

    name: str
    framework: str
    installed: bool
    version: str | None
    why_not: str | None
    default: bool

    @property
    def devices(self) -> list[str]:
        """Its devices; imports the framework. Empty where it is not installed."""
        return get_backend(self.name).devices() if self.installed else []


def backends() -> list[BackendStatus]:
    """Every known backend with its version, whether it is installed and, if not, what to type. Imports none.

    Example:
        >>> import unimodule as um
        >>> [b.name for b in um.backends() if b.name == "numpy"]
        ['numpy']
    """
    default = current_backend()
    return [
        BackendStatus(
            name=about.name,
            framework=about.framework,
            installed=here,
            version=_version(about) if here else None,
            why_not=None if here else f"{about.framework} is not installed; run: {about.pip}",
            default=about.name == default,
        )
        for about in infos().values()
        for here in [installed(about.name)]
    ]


def _version(about: BackendInfo) -> str | None:
    import importlib.metadata

    for name in about.distribution:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
