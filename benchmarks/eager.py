"""What an eager call of a net costs, against raw calls, the framework's own modules and Keras 3; and ``import unimodule``.

    python benchmarks/eager.py                      # every installed backend, each in a process of its own
    python benchmarks/eager.py --backends torch,jax --seconds 5 --json

The net is Sequential(Linear(20, 256), ReLU, Linear(256, 10)) on a batch of 2: small enough that the calls, and not
the arithmetic, take the time. All variants of a backend hold the same weights and must return the same numbers. The
lines "raw" are what one would write by hand with the framework's functions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from processes import alone
from timing import interleaved

Array = np.ndarray[Any, Any]
Variants = dict[str, Callable[[], Any]]

OURS, RAW, KERAS = "unimodule", "raw", "Keras 3"


# ---------------------------------------------------------------------- the net, in each framework's words
def torch_variants(weights: list[Array], x: Array) -> tuple[Variants, Callable[[Any], Any]]:
    import torch
    from torch.nn import functional

    w1, b1, w2, b2 = (torch.nn.Parameter(torch.tensor(w)) for w in weights)
    data = torch.tensor(x)
    linear, relu = functional.linear, functional.relu
    modules = torch.nn.Sequential(torch.nn.Linear(20, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    with torch.no_grad():
        for parameter, value in zip(modules.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(value))
    return {
        RAW: lambda: linear(relu(linear(data, w1, b1)), w2, b2),
        "torch.nn": lambda: modules(data),
    }, lambda result: None


def tensorflow_variants(weights: list[Array], x: Array) -> tuple[Variants, Callable[[Any], Any]]:
    import tensorflow as tf

    class Dense(tf.Module):
        def __init__(self, weight: Array, bias: Array) -> None:
            super().__init__()
            self.weight, self.bias = tf.Variable(weight.T.copy()), tf.Variable(bias)

        def __call__(self, inputs: Any) -> Any:
            return tf.nn.bias_add(tf.matmul(inputs, self.weight), self.bias)

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out = Dense(*weights[:2]), Dense(*weights[2:])

        def __call__(self, inputs: Any) -> Any:
            return self.out(tf.nn.relu(self.hidden(inputs)))

    w1, b1, w2, b2 = (tf.Variable(w.T.copy()) for w in weights)
    data, net = tf.constant(x), Net()
    return {
        RAW: lambda: tf.matmul(tf.nn.relu(tf.matmul(data, w1) + b1), w2) + b2,
        "tf.Module": lambda: net(data),
    }, lambda result: None


def jax_variants(weights: list[Array], x: Array) -> tuple[Variants, Callable[[Any], Any]]:
    import jax
    import jax.numpy as jnp

    w1, b1, w2, b2 = (jnp.asarray(w.T.copy()) for w in weights)
    data = jnp.asarray(x)
    variants = {RAW: lambda: jnp.matmul(jax.nn.relu(jnp.matmul(data, w1) + b1), w2) + b2}
    try:
        from flax import nnx
    except ImportError:
        print("jax: flax is not installed, so that there is no flax.nnx to compare with", file=sys.stderr)
    else:
        rngs = nnx.Rngs(0)
        net = nnx.Sequential(nnx.Linear(20, 256, rngs=rngs), nnx.relu, nnx.Linear(256, 10, rngs=rngs))
        for layer, (kernel, bias) in zip((net.layers[0], net.layers[2]), ((w1, b1), (w2, b2)), strict=True):
            layer.kernel[...], layer.bias[...] = kernel, bias
        variants["flax.nnx"] = lambda: net(data)
    return variants, jax.block_until_ready


def mxnet_variants(weights: list[Array], x: Array) -> tuple[Variants, Callable[[Any], Any]]:
    from unimodule_mxnet.loading import (
        mx,  # MXNet 1.9.1 imports beside today's NumPy with the adapter's help only
    )

    w1, b1, w2, b2 = (mx.np.array(w) for w in weights)
    data = mx.np.array(x)
    linear, relu = mx.npx.fully_connected, mx.npx.relu
    gluon = mx.gluon.nn
    net = gluon.Sequential()
    net.add(gluon.Dense(256, in_units=20), gluon.Activation("relu"), gluon.Dense(10, in_units=256))
    net.initialize()
    for parameter, value in zip(net.collect_params().values(), weights, strict=True):
        parameter.set_data(mx.nd.array(value))
    classic = mx.nd.array(x)
    return {
        RAW: lambda: linear(relu(linear(data, w1, b1, num_hidden=256)), w2, b2, num_hidden=10),
        "Gluon": lambda: net(classic),
    }, lambda result: result.wait_to_read()


def numpy_variants(weights: list[Array], x: Array) -> tuple[Variants, Callable[[Any], Any]]:
    w1, b1, w2, b2 = weights
    return {RAW: lambda: np.maximum(x @ w1.T + b1, 0) @ w2.T + b2}, lambda result: None


NATIVE = {
    "torch": torch_variants,
    "tensorflow": tensorflow_variants,
    "jax": jax_variants,
    "mxnet": mxnet_variants,
    "numpy": numpy_variants,
}


def keras_variant(backend: str, weights: list[Array], x: Array) -> Variants:
    """The net in Keras 3, which takes its backend from the environment; none where Keras or that backend is not there."""
    os.environ["KERAS_BACKEND"] = backend
    try:
        import keras
        from keras import layers
    except (ImportError, ValueError) as error:
        print(f"{backend}: no Keras 3 to compare with ({error})", file=sys.stderr)
        return {}
    net = keras.Sequential([layers.Input((20,)), layers.Dense(256), layers.ReLU(), layers.Dense(10)])
    net.set_weights([w.T for w in weights])
    data = keras.ops.convert_to_tensor(x)
    return {KERAS: lambda: net(data)}


def our_variant(backend: str, weights: list[Array], x: Array) -> Variants:
    from unimodule import nn, ops

    net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10)).to(backend)
    net.load_state_dict(dict(zip(net.state_dict(), weights, strict=True)))
    data = ops.asarray(x, backend=backend)
    return {OURS: lambda: net(data)}


# ---------------------------------------------------------------------- one backend, in this process
def measure(backend: str, seconds: float) -> dict[str, Any]:
    """Times and ratios of all variants on one backend."""
    from unimodule import registry, to_numpy

    rng = np.random.default_rng(0)
    shapes = ((256, 20), (256,), (10, 256), (10,))
    weights = [rng.normal(size=shape).astype("float32") / 4 for shape in shapes]
    x = rng.normal(size=(2, 20)).astype("float32")
    variants, wait = NATIVE[backend](weights, x)
    if backend != "mxnet":
        variants |= keras_variant(backend, weights, x)
    variants |= our_variant(backend, weights, x)
    expected = numpy_variants(weights, x)[0][RAW]()
    for name, variant in variants.items():
        result = variant()
        found = result.asnumpy() if hasattr(result, "asnumpy") else to_numpy(result)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4, err_msg=name)
    times = interleaved(variants, wait, seconds)
    rows = {
        name: {
            "median_us": timing.median * 1e6,
            "low_us": timing.low * 1e6,
            "to_raw": vars(timing.ratio(times[RAW])),
            "ours_to_this": vars(times[OURS].ratio(timing)),
        }
        for name, timing in times.items()
    }
    return {"backend": backend, "version": registry.get_backend(backend).version(), "variants": rows}


# ---------------------------------------------------------------------- import
IMPORT = """
import sys, time
import numpy, numpy.random, numpy.linalg
start, cpu = time.perf_counter(), time.process_time()
import unimodule
print(time.perf_counter() - start, time.process_time() - cpu)
frameworks = {"torch", "tensorflow", "jax", "mxnet", "keras", "autograd"} & set(sys.modules)
assert not frameworks, frameworks
"""


def measure_import(runs: int = 15) -> dict[str, float]:
    """Seconds that ``import unimodule`` takes after NumPy's import, from compiled bytecode as an installed package is."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        found = []
        for _ in range(runs + 1):
            command = [sys.executable, "-c", IMPORT]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            found.append([float(n) for n in done.stdout.split()])
    walls, cpus = zip(*found[1:], strict=True)  # the first run compiles
    return {"lowest_s": min(walls), "median_s": sorted(walls)[runs // 2], "lowest_cpu_s": min(cpus)}


# ---------------------------------------------------------------------- all of it
def run_backend(backend: str, seconds: float) -> dict[str, Any]:
    """``measure`` in a process of its own, with one thread."""
    return {"backend": backend} | alone(__file__, "--backends", backend, "--seconds", str(seconds), "--json")


def show(result: dict[str, Any]) -> None:
    """A table: times, and ratios with their quartiles."""
    print(f"\n{result['backend']} {result.get('version', result.get('error'))}")
    if "variants" in result:
        print(f"  {'':12}{'low':>10}{'median':>10}{'to raw':>22}{'unimodule to this':>24}")
    for name, row in result.get("variants", {}).items():
        raw, ours = (
            f"{r['median']:.2f} ({r['lower']:.2f}-{r['upper']:.2f})"
            for r in (row["to_raw"], row["ours_to_this"])
        )
        print(f"  {name:12}{row['low_us']:7.1f} us{row['median_us']:7.1f} us{raw:>22}{ours:>24}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", help="separated by commas; by default all that are installed")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each variant (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--here", action="store_true", help="one backend, in this process (used by the program itself)"
    )
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.backends, options.seconds)))
        return
    from unimodule import registry

    present = [name for name in registry.infos() if name in NATIVE and registry.installed(name)]
    names = options.backends.split(",") if options.backends else present
    results = []
    for name in names:
        results.append(run_backend(name, options.seconds))
        if not options.json:
            show(results[-1])
    importing = measure_import()
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    if options.json:
        print(json.dumps({"machine": machine, "eager": results, "import": importing}, indent=2))
        return
    print(
        f"\nimport unimodule, after NumPy: lowest {importing['lowest_s']:.3f} s, median {importing['median_s']:.3f} s "
        f"(CPU time {importing['lowest_cpu_s']:.3f} s)\n{machine}"
    )


if __name__ == "__main__":
    main()
