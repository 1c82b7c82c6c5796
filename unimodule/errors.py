"""Every error that unimodule raises, and how an error learns where in a model it happened.

Each class derives from the builtin that a caller would expect to catch (DESIGN: declared semantics), so
``except ValueError`` keeps working. An error raised while a model runs names the module it was raised in: the
constructor looks up the call stack for the innermost and the outermost running ``Module.forward`` and puts the
path between them in front of the message. Nothing is recorded while a model runs well, so this costs nothing.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any


class UnimoduleError(Exception):
    """Base of all errors of this package.

    Attributes:
        module_path: dotted path of the module that was running, relative to the outermost running module, with
            that module's class name in front (``"MLP.hidden"``); ``""`` when no module was running.
    """

    module_path: str

    def __init__(self, message: str) -> None:
        self.module_path, kind = _running_module()
        prefix = f"{self.module_path} ({kind}): " if self.module_path else ""
        super().__init__(prefix + message)


class ShapeError(UnimoduleError, ValueError):
    """A shape, size or axis does not fit."""


class ArgumentError(UnimoduleError, ValueError):
    """An argument has a value that the function or layer does not take."""


class DtypeError(UnimoduleError, TypeError):
    """A dtype is not supported here, or dtypes do not fit together."""


class BackendMismatchError(UnimoduleError, TypeError):
    """Tensors of two backends, or a net of one and a tensor of another, met in one call."""


class ModuleError(UnimoduleError, TypeError):
    """A module is built or used wrongly (no ``super().__init__()``, modules in a plain list)."""


class DeviceError(UnimoduleError, RuntimeError):
    """A device does not exist, or tensors on two devices met in one call."""


class StateDictError(UnimoduleError, ValueError):
    """A state_dict or a state file does not fit the net, or cannot be read."""


class BackendNotInstalledError(UnimoduleError, ImportError):
    """The framework behind a backend cannot be imported."""


class UnknownBackendError(UnimoduleError, ValueError):
    """No adapter of that name is registered."""


class NotSupportedError(UnimoduleError, NotImplementedError):
    """A backend declares that it cannot do this."""


class CompileError(UnimoduleError, RuntimeError):
    """A net or function cannot be compiled as it is written."""


class UninitializedError(UnimoduleError, RuntimeError):
    """A parameter has no value yet: its shape is not known, or the net is not bound."""


class OutOfRangeError(UnimoduleError, IndexError):
    """An integer index is out of range."""


class NonFiniteError(UnimoduleError, FloatingPointError):
    """A loss is infinite or not a number."""


class IntegerRangeError(UnimoduleError, OverflowError):
    """An integer does not fit the integers that a framework computes with."""


def running_modules() -> list[Any]:
    """The modules whose ``forward`` is on this thread's call stack, innermost first."""
    # sys.modules, not an import: errors stand below nn, and without nn loaded no module can be running.
    module_type = getattr(sys.modules.get("unimodule.nn.module"), "Module", None)
    if module_type is None:
        return []
    found: list[Any] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "forward" and code.co_argcount:
            owner = frame.f_locals.get(code.co_varnames[0])
            if isinstance(owner, module_type):
                found.append(owner)
        frame = frame.f_back
    return found


def _running_module() -> tuple[str, str]:
    modules = running_modules()
    if not modules:
        return "", ""
    inner, outer = modules[0], modules[-1]
    kind = type(inner).__name__
    if inner is outer:
        return type(outer).__name__, kind
    for name, module in outer.named_modules():
        if module is inner:
            return f"{type(outer).__name__}.{name}", kind
    return f"{type(outer).__name__}...", kind
