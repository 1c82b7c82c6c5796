"""MXNet 1.9.1: values that differ."""

from __future__ import annotations

import math

import numpy as np

from .model import Kind
from .native import INF, NAN, mx_array, mxnet, refuses
from .rows import Rows

ROWS = Rows("mxnet", "==1.9.1")


# ---------------------------------------------------------------------- NaN and infinity
@ROWS.row(
    "softmax-of-nan",
    "ops.softmax",
    Kind.BUG,
    "oneDNN's float32 softmax keeps a NaN where it stood and gives the others finite values",
    "the whole slice is NaN",
)
def _softmax_nan() -> bool:
    out = mxnet().npx.softmax(mx_array([[NAN, 1.0, 2.0] + [0.0] * 50]), axis=-1).asnumpy()
    return bool(np.isfinite(out[0, 1:]).all())


@ROWS.row(
    "log-softmax-of-nan",
    "ops.log_softmax",
    Kind.BUG,
    "oneDNN's float32 log_softmax keeps a NaN where it stood",
    "the whole slice is NaN",
)
def _log_softmax_nan() -> bool:
    out = mxnet().npx.log_softmax(mx_array([[NAN, 1.0, 2.0] + [0.0] * 50]), axis=-1).asnumpy()
    return bool(np.isfinite(out[0, 1:]).all())


