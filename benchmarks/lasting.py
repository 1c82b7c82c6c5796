"""Whether long runs keep their memory: 20,000 compiled training steps, compiled calls and eager calls on each backend.

    python benchmarks/lasting.py                                  # every installed backend, each run in a process of its own
    python benchmarks/lasting.py --backends jax --calls 1500 --native

A run warms up with a tenth of its calls and is then looked at eight times: the process's memory (resident set) and the
number of live Python objects, after a collection. Allocators take what they need in steps and at first, so growth is the
slope of the later half, by medians (Theil-Sen), times the calls of a whole run. More than ``ROOM`` is growth, and the exit
status 1. ``--native`` runs the same loops in the framework's own words, to tell its leaks from ours.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import statistics
import sys
from collections.abc import Callable
from typing import Any

from processes import alone

ROOM = {"KiB": 4096, "objects": 400}
"""What may come in the course of a whole run: 20,000 calls that lose 210 bytes each are told, or one object in 50."""
RUNS = ("train_step", "compiled", "eager")
BACKENDS = ("torch", "jax", "tensorflow", "mxnet", "numpy")
LOOKS = 8


# ---------------------------------------------------------------------- what is run
def our_run(backend: str, what: str) -> Callable[[], Any]:
    import numpy as np

    import unimodule as um
    from unimodule import nn, ops, optim

    net = nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 4)
    ).to(backend)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 8)).astype("float32")
    if what == "train_step":
        step = um.train_step(net, nn.CrossEntropyLoss(), optim.Adam(net.parameters(), lr=1e-4))
        labels = rng.integers(0, 4, 4)
        return lambda: float(step(x, labels))  # from the host and back, as training has it
    native = ops.asarray(x, backend=backend)
    if what == "compiled":
        fast = um.compile(net)
        return lambda: um.to_numpy(fast(native))
    return lambda: um.to_numpy(net(native))


def native_run(backend: str, what: str) -> Callable[[], Any]:
    """The same without unimodule, but for BatchNorm and Dropout: the MLP of the other benchmarks."""
    from cases import make
    from tables import by_hand

    hand = by_hand(backend, make("MLP, 2"))
    call = next(iter((hand.steps if what == "train_step" else hand.forward).values()))
    return lambda: hand.wait(call())


# ---------------------------------------------------------------------- looking at it
def resident() -> int:
    """The process's memory in KiB."""
    try:
        import psutil
    except ImportError:
        pass
    else:
        return int(psutil.Process().memory_info().rss // 1024)
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak  # the highest so far: growth shows, too


def look() -> dict[str, float]:
    gc.collect()
    return {"KiB": resident(), "objects": len(gc.get_objects())}


def slope(values: list[float]) -> float:
    """The median slope between any two of the values, per value."""
    pairs = itertools.combinations(enumerate(values), 2)
    return statistics.median((b - a) / (j - i) for (i, a), (j, b) in pairs)


def observe(call: Callable[[], Any], calls: int) -> dict[str, Any]:
    """Run it ``calls`` times after a warm-up; what is there at each look, and the growth over all calls."""
    for _ in range(max(100, calls // 10)):
        call()
    looks = [look()]
    for _ in range(LOOKS):
        for _ in range(calls // LOOKS):
            call()
        looks.append(look())
    later = looks[LOOKS // 2 :]
    return {
        "looks": looks,
        "growth": {key: slope([at[key] for at in later]) * LOOKS for key in looks[0]},
    }


def grown(found: dict[str, Any]) -> list[str]:
    """Of what there is more than there was."""
    return [key for key, room in ROOM.items() if found["growth"][key] > room]


# ---------------------------------------------------------------------- one process for each run
def in_a_process(backend: str, what: str, calls: int, native: bool) -> dict[str, Any]:
    words = ["--backends", backend, "--runs", what, "--calls", str(calls), *["--native"] * native]
    return alone(__file__, *words)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", help="separated by commas (default: all that are installed)")
    parser.add_argument(
        "--runs", default=",".join(RUNS), help=f"separated by commas (default: {','.join(RUNS)})"
    )
    parser.add_argument("--calls", type=int, default=20_000, help="in each run (default: 20,000)")
    parser.add_argument("--native", action="store_true", help="the framework without unimodule")
    parser.add_argument(
        "--here", action="store_true", help="one run, in this process (used by the program itself)"
    )
    options = parser.parse_args()
    runs = options.runs.split(",")
    if options.here:
        make = native_run if options.native else our_run
        print(json.dumps(observe(make(options.backends, runs[0]), options.calls)))
        return
    from unimodule import registry

    names = [
        name for name in BACKENDS if registry.installed(name) and not (options.native and name == "numpy")
    ]
    failed = False
    print(f"{'':24}{'calls':>8}{'memory':>12}{'growth':>12}{'objects':>12}{'growth':>10}")
    for backend in options.backends.split(",") if options.backends else names:
        for what in runs:
            found = in_a_process(backend, what, options.calls, options.native)
            failed |= "error" in found or bool(grown(found))
            if "error" in found:
                print(f"{backend:11}{what:13}{found['error']}")
                continue
            last, growth = found["looks"][-1], found["growth"]
            print(
                f"{backend:11}{what:13}{options.calls:8}{last['KiB'] / 1024:8.0f} MiB{growth['KiB']:8.0f} KiB"
                f"{last['objects']:12.0f}{growth['objects']:10.0f}  {', '.join(grown(found)) and 'GROWS'}",
                flush=True,
            )
    sys.exit(failed)


if __name__ == "__main__":
    main()
