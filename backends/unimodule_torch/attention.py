"""Scaled dot product attention on PyTorch's fused kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F

from unimodule.backend import Tensor


def scaled_dot_product_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float, is_causal: bool, scale: float
) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal, scale=scale)


FUNCTIONS: dict[str, Callable[..., Any]] = {"scaled_dot_product_attention": scaled_dot_product_attention}
