"""What the witnesses share. It knows the frameworks, and nothing of unimodule, so a witness can be sent upstream with it:
``python -m unimodule_conformance.divergences --show ID`` prints both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

NAN, INF = float("nan"), float("inf")


def refuses(fn: Callable[[], Any], *says: str) -> bool:
    """Whether a call is an error, the text of which has one of ``says`` in it."""
    try:
        out = fn()
        if hasattr(out, "asnumpy"):
            out.asnumpy()  # MXNet's errors may come late
    except Exception as error:
        return not says or any(text in str(error) for text in says)
    return False


# ---------------------------------------------------------------------- MXNet
def mxnet() -> Any:
    """MXNet, with NumPy's shapes (arrays without axes, axes without elements) on in this thread."""
    mx: Any = sys.modules.get("mxnet")
    if mx is None or not hasattr(mx, "np"):
        from unimodule_mxnet.loading import mx  # MXNet 1.9.1 asks NumPy for names that it no longer has
    mx.util.set_np_shape(True)
    return mx


def mx_array(values: Any, dtype: str = "float32") -> Any:
    """An array of MXNet's."""
    return mxnet().np.array(values, dtype=dtype)


def mx_gradients(
    fn: Callable[..., Any], *values: Any, dtype: str = "float32", train: bool = True
) -> list[Any]:
    """The gradients of ``sum(fn(...) * [1, 2, 3, ...])``, as NumPy arrays."""
    mx = mxnet()
    arrays = [mx_array(v, dtype) for v in values]
    for x in arrays:
        x.attach_grad()
    with mx.autograd.record(train_mode=train):
        y = fn(*arrays)
        weight = mx_array(np.arange(1.0, 1 + y.size).reshape(y.shape), str(np.dtype(y.dtype)))
        loss = (y * weight).sum()
    loss.backward()
    return [x.grad.asnumpy() for x in arrays]


# ---------------------------------------------------------------------- TensorFlow
def tf_gradients(fn: Callable[..., Any], *values: Any, dtype: str = "float32") -> list[Any]:
    """The gradients of ``sum(fn(...))``, as NumPy arrays; None where there is none."""
    import tensorflow as tf

    arrays = [tf.constant(v, dtype) for v in values]
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        loss = tf.reduce_sum(fn(*arrays))
    found = tape.gradient(loss, arrays)
    return [None if g is None else g.numpy() for g in found]


def tf_derivative(fn: Callable[[Any], Any], value: Any, times: int) -> Any:
    """``sum(fn(x))`` differentiated so many times, summed in between; as a NumPy array."""
    import tensorflow as tf

    def down(x: Any, n: int) -> Any:
        if n == 0:
            return fn(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(down(x, n - 1))
        return tape.gradient(loss, x)

    return down(tf.constant(value, "float64"), times).numpy()


# ---------------------------------------------------------------------- JAX
def jax_gradients(fn: Callable[..., Any], *values: Any) -> list[Any]:
    """The gradients of ``sum(fn(...))``, as NumPy arrays."""
    import jax
    import jax.numpy as jnp

    arrays = [jnp.asarray(v, jnp.float32) for v in values]
    found = jax.grad(lambda *xs: fn(*xs).sum(), argnums=tuple(range(len(arrays))))(*arrays)
    return [np.asarray(g) for g in found]


# ---------------------------------------------------------------------- PyTorch
def torch_gradients(fn: Callable[..., Any], *values: Any, dtype: str = "float32") -> list[Any]:
    """The gradients of ``sum(fn(...))``, as NumPy arrays."""
    import torch

    arrays = [torch.tensor(v, dtype=getattr(torch, dtype), requires_grad=True) for v in values]
    found = torch.autograd.grad(fn(*arrays).sum(), arrays)
    return [g.double().numpy() for g in found]
