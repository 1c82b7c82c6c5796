"""What a compiled call of a net costs, against compiled code written by hand with the framework's own functions.

    python benchmarks/compiled.py                          # torch, jax and tensorflow, each in a process of its own
    python benchmarks/compiled.py --backends jax --cases "MLP, 2" --seconds 5 --json

By hand is a pure function of a dict of parameters and an input: under torch.compile, under jax.jit, and as the
ConcreteFunction of a tf.function. Both sides hold the same weights and must return the same numbers; they take turns
(``timing.py``). "gradient" is the loss ``sum(y * y)`` with the gradient of every parameter, one compiled function.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from eager import ONE_THREAD
from timing import interleaved

Params = dict[str, Any]
Apply = Callable[[Params, Any], Any]
CASES = ("MLP, 2", "MLP, 256", "CNN, 8", "Transformer, 8")
HEADS, WIDTH, FAR = 4, 64, 128


def net_and_input(case: str) -> tuple[Any, np.ndarray[Any, Any]]:
    """The neutral net of a case, and its input."""
    from unimodule import nn

    kind, rows = case.split(", ")
    rng = np.random.default_rng(0)
    if kind == "MLP":
        net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
        shape: tuple[int, ...] = (20,)
    elif kind == "CNN":
        convolutions = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        convolutions += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        net, shape = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(32 * 64, 10)), (3, 32, 32)
    else:
        net, shape = nn.TransformerEncoderLayer(WIDTH, HEADS, FAR, dropout=0.0, batch_first=True), (16, WIDTH)
    return net.initialize(seed=0), rng.normal(size=(int(rows), *shape)).astype("float32")


# ---------------------------------------------------------------------- by hand
def torch_apply(kind: str) -> Apply:
    import torch.nn.functional as F

    def mlp(p: Params, x: Any) -> Any:
        return F.linear(F.relu(F.linear(x, p["0.weight"], p["0.bias"])), p["2.weight"], p["2.bias"])

    def cnn(p: Params, x: Any) -> Any:
        for i in ("0", "3"):
            x = F.max_pool2d(F.relu(F.conv2d(x, p[f"{i}.weight"], p[f"{i}.bias"], padding=1)), 2)
        return F.linear(x.flatten(1), p["7.weight"], p["7.bias"])

    def transformer(p: Params, x: Any) -> Any:
        n, length, width = x.shape
        qkv = F.linear(x, p["self_attn.in_proj_weight"], p["self_attn.in_proj_bias"])
        q, k, v = (t.view(n, length, HEADS, -1).transpose(1, 2) for t in qkv.chunk(3, -1))
        heads = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, width)
        x = x + F.linear(heads, p["self_attn.out_proj.weight"], p["self_attn.out_proj.bias"])
        x = F.layer_norm(x, (width,), p["norm1.weight"], p["norm1.bias"])
        far = F.linear(
            F.relu(F.linear(x, p["linear1.weight"], p["linear1.bias"])),
            p["linear2.weight"],
            p["linear2.bias"],
        )
        return F.layer_norm(x + far, (width,), p["norm2.weight"], p["norm2.bias"])

    return {"MLP": mlp, "CNN": cnn, "Transformer": transformer}[kind]


def jax_apply(kind: str) -> Apply:
    import jax
    import jax.numpy as jnp

    def linear(x: Any, p: Params, name: str) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(x: Any, p: Params, name: str) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return (
            x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * p[f"{name}.weight"]
            + p[f"{name}.bias"]
        )

    def mlp(p: Params, x: Any) -> Any:
        return linear(jax.nn.relu(linear(x, p, "0")), p, "2")

    def cnn(p: Params, x: Any) -> Any:
        window = (1, 1, 2, 2)
        for i in ("0", "3"):
            x = jax.lax.conv(x, p[f"{i}.weight"], (1, 1), "SAME") + p[f"{i}.bias"][:, None, None]
            x = jax.lax.reduce_window(jax.nn.relu(x), -jnp.inf, jax.lax.max, window, window, "VALID")
        return linear(x.reshape(len(x), -1), p, "7")

    def transformer(p: Params, x: Any) -> Any:
        n, length, width = x.shape
        qkv = x @ p["self_attn.in_proj_weight"].T + p["self_attn.in_proj_bias"]
        q, k, v = (t.reshape(n, length, HEADS, -1) for t in jnp.split(qkv, 3, -1))
        scores = jnp.einsum("nqhd,nkhd->nhqk", q, k) / np.sqrt(width // HEADS).astype("float32")
        heads = jnp.einsum("nhqk,nkhd->nqhd", jax.nn.softmax(scores), v).reshape(n, length, width)
        x = norm(x + linear(heads, p, "self_attn.out_proj"), p, "norm1")
        return norm(x + linear(jax.nn.relu(linear(x, p, "linear1")), p, "linear2"), p, "norm2")

    return {"MLP": mlp, "CNN": cnn, "Transformer": transformer}[kind]


def tensorflow_apply(kind: str) -> Apply:
    import tensorflow as tf

    def linear(x: Any, p: Params, name: str) -> Any:
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        return tf.nn.bias_add(
            tf.einsum("...i,oi->...o", x, weight)
            if x.shape.rank > 2
            else tf.matmul(x, weight, transpose_b=True),
            bias,
        )

    def norm(x: Any, p: Params, name: str) -> Any:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, p[f"{name}.bias"], p[f"{name}.weight"], 1e-5)

    def mlp(p: Params, x: Any) -> Any:
        return linear(tf.nn.relu(linear(x, p, "0")), p, "2")

    def cnn(p: Params, x: Any) -> Any:
        layout: dict[str, Any] = {"data_format": "NCHW"}
        for i in ("0", "3"):
            kernel = tf.transpose(p[f"{i}.weight"], (2, 3, 1, 0))
            x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME", **layout), p[f"{i}.bias"], **layout)
            x = tf.nn.max_pool2d(tf.nn.relu(x), 2, 2, "VALID", **layout)
        return linear(tf.reshape(x, (x.shape[0], -1)), p, "7")

    def transformer(p: Params, x: Any) -> Any:
        n, length, width = x.shape
        qkv = tf.einsum("nli,oi->nlo", x, p["self_attn.in_proj_weight"]) + p["self_attn.in_proj_bias"]
        q, k, v = (tf.reshape(t, (n, length, HEADS, -1)) for t in tf.split(qkv, 3, -1))
        scores = tf.einsum("nqhd,nkhd->nhqk", q, k) / np.sqrt(width // HEADS).astype("float32")
        heads = tf.reshape(tf.einsum("nhqk,nkhd->nqhd", tf.nn.softmax(scores), v), (n, length, width))
        x = norm(x + linear(heads, p, "self_attn.out_proj"), p, "norm1")
        return norm(x + linear(tf.nn.relu(linear(x, p, "linear1")), p, "linear2"), p, "norm2")

    return {"MLP": mlp, "CNN": cnn, "Transformer": transformer}[kind]


def torch_compiled(apply: Apply, p: Params, x: Any) -> tuple[Apply, Apply]:
    import torch

    def loss(p: Params, x: Any) -> Any:
        y = apply(p, x)
        return (y * y).sum()

    gradient = torch.func.grad_and_value(loss)
    options: dict[str, Any] = {"fullgraph": True, "dynamic": False}
    return torch.compile(apply, **options), torch.compile(lambda p, x: gradient(p, x)[::-1], **options)


def jax_compiled(apply: Apply, p: Params, x: Any) -> tuple[Apply, Apply]:
    import jax

    return jax.jit(apply), jax.jit(jax.value_and_grad(lambda p, x: (apply(p, x) ** 2).sum()))


def tensorflow_compiled(apply: Apply, p: Params, x: Any) -> tuple[Apply, Apply]:
    import tensorflow as tf

    names = list(p)

    def gradient(x: Any, *values: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_sum(tf.square(apply(dict(zip(names, values, strict=True)), x)))
        return loss, *tape.gradient(loss, values)

    def forward(x: Any, *values: Any) -> Any:
        return apply(dict(zip(names, values, strict=True)), x)

    made = [
        tf.function(fn, autograph=False).get_concrete_function(x, *p.values()) for fn in (forward, gradient)
    ]

    def loss_and_gradients(p: Params, x: Any) -> Any:
        loss, *slopes = made[1](x, *p.values())
        return loss, dict(zip(names, slopes, strict=True))

    return lambda p, x: made[0](x, *p.values()), loss_and_gradients


HAND = {
    "torch": (torch_apply, torch_compiled),
    "jax": (jax_apply, jax_compiled),
    "tensorflow": (tensorflow_apply, tensorflow_compiled),
}


# ---------------------------------------------------------------------- one backend, in this process
Sides = tuple[Callable[[], Any], Callable[[], Any]]


def sides(backend: str, case: str) -> tuple[Sides, Sides]:
    """Ours and by hand, as functions without arguments: forward, and loss with gradients."""
    import unimodule as um
    from unimodule import ops

    net, array = net_and_input(case)
    net.to(backend)
    x = ops.asarray(array, backend=backend)
    p = {name: ops.asarray(um.to_numpy(value), backend=backend) for name, value in net.state_dict().items()}
    apply, compiled = HAND[backend]
    forward, gradient = compiled(apply(case.split(",")[0]), p, x)
    fast = um.compile(net)
    fast_gradient = um.compile(um.value_and_grad(lambda net, x: ops.sum(ops.square(net(x)))))
    return (lambda: fast(x), lambda: forward(p, x)), (lambda: fast_gradient(net, x), lambda: gradient(p, x))


def measure(backend: str, cases: list[str], seconds: float) -> dict[str, Any]:
    """Times of both sides and their ratio, for every case."""
    import unimodule as um

    wait, without_tape = (lambda result: None), contextlib.nullcontext
    if backend == "jax":
        import jax

        wait = jax.block_until_ready
    if backend == "torch":
        import torch

        without_tape = torch.no_grad  # both sides alike: inference, and gradients that are computed inside
    rows: dict[str, Any] = {}
    for case in cases:
        for name, (ours, hand) in zip((case, f"{case}, gradient"), sides(backend, case), strict=True):
            with without_tape():
                rows[name] = compare(name, ours, hand, wait, seconds)
    return {"backend": backend, "version": um.registry.get_backend(backend).version(), "cases": rows}


def compare(
    case: str, ours: Callable[[], Any], hand: Callable[[], Any], wait: Callable[[Any], Any], seconds: float
) -> dict[str, Any]:
    """Time both sides of a case, after a look that they return the same."""
    for a, b in zip(flat(ours()), flat(hand()), strict=True):
        np.testing.assert_allclose(
            a, b, rtol=1e-3, atol=1e-3 * max(1.0, float(np.abs(b).max())), err_msg=case
        )
    times = interleaved({"hand": hand, "ours": ours}, wait, seconds)
    ratio = times["ours"].ratio(times["hand"])
    return {"hand_us": times["hand"].low * 1e6, "ours_us": times["ours"].low * 1e6, "ratio": vars(ratio)}


def flat(result: Any) -> list[np.ndarray[Any, Any]]:
    """Tensors of nested tuples and dicts, dicts by name."""
    import unimodule as um

    if isinstance(result, tuple | list):
        return [array for item in result for array in flat(item)]
    if isinstance(result, dict):
        return [um.to_numpy(result[name]) for name in sorted(result)]
    return [um.to_numpy(result)]


def run_backend(backend: str, cases: list[str], seconds: float) -> dict[str, Any]:
    """``measure`` in a process of its own, with one thread."""
    command = [sys.executable, __file__, "--here", "--backends", backend, "--seconds", str(seconds), "--json"]
    for case in cases:
        command += ["--cases", case]
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"backend": backend, "error": f"exit status {done.returncode}", "cases": {}}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", default=",".join(HAND), help="separated by commas")
    parser.add_argument("--cases", action="append", choices=CASES, help="may be repeated; by default all")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each side of a case (default: 2)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--here", action="store_true", help="one backend, in this process (used by the program itself)"
    )
    options = parser.parse_args()
    cases = options.cases or list(CASES)
    if options.here:
        print(json.dumps(measure(options.backends, cases, options.seconds)))
        return
    results = [run_backend(name, cases, options.seconds) for name in options.backends.split(",")]
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for result in results:
        print(f"\n{result['backend']} {result.get('version', result.get('error'))}")
        for case, row in result["cases"].items():
            r = row["ratio"]
            print(
                f"  {case:26}{row['hand_us']:9.1f} us by hand{row['ours_us']:9.1f} us unimodule"
                f"{r['median']:7.2f} ({r['lower']:.2f}-{r['upper']:.2f}), of the lowest {r['low']:.2f}"
            )


if __name__ == "__main__":
    main()
