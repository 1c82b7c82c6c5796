"""Initialisers: factories that return a function from a shape and a NumPy generator to an array.

PyTorch's names without the trailing underscore, its arguments and its formulas. What they return is drawn in float64 on
the host, so that a net gets the same values on every backend, and is cast to the net's dtype afterwards. ``fan_in`` and
``fan_out`` follow PyTorch: for a weight of shape (out, in, *kernel) they are in and out times the kernel's size.

Source: PyTorch ``torch.nn.init``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from .parameter import Initializer

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


class _Named:
    """An initialiser that says in ``repr`` how it was made, and copies as itself."""

    def __init__(self, text: str, draw: Callable[[Shape, np.random.Generator], Array]) -> None:
        self._text, self._draw = text, draw

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return self._draw(tuple(shape), rng)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Named:
        return self

    def __repr__(self) -> str:
        return self._text


def fans(shape: Shape) -> tuple[int, int]:
    """``(fan_in, fan_out)`` of a weight.

    Raises:
        ShapeError: the shape has fewer than two axes.

    Example:
        >>> fans((8, 3, 5, 5))
        (75, 200)
    """
    if len(shape) < 2:
        raise ShapeError(f"fan_in and fan_out need a shape with at least two axes, got {shape}")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity shrinks a standard deviation, inverted.

    Args:
        nonlinearity: "linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu" or a convolution's name.
        param: the negative slope of "leaky_relu" (0.01 if not given).

    Raises:
        ArgumentError: the name is not known.

    Example:
        >>> round(calculate_gain("leaky_relu", 0.2), 4)
        1.3868
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    convolutions = {f"conv{t}{n}d": 1.0 for t in ("", "_transpose") for n in (1, 2, 3)}
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5.0 / 3,
        "relu": math.sqrt(2.0),
        "selu": 0.75,
        **convolutions,
    }
    if nonlinearity not in gains:
        raise ArgumentError(
            f"unknown nonlinearity {nonlinearity!r}; expected one of leaky_relu, {', '.join(gains)}"
        )
    return gains[nonlinearity]


def constant(value: float) -> Initializer:
    """All elements equal ``value``.

    Example:
        >>> import unimodule as um
        >>> um.init.constant(0.5)
        constant(0.5)
    """
    return _Named(f"constant({value})", lambda shape, rng: np.full(shape, value))


def zeros() -> Initializer:
    """All elements 0."""
    return _Named("zeros()", lambda shape, rng: np.zeros(shape))


def ones() -> Initializer:
    """All elements 1."""
    return _Named("ones()", lambda shape, rng: np.ones(shape))


def uniform(a: float = 0.0, b: float = 1.0) -> Initializer:
    """Drawn from U(a, b).

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.init.uniform(-1.0, 1.0)((2, 3), np.random.default_rng(0)).shape
        (2, 3)
    """
    return _Named(f"uniform({a}, {b})", lambda shape, rng: rng.uniform(a, b, shape))


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """Drawn from N(mean, std^2)."""
    return _Named(f"normal({mean}, {std})", lambda shape, rng: rng.normal(mean, std, shape))


def trunc_normal(mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Initializer:
    """Drawn from N(mean, std^2) cut to [a, b] (values outside are drawn again)."""
    if a >= b:
        raise ArgumentError(f"trunc_normal expected a < b, got {a} and {b}")

    def draw(shape: Shape, rng: np.random.Generator) -> Array:
        # By rejection, with a uniform proposal where the interval lies far out in a tail.
        out = np.empty(math.prod(shape))
        todo = np.arange(out.size)
        low, high = (a - mean) / std, (b - mean) / std
        peak = min(max(0.0, low), high)
        narrow = high - low < 1.0 or low > 1.0 or high < -1.0
        while todo.size:
            if narrow:
                z = rng.uniform(low, min(high, low + 20.0) if low > 0 else high, todo.size)
                keep = rng.uniform(size=todo.size) <= np.exp((peak * peak - z * z) / 2)
            else:
                z = rng.normal(size=todo.size)
                keep = (low <= z) & (z <= high)
            out[todo[keep]] = z[keep]
            todo = todo[~keep]
        return np.clip(out * std + mean, a, b).reshape(shape)

    return _Named(f"trunc_normal({mean}, {std}, {a}, {b})", draw)


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """U(-b, b) with b = gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""

    def draw(shape: Shape, rng: np.random.Generator) -> Array:
        bound = gain * math.sqrt(6.0 / max(1, sum(fans(shape))))
        return rng.uniform(-bound, bound, shape)

    return _Named(f"xavier_uniform({gain})", draw)


