"""The first thing that runs in a worker, under whatever interpreter: makes the parent's packages importable, and no others.

Run as a file, with the standard library alone. The first line of standard input says, as JSON, where the packages are that
this process is to have from the one that started it (unimodule and one adapter); all else is this interpreter's own. They
are found by name, and not by a folder on ``sys.path``, since the parent's folder may hold another Python's packages too.
Messages go through a copy of standard output; what frameworks print there goes to standard error.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
from importlib.machinery import ModuleSpec


class Packages(importlib.abc.MetaPathFinder):
    """Finds some packages in the folders that they are in."""

    def __init__(self, folders: dict[str, str]) -> None:
        self.folders = folders

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of one of the packages."""
        folder = self.folders.get(fullname)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )


def main() -> None:
    """Read where the packages are, then hand over to the ``main`` of the module that the parent named."""
    sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]
    faulthandler.enable()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    first = json.loads(sys.stdin.buffer.readline())
    sys.meta_path.insert(0, Packages(first["packages"]))
    if sys.version_info < (3, 11):  # noqa: UP036 (whatever interpreter the user named)
        sys.exit("unimodule needs Python 3.11 or newer, this is " + sys.version.split()[0])
    try:
        import ml_dtypes  # noqa: F401
        import numpy  # noqa: F401 # type: ignore[unused-ignore]
        import safetensors.numpy  # noqa: F401
    except ImportError as error:
        sys.exit(f"{error}; run: {sys.executable} -m pip install numpy safetensors ml_dtypes")
    importlib.import_module(first["worker"]).main(sys.stdin.buffer, out, first)


if __name__ == "__main__":
    main()
