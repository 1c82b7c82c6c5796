"""Runs the Python code blocks of one Markdown page, in order, in one namespace. Run by test_code_blocks.py as a script.

A statement of one expression may carry what it evaluates to, behind it or on a line of its own below:
``net.backend  # -> 'jax'``.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import os
import re
import sys
import tempfile
import traceback
import types
import warnings
from pathlib import Path

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_EXPECTED = re.compile(r"#\s*->\s*(.*\S)\s*$")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: the line its code starts at, its language, what it requires, and its code."""

    line: int
    language: str
    requires: tuple[str, ...]
    code: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, *options = match["info"].split() or [""]
        settings = dict(option.partition("=")[::2] for option in options)
        if unknown := settings.keys() - {"requires"}:
            raise ValueError(f"{page.name}: a fence says {', '.join(unknown)}; only requires= is known")
        required = tuple(filter(None, settings.get("requires", "").split(",")))
        line = text.count("\n", 0, match.start("code")) + 1
        found.append(Block(line, language, required, match["code"]))
    return found


def missing(block: Block) -> list[str]:
    """What a block requires and is not installed: backends by name, other things by import name."""
    from unimodule import registry

    infos = registry.infos()
    names = {name: infos[name].framework if name in infos else name for name in block.requires}
    return [name for name, package in names.items() if importlib.util.find_spec(package) is None]


def run(block: Block, page: Path, namespace: dict[str, object]) -> None:
    """Run one block; raises what it raises, and AssertionError where a value is not the one written beside it."""
    lines = block.code.splitlines()
    padded = "\n" * (block.line - 1) + block.code  # so that tracebacks give the page's line numbers
    for node in ast.parse(padded, str(page)).body:
        end = (node.end_lineno or 1) - block.line
        below = lines[end + 1] if end + 1 < len(lines) and lines[end + 1].startswith("# ->") else ""
        comment = _EXPECTED.search(lines[end]) or _EXPECTED.search(below)
        if isinstance(node, ast.Expr) and comment:
            value = eval(compile(ast.Expression(node.value), str(page), "eval"), namespace)
            shown = " ".join(repr(value).split())
            assert shown == comment[1], f"line {node.lineno} says {comment[1]}, got {shown}"
        else:
            exec(compile(ast.Module([node], []), str(page), "exec"), namespace)


def main(page: Path) -> dict[int, str | None]:
    """Line of each Python block -> None, or why it failed; blocks that lack something are left out."""
    results: dict[int, str | None] = {}
    script = sys.modules["__main__"] = types.ModuleType("__main__")  # as if the blocks were the script
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for block in blocks(page):
            if block.language != "python" or missing(block):
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of the frameworks; ours are errors everywhere else
                    run(block, page, script.__dict__)
                results[block.line] = None
            except Exception:
                results[block.line] = traceback.format_exc()
        os.chdir("/")
    return results


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.write_text(json.dumps(main(Path(sys.argv[1]).resolve())))
