"""One process for each backend, and one table of all that they measured."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from cases import CASES, Case, Hand
from processes import alone
from timing import Timing

Rows = dict[str, dict[str, Any]]
"""By case: "low_us" of every contender, and "ratios" of unimodule to each of the others."""

BACKENDS = ("torch", "jax", "tensorflow", "mxnet")


def by_hand(backend: str, case: Case) -> Hand:
    """What was written by hand on a backend."""
    hand: Hand = importlib.import_module(f"by_hand_{backend}").by_hand(case)
    return hand


def row(times: dict[str, Timing]) -> dict[str, Any]:
    """What is kept of the times of a case."""
    own = times["unimodule"]
    return {
        "low_us": {name: timing.low * 1e6 for name, timing in times.items()},
        "ratios": {name: vars(own.ratio(timing)) for name, timing in times.items() if name != "unimodule"},
    }


def main(script: str, text: str, measure: Callable[[str, str, float], Rows]) -> None:
    """The command line of a benchmark."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", help="separated by commas (default: all that are installed)")
    parser.add_argument("--cases", action="append", choices=CASES, help="may be repeated; by default all")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="for each contender of a case (default: 2)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--here", action="store_true", help="in this process (used by the program itself)")
    options = parser.parse_args()
    cases = options.cases or list(CASES)
    names = options.backends.split(",") if options.backends else installed()
    if options.here:
        from unimodule import registry

        for name in names:
            rows: Rows = {}
            for case in cases:
                rows |= measure(name, case, options.seconds)
            version = registry.get_backend(name).version()
            print(json.dumps({"backend": name, "version": version, "cases": rows}))
        return
    results = [in_a_process(script, name, cases, options.seconds) for name in names]
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    if options.json:
        print(json.dumps({"machine": machine, "results": results}, indent=2))
        return
    show(results)
    print(
        f"\n{machine}; by hand and unimodule: 10 % quantiles; ratios: medians of turns (and quartiles), and of quantiles"
    )
    if any("error" in result for result in results):
        sys.exit(1)


def installed() -> list[str]:
    from unimodule import registry

    return [name for name in BACKENDS if registry.installed(name)]


def in_a_process(script: str, backend: str, cases: list[str], seconds: float) -> dict[str, Any]:
    """``measure`` in a process of its own, with one thread."""
    chosen = [word for case in cases for word in ("--cases", case)]
    found = alone(script, "--backends", backend, "--seconds", str(seconds), *chosen)
    return {"backend": backend, "cases": {}} | found


def show(results: list[dict[str, Any]]) -> None:
    """All ratios of unimodule to what was written by hand."""
    print(
        f"{'':26}{'contender':30}{'contender':>12}{'unimodule':>12}{'ratio':>8}{'quartiles':>14}{'of lows':>9}"
    )
    for result in results:
        print(f"\n{result['backend']} {result.get('version', result.get('error'))}")
        for case, found in result["cases"].items():
            own = found["low_us"]["unimodule"]
            for name, r in found["ratios"].items():
                spread = f"{r['lower']:.2f}-{r['upper']:.2f}"
                print(
                    f"  {case:24}{name:30}{found['low_us'][name]:9.1f} us{own:9.1f} us"
                    f"{r['median']:8.2f}{spread:>14}{r['low']:9.2f}"
                )
