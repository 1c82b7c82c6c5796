"""Importing MXNet 1.9.1, the last release, beside today's Python and NumPy.

MXNet's Python code asks NumPy for names that NumPy 1.24 and 2.0 took out, and the standard library for
``distutils``, which Python 3.12 took out. Nothing of NumPy's or of ``sys.modules`` is patched to answer it, not
even for a moment, since other threads look at them too: MXNet's own modules run with an ``__import__`` of their
own, which hands them stand-ins for those two modules and leaves everything else to Python.
"""

from __future__ import annotations

import builtins
import ctypes
import importlib
import importlib.abc
import importlib.machinery
import os
import re
import signal
import sys
import threading
import types
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from unimodule.backend import without_greeting

_lock = threading.Lock()


# ---------------------------------------------------------------------- what MXNet's modules get to see
def _removed(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"numpy.{name} is gone from NumPy, and MXNet cannot use it any more")

    function.__name__ = name
    return function


_REMOVED_FROM_NUMPY: dict[str, Any] = {
    "bool": np.bool_,
    "int": int,
    "float": float,
    "object": object,
    "NaN": np.nan,
    "NAN": np.nan,
    "Inf": np.inf,
    "PINF": np.inf,
    "NINF": -np.inf,
    "PZERO": 0.0,
    "NZERO": -0.0,
    "alltrue": np.all,
    "sometrue": np.any,
    "product": np.prod,
    "round_": np.round,
    "in1d": np.isin,
    "msort": lambda a: np.sort(a, axis=0),
    "compat": types.SimpleNamespace(basestring=str),
    **{name: _removed(name) for name in ("mirr", "npv", "pmt", "ppmt", "pv", "rate", "trapz")},
}


class _NumPy(types.ModuleType):
    """NumPy as MXNet knew it: the real one first, then the names that are gone."""

    def __getattr__(self, name: str) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names on their way out
                value = getattr(np, name)
        except AttributeError:
            if name not in _REMOVED_FROM_NUMPY:
                raise
            value = _REMOVED_FROM_NUMPY[name]
        setattr(self, name, value)  # found without this function the next time
        return value


class _Version(tuple[int, ...]):
    """``distutils.version``'s two classes, as far as comparing NumPy's version goes."""

    def __new__(cls, text: str) -> _Version:
        return super().__new__(cls, (int(number) for number in re.findall(r"\d+", text)[:3]))


def _stand_ins() -> dict[str, types.ModuleType]:
    version = types.ModuleType("distutils.version")
    vars(version).update(LooseVersion=_Version, StrictVersion=_Version)
    package = types.ModuleType("distutils")
    vars(package).update(version=version)
    return {"numpy": _NumPy("numpy"), "distutils": package, "distutils.version": version}


# ---------------------------------------------------------------------- the import itself
class _Loader(importlib.machinery.SourceFileLoader):
    """Runs a module of MXNet's with an ``__import__`` that knows the stand-ins."""

    builtins: dict[str, Any]

    def exec_module(self, module: types.ModuleType) -> None:
        vars(module)["__builtins__"] = self.builtins
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        stand_ins = _stand_ins()

        def import_(
            name: str,
            globals: Any = None,
            locals: Any = None,
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> Any:
            if level == 0 and name in stand_ins:
                return stand_ins[name if fromlist else name.partition(".")[0]]
            return builtins.__import__(name, globals, locals, fromlist or (), level)

        self.builtins = {**vars(builtins), "__import__": import_}

    def find_spec(
        self, fullname: str, path: Any, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "mxnet":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            loader = _Loader(spec.loader.name, spec.loader.path)
            loader.builtins = self.builtins
            spec.loader = loader
        return spec


@contextmanager
def _signal_handler_kept() -> Iterator[None]:
    """libmxnet installs a SIGSEGV handler of its own where there is none; put back what there was."""
    sigaction = getattr(ctypes.CDLL(None), "sigaction", None) if os.name == "posix" else None
    if sigaction is None:
        yield
        return
    action = ctypes.create_string_buffer(1024)  # a struct sigaction, some 150 bytes, that nobody looks into
    sigaction(int(signal.SIGSEGV), None, action)
    try:
        yield
    finally:
        sigaction(int(signal.SIGSEGV), action, None)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """MXNet sets variables of OpenMP's when it is imported; by the end of the block they have been read."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _import() -> Any:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        with warnings.catch_warnings(), _signal_handler_kept():
            warnings.simplefilter("ignore")
            return importlib.import_module("mxnet")
    except BaseException:
        for name in [name for name in sys.modules if name.partition(".")[0] == "mxnet"]:
            del sys.modules[name]
        raise
    finally:
        sys.meta_path.remove(finder)


def load() -> Any:
    """The ``mxnet`` module: the one that the process has imported already, else imported here.

    MXNet chooses its engine at its first operation. On a machine without GPUs that is the synchronous
    NaiveEngine, whose errors surface at the call that made them (the threaded engine reports an error later, once,
    and goes on with garbage) and which is faster for small nets; ``MXNET_ENGINE_TYPE`` is respected where it is
    set, and so is an engine already running.
    """
    with _lock, _environment_kept():
        mx = sys.modules.get("mxnet")
        if mx is None or not hasattr(mx, "np"):
            mx = _import()
        if not gpu_count(mx):
            os.environ.setdefault("MXNET_ENGINE_TYPE", "NaiveEngine")
        with without_greeting(rb"\[[\d:]+\] .*MXNet start using engine"):
            mx.nd.zeros(1).wait_to_read()
        return mx


def gpu_count(mx: Any) -> int:
    """How many GPUs MXNet can use. A build without CUDA, or a driver too old for it, is an error to MXNet."""
    try:
        return int(mx.context.num_gpus())
    except mx.MXNetError:
        return 0


mx = load()


# ---------------------------------------------------------------------- shapes as NumPy's, in every thread
class _Thread(threading.local):
    """Zero-size and 0-d arrays need MXNet's NumPy shapes, a switch of each thread's own: the first look at
    ``ready`` in a thread turns it on, and every later one costs an attribute read.
    """

    def __init__(self) -> None:
        mx.util.set_np_shape(True)
        self.ready = True


thread = _Thread()
