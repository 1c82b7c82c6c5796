"""JAX: gradients that differ."""

from __future__ import annotations

import math

import numpy as np

from .model import Kind
from .native import NAN, jax_gradients, refuses
from .rows import Rows

ROWS = Rows("jax", ">=0.5,<0.11")


# ---------------------------------------------------------------------- gradients
@ROWS.row(
    "abs-gradient-at-zero",
    "ops.abs",
    Kind.CHOICE,
    "abs has the slope 1 at 0",
    "0",
    link="https://github.com/jax-ml/jax/issues/37820",
)
def _abs() -> bool:
    import jax.numpy as jnp

    return bool(jax_gradients(jnp.abs, [0.0])[0][0] == 1.0)


@ROWS.row(
    "leaky-relu-gradient-at-zero",
    "ops.leaky_relu",
    Kind.CHOICE,
    "leaky_relu has the slope 1 at 0",
    "the negative slope",
)
def _leaky() -> bool:
    import jax

    return bool(jax_gradients(lambda x: jax.nn.leaky_relu(x, 0.1), [0.0])[0][0] == 1.0)


@ROWS.row(
    "hardtanh-gradient-at-bounds",
    "nn.Hardtanh",
    Kind.CHOICE,
    "hard_tanh has the slope 1 at its bounds",
    "0",
)
def _hardtanh() -> bool:
    import jax

    return bool(jax_gradients(jax.nn.hard_tanh, [-1.0, 1.0])[0].tolist() == [1.0, 1.0])


@ROWS.row(
    "clip-gradient-at-bounds",
    "ops.clip",
    Kind.CHOICE,
    "clip passes half of the gradient at a bound",
    "all of it",
)
def _clip() -> bool:
    import jax.numpy as jnp

    return bool(jax_gradients(lambda x: jnp.clip(x, 0.0, 1.0), [0.0, 1.0])[0].tolist() == [0.5, 0.5])


@ROWS.row(
    "clamp-gradient-at-bounds",
    "ops.clip",
    Kind.CHOICE,
    "lax.clamp passes none of the gradient at a bound",
    "all of it",
)
def _clamp() -> bool:
    import jax.numpy as jnp
    from jax import lax

    low, high = jnp.float32(0), jnp.float32(1)
    return not jax_gradients(lambda x: lax.clamp(low, x, high), [0.0, 1.0])[0].any()


@ROWS.row(
    "power-gradient-at-zero",
    "ops.pow",
    Kind.BUG,
    "x ** y has the gradient NaN for x where both are 0, if y is a tensor",
    "0",
)
def _power() -> bool:
    import jax.numpy as jnp

    return math.isnan(jax_gradients(jnp.power, [0.0], [0.0])[0][0])


@ROWS.row(
    "atan2-gradient-at-origin",
    "ops.atan2",
    Kind.CHOICE,
    "NaN for both operands",
    "0 for both",
    link="https://github.com/jax-ml/jax/issues/1052",
)
def _atan2() -> bool:
    import jax.numpy as jnp

    return all(math.isnan(g[0]) for g in jax_gradients(jnp.arctan2, [0.0], [0.0]))


@ROWS.row(
    "norm-gradient-at-zero",
    "F.normalize",
    Kind.CHOICE,
    "the norm of a vector of zeros has the gradient NaN",
    "0",
    link="https://github.com/jax-ml/jax/issues/21723",
)
def _norm() -> bool:
    import jax.numpy as jnp

    return bool(np.isnan(jax_gradients(jnp.linalg.norm, [0.0, 0.0])[0]).all())


@ROWS.row(
    "max-pool-gradient-of-nan",
    "nn.MaxPool1d",
    Kind.BUG,
    "where the maximum of a window is NaN, reduce_window gives the gradient to an element that is not",
    "the NaN gets it",
)
def _window_nan() -> bool:
    import jax.numpy as jnp
    from jax import lax

    (gradient,) = jax_gradients(
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (3,), (1,), "VALID"), [1.0, NAN, 3.0]
    )
    return bool(gradient[1] == 0.0)


@ROWS.row(
    "dilated-max-pool-gradient",
    "nn.MaxPool1d",
    Kind.UNSUPPORTED,
    "the maximum over a dilated window has no gradient",
    "to the first of the largest",
)
def _window_dilated() -> bool:
    import jax.numpy as jnp
    from jax import lax

    def pool(x: object) -> object:
        return lax.reduce_window(x, -jnp.inf, lax.max, (2,), (1,), [(0, 0)], window_dilation=(2,))

    return refuses(lambda: jax_gradients(pool, [1.0, 2.0, 3.0]))


@ROWS.row(
    "while-loop-gradient",
    "ops.while_loop",
    Kind.UNSUPPORTED,
    "a while_loop has no reverse gradient",
    "a gradient, given max_iters",
)
def _while() -> bool:
    from jax import lax

    def loop(x: object) -> object:
        return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 2), (0, x))[1]

    return refuses(lambda: jax_gradients(loop, [1.0]), "Reverse-mode")
