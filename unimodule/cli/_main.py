"""The ``unimodule`` command."""

from __future__ import annotations

import os
from importlib.metadata import entry_points

import click

from .. import __version__
from .backends import backends
from .bench import bench
from .compare import compare
from .summary import summary

COMMANDS = "unimodule.commands"
"""The entry-point group of commands that other packages bring: ``name = "package.module:click_command"``."""


class Group(click.Group):
    """Our own commands, and those of other packages, which are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All their names."""
        return sorted({*super().list_commands(ctx), *(entry.name for entry in entry_points(group=COMMANDS))})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """One of them; our own come first."""
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        for entry in entry_points(group=COMMANDS, name=name):
            command: click.Command = entry.load()
            self.add_command(command, name)
            return command
        return None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unimodule")
def main() -> None:
    """Neural nets written once, run on every framework.

    Exit status: 0 where all is well, 1 where backends disagree, 2 where a command could not be carried out.
    """
    # Read when TensorFlow is imported; what its C++ code logs below errors concerns nobody here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


for command in (backends, bench, compare, summary):
    main.add_command(command)
