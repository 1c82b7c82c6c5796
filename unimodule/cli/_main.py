"""The ``unimodule`` command."""

from __future__ import annotations

import os

import click

from .. import __version__
from .backends import backends
from .compare import compare
from .summary import summary


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unimodule")
def main() -> None:
    """Neural nets written once, run on every framework.

    Exit status: 0 where all is well, 1 where backends disagree, 2 where a command could not be carried out.
    """
    # Read when TensorFlow is imported; what its C++ code logs below errors concerns nobody here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


for command in (backends, compare, summary):
    main.add_command(command)
