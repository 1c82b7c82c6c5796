"""Copies definitions out of modules, with all that they use, into one text that stands alone."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass

PACKAGE = __name__.split(".")[0]


@dataclass(frozen=True)
class Definition:
    """A function, class or constant of a module.

    Attributes:
        module: where it is defined.
        name: what it is called.
        source: its text.
        uses: the names that occur in it.
    """

    module: str
    name: str
    source: str
    uses: frozenset[str]


@dataclass(frozen=True)
class Contents:
    """What a module defines and imports, by name: imported are a module of this package, or a line of text."""

    defined: dict[str, Definition]
    inside: dict[str, str]
    outside: dict[str, str]


@functools.cache
def contents(module: str) -> Contents:
    """What is in a module."""
    source = inspect.getsource(importlib.import_module(module))
    found = Contents({}, {}, {})
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ImportFrom):
            _imported(module, statement, found)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                found.outside[alias.asname or alias.name] = f"import {_shown(alias)}"
        elif isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign):
            for name in _targets(statement):
                found.defined[name] = Definition(module, name, _text(source, statement), _names(statement))
    return found


def _imported(module: str, statement: ast.ImportFrom, found: Contents) -> None:
    home = statement.module or ""
    if statement.level:
        parts = module.split(".")[: -statement.level]
        home = ".".join([*parts, home] if home else parts)
    for alias in statement.names:
        if home.split(".")[0] == PACKAGE:
            found.inside[alias.asname or alias.name] = home
        elif home != "__future__":
            found.outside[alias.asname or alias.name] = f"from {home} import {_shown(alias)}"


def _shown(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _targets(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Assign):
        return [
            node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)
        ]
    if isinstance(statement, ast.AnnAssign):
        return [statement.target.id] if isinstance(statement.target, ast.Name) else []
    return [statement.name] if isinstance(statement, ast.ClassDef | ast.FunctionDef) else []


def _text(source: str, statement: ast.stmt) -> str:
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
    return "\n".join(source.splitlines()[first - 1 : statement.end_lineno])


def _names(statement: ast.stmt) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(statement) if isinstance(node, ast.Name))


def inlined(roots: Iterable[tuple[str, str]]) -> tuple[list[str], str]:
    """Import lines and definitions, in an order in which they can run, of some names and all that they use.

    Args:
        roots: modules of this package, and names in them.

    Raises:
        ValueError: two modules define the same name differently.
    """
    imports: set[str] = set()
    found: dict[str, Definition] = {}
    ordered: list[str] = []

    def need(module: str, name: str) -> None:
        here = contents(module)
        if name in here.inside:
            need(here.inside[name], name)
        elif name in here.outside:
            imports.add(here.outside[name])
        elif name in here.defined:
            definition = here.defined[name]
            if name not in found:
                found[name] = definition
                for used in sorted(definition.uses - {name}):
                    need(module, used)
                ordered.append(definition.source)
            elif found[name].source != definition.source:
                raise ValueError(f"{module} and {found[name].module} both define {name}")

    for module, name in roots:
        need(module, name)
    return sorted(imports), "\n\n\n".join(dict.fromkeys(ordered))


__all__ = ["Contents", "Definition", "contents", "inlined"]
