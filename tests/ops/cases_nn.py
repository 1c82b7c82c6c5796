"""Operations of neural networks, as the layers call them."""

from __future__ import annotations

import numpy as np

from . import oracles_nn as o
from .harness import Case, case, floats

X = floats(2, 4, low=-3.0, high=3.1)
IMAGE = floats(2, 4, 5, 4, apart=True)
LINE = floats(2, 4, 7, apart=True)
VOLUME = floats(1, 2, 3, 4, 3, apart=True)
C, P = floats(4, low=0.5), floats(4, low=0.3, high=1.5)

_OPTIONS = {
    "leaky_relu": [(0.2,), (-0.5,)],
    "elu": [(0.7,)],
    "celu": [(0.7,)],
    "hardtanh": [(-0.5, 2.0)],
    "hardshrink": [(1.1,)],
    "softshrink": [(1.1,)],
    "gelu": [("tanh",)],
    "softplus": [(2.0, 1.5)],
}
ACTIVATIONS: list[Case] = [
    *(case(n, X, oracle=f) for n, f in o.ACTIVATIONS.items() if n not in ("prelu", "threshold")),
    *(
        case(n, X, *more, oracle=o.ACTIVATIONS[n], tag=f"{more}")
        for n, rows in _OPTIONS.items()
        for more in rows
    ),
    case("threshold", X, 0.3, -1.5, oracle=o.ACTIVATIONS["threshold"]),
    case("prelu", X, floats(1), oracle=o.prelu),
    case("prelu", IMAGE, P, oracle=o.prelu, tag="channels"),
    *(
        case(n, X, axis=a, oracle=f, tag=f"{a}")
        for n, f in [("softmax", o.softmax), ("glu", o.glu)]
        for a in (0, -1)
    ),
    *(
        case("log_softmax", X, axis=a, oracle=lambda x, axis: np.log(o.softmax(x, axis)), tag=f"{a}")
        for a in (0, 1)
    ),
    *(case("logsumexp", IMAGE, axis=a, oracle=o.logsumexp, tag=f"{a}") for a in (None, 1, (0, -1))),
    case("logsumexp", X, axis=1, keepdims=True, oracle=o.logsumexp, tag="kept"),
]

