"""Whether a comparison streams what it watches: the memory of a watched run beside all activations and gradients in it.

    python benchmarks/streaming.py                                # every installed backend, 3 GiB of activations
    python benchmarks/streaming.py --backends torch --gib 4 --limit 1.5

The net is deep and cheap: each layer scales its input, so that a framework need not keep it for the gradient. Each backend
runs it forward and backward in a process of its own with every module watched, as ``um.compare`` does in eager mode, and
what it sends goes to the disk. "peak" is resident memory beyond what there was before, "kept" is what it would be if what
is sent were kept: the same run with a quarter of the layers, whose messages are held. Frameworks that hold all inputs for
the gradient show that as their own: "bare". ``--limit`` ends a run that takes so many GiB more (``RLIMIT_DATA``).
The reference is not in this: it runs by itself, in float64, and needs several times the memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from processes import alone
from tables import installed

WIDTH = 1 << 18
"""Floats in one activation: 1 MiB."""
WAYS = ("streamed", "kept", "bare")


def run(backend: str, layers: int, way: str, limit: float | None) -> dict[str, Any]:
    """One run in this process; what it took at its peak."""
    from unimodule import nn
    from unimodule.comparison.collect import Collected
    from unimodule.comparison.measure import GRADIENT, Case
    from unimodule.comparison.memory import peak
    from unimodule.comparison.perform import Plan, perform
    from unimodule.comparison.places import Place
    from unimodule.comparison.spill import Spill

    class Scale(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 0.999

    class Sink:
        """Keeps every array."""

        def __init__(self) -> None:
            self.status, self.message = "ok", ""
            self.kept: list[Any] = []

        def __call__(self, message: dict[str, Any], arrays: Sequence[Any] = ()) -> None:
            if message["what"] in ("ended", "failed"):
                self.status, self.message = message["status"], message["message"]
            self.kept.append(arrays)

    def perform_on(depth: int, send: Any, watch: bool) -> None:
        net = nn.Sequential(*(Scale() for _ in range(depth))).to("numpy")
        x = np.ones((WIDTH // 1024, 1024), "float32")
        plan = Plan(("eager",), ((GRADIENT, False),), (), watch, 0)
        perform(Place(backend, backend), net, Case((x,)), plan, send)

    perform_on(3, Sink(), True)  # what is loaded on first calls only
    if limit is not None:
        limit_memory(limit)
    with Spill(memory=0) as spill:
        sink = Collected(spill) if way == "streamed" else Sink()
        start = time.perf_counter()
        with peak() as most:
            perform_on(layers, sink, way != "bare")
        seconds = time.perf_counter() - start
    failures = [failure for mode in getattr(sink, "modes", {}).values() for failure in mode.failures]
    if sink.status != "ok" or failures:
        return {"error": sink.message or failures[0][2], "activations": layers * WIDTH * 4}
    return {"peak": most.bytes, "activations": layers * WIDTH * 4, "seconds": seconds}


def limit_memory(gib: float) -> None:
    """Let the process take so much private memory beyond what it has."""
    import resource

    with open("/proc/self/status") as file:
        has = next(int(line.split()[1]) for line in file if line.startswith("VmData")) * 1024
    most = has + int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


# ---------------------------------------------------------------------- the command line
def in_a_process(backend: str, layers: int, way: str, limit: float | None) -> dict[str, Any]:
    limited = [] if limit is None else ["--limit", str(limit)]
    return alone(__file__, way, "--backends", backend, "--layers", str(layers), *limited)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", help="separated by commas (default: all that are installed)")
    parser.add_argument("--gib", type=float, default=3.0, help="of activations, in all (default: 3)")
    parser.add_argument("--limit", type=float, help="GiB of memory that a watched run may take")
    parser.add_argument("--layers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--here", choices=WAYS, help="one run, in this process (used by the program itself)")
    options = parser.parse_args()
    layers = options.layers or int(options.gib * 2**30 / (WIDTH * 4))
    if options.here:
        print(json.dumps(run(options.backends, layers, options.here, options.limit)))
        return
    names = options.backends.split(",") if options.backends else [*installed(), "numpy"]
    failed = False
    print(f"{'':12}{'activations':>14}{'peak':>10}{'of them':>9}{'bare':>9}{'kept':>9}{'time':>9}")
    for backend in names:
        ways: dict[str, Callable[[], dict[str, Any]]] = {
            "streamed": lambda name=backend: in_a_process(name, layers, "streamed", options.limit),
            "bare": lambda name=backend: in_a_process(name, layers, "bare", None),
            "kept": lambda name=backend: in_a_process(name, layers // 4, "kept", None),
        }
        found = {way: call() for way, call in ways.items()}
        if errors := [f"{way}: {row['error']}" for way, row in found.items() if "error" in row]:
            failed = True
            print(f"{backend:12}{'; '.join(errors)}", flush=True)
            continue
        shares = {way: row["peak"] / row["activations"] for way, row in found.items()}
        row = found["streamed"]
        print(
            f"{backend:12}{row['activations'] / 2**30:10.2f} GiB{row['peak'] / 2**20:6.0f} MiB"
            f"{shares['streamed']:9.2f}{shares['bare']:9.2f}{shares['kept']:9.2f}{row['seconds']:7.1f} s",
            flush=True,
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
