"""What all commands share: errors as one line, ``--json``, and frameworks that start up in silence."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from .. import registry
from ..errors import UnimoduleError

DISAGREE, FAILED = 1, 2
"""Exit statuses."""

_DEBUG = "unimodule.debug"


class Command(click.Command):
    """A command whose errors are one line and exit status 2, or a traceback with ``--debug``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        text = "Show the traceback of an error."
        self.params.append(
            click.Option(["--debug"], is_flag=True, expose_value=False, callback=_remember, help=text)
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.meta[_DEBUG]:
                raise
            click.echo(f"Error: {in_one_line(error)}", err=True)
            ctx.exit(FAILED)


def _remember(ctx: click.Context, _: click.Parameter, debug: bool) -> None:
    ctx.meta[_DEBUG] = debug


class InputError(Exception):
    """Something given on the command line is wrong; the text says what, and needs no name of a class before it."""


def in_one_line(error: BaseException) -> str:
    """An error's text without line breaks, with its class's name unless the text is written for people."""
    text = " ".join(str(error).split())
    if isinstance(error, InputError | UnimoduleError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def show(result: Any, data: Any, as_json: bool) -> None:
    """Print a table, or JSON that any parser reads."""
    if as_json:
        click.echo(json.dumps(data, indent=2, allow_nan=False))
        return
    from rich.console import Console

    Console(highlight=False).print(result)


# ---------------------------------------------------------------------- frameworks that talk while they start
def start(names: Iterable[str]) -> dict[str, str]:
    """Import the frameworks of backends; returns why, for each that does not start.

    What they and their C++ code write to standard error meanwhile is dropped; a terminal shows which one is starting.
    """
    from rich.console import Console

    failed = {}
    with _quiet() as stderr, Console(file=stderr).status("") as status:
        for name in names:
            status.update(f"starting {name}")
            try:
                registry.get_backend(name)
            except Exception as error:
                failed[name] = in_one_line(error)
    return failed


@contextmanager
def _quiet() -> Iterator[TextIO]:
    """Drop what is written to file descriptor 2; yields a file that still leads to where it led."""
    sys.stderr.flush()
    with os.fdopen(os.dup(2), "w") as stderr, open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield stderr
        finally:
            sys.stderr.flush()
            os.dup2(stderr.fileno(), 2)
