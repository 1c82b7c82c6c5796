"""Attention under PyTorch's name."""

from __future__ import annotations

from ...ops import scaled_dot_product_attention

__all__ = ["scaled_dot_product_attention"]
