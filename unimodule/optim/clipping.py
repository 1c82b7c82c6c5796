"""Gradient clipping, as pure functions of the gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError
from ..registry import find_backend
from ..transforms.gradient import Gradients

Tree = Any
"""``Gradients``, or a tensor, or any nesting of dicts, lists and tuples of them; None stands for no gradient."""


def clip_grad_norm(
    gradients: Tree, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> tuple[Tree, Tensor]:
    """Scale all gradients by one factor, so that their norm is at most ``max_norm``.

    The norm is that of the norms of the single gradients: for a p-norm, that of one vector of all their elements. The
    factor is min(1, max_norm / (norm + 1e-6)), also where the norm is infinite or NaN.

    Args:
        gradients: what ``value_and_grad`` returned, a tensor, or any nesting of dicts, lists and tuples of tensors.
        max_norm: the largest norm, >= 0.
        norm_type: p; ``inf`` is the largest size of an element, 0 the number of gradients that are not all zeros.
        error_if_nonfinite: look at the norm, and raise if it is infinite or NaN. Not in compiled code.

    Returns:
        The clipped gradients in the same structure, and the norm before clipping, a scalar tensor.

    Raises:
        ArgumentError: a limit is not a number >= 0, something is not a tensor, or the norm is not finite.

    Source: PyTorch ``torch.nn.utils.clip_grad_norm_``.

    Example:
        >>> import numpy as np, unimodule as um
        >>> grads, norm = um.optim.clip_grad_norm({"a": np.array([3.0]), "b": np.array([4.0])}, max_norm=1.0)
        >>> float(norm), np.round([grads["a"][0], grads["b"][0]], 3).tolist()
        (5.0, [0.6, 0.8])
    """
    limit, p = _limit("max_norm", max_norm), _order(norm_type)
    norms = [_norm(tensor, p) for tensor in _tensors(gradients)]
    if not norms:
        return gradients, ops.asarray(0.0)
    total = _norm(ops.stack(norms), p)
    if error_if_nonfinite and not math.isfinite(float(ops.item(total))):
        raise ArgumentError(
            f"the gradients' norm of order {p:g} is {ops.item(total)}, so it cannot be clipped"
        )
    factor = ops.minimum(ops.divide(limit, ops.add(total, 1e-6)), 1.0)
    return _map(lambda x: ops.multiply(x, ops.astype(factor, ops.result_type(x))), gradients), total


def clip_grad_value(gradients: Tree, clip_value: float) -> Tree:
    """Every element of the gradients, brought into [-clip_value, clip_value].

    Args:
        gradients: as for ``clip_grad_norm``.
        clip_value: the largest size of an element, >= 0.

    Returns:
        The clipped gradients in the same structure.

    Raises:
        ArgumentError: the limit is not a number >= 0, or something is not a tensor.

    Source: PyTorch ``torch.nn.utils.clip_grad_value_``.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.optim.clip_grad_value({"a": np.array([-3.0, 0.5])}, 1.0)["a"].tolist()
        [-1.0, 0.5]
    """
    limit = _limit("clip_value", clip_value)
    return _map(lambda tensor: ops.clip(tensor, -limit, limit), gradients)


def _limit(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ArgumentError(f"{name} expected a number >= 0, got {value!r}")
    return float(value)


def _order(norm_type: Any) -> float:
    try:
        p = float(norm_type)
    except (TypeError, ValueError):
        p = math.nan
    if math.isnan(p):
        raise ArgumentError(f"norm_type expected a number or 'inf', got {norm_type!r}")
    return p


def _norm(x: Tensor, p: float) -> Tensor:
    """The p-norm of all elements of ``x``, in its dtype."""
    wide = ops.astype(x, "float32") if ops.result_type(x) in ("float16", "bfloat16") else x
    sizes = ops.abs(wide)
    if p == math.inf:
        norm = ops.max(sizes)
    elif p == -math.inf:
        norm = ops.min(sizes)
    elif p == 0:
        norm = ops.sum(ops.astype(ops.not_equal(sizes, 0.0), ops.result_type(sizes)))
    elif p == 1:
        norm = ops.sum(sizes)
    elif p == 2:
        norm = ops.sqrt(ops.sum(ops.multiply(wide, wide)))
    else:
        norm = ops.pow(ops.sum(ops.pow(sizes, p)), 1 / p)
    return norm if wide is x else ops.astype(norm, ops.result_type(x))


def _tensors(tree: Tree) -> list[Tensor]:
    found: list[Tensor] = []
    _map(found.append, tree)
    return found


def _map(fn: Callable[[Tensor], Any], tree: Tree) -> Tree:
    """``fn`` of every tensor, in the same structure; ``Gradients`` keep their handles."""
    if tree is None:
        return None
    if isinstance(tree, Gradients):
        new = Gradients({}, ())
        new.update((name, _map(fn, value)) for name, value in tree.items())
        new.parameters = tree.parameters
        return new
    if isinstance(tree, dict):
        return {key: _map(fn, value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        items = [_map(fn, item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, list):
        return [_map(fn, item) for item in tree]
    if find_backend(tree) is None:
        raise ArgumentError(
            f"gradients expected tensors in dicts, lists and tuples, got {type(tree).__name__}"
        )
    return fn(tree)