@ROWS.row(
    "max-pool-of-nan",
    "nn.MaxPool2d",
    Kind.BUG,
    "max pooling passes over NaN",
    "a window with a NaN in it gives NaN",
)
def _max_pool_nan() -> bool:
    x = mx_array([[[[1.0, NAN], [0.0, -1.0]]]])
    return bool(mxnet().npx.pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max").item() == 1.0)


@ROWS.row(
    "max-pool-of-minus-infinity",
    "nn.MaxPool2d",
    Kind.BUG,
    "a window of nothing but -infinity gives the lowest finite number",
    "-infinity",
)
def _max_pool_infinity() -> bool:
    x = mx_array(np.full((1, 1, 2, 2), -INF))
    return math.isfinite(mxnet().npx.pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max").item())


@ROWS.row(
    "sum-of-infinity",
    "ops.sum",
    Kind.BUG,
    "the sum of numbers with an infinity among them is NaN (Kahan's summation)",
    "the infinity",
    link="https://github.com/apache/mxnet/pull/16234",
)
def _sum_infinity() -> bool:
    return math.isnan(mx_array([1.0, INF, -2.0]).sum().item())


@ROWS.row("sign-of-nan", "ops.sign", Kind.CHOICE, "sign(NaN) is 0", "NaN (array API)")
def _sign_nan() -> bool:
    return bool(mxnet().np.sign(mx_array([NAN])).item() == 0.0)


@ROWS.row(
    "leaky-relu-of-nan",
    "ops.leaky_relu",
    Kind.BUG,
    "leaky_relu with slope 0 makes 0 of NaN",
    "NaN",
)
def _leaky_nan() -> bool:
    return bool(mxnet().npx.leaky_relu(mx_array([NAN]), slope=0.0).item() == 0.0)


@ROWS.row(
    "argsort-of-nan",
    "ops.argsort",
    Kind.CHOICE,
    "argsort leaves NaN where it is met",
    "NaN last",
)
def _argsort_nan() -> bool:
    order = mxnet().np.argsort(mx_array([NAN, 1.0, 0.0])).asnumpy()
    return bool(order.tolist() != [2, 1, 0])


# ---------------------------------------------------------------------- nothing
@ROWS.row(
    "mean-of-nothing",
    "ops.mean",
    Kind.CHOICE,
    "the mean of no elements is 0",
    "NaN",
    link="https://github.com/apache/mxnet/pull/18286",
)
def _mean_nothing() -> bool:
    return bool(mxnet().np.zeros((0,)).mean().item() == 0.0)


@ROWS.row(
    "prod-of-nothing",
    "ops.prod",
    Kind.BUG,
    "the product of no elements is 0",
    "1",
    link="https://github.com/apache/mxnet/pull/18286",
)
def _prod_nothing() -> bool:
    return bool(mxnet().np.zeros((0,)).prod().item() == 0.0)


# ---------------------------------------------------------------------- order and ties
@ROWS.row(
    "argsort-is-not-stable",
    "ops.argsort",
    Kind.CHOICE,
    "argsort changes the order of equals",
    "equals keep their order",
)
def _argsort() -> bool:
    order = mxnet().np.argsort(mxnet().np.zeros((40,))).asnumpy()
    return bool(order.tolist() != list(range(40)))


@ROWS.row(
    "rint",
    "ops.round",
    Kind.CHOICE,
    "rint rounds halves down: rint(1.5) is 1",
    "halves to even",
)
def _rint() -> bool:
    return bool(mxnet().np.rint(mx_array([0.5, 1.5, 2.5])).asnumpy().tolist() != [0.0, 2.0, 2.0])


# ---------------------------------------------------------------------- digits
@ROWS.row(
    "cumsum-drift",
    "ops.cumulative_sum",
    Kind.PRECISION,
    "float32's running sum of 100,000 times 0.1 is off by 1.4",
    "within a few roundings of the largest partial sum",
)
def _cumsum() -> bool:
    last = mxnet().np.cumsum(mx_array(np.full(100_000, 0.1)))[-1].item()
    return bool(abs(last - 10_000) > 1)


@ROWS.row(
    "softplus-tail",
    "ops.softplus",
    Kind.PRECISION,
    "softrelu is log(1 + exp(x)) literally: at -20 it has no correct digit",
    "log1p(exp(x))",
)
def _softplus() -> bool:
    value = mxnet().npx.activation(mx_array([-20.0]), act_type="softrelu").item()
    return bool(abs(value - math.log1p(math.exp(-20.0))) > 1e-7)


@ROWS.row(
    "leaky-relu-slope-precision",
    "ops.leaky_relu",
    Kind.PRECISION,
    "the slope is taken in float32, for float64 tensors too",
    "float64 throughout",
)
def _leaky_slope() -> bool:
    return bool(abs(mxnet().npx.leaky_relu(mx_array([-1.0], "float64"), slope=0.1).item() + 0.1) > 1e-10)


@ROWS.row(
    "elu-near-0",
    "ops.elu",
    Kind.PRECISION,
    "oneDNN's float32 elu is exp(x) - 1 literally: at -1e-5 two digits are left",
    "expm1(x)",
)
def _elu_digits() -> bool:
    value = mxnet().npx.leaky_relu(mx_array([-1e-5]), act_type="elu", slope=1.0).item()
    return bool(abs(value / -1e-5 - 1) > 1e-4)


@ROWS.row(
    "elu-slope-precision",
    "ops.elu",
    Kind.PRECISION,
    "alpha is taken in float32, for float64 tensors too",
    "float64 throughout",
)
def _elu_slope() -> bool:
    value = mxnet().npx.leaky_relu(mx_array([-1.0], "float64"), act_type="elu", slope=0.1).item()
    return bool(abs(value - 0.1 * math.expm1(-1.0)) > 1e-10)


@ROWS.row(
    "gelu-precision",
    "ops.gelu",
    Kind.PRECISION,
    "float64's gelu divides by the root of 2 in float32",
    "float64 throughout",
)
def _gelu() -> bool:
    value = mxnet().npx.leaky_relu(mx_array([1.0], "float64"), act_type="gelu").item()
    return bool(abs(value - 0.5 * (1 + math.erf(math.sqrt(0.5)))) > 1e-9)


@ROWS.row(
    "layer-norm-eps-precision",
    "ops.layer_norm",
    Kind.PRECISION,
    "eps is taken in float32, for float64 tensors too",
    "float64 throughout",
)
def _layer_norm() -> bool:
    x, one, zero = (
        mx_array([[1.0, 1.001]], "float64"),
        mx_array([1.0] * 2, "float64"),
        mx_array([0.0] * 2, "float64"),
    )
    value = mxnet().npx.layer_norm(x, one, zero, eps=0.1)[0, 1].item()
    return bool(abs(value / (5e-4 / math.sqrt(2.5e-7 + 0.1)) - 1) > 1e-10)


@ROWS.row(
    "dropout-scale-precision",
    "nn.Dropout",
    Kind.PRECISION,
    "what dropout keeps of a float64 tensor is scaled by 1 / (1 - p) in float32",
    "float64 throughout",
)
def _dropout() -> bool:
    mx = mxnet()
    out = mx.nd.Dropout(mx.nd.ones((100,), dtype="float64"), p=0.1, mode="always").asnumpy()
    return bool(abs(out.max() - 1 / 0.9) > 1e-9)


@ROWS.row(
    "scalars-are-parsed-inexactly",
    "ops.add",
    Kind.PRECISION,
    "a Python number beside a float64 tensor travels as text and comes back changed in the last place",
    "the number itself",
)
def _scalar() -> bool:
    number = 0.10490011715303971
    return bool((mx_array([0.0], "float64") + number).item() != number)


@ROWS.row(
    "batch-norm-variance",
    "nn.BatchNorm1d",
    Kind.CHOICE,
    "output_mean_var gives 1 / sqrt(var + eps), from which a small variance cannot be had back",
    "the variance of the batch",
)
def _batch_norm() -> bool:
    mx = mxnet()
    parts = [mx_array(v) for v in ([[0.0], [1e-6]], [1.0], [0.0], [0.0], [1.0])]
    with mx.autograd.train_mode():
        found = mx.nd.BatchNorm(
            *[p.as_nd_ndarray() for p in parts], output_mean_var=True, fix_gamma=False, eps=1e-5
        )[2]
    return bool(found.asnumpy()[0] > 300)


@ROWS.row(
    "mean-of-float16",
    "ops.mean",
    Kind.PRECISION,
    "float16's mean overflows: the sum is formed in float16",
    "30000 for nine times 30000",
)
def _mean_float16() -> bool:
    return math.isinf(float(mxnet().np.full((9,), 3e4, dtype="float16").mean().asnumpy()))


# ---------------------------------------------------------------------- other numbers
@ROWS.row("mod-by-zero", "ops.remainder", Kind.CHOICE, "x % 0.0 is 0", "NaN")
def _mod() -> bool:
    return bool(mxnet().np.mod(mx_array([1.0]), mx_array([0.0])).item() == 0.0)


@ROWS.row(
    "deconvolution-with-dilation",
    "nn.ConvTranspose2d",
    Kind.BUG,
    "float64's deconvolution with stride 2 and dilation 2 is wrong",
    "what float32 gives",
)
def _deconvolution() -> bool:
    mx, rng = mxnet(), np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 5, 5)), rng.normal(size=(3, 2, 3, 3))
    options = {"kernel": (3, 3), "stride": (2, 2), "dilate": (2, 2), "num_filter": 2, "no_bias": True}
    single, double = (
        mx.nd.Deconvolution(mx.nd.array(x, dtype=d), mx.nd.array(w, dtype=d), **options).asnumpy()
        for d in ("float32", "float64")
    )
    return bool(np.abs(single - double).max() > 1)


