"""``python -m unimodule_conformance.faults``: show that every fault is live, or write the page of the documentation."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import FAULTS
from .hunting import not_live
from .runner import Mutants
from .telling import page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 1 where a fault is not live."""
    parser = argparse.ArgumentParser(prog="python -m unimodule_conformance.faults", description=__doc__)
    parser.add_argument("--write", nargs=2, metavar=("PAGE", "RESULTS"), type=Path, help="from mutants.json")
    parser.add_argument("--only", action="append", help="part of the name of faults; may be given again")
    chosen = parser.parse_args(arguments)
    if chosen.write:
        to, results = chosen.write
        to.write_text(page(Mutants.from_json(results.read_text(encoding="utf-8"))), encoding="utf-8")
        return 0
    dead = 0
    for fault in FAULTS:
        if chosen.only and not any(part in fault.name for part in chosen.only):
            continue
        with fault.around():
            why = not_live(fault)
        dead += bool(why)
        print(f"{'live' if not why else 'NOT LIVE'}  {fault.name}{': ' + why if why else ''}")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