_CONV = {
    "line": (LINE, floats(3, 4, 3), C[:3], (1,), ((0, 0),), (1,), 1),
    "image": (IMAGE, floats(2, 4, 3, 2), C[:2], (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "strided": (IMAGE, floats(2, 4, 3, 2), None, (2, 1), ((1, 1), (0, 2)), (1, 1), 1),
    "dilated": (IMAGE, floats(2, 4, 2, 2), C[:2], (1, 2), ((1, 0), (1, 1)), (2, 3), 1),
    "groups": (IMAGE, floats(6, 2, 2, 2), floats(6), (1, 1), ((0, 1), (1, 0)), (1, 1), 2),
    "depthwise": (IMAGE, floats(4, 1, 2, 2), None, (2, 2), ((0, 0), (0, 0)), (1, 1), 4),
    "volume": (VOLUME, floats(2, 2, 2, 2, 1), C[:2], (1, 2, 1), ((0, 0), (1, 1), (0, 0)), (1, 1, 1), 1),
}
_TRANSPOSE = {
    "line": (LINE[..., :3], floats(4, 2, 3), C[:2], (2,), (1,), (1,), (1,), 1),
    "image": (IMAGE[..., :3, :2], floats(4, 2, 2, 3), None, (1, 2), (0, 1), (0, 0), (1, 1), 1),
    "groups": (IMAGE[..., :2, :2], floats(4, 2, 2, 2), C, (2, 2), (0, 0), (1, 0), (2, 1), 2),
    "volume": (
        VOLUME[..., :2, :2, :2],
        floats(2, 1, 2, 1, 2),
        None,
        (1, 2, 1),
        (0, 0, 0),
        (0, 1, 0),
        (1, 1, 1),
        1,
    ),
}
_POOL = {
    "plain": ((2, 2), (2, 2), (0, 0), False),
    "overlapping": ((3, 2), (1, 2), (1, 0), False),
    "rounded up": ((2, 3), (2, 2), (0, 1), True),
}
SPATIAL: list[Case] = [
    *(case("conv", *a, oracle=o.conv, tag=t) for t, a in _CONV.items()),
    *(case("conv_transpose", *a, oracle=o.conv_transpose, tag=t) for t, a in _TRANSPOSE.items()),
    *(
        case(n, IMAGE, k, s, p, (1, 1), c, oracle=f, tag=t)
        for t, (k, s, p, c) in _POOL.items()
        for n, f in [
            ("max_pool", lambda *a: o.max_pool_with_indices(*a)[0]),
            ("max_pool_with_indices", o.max_pool_with_indices),
        ]
    ),
    case(
        "max_pool",
        LINE,
        (2,),
        (2,),
        (0,),
        (2,),
        False,
        oracle=lambda *a: o.max_pool_with_indices(*a)[0],
        tag="line",
    ),
    *(
        case("avg_pool", IMAGE, k, s, p, c, i, d, oracle=o.avg_pool, tag=f"{t} {i} {d}")
        for t, (k, s, p, c) in _POOL.items()
        for i, d in [(True, None), (False, None), (True, 3)]
    ),
    case(
        "avg_pool",
        VOLUME,
        (2, 2, 1),
        (1, 2, 1),
        (0, 0, 0),
        False,
        True,
        None,
        oracle=o.avg_pool,
        tag="volume",
    ),
    *(
        case(
            "avg_pool",
            VOLUME,
            (3, 2, 4),
            (1, 2, 2),
            (1, 0, 2),
            c,
            i,
            d,
            oracle=o.avg_pool,
            tag=f"padded {c} {i} {d}",
        )
        for c in (False, True)
        for i, d in ((True, None), (False, None), (True, 5))
    ),
    case("adaptive_avg_pool", IMAGE, (2, 3), oracle=o.adaptive_avg_pool),
    case("adaptive_avg_pool", LINE, (3,), oracle=o.adaptive_avg_pool, tag="line"),
]

NORMS: list[Case] = [
    case("batch_norm", IMAGE, C, P, P, C, 1e-5, oracle=o.batch_norm),
    case("batch_norm", X, C, P, None, None, 1e-3, oracle=o.batch_norm, tag="plain"),
    case("batch_norm_train", IMAGE, P, C, 1e-5, through=1, oracle=o.batch_norm_train),
    case("batch_norm_train", LINE, None, None, 1e-3, through=1, oracle=o.batch_norm_train, tag="plain"),
    case("layer_norm", X, (4,), P, C, 1e-5, oracle=o.layer_norm),
    case("layer_norm", IMAGE, (5, 4), None, None, 1e-5, oracle=o.layer_norm, tag="two axes"),
    case("group_norm", IMAGE, 2, P, C, 1e-5, oracle=o.group_norm),
    case("group_norm", LINE, 4, None, None, 1e-5, oracle=o.group_norm, tag="plain"),
    case("linear", floats(2, 3, 5), floats(4, 5), C, oracle=o.linear),
    case("linear", floats(5), floats(4, 5), oracle=o.linear, tag="vector"),
    case("embedding", np.array([[1, 0], [3, 1]]), floats(4, 3), oracle=lambda i, w: w[i]),
]

Q, K, V = floats(2, 3, 4), floats(2, 5, 4, low=-1.0), floats(2, 5, 3)
_MASK = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]], bool)
ATTENTION: list[Case] = [
    case("scaled_dot_product_attention", Q, K, V, oracle=o.attention),
    case("scaled_dot_product_attention", Q, K, V, is_causal=True, oracle=o.attention, tag="causal"),
    case("scaled_dot_product_attention", Q, K, V, _MASK, oracle=o.attention, tag="mask"),
    case("scaled_dot_product_attention", Q, K, V, floats(3, 5), scale=0.3, oracle=o.attention, tag="bias"),
]


def _weights(gates, size=3, hidden=2):
    rows = gates * hidden
    return floats(rows, size), floats(rows, hidden, low=-1.0), floats(rows), floats(rows, low=-1.0)


