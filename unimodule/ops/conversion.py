"""Between Python, NumPy, backends and devices; and what a tensor is: shape, dtype, device."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..backend import Backend, Tensor
from ..errors import ShapeError, running_modules
from ..registry import find_backend, get_backend, parse_device
from ._arguments import shape_of
from ._dispatch import ARRAYS, creation_backend, expect_tensor, is_scalar, kernel, required, unary


# ---------------------------------------------------------------------- where a new tensor is made
def place(backend: str | None, device: str | None, like: Tensor | None) -> tuple[Backend, str]:
    """Backend and device of a tensor to be made: those of ``like``; else those named; else those of the net that runs;
    else the default backend's, on the CPU.

    Raises:
        DeviceError: there is no such device.
    """
    found = creation_backend(backend, like)
    if device is not None:
        return found, parse_device(found, device)
    if like is not None:
        return found, found.device(like)
    if backend is None:
        for module in running_modules():
            if module.backend is not None:
                return found, parse_device(found, module.device or "cpu")
    return found, "cpu"


def _is_nested_tensors(obj: Any) -> bool:
    """Whether a list or tuple has tensors of a framework in it (NumPy reads its own)."""
    if isinstance(obj, list | tuple):
        return any(_is_nested_tensors(item) for item in obj)
    return not isinstance(obj, ARRAYS) and find_backend(obj) is not None


def asarray(
    obj: Any,
    /,
    *,
    dtype: Any = None,
    device: str | None = None,
    copy: bool | None = None,
    like: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """A tensor of numbers, nested lists of numbers or tensors, a NumPy array, or a tensor of any backend.

    Args:
        obj: Python floats give the default float, integers int64; arrays and tensors keep their dtype.
        dtype: what to cast to.
        device: where to.
        copy: True for a result that shares no memory with a tensor ``obj``.
        like: a tensor whose backend and device to use.
        backend: where to, without ``like``. With neither a framework's tensor stays where it is, and other data goes to
            the running net's backend, else to the default one.

    Raises:
        DtypeError: the backend has no such dtype, or ``obj`` is not numeric.

    Example:
        >>> asarray([[1.0, 2.0]], backend="numpy")
        array([[1., 2.]], dtype=float32)
    """
    if isinstance(obj, list | tuple) and _is_nested_tensors(obj):
        from .joining import stack

        rows = [asarray(o, dtype=dtype, device=device, like=like, backend=backend) for o in obj]
        return stack(rows)
    own = find_backend(obj)
    if own is not None and not isinstance(obj, ARRAYS) and backend is None and like is None:
        found, target = own, own.device(obj) if device is None else parse_device(own, device)
    else:
        found, target = place(backend, device, like)
    if own is found and own is not None:
        return _adjusted(own, obj, dtype, target, copy)
    if dtype is None and is_scalar(obj):
        dtype = type(obj)
    host = own.to_numpy(obj) if own is not None else _host(obj) if dtype is None else np.asarray(obj)
    return found.from_numpy(host, dtypes.canonical(host.dtype if dtype is None else dtype), target)


def _adjusted(backend: Backend, x: Tensor, dtype: Any, device: str, copy: bool | None) -> Tensor:
    if isinstance(x, np.generic):
        x = np.asarray(x)
    wanted = backend.dtype(x) if dtype is None else dtypes.canonical(dtype)
    out = x if backend.dtype(x) == wanted else kernel(backend, "astype")(x, wanted)
    out = out if backend.device(out) == device else backend.to_device(out, device)
    if not copy or out is not x:
        return out
    if dtypes.is_floating(wanted):
        return kernel(backend, "multiply")(out, 1.0)  # a new buffer that is still on the tape
    return backend.from_numpy(backend.to_numpy(out), wanted, device)


def _host(obj: Any) -> np.ndarray[Any, Any]:
    """Python numbers as a NumPy array of the dtypes that they have here: a float is a default float."""
    host = np.asarray(obj)
    if host.dtype == np.float64 and not _has_array(obj):
        return host.astype(dtypes.DEFAULT_FLOAT)
    return host


def _has_array(obj: Any) -> bool:
    if isinstance(obj, list | tuple):
        return any(_has_array(item) for item in obj)
    return isinstance(obj, ARRAYS)


# ---------------------------------------------------------------------- out of and between backends
def to_numpy(x: Tensor, /) -> np.ndarray[Any, Any]:
    """A copy of ``x`` as a NumPy array on the host, gradient or not.

    Example:
        >>> import unimodule as um
        >>> um.to_numpy(um.ops.ones((2,), backend="numpy"))
        array([1., 1.], dtype=float32)
    """
    return expect_tensor("to_numpy", x).to_numpy(x)


def convert(x: Tensor, backend: str, /, device: str | None = None) -> Tensor:
    """A copy of ``x`` as a tensor of another backend, cut off from any tape.

    Args:
        x: a tensor of any backend.
        backend: where to.
        device: there; by default the CPU.

    Raises:
        DtypeError: the backend has no such dtype, or needs a switch for it that is off.
        DeviceError: there is no such device.

    Example:
        >>> import numpy as np
        >>> convert(np.ones(2), "numpy")
        array([1., 1.])
    """
    source, target = expect_tensor("convert", x), get_backend(backend)
    where = "cpu" if device is None else parse_device(target, device)
    return target.from_numpy(source.to_numpy(x), source.dtype(x), where)


def to_device(x: Tensor, device: str, /) -> Tensor:
    """``x`` on another device of its backend.

    Raises:
        DeviceError: there is no such device.

    Example:
        >>> import unimodule as um
        >>> um.ops.device(um.ops.to_device(um.ops.ones((2,), backend="numpy"), "cpu"))
        'cpu'
    """
    backend = expect_tensor("to_device", x)
    target = parse_device(backend, device)
    return x if backend.device(x) == target else backend.to_device(x, target)


def item(x: Tensor, /) -> bool | int | float:
    """The one element of ``x`` as a Python scalar.

    Raises:
        ShapeError: it has another number of elements than one.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.item(um.ops.sum(np.ones((2, 3))))
        6.0
    """
    backend = expect_tensor("item", x)
    if any(n != 1 for n in shape_of(x)):
        raise ShapeError(f"ops.item expected a tensor of one element, got shape {shape_of(x)}")
    return backend.item(x)


@unary
@required
def stop_gradient(x: Tensor, /) -> Tensor:
    """The same values, through which no gradient flows.

    Example:
        >>> import unimodule as um
        >>> x = um.ops.asarray([3.0], backend="numpy")
        >>> um.grad(lambda x: um.ops.sum(x * um.ops.stop_gradient(x)))(x).tolist()
        [3.0]
    """


# ---------------------------------------------------------------------- what a tensor is
def shape(x: Tensor, /) -> tuple[int, ...]:
    """Shape as a tuple of Python integers."""
    return expect_tensor("shape", x).shape(x)


def dtype(x: Tensor, /) -> str:
    """Canonical name of the dtype: "float32"."""
    return expect_tensor("dtype", x).dtype(x)


def device(x: Tensor, /) -> str:
    """Where the tensor lies: "cpu" or "gpu:0"."""
    return expect_tensor("device", x).device(x)
