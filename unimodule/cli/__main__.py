"""``python -m unimodule.cli``."""

from . import main

main(prog_name="unimodule")
