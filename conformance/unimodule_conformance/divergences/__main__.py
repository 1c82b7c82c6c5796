"""``python -m unimodule_conformance.divergences``: check the rows, print a witness, write the page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..running.known import witness
from . import DIVERGENCES
from .table import page, script


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 1 where a witness shows no longer."""
    parser = argparse.ArgumentParser(prog="python -m unimodule_conformance.divergences", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="run the witnesses (the default)")
    what.add_argument("--show", metavar="ID", help="print a witness as a script that stands alone")
    what.add_argument("--write", metavar="FILE", type=Path, help="write the page of the documentation")
    parser.add_argument("--backend", action="append", help="only the rows of this one; may be given again")
    chosen = parser.parse_args(arguments)
    rows = [row for row in DIVERGENCES if not chosen.backend or row.backend in chosen.backend]
    if chosen.write:
        chosen.write.write_text(page(DIVERGENCES), encoding="utf-8")
        return 0
    if chosen.show:
        found = [row for row in rows if row.id == chosen.show]
        if not found:
            parser.error(f"there is no row {chosen.show!r}")
        print(script(found[0]))
        return 0
    verdicts = [witness(row) for row in rows]
    for verdict in verdicts:
        if not verdict.ok:
            print(f"{verdict.id}: {verdict.verdict}\n{verdict.message}")
    shown = sum(verdict.verdict == "shows" for verdict in verdicts)
    elsewhere = sum(verdict.verdict == "elsewhere" for verdict in verdicts)
    print(f"{len(verdicts)} rows: {shown} show, {elsewhere} are of versions that are not installed here")
    return 0 if all(verdict.ok for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