STEPS, H = floats(4, 2, 3), floats(2, 2)
_DEEP = {g: [_weights(g), _weights(g), _weights(g, 4), _weights(g, 4)] for g in (1, 3, 4)}
RECURRENT: list[Case] = [
    case("rnn_cell", STEPS[0], H, *_weights(1), oracle=o.rnn_cell),
    case("rnn_cell", STEPS[0], H, *_weights(1), nonlinearity="relu", oracle=o.rnn_cell, tag="relu"),
    case("gru_cell", STEPS[0], H, *_weights(3), oracle=o.gru_cell),
    case("lstm_cell", STEPS[0], H, -H, *_weights(4), oracle=o.lstm_cell),
    *(
        case(
            n,
            STEPS,
            *s,
            *_weights(g),
            reverse=r,
            tag=f"{r}",
            oracle=lambda x, *a, reverse, k=k, c=c: o.layer(c, x, a[:k], a[k:], reverse),
        )
        for n, g, k, s, c in [
            ("rnn_layer", 1, 1, (H,), o.rnn_cell),
            ("gru_layer", 3, 1, (H,), o.gru_cell),
            ("lstm_layer", 4, 2, (H, -H), o.lstm_cell),
        ]
        for r in (False, True)
    ),
    case(
        "lstm_layer",
        STEPS,
        floats(2, 1),
        H,
        floats(8, 3),
        floats(8, 1),
        None,
        None,
        floats(1, 2),
        tag="projected",
        oracle=lambda x, h, c, *w: o.layer(o.lstm_cell, x, (h, c), w),
    ),
    case("rnn", STEPS, H[None], [_weights(1)], oracle=lambda x, h, w: o.stack(o.rnn_cell, x, (h,), w)),
    *(
        case(
            n,
            STEPS,
            *(floats(4, 2, 2, low=-1.0 - i) for i in range(k)),
            _DEEP[g],
            num_layers=2,
            bidirectional=True,
            tag="deep",
            oracle=lambda x, *a, num_layers, bidirectional, c=c: o.stack(
                c, x, a[:-1], a[-1], num_layers, bidirectional
            ),
        )
        for n, g, k, c in [("rnn", 1, 1, o.rnn_cell), ("gru", 3, 1, o.gru_cell), ("lstm", 4, 2, o.lstm_cell)]
    ),
]

T, CLASSES = floats(2, 4, low=-1.0), np.array([3, 1])
PROBABILITY = floats(2, 4, low=0.1, high=0.9)
_IGNORED = {"ignore_index": 1}
LOSSES: list[Case] = [
    *(
        case(n, a, b, reduction=r, oracle=f, tag=r)
        for r in ("mean", "sum", "none")
        for n, a, b, f in [
            ("mse_loss", X, T, lambda x, t, reduction: o.reduced((x - t) ** 2, reduction)),
            ("l1_loss", X, T, lambda x, t, reduction: o.reduced(np.abs(x - t), reduction)),
            ("huber_loss", X, T, o.huber),
            ("smooth_l1_loss", X, T, o.smooth_l1),
            ("kl_div", X, PROBABILITY, o.kl_div),
            ("binary_cross_entropy", PROBABILITY, floats(2, 4, low=0.0, high=1.0), o.bce),
            ("binary_cross_entropy_with_logits", X, PROBABILITY, o.bce_with_logits),
            ("cross_entropy", X, CLASSES, o.cross_entropy),
            ("nll_loss", X, CLASSES, o.nll_loss),
        ]
    ),
    case("huber_loss", X, T, delta=0.4, oracle=o.huber, tag="delta"),
    case("smooth_l1_loss", X, T, beta=0.4, oracle=o.smooth_l1, tag="beta"),
    case("kl_div", X, T, reduction="batchmean", log_target=True, oracle=o.kl_div, tag="logarithms"),
    case(
        "binary_cross_entropy_with_logits",
        X,
        PROBABILITY,
        pos_weight=P,
        constant=(2,),
        oracle=o.bce_with_logits,
        tag="weight",
    ),
    case("cross_entropy", X, CLASSES, P, constant=(1,), oracle=o.cross_entropy, tag="weight"),
    case(
        "cross_entropy",
        X,
        CLASSES,
        P,
        label_smoothing=0.2,
        constant=(1,),
        oracle=o.cross_entropy,
        tag="smooth",
        **_IGNORED,
    ),
    case(
        "cross_entropy",
        LINE,
        np.arange(14).reshape(2, 7) % 4,
        tag="places",
        oracle=lambda x, t: o.cross_entropy(np.moveaxis(x, 1, -1).reshape(-1, 4), t.reshape(-1)),
    ),
    case("nll_loss", X, CLASSES, P, constant=(1,), oracle=o.nll_loss, tag="weight", **_IGNORED),
]
CASES = ACTIVATIONS + SPATIAL + NORMS + ATTENTION + RECURRENT + LOSSES
