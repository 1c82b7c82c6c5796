"""Cases for the optional ops: the kernels of neural networks."""

import numpy as np

from .cases_core import f, i64, inf, nan, rand
from .harness import Case

CASES: list[Case] = []


def add(name, *args, tag="", grad=True, relative=False, oracle=None, **kwargs):
    # The statistics of a batch only go into running averages, so no gradient is asked through them.
    through = 1 if name == "batch_norm_train" else None
    CASES.append(Case(name, args, kwargs, tag, grad, relative, through, oracle=oracle))


# ---------------------------------------------------------------------- linear, convolutions
for shape in [(4, 3), (3,), (2, 4, 3), (0, 3)]:
    add("linear", rand(*shape), rand(5, 3), rand(5), tag=f"{len(shape)}d-{shape[0]}")
    add("linear", rand(*shape), rand(5, 3), None, tag=f"{len(shape)}d-{shape[0]}-nobias")
add("linear", rand(2, 0), rand(3, 0), rand(3), tag="no-features")


def conv(tag, x, weight, stride, padding, dilation, groups, bias=True):
    add(
        "conv",
        rand(*x),
        rand(*weight),
        rand(weight[0]) if bias else None,
        stride,
        padding,
        dilation,
        groups,
        tag=tag,
    )


conv("1d", (2, 3, 9), (4, 3, 3), (1,), ((0, 0),), (1,), 1)
conv("1d-all", (2, 4, 11), (6, 2, 3), (2,), ((2, 1),), (2,), 2, bias=False)
conv("1d-depthwise", (2, 3, 8), (6, 1, 2), (1,), ((1, 0),), (3,), 3)
conv("2d", (2, 3, 6, 5), (4, 3, 3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
conv("2d-same", (1, 2, 5, 6), (3, 2, 2, 4), (1, 1), ((0, 1), (1, 2)), (1, 1), 1)
conv("2d-all", (2, 4, 9, 8), (6, 2, 3, 2), (2, 3), ((1, 0), (2, 3)), (2, 1), 2)
conv("2d-depthwise", (1, 3, 6, 7), (3, 1, 3, 3), (2, 1), ((1, 1), (0, 0)), (1, 2), 3, bias=False)
conv("2d-empty", (0, 3, 6, 5), (4, 3, 3, 2), (1, 1), ((1, 1), (0, 0)), (1, 1), 1)
conv("2d-square", (2, 3, 4, 4), (4, 3, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
conv("3d", (1, 2, 4, 5, 6), (3, 2, 2, 3, 1), (1, 1, 1), ((0, 0),) * 3, (1, 1, 1), 1)
conv("3d-all", (2, 4, 5, 7, 6), (4, 2, 2, 3, 2), (2, 1, 3), ((1, 0), (0, 2), (1, 1)), (1, 2, 3), 2)


def conv_transpose(tag, x, weight, stride, padding, output_padding, dilation, groups, bias=True):
    b = rand(weight[1] * groups) if bias else None
    add(
        "conv_transpose",
        rand(*x),
        rand(*weight),
        b,
        stride,
        padding,
        output_padding,
        dilation,
        groups,
        tag=tag,
    )


conv_transpose("1d", (2, 3, 5), (3, 4, 3), (1,), (0,), (0,), (1,), 1)
conv_transpose("1d-all", (2, 4, 6), (4, 3, 3), (3,), (1,), (2,), (2,), 2, bias=False)
conv_transpose("2d", (2, 3, 4, 5), (3, 4, 2, 3), (1, 1), (0, 0), (0, 0), (1, 1), 1)
conv_transpose("2d-all", (2, 4, 4, 3), (4, 3, 3, 2), (2, 3), (2, 1), (1, 2), (2, 1), 2)
conv_transpose("2d-depthwise", (1, 3, 4, 3), (3, 1, 2, 3), (2, 1), (0, 1), (0, 0), (1, 2), 3)
conv_transpose("2d-stride-over-kernel", (1, 2, 3, 4), (2, 3, 2, 1), (3, 2), (0, 0), (0, 1), (1, 1), 1)
conv_transpose("3d", (1, 2, 3, 2, 4), (2, 3, 2, 3, 1), (2, 1, 3), (1, 0, 0), (1, 0, 2), (1, 2, 1), 1)
conv_transpose(
    "3d-groups", (2, 4, 2, 3, 2), (4, 1, 2, 2, 3), (1, 2, 2), (0, 1, 1), (0, 1, 0), (2, 1, 1), 4, bias=False
)

# ---------------------------------------------------------------------- pooling
POOLS = [  # tag, x, kernel, stride, padding, dilation, ceil_mode
    ("1d", (2, 3, 9), (3,), (2,), (0,), (1,), False),
    ("1d-ceil", (2, 3, 10), (3,), (4,), (1,), (1,), True),
    ("1d-dilated", (2, 3, 10), (3,), (2,), (1,), (2,), True),
    ("2d", (2, 3, 6, 8), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ("2d-all", (2, 2, 9, 10), (3, 4), (2, 3), (1, 2), (2, 1), False),
    ("2d-ceil", (2, 2, 8, 7), (3, 2), (2, 3), (1, 0), (1, 2), True),
    ("2d-ceil-drops", (1, 2, 5, 5), (2, 3), (3, 4), (1, 1), (1, 1), True),
    ("2d-overlap", (1, 2, 5, 6), (3, 3), (1, 1), (1, 1), (1, 1), False),
    ("3d", (1, 2, 5, 6, 4), (2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 1, 1), False),
    ("3d-ceil", (1, 2, 6, 5, 7), (2, 3, 3), (2, 2, 3), (0, 1, 1), (2, 1, 1), True),
]
for tag, x, kernel, stride, padding, dilation, ceil_mode in POOLS:
    spatial = (kernel, stride, padding)
    for name in ["max_pool", "max_pool_with_indices"]:
        add(name, rand(*x), *spatial, dilation, ceil_mode, tag=tag)
        if min(x) > 0:
            ties = np.floor(rand(*x, low=0, high=3))
            add(name, ties, *spatial, dilation, ceil_mode, tag=f"{tag}-ties")
            add(name, np.full(x, -3.0), *spatial, dilation, ceil_mode, tag=f"{tag}-negative")
    if all(d == 1 for d in dilation):
        for include in (True, False):
            add("avg_pool", rand(*x), *spatial, ceil_mode, include, None, tag=f"{tag}-{include}")
        add("avg_pool", rand(*x), *spatial, ceil_mode, True, 5, tag=f"{tag}-divisor")
add(
    "max_pool",
    np.array([[[1.0, nan, 2.0, 3.0, 0.0, inf, -inf, -inf]]]),
    (2,),
    (2,),
    (0,),
    (1,),
    False,
    tag="nan",
    grad=False,
)
add("max_pool", np.full((1, 1, 2, 3), -inf), (2, 2), (1, 1), (1, 1), (1, 1), False, tag="-inf", grad=False)
for tag, x, size in [
    ("1d", (2, 3, 7), (3,)), ("1d-up", (1, 2, 3), (5,)), ("2d", (2, 3, 7, 10), (3, 4)), ("2d-even", (1, 2, 6, 8), (3, 2)),
    ("2d-one", (2, 3, 5, 4), (1, 1)), ("2d-up", (1, 2, 3, 4), (4, 3)), ("3d", (1, 2, 5, 4, 7), (2, 3, 4)),
]:  # fmt: skip
    add("adaptive_avg_pool", rand(*x), size, tag=tag)

# ---------------------------------------------------------------------- normalisation
for shape in [(6, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 2)]:
    tag = f"{len(shape)}d"
    stats = rand(3), rand(3, low=0.2, high=2.0)
    add("batch_norm", rand(*shape), *stats, rand(3), rand(3), 1e-5, tag=tag)
    add("batch_norm", rand(*shape), *stats, None, None, 0.3, tag=f"{tag}-plain")
    add("batch_norm", rand(*shape), *stats, rand(3), None, 1e-2, tag=f"{tag}-weight")
    add("batch_norm", rand(*shape), *stats, None, rand(3), 1e-2, tag=f"{tag}-bias")
    add("batch_norm_train", rand(*shape), rand(3), rand(3), 1e-5, tag=tag)
    add("batch_norm_train", rand(*shape), None, None, 0.3, tag=f"{tag}-plain")
    add("batch_norm_train", rand(*shape), rand(3), None, 1e-2, tag=f"{tag}-weight")
    add("batch_norm_train", rand(*shape), None, rand(3), 1e-2, tag=f"{tag}-bias")
add("batch_norm_train", 1e-4 * rand(8, 3), rand(3), rand(3), 1e-5, tag="tiny", grad=False, relative=True)
add("batch_norm_train", 1e-9 * rand(8, 3), rand(3), None, 1e-5, tag="tiniest", grad=False, relative=True)
add("batch_norm_train", 1e-3 * rand(8, 3), rand(3), rand(3), 1e-5, tag="small")
add("batch_norm_train", np.full((4, 2, 3), 0.25), rand(2), rand(2), 1e-5, tag="constant")
add("batch_norm_train", np.full((1, 2), 3.0), rand(2), rand(2), 1e-5, tag="one-value")
for tag, shape, norm in [
    ("1", (4, 5), (5,)),
    ("2", (2, 3, 4), (3, 4)),
    ("all", (3, 4), (3, 4)),
    ("4d", (2, 3, 4, 2), (2,)),
]:
    add("layer_norm", rand(*shape), norm, rand(*norm), rand(*norm), 1e-5, tag=tag)
    add("layer_norm", rand(*shape), norm, None, None, 0.2, tag=f"{tag}-plain")
    add("layer_norm", rand(*shape), norm, rand(*norm), None, 1e-3, tag=f"{tag}-weight")
    add("layer_norm", rand(*shape), norm, None, rand(*norm), 1e-3, tag=f"{tag}-bias")
add("layer_norm", np.full((2, 3), 0.5), (3,), rand(3), rand(3), 1e-5, tag="constant")
for tag, shape, groups in [
    ("2d", (3, 6), 2),
    ("3d", (2, 6, 5), 3),
    ("4d", (2, 4, 3, 2), 2),
    ("one", (2, 4, 3), 1),
    ("each", (2, 3, 4), 3),
]:
    add("group_norm", rand(*shape), groups, rand(shape[1]), rand(shape[1]), 1e-5, tag=tag)
    add("group_norm", rand(*shape), groups, None, None, 0.2, tag=f"{tag}-plain")
    add("group_norm", rand(*shape), groups, rand(shape[1]), None, 1e-3, tag=f"{tag}-weight")
    add("group_norm", rand(*shape), groups, None, rand(shape[1]), 1e-3, tag=f"{tag}-bias")

# ---------------------------------------------------------------------- embedding, activations
add("embedding", i64([[1, 0, 1], [3, 3, 2]]), rand(5, 3))
add("embedding", np.array([4, 4, 0], np.int32), rand(5, 3), tag="int32")
add("embedding", np.array(2), rand(5, 3), tag="0d")
add("embedding", np.zeros((2, 0), np.int64), rand(5, 3), tag="empty")
ACTIVATIONS = {
    "relu": [()],
    "sigmoid": [()],
    "silu": [()],
    "gelu": [("none",), ("tanh",)],
    "elu": [(1.0,), (0.3,)],
}
ACTIVATIONS |= {"leaky_relu": [(0.01,), (0.3,), (0.0,)], "softplus": [(1.0, 20.0), (2.0, 1.0), (0.5, 20.0)]}
for name, variants in ACTIVATIONS.items():
    for args in variants:
        tag = "-".join(map(str, args))
        add(name, rand(3, 4, low=-4, high=4), *args, tag=tag)
        add(name, f(0.0), *args, tag=f"{tag}-zero")
        add(name, f(-100.0, -20.0, 1.0, 20.0, 100.0), *args, tag=f"{tag}-large")
        add(name, f(nan, 1.0), *args, tag=f"{tag}-nan", grad=False)
        add(name, f(inf), *args, tag=f"{tag}-inf", grad=False)
        add(name, np.zeros((0, 2)), *args, tag=f"{tag}-empty")
        add(name, rand(1).reshape(()), *args, tag=f"{tag}-0d")
add("softplus", f(-30.0, -20.0, -16.0), 1.0, 20.0, tag="far-left", relative=True)
add("sigmoid", f(-80.0, -30.0, -20.0), tag="far-left", relative=True)
for name in ["softmax", "log_softmax"]:
    for axis in (0, 1, -1):
        add(name, rand(2, 3, 4), axis, tag=str(axis))
    add(name, f(1000.0, 999.0, -1000.0), 0, tag="large")
    add(name, np.array([[0.0, -inf, 1.0], [2.0, 1.0, -inf]]), 1, tag="masked", grad=False)
    add(name, np.array([[-inf, -inf], [nan, 1.0], [0.0, inf], [0.0, 1.0]]), 1, tag="nan", grad=False)
    add(name, np.zeros((2, 0)), 1, tag="empty")
for tag, kwargs in [("all", {}), ("1", {"axis": 1}), ("two", {"axis": (0, -1), "keepdims": True})]:
    add("logsumexp", rand(2, 3, 4), tag=tag, **kwargs)
add("logsumexp", f(100.0, 99.0, -100.0), tag="large", axis=0)
add("logsumexp", f(1000.0, 999.0, -1000.0), tag="larger", axis=0, grad=False)
add(
    "logsumexp",
    np.array([[-inf, -inf], [inf, 1.0], [nan, 1.0], [-inf, 2.0]]),
    tag="infinite",
    axis=1,
    grad=False,
)
add("logsumexp", np.array([[-inf, 2.0, 1.0]]), tag="masked", axis=1)

# ---------------------------------------------------------------------- attention
_MASK = np.array([[True, False, True, True, False], [True] * 5, [False, True, False, False, False]])
_BIAS = np.where(_MASK, rand(3, 5), -inf)
SDPA = [  # tag, leading axes, L, S, E, Ev, mask, is_causal
    ("2d", (), 3, 5, 4, 4, None, False), ("4d", (2, 3), 3, 5, 4, 6, None, False), ("causal", (2, 1), 4, 4, 3, 3, None, True),
    ("causal-wide", (2, 2), 3, 5, 4, 4, None, True), ("causal-tall", (2, 2), 5, 3, 4, 4, None, True),
    ("bool", (2, 2), 3, 5, 4, 4, _MASK, False), ("bool-3d", (2,), 3, 5, 4, 2, _MASK, False),
    ("bool-batch", (2, 2), 3, 5, 4, 4, np.stack([_MASK, _MASK[::-1]])[:, None], False),
    ("float", (2, 2), 3, 5, 4, 4, rand(3, 5), False), ("float-heads", (2, 2), 3, 5, 4, 4, rand(1, 2, 3, 5), False),
    ("one", (1, 1), 1, 1, 2, 2, None, True),
]  # fmt: skip
for tag, lead, rows, columns, width, out, mask, causal in SDPA:
    q, k, v = rand(*lead, rows, width), rand(*lead, columns, width), rand(*lead, columns, out)
    for scale in (width**-0.5, 0.3):
        add("scaled_dot_product_attention", q, k, v, mask, 0.0, causal, scale, tag=f"{tag}-{scale}")
_QKV = rand(2, 2, 3, 4), rand(2, 2, 5, 4), rand(2, 2, 5, 4)
add("scaled_dot_product_attention", *_QKV, _BIAS, 0.0, False, 0.5, tag="-inf-bias", grad=False)
_NONE = _MASK & np.array([[True], [False], [True]])
add("scaled_dot_product_attention", *_QKV, _NONE, 0.0, False, 0.5, tag="nothing-to-see")

# ---------------------------------------------------------------------- recurrent


def weights(gates, n_in, hidden, proj, layers, directions, bias):
    out = []
    for layer in range(layers):
        wide = n_in if layer == 0 else directions * (proj or hidden)
        for _ in range(directions):
            w = (
                rand(gates * hidden, wide, low=-0.7, high=0.7),
                rand(gates * hidden, proj or hidden, low=-0.7, high=0.7),
            )
            b = (rand(gates * hidden), rand(gates * hidden)) if bias else (None, None)
            out.append((*w, *b, rand(proj, hidden) if proj else None))
    return out


for tag, layers, directions, bias, proj in [
    ("plain", 1, 1, True, 0), ("deep", 2, 1, True, 0), ("both-ways", 1, 2, True, 0), ("all", 2, 2, False, 0),
    ("proj", 1, 1, True, 2), ("proj-all", 2, 2, True, 2), ("proj-nobias", 2, 1, False, 3),
]:  # fmt: skip
    steps, batch, n_in, hidden = 4, 2, 3, 5
    states = layers * directions
    tail = (layers, directions == 2, 0.0)
    w = weights(4, n_in, hidden, proj, layers, directions, bias)
    add(
        "lstm",
        rand(steps, batch, n_in),
        rand(states, batch, proj or hidden),
        rand(states, batch, hidden),
        w,
        *tail,
        tag=tag,
    )
    if not proj:
        w = weights(3, n_in, hidden, 0, layers, directions, bias)
        add("gru", rand(steps, batch, n_in), rand(states, batch, hidden), w, *tail, tag=tag)
for reverse in (False, True):
    for bias, proj in [(True, 0), (False, 0), (True, 2)]:
        tag = f"{'back' if reverse else 'forth'}-{bias}-{proj}"
        (w,) = weights(4, 3, 5, proj, 1, 1, bias)
        add("lstm_layer", rand(4, 2, 3), rand(2, proj or 5), rand(2, 5), *w, reverse, tag=tag)
        if not proj:
            (w,) = weights(3, 3, 5, 0, 1, 1, bias)
            add("gru_layer", rand(4, 2, 3), rand(2, 5), *w[:4], reverse, tag=tag)
