"""JAX by hand: ``jax.jit`` of functions of a dict of parameters, with the optimiser inside for a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from cases import BETAS, EPS, HEADS, LR, Call, Case, Hand

Params = dict[str, Any]


def function(kind: str) -> Callable[[Params, Any], Any]:
    import jax
    import jax.numpy as jnp

    def linear(x: Any, p: Params, name: str) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(x: Any, p: Params, name: str) -> Any:
        x = x - x.mean(-1, keepdims=True)
        x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)
        return x * p[f"{name}.weight"] + p[f"{name}.bias"]

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


def by_hand(case: Case) -> Hand:
    import jax
    import jax.numpy as jnp

    x, y = jnp.asarray(case.x), jnp.asarray(case.y)
    apply = function(case.kind)
    p = {name: jnp.asarray(value) for name, value in case.weights.items()}
    forward = jax.jit(apply)
    gradient = jax.jit(jax.value_and_grad(lambda p, x: (apply(p, x) ** 2).sum()))

    def loss_of(p: Params, a: Any, b: Any) -> Any:
        out = apply(p, a)
        if case.kind == "Transformer":
            return jnp.mean((out - b) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), b[:, None], 1))

    def update(state: Any, a: Any, b: Any) -> Any:
        p, m, v, t = state
        loss, g = jax.value_and_grad(loss_of)(p, a, b)
        (b1, b2), t = BETAS, t + 1
        m = {k: u + (1 - b1) * (g[k] - u) for k, u in m.items()}
        v = {k: b2 * u + (1 - b2) * g[k] * g[k] for k, u in v.items()}
        rate, fix = LR / (1 - b1**t), (1 - b2**t) ** -0.5
        p = {k: w - rate * m[k] / (jnp.sqrt(v[k]) * fix + EPS) for k, w in p.items()}
        return loss, (p, m, v, t)

    def loop(**options: Any) -> Call:
        run = jax.jit(update, **options)
        own = {k: jnp.array(w) for k, w in p.items()}
        zeros = ({k: jnp.zeros_like(w) for k, w in p.items()} for _ in range(2))
        state = (own, *zeros, jnp.float32(0))

        def step() -> Any:
            nonlocal state
            loss, state = run(state, x, y)
            return loss

        return step

    return Hand(
        {"jax.jit": lambda: forward(p, x)},
        {"jax.jit": lambda: gradient(p, x)},
        {"jax.jit": loop(), "jax.jit, donated": loop(donate_argnums=0)},
        jax.block_until_ready,
    )
