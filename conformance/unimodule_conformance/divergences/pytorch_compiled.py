"""PyTorch, compiled: what ``torch.compile`` makes otherwise than PyTorch itself does."""

from __future__ import annotations

from ..specs import Spec
from .model import Kind
from .native import refuses
from .rows import Rows

ROWS = Rows("torch", ">=2.13,<2.14")

_EXPM1 = frozenset({"ops.expm1", "F.elu", "nn.ELU", "F.selu", "nn.SELU", "F.celu", "nn.CELU"})


def _uses_expm1(spec: Spec) -> bool:
    return spec.dtype == "float64" and bool(_EXPM1 & spec.names)


@ROWS.row(
    "compiled-expm1-in-float64",
    "ops.expm1",
    Kind.PRECISION,
    "compiled for a CPU, expm1 of a float64 number near 0 has some 10 digits; in float32, and eager, all are there",
    "all digits of float64",
    corrected=False,
    excuses=_uses_expm1,
)
def _compiled_expm1() -> bool:
    import torch

    x = torch.full((8,), -1e-7, dtype=torch.float64)  # enough to be computed as vectors
    return bool(((torch.compile(torch.expm1)(x) - torch.expm1(x)) / x).abs().max() > 1e-14)


@ROWS.row(
    "compiled-branches-beside-a-convolution",
    "ops.cond",
    Kind.BUG,
    "compiled for a CPU with gradients, branches beside a convolution are an error: it chooses the layout of their operands",
    "branches anywhere: such programs are compiled without that choice of layouts",
    link="https://github.com/pytorch/pytorch/issues/169778",
)
def _compiled_branches() -> bool:
    import torch

    def fn(x: torch.Tensor, w: torch.Tensor, pred: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(torch.cond(pred, torch.sin, torch.cos, (x,)), w)

    x, w = torch.ones(2, 2, 3, 4).requires_grad_(), torch.ones(2, 2, 1, 1).requires_grad_()
    return refuses(lambda: torch.compile(fn)(x, w, torch.tensor(True)), "expected size 2==2, stride 1==12")
