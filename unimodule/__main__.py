"""``python -m unimodule``."""

from .cli import main

main(prog_name="unimodule")
