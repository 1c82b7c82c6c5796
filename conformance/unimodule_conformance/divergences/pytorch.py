"""PyTorch: what differs from the declared semantics, which are PyTorch's own for layers and the array API's for ``ops``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .model import Kind
from .native import NAN, refuses, torch_gradients
from .rows import Rows

ROWS = Rows("torch", ">=2.13,<2.14")


# ---------------------------------------------------------------------- gradients
@ROWS.row(
    "clamp-gradient-at-ties",
    "ops.maximum",
    Kind.CHOICE,
    "clamp(min=number) gives the whole gradient to a tensor that equals the number, where maximum shares it",
    "maximum with a number shares it too",
)
def _clamp() -> bool:
    import torch

    clamped = torch_gradients(lambda x: x.clamp(min=1.0), [1.0])[0].item()
    shared = torch_gradients(lambda x: torch.maximum(x, torch.ones(1)), [1.0])[0].item()
    return (clamped, shared) == (1.0, 0.5)


@ROWS.row(
    "max-over-an-axis-gradient-at-ties",
    "ops.max",
    Kind.CHOICE,
    "max(dim) gives the whole gradient to one of the largest, max() and amax share it",
    "they share it, whatever the axis",
)
def _max() -> bool:
    return bool(torch_gradients(lambda x: x.max(0).values, [1.0, 1.0])[0].tolist() == [1.0, 0.0])


@ROWS.row(
    "remainder-of-a-number",
    "ops.remainder",
    Kind.UNSUPPORTED,
    "remainder(number, tensor) has no gradient",
    "it has that of two tensors",
)
def _remainder() -> bool:
    import torch

    return refuses(lambda: torch_gradients(lambda x: torch.remainder(5.0, x), [2.0]), "not implemented")


@ROWS.row(
    "floor-divide-gradient",
    "ops.floor_divide",
    Kind.UNSUPPORTED,
    "floor_divide refuses to be differentiated",
    "its gradient is 0",
)
def _floor_divide() -> bool:
    import torch

    return refuses(lambda: torch_gradients(lambda x: torch.floor_divide(x, 2.0), [2.0]), "not implemented")


@ROWS.row(
    "batch-norm-gradient-of-statistics",
    "F.batch_norm",
    Kind.UNSUPPORTED,
    "batch_norm refuses statistics that need a gradient",
    "mean and variance are inputs as any other",
)
def _batch_norm() -> bool:
    import torch
    import torch.nn.functional as F

    x = torch.tensor([[1.0], [2.0]])
    return refuses(
        lambda: torch_gradients(lambda m, v: F.batch_norm(x, m, v), [0.0], [1.0]), "differentiable"
    )


@ROWS.row(
    "batch-norm-gradient-in-another-order",
    "nn.BatchNorm3d",
    Kind.BUG,
    "on CPU the gradient of batch_norm and instance_norm is wrong for some gradients whose axes lie in another order than the input's",
    "the same gradient, however it lies in memory",
)
def _batch_norm_order() -> bool:
    import torch
    import torch.nn.functional as F

    x = torch.ones(1, 2, 2, 2, 1, requires_grad=True)
    y = F.batch_norm(x, torch.zeros(2), torch.ones(2), torch.ones(2), eps=0.0)  # the identity
    dy = torch.arange(8.0).reshape(1, 1, 2, 2, 2).swapaxes(-1, 1)
    return not torch.equal(torch.autograd.grad(y, x, dy)[0], dy)


@ROWS.row(
    "layer-norm-gradient-of-float16",
    "nn.LayerNorm",
    Kind.PRECISION,
    "on CPU the statistics that layer_norm's gradient needs are rounded to 16 bits: one digit is left of it",
    "a few roundings of float16: statistics in float32",
)
def _layer_norm() -> bool:
    import torch
    import torch.nn.functional as F

    values = 3 + 2**-7 * np.random.default_rng(0).permutation(24).reshape(4, 6)
    weight = np.linspace(0.5, 1.5, 24).reshape(4, 6) ** 2

    def gradient(dtype: str) -> Any:
        w = torch.tensor(weight, dtype=getattr(torch, dtype))
        return torch_gradients(lambda x: F.layer_norm(x, (6,), eps=1e-3) * w, values, dtype=dtype)[0]

    half, double = gradient("float16"), gradient("float64")
    return bool(np.abs(half - double).max() > 0.05 * np.abs(double).max())


@ROWS.row(
    "while-loop-gradient-through-steps",
    "ops.while_loop",
    Kind.BUG,
    "a first value that needs no gradient cuts every step of while_loop off from the next: the gradient of w in "
    "x * w * w, by two steps from a constant x, is half of what it is",
    "the gradient is that of the steps written out, whichever of the first values need one",
)
def _while() -> bool:
    import torch
    from torch._higher_order_ops.while_loop import while_loop_op

    def gradient(x: Any) -> float:
        w = torch.tensor(0.5, requires_grad=True)
        first = (torch.zeros((), dtype=torch.int64), x)
        out = while_loop_op(lambda i, y, w: i < 2, lambda i, y, w: (i + 1, y * w), first, (w,))
        return float(torch.autograd.grad(out[1], w)[0])

    return (gradient(torch.tensor(3.0)), gradient(torch.tensor(3.0, requires_grad=True))) == (1.5, 3.0)


# ---------------------------------------------------------------------- values
@ROWS.row(
    "sign-of-nan",
    "ops.sign",
    Kind.CHOICE,
    "sign(NaN) is 0",
    "NaN (array API)",
    link="https://github.com/pytorch/pytorch/issues/41245",
)
def _sign() -> bool:
    import torch

    return bool(torch.sign(torch.tensor(NAN)).item() == 0.0)


@ROWS.row(
    "gelu-of-infinity",
    "F.gelu",
    Kind.BUG,
    "on CPU, in float32 and bfloat16, gelu of infinity is NaN, and that of 3e38 infinity, where a tensor is long enough "
    "for the vectorized kernel",
    "the argument itself, as in float64",
)
def _gelu() -> bool:
    import torch
    import torch.nn.functional as F

    long, short = F.gelu(torch.full((32,), math.inf)), F.gelu(torch.tensor(math.inf))
    return bool(torch.isnan(long).all()) and math.isinf(short.item())


@ROWS.row(
    "no-axes-means-all",
    "ops.sum",
    Kind.CHOICE,
    "an empty tuple of axes reduces all of them (in sum, mean, amax; not in any)",
    "none, as in NumPy",
)
def _no_axes() -> bool:
    import torch

    x = torch.ones(1, 2)
    return all(fn(x, dim=()).ndim == 0 for fn in (torch.sum, torch.mean, torch.amax))


@ROWS.row(
    "argsort-is-not-stable",
    "ops.argsort",
    Kind.CHOICE,
    "argsort changes the order of equals unless told stable=True",
    "equals keep their order",
    link="https://github.com/data-apis/array-api-compat/issues/354",
)
def _argsort() -> bool:
    import torch

    x = torch.arange(1000) % 2
    return not torch.equal(torch.argsort(x), torch.argsort(x, stable=True))


@ROWS.row(
    "clamp-wraps-bounds",
    "ops.clip",
    Kind.BUG,
    "clamp(uint8, min=-1) takes the bound for 255",
    "nothing is below -1",
)
def _clamp_wraps() -> bool:
    import torch

    return bool(torch.clamp(torch.tensor([100], dtype=torch.uint8), min=-1).item() == 255)


@ROWS.row(
    "running-variance-of-one-row",
    "nn.BatchNorm1d",
    Kind.CHOICE,
    "batch_norm of a single row makes the running variance NaN: 0 / 0",
    "the biased variance is what the op returns; the layer refuses a single value for each channel",
)
def _one_row() -> bool:
    import torch

    var = torch.ones(1)
    torch.native_batch_norm(torch.ones(1, 1), None, None, torch.zeros(1), var, True, 0.5, 1e-5)
    return math.isnan(var.item())


# ---------------------------------------------------------------------- what is missing
@ROWS.row(
    "uint16-arithmetic",
    "ops.add",
    Kind.UNSUPPORTED,
    "uint16, uint32 and uint64 have no arithmetic",
    "they wrap around",
)
def _unsigned() -> bool:
    import torch

    x = torch.tensor([1], dtype=torch.uint16)
    return refuses(lambda: x + x, "not implemented")


@ROWS.row(
    "prod-over-several-axes",
    "ops.prod",
    Kind.UNSUPPORTED,
    "prod takes one axis",
    "an axis, several, or all",
)
def _prod() -> bool:
    import torch

    return refuses(lambda: torch.prod(torch.ones(2, 2), (0, 1)))


@ROWS.row(
    "uneven-padding",
    "F.conv1d",
    Kind.UNSUPPORTED,
    "a convolution pads both sides of an axis alike",
    "padding='same' may need one cell more on the right",
)
def _padding() -> bool:
    import torch

    return refuses(lambda: torch.conv1d(torch.ones(1, 1, 4), torch.ones(1, 1, 2), padding=(1, 0)))


@ROWS.row(
    "average-pooling-of-float16-volumes",
    "nn.AvgPool3d",
    Kind.UNSUPPORTED,
    "on CPU avg_pool3d refuses 16-bit floats",
    "it pools them",
)
def _avg_pool3d() -> bool:
    import torch
    import torch.nn.functional as F

    return refuses(lambda: F.avg_pool3d(torch.ones(1, 1, 2, 2, 2, dtype=torch.float16), 2), "not implemented")


@ROWS.row(
    "average-pooling-divisor",
    "F.avg_pool1d",
    Kind.UNSUPPORTED,
    "avg_pool1d knows no divisor_override",
    "the op takes one for any number of axes",
)
def _divisor() -> bool:
    import torch
    import torch.nn.functional as F

    return refuses(lambda: F.avg_pool1d(torch.ones(1, 1, 4), 2, divisor_override=3))


@ROWS.row(
    "numbers-on-the-left",
    "ops.equal",
    Kind.UNSUPPORTED,
    "eq, atan2, maximum and logical_and take no number in one place or the other",
    "a number may stand on either side",
)
def _numbers() -> bool:
    import torch

    x = torch.ones(1)
    calls = [lambda: torch.eq(1, x), lambda: torch.atan2(1.0, x), lambda: torch.maximum(x, 1.0)]
    return all(map(refuses, calls))


@ROWS.row(
    "clamp-with-a-tensor-and-a-number",
    "ops.clip",
    Kind.UNSUPPORTED,
    "clamp takes two tensors or two numbers, no mixture",
    "any mixture",
)
def _mixture() -> bool:
    import torch

    return refuses(lambda: torch.clamp(torch.ones(1), torch.zeros(1), 1.0))


@ROWS.row(
    "negative-step",
    "ops.getitem",
    Kind.UNSUPPORTED,
    "x[::-1] is an error",
    "the tensor backwards",
)
def _step() -> bool:
    import torch

    return refuses(lambda: torch.ones(2)[::-1], "step must be greater")


@ROWS.row(
    "parameters-made-in-inference-mode",
    "um.nn.Module.to",
    Kind.CHOICE,
    "a parameter that was made in inference_mode can never be trained",
    "a net may be bound anywhere and trained later",
)
def _inference() -> bool:
    import torch

    with torch.inference_mode():
        p = torch.nn.Parameter(torch.ones(1))
    return refuses(lambda: (p * p).sum().backward())
