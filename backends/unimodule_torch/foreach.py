"""Lists of tensors in one call each, in place where a name ends in ``_``: ``Backend.foreach``, for update rules.

These are the functions that ``torch.optim(foreach=True)`` is made of; on a GPU each is a kernel or two for the whole list.
"""

from __future__ import annotations

import torch

Tensors = list[torch.Tensor]


def copy(x: Tensors) -> Tensors:
    return [t.clone() for t in x]


def negative(x: Tensors) -> Tensors:
    return list(torch._foreach_neg(x))


def sign(x: Tensors) -> Tensors:
    return list(torch._foreach_sign(x))


def abs(x: Tensors) -> Tensors:
    return list(torch._foreach_abs(x))


def sqrt(x: Tensors) -> Tensors:
    return list(torch._foreach_sqrt(x))


def shift(x: Tensors, a: float) -> Tensors:
    return list(torch._foreach_add(x, a))


def add(x: Tensors, y: Tensors, a: float) -> Tensors:
    return list(torch._foreach_add(x, y, alpha=a))


def lerp(x: Tensors, y: Tensors, a: float) -> Tensors:
    return list(torch._foreach_lerp(x, y, a))


def addcmul(x: Tensors, y: Tensors, z: Tensors, a: float) -> Tensors:
    return list(torch._foreach_addcmul(x, y, z, a))


def sqrt_(x: Tensors) -> Tensors:
    torch._foreach_sqrt_(x)
    return x


def shift_(x: Tensors, a: float) -> Tensors:
    torch._foreach_add_(x, a)
    return x


def scale_(x: Tensors, a: float) -> Tensors:
    torch._foreach_mul_(x, a)
    return x


def add_(x: Tensors, y: Tensors, a: float) -> Tensors:
    torch._foreach_add_(x, y, alpha=a)
    return x


def lerp_(x: Tensors, y: Tensors, a: float) -> Tensors:
    torch._foreach_lerp_(x, y, a)
    return x


def multiply_(x: Tensors, y: Tensors) -> Tensors:
    torch._foreach_mul_(x, y)
    return x


def divide_(x: Tensors, y: Tensors) -> Tensors:
    torch._foreach_div_(x, y)
    return x


def maximum_(x: Tensors, y: Tensors) -> Tensors:
    torch._foreach_maximum_(x, y)
    return x


def addcmul_(x: Tensors, y: Tensors, z: Tensors, a: float) -> Tensors:
    torch._foreach_addcmul_(x, y, z, a)
    return x


def addcdiv_(x: Tensors, y: Tensors, z: Tensors, a: float) -> Tensors:
    torch._foreach_addcdiv_(x, y, z, a)
    return x
