"""Docstrings: the examples run, and every public name has what a reader needs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import unimodule
from unimodule import init, nn, ops, optim, registry, train, transforms
from unimodule.backend import Backend, BackendInfo

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
MODULES = [
    "unimodule",
    *(
        m.name
        for m in pkgutil.walk_packages(unimodule.__path__, "unimodule.")
        if not m.name.endswith(".__main__")
    ),
]


class _Finder(doctest.DocTestFinder):
    """One that knows a decorated function for the module's own."""

    def _from_module(self, module, object):
        return super()._from_module(module, inspect.unwrap(object) if callable(object) else object)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, monkeypatch):
    """On the reference backend, so that they run where no framework is installed."""
    module = importlib.import_module(name)
    monkeypatch.setattr(registry, "_default", "numpy")
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    report: list[str] = []
    for test in _Finder(exclude_empty=True).find(module, name):
        runner.run(test, out=report.append)
    assert not report, "".join(report)


# ---------------------------------------------------------------------- completeness
def _public(module: ModuleType) -> dict[str, object]:
    """The functions and classes that a namespace offers, by qualified name."""
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    return {
        f"{module.__name__}.{name}": value
        for name in names
        if inspect.isroutine(value := getattr(module, name)) or inspect.isclass(value)
        if value.__module__.startswith("unimodule")
    }


def _needs_an_example(value: object) -> bool:
    """Not where one line says it all (``sin``), nor an error, nor a base class that others derive from."""
    if inspect.isclass(value) and (issubclass(value, Exception) or value in BASES):
        return False
    return len(inspect.getdoc(value).splitlines()) > 1


BASES = (Backend, BackendInfo, nn.RNNBase, nn.RNNCellBase, optim.Optimizer, transforms.Gradients)
PUBLIC = {
    name: value
    for module in (ops, nn, nn.functional, init, optim, train, transforms, registry)
    for name, value in _public(module).items()
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_what_it_is(name):
    assert (PUBLIC[name].__doc__ or "").strip(), f"{name} has no docstring"


@pytest.mark.parametrize("name", [n for n, value in PUBLIC.items() if _needs_an_example(value)])
def test_what_takes_a_paragraph_has_an_example(name):
    assert ">>>" in PUBLIC[name].__doc__, f"{name} has no example"
