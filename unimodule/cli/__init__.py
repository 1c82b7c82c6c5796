"""The command line: ``unimodule backends``, ``unimodule compare``, ``unimodule summary``.

One file a command; ``_command`` turns errors into one line and an exit status, ``_sources`` reads nets, inputs and
weights as they are named on the command line.
"""

from ._main import main

__all__ = ["main"]
