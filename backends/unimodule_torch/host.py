"""Integer arithmetic that PyTorch lacks, done by NumPy on the host.

PyTorch stores uint16, uint32 and uint64 but can hardly compute with them, and on a GPU it multiplies no integer
matrices. It says so with ``NotImplementedError``, which costs nothing until it happens; floats never come here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from unimodule.backend import Tensor


def or_numpy(native: Callable[..., Any], reference: Callable[..., Any]) -> Callable[..., Any]:
    """``native``, or NumPy's ``reference`` where PyTorch has no kernel for the integers it is given.

    Results come back in the dtype that ``reference`` gives them, on the device of the first tensor.
    """

    def call(*args: Any, **kwargs: Any) -> Tensor:
        try:
            return native(*args, **kwargs)
        except NotImplementedError:
            tensors = [x for x in args if isinstance(x, torch.Tensor)]
            if any(x.is_floating_point() for x in tensors):
                raise
            return _on_host(reference, args, kwargs, tensors[0])

    return call


def _on_host(
    reference: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], like: Tensor
) -> Tensor:
    # A Python scalar takes the tensor's dtype, whatever NumPy's own rule (they changed in NumPy 2).
    kind = like.cpu().numpy().dtype.type
    arrays = [
        x.cpu().numpy() if isinstance(x, torch.Tensor) else kind(x) if isinstance(x, int) else x for x in args
    ]
    return torch.from_numpy(np.asarray(reference(*arrays, **kwargs))).to(like.device)
