"""JAX: values and behaviour that differ."""

from __future__ import annotations

import math

import numpy as np

from .model import Kind
from .native import INF
from .rows import Rows

ROWS = Rows("jax", ">=0.5,<0.11")


# ---------------------------------------------------------------------- values
@ROWS.row(
    "floor-divide-by-zero",
    "ops.floor_divide",
    Kind.CHOICE,
    "1.0 // 0.0 is NaN",
    "infinity",
    versions=">=0.5,<=0.7.1",
)
def _floor_divide() -> bool:
    import jax.numpy as jnp

    return math.isnan(float(jnp.floor_divide(jnp.float32(1.0), jnp.float32(0.0))))


@ROWS.row(
    "integer-division-by-zero",
    "ops.floor_divide",
    Kind.CHOICE,
    "1 // 0 of integers is -2, 0 // 0 is -1",
    "0, as in NumPy",
)
def _integer_division() -> bool:
    import jax.numpy as jnp

    return bool(jnp.floor_divide(jnp.int32(1), jnp.int32(0)) != 0)


@ROWS.row(
    "index-out-of-range",
    "ops.getitem",
    Kind.CHOICE,
    "x[5] of two elements reads the last one",
    "IndexError where indices can be checked",
    link="https://docs.jax.dev/en/latest/_autosummary/jax.Array.at.html",
)
def _index() -> bool:
    import jax.numpy as jnp

    return bool(jnp.asarray([1.0, 2.0])[jnp.asarray([5])].item() == 2.0)


@ROWS.row(
    "take-out-of-range",
    "ops.take",
    Kind.CHOICE,
    "take gives NaN for an index out of range, and the lowest integer in an integer tensor",
    "IndexError where indices can be checked",
    link="https://docs.jax.dev/en/latest/_autosummary/jax.Array.at.html",
)
def _take() -> bool:
    import jax.numpy as jnp

    found = jnp.take(jnp.asarray([1.0, 2.0]), jnp.asarray([5]))
    whole = jnp.take(jnp.asarray([1, 2]), jnp.asarray([5]))
    return math.isnan(found.item()) and whole.item() < -(2**30)


@ROWS.row(
    "slice-out-of-range",
    "ops.getitem",
    Kind.CHOICE,
    "dynamic_slice moves a window that leaves the tensor back into it",
    "an error, or an empty slice as in NumPy",
)
def _slice() -> bool:
    import jax.numpy as jnp
    from jax import lax

    return bool(lax.dynamic_slice(jnp.arange(3.0), (2,), (2,)).tolist() == [1.0, 2.0])


@ROWS.row(
    "negative-small-index",
    "ops.take",
    Kind.BUG,
    "index -1 as int8, into 200 elements, is out of range: 200 is added to it in int8",
    "the last element",
)
def _small_index() -> bool:
    import jax.numpy as jnp

    return bool(jnp.take(jnp.arange(200.0), jnp.asarray([-1], jnp.int8)).item() != 199.0)


@ROWS.row(
    "narrow-floats",
    "ops.asarray",
    Kind.CHOICE,
    "unless jax_enable_x64 is on for the process, float64 data becomes float32 without a word",
    "DtypeError that names the switch",
    link="https://docs.jax.dev/en/latest/default_dtypes.html",
)
def _float64() -> bool:
    import jax
    import jax.numpy as jnp

    wanted = "float64" if jax.config.jax_enable_x64 else "float32"
    return jnp.asarray(np.ones(1)).dtype.name == wanted and (wanted == "float32" or _narrowed())


@ROWS.row(
    "narrow-integers",
    "ops.asarray",
    Kind.CHOICE,
    "unless jax_enable_x64 is on, the int64 2**40 becomes the int32 0 without a word",
    "IntegerRangeError",
    link="https://docs.jax.dev/en/latest/default_dtypes.html",
)
def _int64() -> bool:
    import jax
    import jax.numpy as jnp

    if jax.config.jax_enable_x64:
        return _narrowed()
    return int(jnp.asarray(np.array([2**40]))[0]) == 0


def _narrowed() -> bool:
    """The same in a process that computes in 64 bits, for a stretch that does not."""
    import jax.numpy as jnp
    from jax.experimental import disable_x64

    with disable_x64():
        return bool(jnp.asarray(np.ones(1)).dtype == jnp.float32)


