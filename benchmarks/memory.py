"""Memory of a net and of its training, beside what is written by hand in PyTorch and JAX: at most 1.05 times as much.

    python benchmarks/memory.py                           # PyTorch and JAX
    python benchmarks/memory.py --backends jax --width 2048

An MLP of three layers with Adam, at batch 8, so wide that parameters and optimiser are nearly all there is. "held" is
resident memory beyond what there was before the net, after three compiled calls; "peak" the most during ten training
steps, after three that are not looked at. Each way runs in a process of its own. In units of the parameters' size,
PyTorch's by-hand step cannot take less than 4: parameters, their gradients and two moments.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from processes import alone

from unimodule.comparison.memory import peak

WAYS = {
    "torch": ("by hand", "unimodule"),
    "jax": ("by hand", "unimodule", "by hand, donated", "unimodule, donated"),
}
ROWS, LR = 8, 1e-3
Call = Callable[[], Any]


def sizes(width: int) -> list[tuple[int, int]]:
    """Inputs and outputs of each layer."""
    return [(width, width), (width, width), (width, 10)]


# ---------------------------------------------------------------------- by hand
def torch_by_hand(width: int, train: bool, donated: bool) -> Call:
    import torch
    from torch import nn

    layers = [nn.Linear(*size) for size in sizes(width)]
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    x, y = torch.ones(ROWS, width), torch.zeros(ROWS, dtype=torch.int64)
    if not train:
        fast = torch.compile(net, fullgraph=True, dynamic=False)

        def call() -> Any:
            with torch.no_grad():
                return fast(x)

        return call
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), lr=LR, foreach=True)
    loss_of = torch.compile(lambda: criterion(net(x), y), fullgraph=True, dynamic=False)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def jax_by_hand(width: int, train: bool, donated: bool) -> Call:
    import jax
    import jax.numpy as jnp

    def drawn() -> Any:
        rng = np.random.default_rng(0)
        weights = [rng.normal(size=size[::-1]).astype("float32") / size[0] for size in sizes(width)]
        return [(jnp.asarray(w), jnp.zeros(len(w))) for w in weights]

    x, y = jnp.ones((ROWS, width)), jnp.zeros(ROWS, "int32")

    def apply(p: Any, x: Any) -> Any:
        for w, b in p[:-1]:
            x = jax.nn.relu(x @ w.T + b)
        return x @ p[-1][0].T + p[-1][1]

    if not train:
        p, fast = drawn(), jax.jit(apply)
        return lambda: fast(p, x).block_until_ready()

    def loss(p: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(apply(p, x)), y[:, None], 1).mean()

    def update(state: Any) -> Any:
        p, m, v, t = state
        value, g = jax.value_and_grad(loss)(p)
        t = t + 1
        m = jax.tree.map(lambda m, g: m + 0.1 * (g - m), m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        size, correction = LR / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
        p = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) * correction + 1e-8), p, m, v)
        return value, (p, m, v, t)

    run = jax.jit(update, donate_argnums=0) if donated else jax.jit(update)
    p = drawn()
    state = [(p, *(jax.tree.map(jnp.zeros_like, p) for _ in range(2)), jnp.zeros(()))]

    def step() -> Any:
        value, state[0] = run(state[0])
        return jax.block_until_ready(value)

    return step


# ---------------------------------------------------------------------- ours
def ours(backend: str, width: int, train: bool, donated: bool) -> Call:
    import unimodule as um
    from unimodule import nn, ops, optim

    layers = [nn.Linear(*size) for size in sizes(width)]
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]).to(backend)
    x = ops.asarray(np.ones((ROWS, width), "float32"), backend=backend)
    if not train:
        fast = um.compile(net)
        return lambda: um.to_numpy(fast(x))
    y = ops.asarray(np.zeros(ROWS, "int64" if backend == "torch" else "int32"), backend=backend)
    options = {"donate": True} if donated else {}
    step = um.train_step(net, nn.CrossEntropyLoss(), optim.Adam(net.parameters(), lr=LR), **options)
    return lambda: um.to_numpy(step(x, y))


# ---------------------------------------------------------------------- measuring
def measure(backend: str, way: str, width: int, train: bool) -> dict[str, Any]:
    """One way in this process, in units of the parameters' size."""
    hand = {"torch": torch_by_hand, "jax": jax_by_hand}[backend]
    make = hand if way.startswith("by hand") else lambda *a: ours(backend, *a)
    donated = way.endswith("donated")
    for _ in range(4):
        make(16, train, donated)()  # what is loaded, or compiled, the first time
    gc.collect()
    before = resident()
    call = make(width, train, donated)
    for _ in range(3):
        call()
    gc.collect()
    held = resident() - before
    with peak() as most:
        for _ in range(10):
            call()
    unit = 4 * sum(a * b + b for a, b in sizes(width))
    return {"held": held / unit, "peak": ((most.total or 0) - before) / unit}


def resident() -> int:
    """Bytes of this process in memory."""
    with peak() as now:
        pass
    return now.total or 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", default=",".join(WAYS), help="separated by commas")
    parser.add_argument("--width", type=int, default=4096, help="of the layers (default: 4096)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--here", nargs=3, help="backend, way and what, in this process (used by the program)"
    )
    options = parser.parse_args()
    if options.here:
        backend, way, what = options.here
        print(json.dumps(measure(backend, way, options.width, what == "training")))
        return
    rows: dict[str, dict[str, Any]] = {}
    for backend in options.backends.split(","):
        for way in WAYS[backend]:
            for what, field in (("calls", "held"), ("training", "peak")):
                if what == "calls" and way.endswith("donated"):
                    continue
                found = alone(__file__, backend, way, what, "--width", str(options.width))
                rows[f"{backend}, {way}, {what}"] = found
                if not options.json:
                    text = found.get("error") or f"{field} {found[field]:.2f}"
                    print(f"{backend:8}{way:20}{what:10}{text}", flush=True)
    if options.json:
        print(json.dumps({"width": options.width, "rows": rows}, indent=2))
    sys.exit(any("error" in row for row in rows.values()))


if __name__ == "__main__":
    main()
