"""Where a class or function comes from, so that another process finds it there: a module's name, or a file."""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import Any

from ..errors import ArgumentError

Origin = dict[str, Any]

SHARED: set[str] = set()
"""Packages that a worker has from the process that started it, wherever they are."""


def origin(value: Any, where: str) -> Origin:
    """Where a class or function is: its module, its name there, and either the folder from which the module is imported
    (None where every interpreter has its own: the standard library, installed packages), or the file to run.

    Raises:
        ArgumentError: it is in no place from which it could be imported.
    """
    module_name = getattr(value, "__module__", None) or "numpy"  # ufuncs have none
    name = getattr(value, "__qualname__", None) or value.__name__
    what = f"{where} is {name} of {module_name}"
    if "<" in name:
        raise ArgumentError(
            f"{what}: a worker under another interpreter can import neither lambdas nor what is defined inside a "
            "function; define it at the top of a module"
        )
    module = sys.modules.get(module_name)
    if module is None or _look_up(module, name) is not value:
        raise ArgumentError(f"{what}, but it is not found there, so that a worker cannot import it")
    file = getattr(module, "__file__", None)
    if file is None and module_name not in sys.builtin_module_names:
        raise ArgumentError(
            f"{what}, which is no file: a worker cannot import what is typed in; save it as a module"
        )
    made: Origin = {"module": module_name, "name": name}
    if file is None or _everywhere(Path(file)):
        return {**made, "folder": None}
    if module_name == "__main__" or not _importable(module_name, file):
        return {**made, "file": str(Path(file).resolve())}
    levels = module_name.count(".") + (Path(file).name == "__init__.py")
    return {**made, "folder": str(Path(file).resolve().parents[levels])}


def _look_up(module: Any, name: str) -> Any:
    found = module
    for step in name.split("."):
        found = getattr(found, step, None)
    return found


@functools.cache
def _everywhere(file: Path) -> bool:
    """Whether a file belongs to Python itself or to an installed package."""
    paths = sysconfig.get_paths()
    return any(file.is_relative_to(paths[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib"))


@functools.cache
def _importable(name: str, file: str) -> bool:
    """Whether a fresh process with the same ``sys.path`` would import this file under that name."""
    top, dot, _ = name.partition(".")
    spec = importlib.machinery.PathFinder.find_spec(top)
    if spec is None:
        return False
    if not dot:
        return spec.origin == file
    return any(Path(file).is_relative_to(folder) for folder in spec.submodule_search_locations or ())


# ---------------------------------------------------------------------- in the other process
def find(place: Origin) -> Any:
    """The class or function.

    Raises:
        ImportError: its module does not import here.
        AttributeError: the module has no such thing.
    """
    if "file" in place:
        module = _run(place["file"])
    else:
        folder, top = place["folder"], place["module"].partition(".")[0]
        if folder is not None and top not in sys.modules and folder not in sys.path:
            sys.path.append(folder)
        module = importlib.import_module(place["module"])
        if folder is not None and top not in SHARED and not Path(str(module.__file__)).is_relative_to(folder):
            raise ImportError(f"{place['module']} is another one here, {module.__file__}")
    found = _look_up(module, place["name"])
    if found is None:
        raise AttributeError(f"{module.__name__} has no {place['name']}")
    return found


@functools.cache
def _run(file: str) -> Any:
    """A file as a module, run once; it finds its neighbours as a script would."""
    path = Path(file)
    spec = importlib.util.spec_from_file_location(f"unimodule_worker_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.append(str(path.parent))
    spec.loader.exec_module(module)
    return module


__all__ = ["SHARED", "Origin", "find", "origin"]