@ROWS.row(
    "gelu-float64",
    "ops.gelu",
    Kind.BUG,
    "tanh in float64 ends 8e-16 short of 1 on a CPU, so that the gradient of gelu's tanh approximation at 1e5 is 1.083",
    "1",
)
def _gelu_float64() -> bool:
    import jax
    import jax.experimental

    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        slope = jax.grad(lambda x: jax.nn.gelu(x, approximate=True))(np.float64(1e5))
        return bool(abs(float(slope) - 1) > 1e-3)


@ROWS.row(
    "cast-saturates",
    "ops.astype",
    Kind.CHOICE,
    "3e9 as int32 is the largest int32",
    "IntegerRangeError where int64 is meant and int32 carries it",
)
def _cast() -> bool:
    import jax.numpy as jnp

    return int(jnp.asarray([3e9], jnp.float32).astype("int32")[0]) == 2**31 - 1


@ROWS.row(
    "mixed-dtypes",
    "F.linear",
    Kind.CHOICE,
    "float32 times float16 is float32 in a matrix product",
    "layers refuse input of another dtype than their weights",
)
def _mixed() -> bool:
    import jax.numpy as jnp

    return bool(jnp.matmul(jnp.ones((1, 1), "float32"), jnp.ones((1, 1), "float16")).dtype.name == "float32")


@ROWS.row(
    "gelu-default",
    "ops.gelu",
    Kind.CHOICE,
    "gelu is the tanh approximation unless told otherwise",
    "the exact one",
)
def _gelu() -> bool:
    import jax
    import jax.numpy as jnp

    x = jnp.ones(1)
    return bool((jax.nn.gelu(x) != jax.nn.gelu(x, approximate=False)).all())


@ROWS.row(
    "cumsum-of-float16",
    "ops.cumulative_sum",
    Kind.PRECISION,
    "running sums of 16-bit floats are formed in 16 bits, and drift: 408.2 for 4096 times 0.1",
    "409.5: formed in float32",
    versions=">=0.7.1,<0.11",
)
def _cumsum() -> bool:
    import jax.numpy as jnp

    last = jnp.cumsum(jnp.full(4096, 0.1, "float16"))[-1]
    return bool(abs(float(last) - 4096 * float(np.float16(0.1))) > 0.5)


@ROWS.row(
    "denormal-numbers",
    "ops.multiply",
    Kind.PRECISION,
    "on CPU denormal float32 numbers count as 0",
    "they are numbers (NumPy, PyTorch); the suite draws none",
    corrected=False,
)
def _denormal() -> bool:
    import jax.numpy as jnp

    return float(jnp.float32(1e-40) * jnp.float32(1.0)) == 0.0


# ---------------------------------------------------------------------- state
@ROWS.row(
    "constants-in-compiled-code",
    "um.compile",
    Kind.CHOICE,
    "jit keeps the arrays that a function closed over when it was first called",
    "a compiled net sees every change of its state",
)
def _baked() -> bool:
    import types

    import jax
    import jax.numpy as jnp

    held = types.SimpleNamespace(weight=jnp.ones(1))
    fn = jax.jit(lambda x: x * held.weight)
    fn(jnp.ones(1))
    held.weight = jnp.full(1, 5.0)
    return float(fn(jnp.ones(1))[0]) == 1.0


@ROWS.row(
    "same-key-same-mask",
    "nn.Dropout",
    Kind.CHOICE,
    "a key draws the same numbers each time",
    "each call draws others; um.seed begins the sequence anew",
)
def _key() -> bool:
    import jax

    draws = [jax.random.bernoulli(jax.random.key(0), 0.5, (64,)) for _ in range(2)]
    return bool((draws[0] == draws[1]).all())


@ROWS.row(
    "donated-arrays",
    "um.train_step",
    Kind.CHOICE,
    "an array that was donated to a compiled function is deleted",
    "what the caller holds stays",
)
def _donated() -> bool:
    import jax
    import jax.numpy as jnp

    x = jnp.ones(3)
    jax.jit(lambda x: x + 1, donate_argnums=0)(x)
    return bool(x.is_deleted())


@ROWS.row(
    "maximum-of-nothing-but-minus-infinity",
    "F.scaled_dot_product_attention",
    Kind.CHOICE,
    "softmax of a row of -infinity is NaN, so attention with everything masked is",
    "zeros",
)
def _masked() -> bool:
    import jax
    import jax.numpy as jnp

    return bool(jnp.isnan(jax.nn.softmax(jnp.full(2, -INF))).all())