def xavier_normal(gain: float = 1.0) -> Initializer:
    """N(0, s^2) with s = gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""

    def draw(shape: Shape, rng: np.random.Generator) -> Array:
        return rng.normal(0.0, gain * math.sqrt(2.0 / max(1, sum(fans(shape)))), shape)

    return _Named(f"xavier_normal({gain})", draw)


def _kaiming_std(shape: Shape, a: float, mode: str, nonlinearity: str) -> float:
    fan = fans(shape)[0 if mode == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fan))


def _check_mode(mode: str) -> None:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"mode expected 'fan_in' or 'fan_out', got {mode!r}")


def kaiming_uniform(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """U(-b, b) with b = gain * sqrt(3 / fan) (He et al. 2015).

    Args:
        a: negative slope of the leaky ReLU that follows.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: what follows, see ``calculate_gain``.

    Example:
        >>> import unimodule as um
        >>> um.nn.Parameter(um.init.kaiming_uniform(), shape=(4, 3))
        Parameter(shape=(4, 3), dtype='float32')
    """
    _check_mode(mode)

    def draw(shape: Shape, rng: np.random.Generator) -> Array:
        bound = math.sqrt(3.0) * _kaiming_std(shape, a, mode, nonlinearity)
        return rng.uniform(-bound, bound, shape)

    return _Named(f"kaiming_uniform({a}, {mode!r}, {nonlinearity!r})", draw)


def kaiming_normal(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """N(0, s^2) with s = gain / sqrt(fan) (He et al. 2015); arguments as ``kaiming_uniform``."""
    _check_mode(mode)

    def draw(shape: Shape, rng: np.random.Generator) -> Array:
        return rng.normal(0.0, _kaiming_std(shape, a, mode, nonlinearity), shape)

    return _Named(f"kaiming_normal({a}, {mode!r}, {nonlinearity!r})", draw)


def eye() -> Initializer:
    """The identity matrix (for a shape with two axes)."""

    def draw(shape: Shape, rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ShapeError(f"eye expected a shape with two axes, got {shape}")
        return np.eye(*shape)

    return _Named("eye()", draw)


def dirac(groups: int = 1) -> Initializer:
    """Convolution weights (out, in, *kernel) that pass their input through, as far as there are channels for it."""

    def draw(shape: Shape, rng: np.random.Generator) -> Array:
        if not 3 <= len(shape) <= 5 or shape[0] % groups:
            raise ShapeError(
                f"dirac expected a convolution's weight whose first size {groups} divides, got {shape}"
            )
        out = np.zeros(shape)
        size = shape[0] // groups
        center = tuple(k // 2 for k in shape[2:])
        for group in range(groups):
            for i in range(min(size, shape[1])):
                out[(group * size + i, i, *center)] = 1.0
        return out

    return _Named(f"dirac({groups})", draw)


def orthogonal(gain: float = 1.0) -> Initializer:
    """A (semi-)orthogonal matrix times ``gain``, the axes after the first taken as one (Saxe et al. 2013)."""

    def draw(shape: Shape, rng: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"orthogonal expected a shape with at least two axes, got {shape}")
        rows, columns = shape[0], math.prod(shape[1:])
        flat = rng.normal(size=(max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(flat)
        q = np.asarray(q * np.sign(np.diagonal(r)))  # makes the distribution uniform over orthogonal matrices
        return np.reshape(gain * (q if rows >= columns else q.T), shape)

    return _Named(f"orthogonal({gain})", draw)


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """N(0, std^2) with a fraction ``sparsity`` of each column set to 0 (Martens 2010)."""

    def draw(shape: Shape, rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ShapeError(f"sparse expected a shape with two axes, got {shape}")
        out = rng.normal(0.0, std, shape)
        for column in range(shape[1]):
            out[rng.permutation(shape[0])[: math.ceil(sparsity * shape[0])], column] = 0.0
        return out

    return _Named(f"sparse({sparsity}, {std})", draw)


__all__ = [
    "calculate_gain",
    "constant",
    "dirac",
    "eye",
    "fans",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "trunc_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
