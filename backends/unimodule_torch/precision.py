"""Full float32 on hardware that would round to TF32 or bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def _switches() -> list[tuple[Any, str, Any]]:
    """Who rounds float32: object, attribute, the value that stops it. PyTorch forbids mixing old and new names."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(cudnn, "conv"):
        places = [cuda, cudnn.conv, cudnn.rnn, torch.backends.mkldnn.matmul]
        places += [torch.backends.mkldnn.conv, torch.backends.mkldnn.rnn]
        return [(place, "fp32_precision", "ieee") for place in places]
    return [(cuda, "allow_tf32", False), (cudnn, "allow_tf32", False)]


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 products in full float32. PyTorch's switches are process-wide: other threads see it, too."""
    before = [(place, name, getattr(place, name)) for place, name, _ in _switches()]
    try:
        for place, name, value in _switches():
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
