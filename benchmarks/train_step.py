"""What a training step costs beside a loop written by hand in the framework: um.train_step on PyTorch and JAX.

    python benchmarks/train_step.py                      # both, each in a process of its own
    python benchmarks/train_step.py --backends jax --model 'mlp, batch 2' --seconds 5 --json

An MLP (64, 256, 256, 10) at batch 2 and 256 and a small CNN at batch 32, with Adam, from the same weights on the same
batch. By hand means what an expert writes: on PyTorch eager with ``torch.optim.Adam(foreach=True)``, and ``torch.compile``
of a function that computes loss and gradients with the same optimiser behind it; on JAX one ``jax.jit`` of loss, gradients
and update, without and with donated arguments. The learning rate is so small that no variant runs into denormals.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from timing import interleaved

Array = np.ndarray[Any, Any]
Variants = dict[str, Callable[[], Any]]

ONE_THREAD = {
    **dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
OURS = "unimodule"
LR = 1e-6
MODELS = {"mlp, batch 2": 2, "mlp, batch 256": 256, "cnn, batch 32": 32}


def weights_and_batch(model: str) -> tuple[list[Array], Array, Array]:
    rng = np.random.default_rng(0)
    size = MODELS[model]
    if model.startswith("mlp"):
        shapes: list[tuple[int, ...]] = [(256, 64), (256,), (256, 256), (256,), (10, 256), (10,)]
        x = rng.normal(size=(size, 64))
    else:
        shapes = [(16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (10, 32 * 7 * 7), (10,)]
        x = rng.normal(size=(size, 1, 28, 28))
    weights = [(rng.normal(size=s) / np.sqrt(np.prod(s[1:]) or 1)).astype("float32") for s in shapes]
    return weights, x.astype("float32"), rng.integers(0, 10, size)


# ---------------------------------------------------------------------- by hand
def torch_variants(
    model: str, weights: list[Array], x: Array, y: Array
) -> tuple[Variants, Callable[[Any], Any]]:
    import torch
    from torch import nn

    def build() -> Any:
        if model.startswith("mlp"):
            net = nn.Sequential(
                nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
            )
        else:
            net = nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
                nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
            )  # fmt: skip
        with torch.no_grad():
            for parameter, value in zip(net.parameters(), weights, strict=True):
                parameter.copy_(torch.tensor(value))
        return net

    data, target = torch.tensor(x), torch.tensor(y)
    criterion = nn.CrossEntropyLoss()

    def loop(net: Any, forward: Callable[..., Any]) -> Callable[[], Any]:
        optimizer = torch.optim.Adam(net.parameters(), lr=LR, foreach=True)

        def step() -> Any:
            optimizer.zero_grad()
            loss = forward(data, target)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    eager, compiled = build(), build()
    return {
        "eager": loop(eager, lambda a, b: criterion(eager(a), b)),
        "torch.compile": loop(compiled, torch.compile(lambda a, b: criterion(compiled(a), b))),
    }, lambda result: None


def jax_variants(
    model: str, weights: list[Array], x: Array, y: Array
) -> tuple[Variants, Callable[[Any], Any]]:
    import jax
    import jax.numpy as jnp
    from jax import lax

    def conv(h: Any, w: Any, b: Any) -> Any:
        h = lax.conv_general_dilated(h, w, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
        return h + b[:, None, None]

    def pool(h: Any) -> Any:
        return lax.reduce_window(h, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def logits(p: Any, h: Any) -> Any:
        if model.startswith("mlp"):
            h = jax.nn.relu(h @ p[0].T + p[1])
            return jax.nn.relu(h @ p[2].T + p[3]) @ p[4].T + p[5]
        h = pool(jax.nn.relu(conv(h, p[0], p[1])))
        h = pool(jax.nn.relu(conv(h, p[2], p[3])))
        return h.reshape(h.shape[0], -1) @ p[4].T + p[5]

    def loss_of(p: Any, a: Any, b: Any) -> Any:
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits(p, a)), b[:, None], 1))

    def update(state: Any, a: Any, b: Any) -> Any:
        p, m, v, t = state
        loss, g = jax.value_and_grad(loss_of)(p, a, b)
        t = t + 1
        m = [u + 0.1 * (d - u) for u, d in zip(m, g, strict=True)]
        v = [0.999 * u + 0.001 * d * d for u, d in zip(v, g, strict=True)]
        rate, fix = LR / (1 - 0.9**t), (1 - 0.999**t) ** -0.5
        p = [w - rate * u / (jnp.sqrt(s) * fix + 1e-8) for w, u, s in zip(p, m, v, strict=True)]
        return loss, (p, m, v, t)

    data, target = jnp.asarray(x), jnp.asarray(y)

    def loop(**options: Any) -> Callable[[], Any]:
        run = jax.jit(update, **options)
        p = [jnp.array(w) for w in weights]
        state = (p, [jnp.zeros_like(w) for w in p], [jnp.zeros_like(w) for w in p], jnp.float32(0))

        def step() -> Any:
            nonlocal state
            loss, state = run(state, data, target)
            return loss

        return step

    return {
        "jax.jit": loop(),
        "jax.jit, donated": loop(donate_argnums=0),
    }, lambda result: result.block_until_ready()


NATIVE = {"torch": torch_variants, "jax": jax_variants}


# ---------------------------------------------------------------------- ours
def our_variants(backend: str, model: str, weights: list[Array], x: Array, y: Array) -> Variants:
    import unimodule as um
    from unimodule import nn, ops, optim

    data, target = ops.asarray(x, backend=backend), ops.asarray(y, backend=backend)

    def loop(**options: Any) -> Callable[[], Any]:
        if model.startswith("mlp"):
            net = nn.Sequential(
                nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
            )
        else:
            net = nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
                nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
            )  # fmt: skip
        net.to(backend)
        net.load_state_dict(dict(zip(net.state_dict(), weights, strict=True)))
        step = um.train_step(net, nn.CrossEntropyLoss(), optim.Adam(net.parameters(), lr=LR), **options)
        return lambda: step(data, target)

    variants = {OURS: loop(), f"{OURS}, eager": loop(compile=False)}
    if backend == "jax":
        variants[f"{OURS}, donated"] = loop(donate=True)
    return variants


# ---------------------------------------------------------------------- one backend, in this process
def measure(backend: str, models: list[str], seconds: float) -> dict[str, Any]:
    """Times and ratios of all variants on one backend."""
    from unimodule import registry

    found: dict[str, Any] = {}
    for model in models:
        weights, x, y = weights_and_batch(model)
        variants, wait = NATIVE[backend](model, weights, x, y)
        variants |= our_variants(backend, model, weights, x, y)
        losses = {name: [float(step()) for _ in range(3)] for name, step in variants.items()}
        for name, loss in losses.items():
            np.testing.assert_allclose(loss, losses[OURS], rtol=1e-4, err_msg=name)
        times = interleaved(variants, wait, seconds, slice_seconds=0.01)
        found[model] = {
            name: {
                "median_us": timing.median * 1e6,
                "low_us": timing.low * 1e6,
                "ours_to_this": vars(times[OURS].ratio(timing)),
            }
            for name, timing in times.items()
        }
    return {"backend": backend, "version": registry.get_backend(backend).version(), "models": found}


def run_backend(backend: str, models: list[str], seconds: float) -> dict[str, Any]:
    """``measure`` in a process of its own, with one thread."""
    command = [sys.executable, __file__, "--here", "--backends", backend, "--seconds", str(seconds)]
    for model in models:
        command += ["--model", model]
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"backend": backend, "error": f"exit status {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def show(result: dict[str, Any]) -> None:
    """A table for each model."""
    print(f"\n{result['backend']} {result.get('version', result.get('error'))}")
    for model, rows in result.get("models", {}).items():
        print(f"  {model:22}{'low':>11}{'median':>11}{'unimodule to this':>24}")
        for name, row in rows.items():
            r = row["ours_to_this"]
            ours = f"{r['median']:.2f} ({r['lower']:.2f}-{r['upper']:.2f})"
            print(f"    {name:20}{row['low_us']:8.0f} us{row['median_us']:8.0f} us{ours:>24}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", help="separated by commas (default: torch and jax, where installed)")
    parser.add_argument(
        "--model", action="append", choices=list(MODELS), help="may be repeated; all by default"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="for each variant (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--here", action="store_true", help="one backend, in this process (used by the program itself)"
    )
    options = parser.parse_args()
    models = options.model or list(MODELS)
    if options.here:
        print(json.dumps(measure(options.backends, models, options.seconds)))
        return
    from unimodule import registry

    present = [name for name in NATIVE if registry.installed(name)]
    results = []
    for name in options.backends.split(",") if options.backends else present:
        results.append(run_backend(name, models, options.seconds))
        if not options.json:
            show(results[-1])
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    print(json.dumps({"machine": machine, "steps": results}, indent=2) if options.json else f"\n{machine}")


if __name__ == "__main__":
    main()