@ROWS.row(
    "ceil-mode-window-in-the-padding",
    "nn.MaxPool2d",
    Kind.CHOICE,
    "pooling_convention='full' keeps a last window that starts in the padding, and pools nothing there",
    "such a window is left out",
)
def _ceil() -> bool:
    x = mx_array(np.arange(7.0).reshape(1, 1, 1, 7))
    out = mxnet().npx.pooling(
        x, kernel=(1, 2), stride=(1, 3), pad=(0, 1), pool_type="max", pooling_convention="full"
    )
    return bool(out.shape[-1] == 4 and out[..., -1].item() < -1e38)


@ROWS.row(
    "embedding-out-of-range",
    "nn.Embedding",
    Kind.CHOICE,
    "an index out of range reads the nearest row",
    "IndexError",
)
def _embedding() -> bool:
    rows = mx_array([[1.0], [2.0]])
    found = mxnet().npx.embedding(mx_array([7.0, -1.0]), rows, input_dim=2, output_dim=1).asnumpy()
    return bool(found.ravel().tolist() == [2.0, 1.0])


@ROWS.row(
    "broadcasting-axes-in-turns",
    "ops.broadcast_to",
    Kind.UNSUPPORTED,
    "an array is not broadcast where axes that grow and axes that stay take turns more than five times",
    "any array to any shape that it fits",
)
def _broadcast() -> bool:
    return refuses(lambda: mxnet().np.broadcast_to(mx_array(np.ones((1, 2, 1, 2, 1, 2))), (2, 2, 2, 2, 2, 2)))
