"""Random numbers from a framework's own random state, and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _draws, _threefry, dtypes
from ..backend import Backend, Tensor
from ..errors import DtypeError, NotSupportedError, running_modules
from ..registry import parse_device
from . import _portable
from ._dispatch import DEFAULTS, call, creation_backend, expect_tensor, unary
from .arithmetic import greater_equal, multiply
from .datatypes import astype


def random_uniform(
    shape: int | tuple[int, ...],
    *,
    dtype: Any = None,
    like: Tensor | None = None,
    backend: str | None = None,
    device: str | None = None,
) -> Tensor:
    """Numbers drawn uniformly from [0, 1), from the random state that ``um.seed`` resets.

    Args:
        shape: of the result.
        dtype: a floating dtype; by default that of ``like`` if it is a float tensor, else float32.
        like: a tensor whose backend and device to use.
        backend, device: where to, without ``like``; by default as for the creation functions.

    Raises:
        DtypeError: ``dtype`` is not a floating one.

    Example:
        >>> import unimodule as um
        >>> um.seed(0)
        >>> x = um.ops.random_uniform((1000,), backend="numpy")
        >>> bool((0 <= x.min()) & (x.max() < 1)), x.dtype
        (True, dtype('float32'))
    """
    found = creation_backend(backend, like)
    if dtype is not None:
        kind = dtypes.canonical(dtype)
    else:
        kind = found.dtype(like) if like is not None else dtypes.DEFAULT_FLOAT
        kind = kind if dtypes.is_floating(kind) else dtypes.DEFAULT_FLOAT
    if not dtypes.is_floating(kind):
        raise DtypeError(f"random_uniform expected a floating dtype, got {kind}")
    sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    place = _place(found, like, device)
    if _draws.portable(found):
        return _portable.uniform(found, sizes, kind, place)
    return call(found, "random_uniform", sizes, kind, place)


def _place(backend: Backend, like: Tensor | None, device: str | None) -> str:
    if device is not None:
        return parse_device(backend, device)
    if like is not None:
        return backend.device(like)
    return next((m.device for m in running_modules() if m.backend == backend.info.name and m.device), "cpu")


def _host_uniform(shape: tuple[int, ...], dtype: str, device: str) -> np.ndarray[Any, Any]:
    """What an adapter without random numbers has: the portable generator's."""
    stream = _draws.current()
    draw = stream.take()
    if (known := stream.host_key()) is None:
        raise NotSupportedError("random numbers on the host, inside a compiled program")
    key, first = known
    return _threefry.uniform(key, first + draw, shape, dtype)


DEFAULTS["random_uniform"] = _host_uniform


@unary
def dropout(x: Tensor, p: float) -> Tensor:
    """y = x * mask / (1 - p), where each cell of the mask is 0 with probability ``p`` and else 1.

    Args:
        x: a float tensor of any shape.
        p: 0 < p < 1.

    Returns:
        A tensor of ``x``'s shape and dtype. Each call draws a fresh mask.

    Source: Srivastava et al., https://jmlr.org/papers/v15/srivastava14a.html

    Example:
        >>> import numpy as np
        >>> from unimodule import ops
        >>> sorted(set(ops.dropout(np.ones(100), 0.5).tolist()))
        [0.0, 2.0]
    """
    backend = expect_tensor("dropout", x)
    kind, shape, device = backend.dtype(x), backend.shape(x), backend.device(x)
    if _draws.portable(backend):
        kept = _portable.keep(backend, shape, p, kind, device)
    else:
        drawn = call(backend, "random_uniform", shape, "float32", device)
        kept = astype(greater_equal(drawn, p), kind)
    return multiply(multiply(x, kept), 1 / (1 - p))  # operators widen NumPy 1's tensors without axes


__all__ = ["dropout", "random_uniform"]
