"""Operations of neural networks written out in NumPy from their definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[np.float64])


# ---------------------------------------------------------------------- activations
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, x, np.log1p(np.exp(np.minimum(x * beta, threshold))) / beta)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x))


def gelu(x, approximate="none"):
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + erf(x / math.sqrt(2)))


def prelu(x, weight):
    return np.where(x > 0, x, x * (weight if weight.size == 1 else weight.reshape(-1, *[1] * (x.ndim - 2))))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x, slope=0.01: np.where(x > 0, x, slope * x),
    "prelu": prelu,
    "elu": elu,
    "celu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
    "selu": lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    "hardtanh": lambda x, a=-1.0, b=1.0: np.clip(x, a, b),
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "threshold": lambda x, t, v: np.where(x > t, x, v),
    "hardshrink": lambda x, t=0.5: np.where(np.abs(x) > t, x, 0),
    "softshrink": lambda x, t=0.5: np.sign(x) * np.maximum(np.abs(x) - t, 0),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "gelu": gelu,
    "softplus": softplus,
    "logsigmoid": lambda x: -softplus(-x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanhshrink": lambda x: x - np.tanh(x),
}


def logsumexp(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def softmax(x, axis=-1):
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


def glu(x, axis=-1):
    a, b = np.split(x, 2, axis)
    return a * sigmoid(b)


# ---------------------------------------------------------------------- linear, convolution, pooling
def linear(x, weight, bias=None):
    return x @ weight.T + (0 if bias is None else bias)


def conv(x, weight, bias, stride, padding, dilation, groups):
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    kernel, per = weight.shape[2:], weight.shape[0] // groups
    size = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    out = np.zeros((len(x), len(weight), *size))
    for n, o, place in itertools.product(range(len(x)), range(len(weight)), np.ndindex(*size)):
        first = o // per * weight.shape[1]
        window = tuple(
            slice(p * s, p * s + d * (k - 1) + 1, d)
            for p, s, d, k in zip(place, stride, dilation, kernel, strict=True)
        )
        out[(n, o, *place)] = (x[(n, slice(first, first + weight.shape[1]), *window)] * weight[o]).sum()
    return out if bias is None else out + bias.reshape(-1, *[1] * len(size))


def conv_transpose(x, weight, bias, stride, padding, output_padding, dilation, groups):
    kernel, per_in, per_out = weight.shape[2:], weight.shape[0] // groups, weight.shape[1]
    spatial = list(zip(x.shape[2:], stride, dilation, kernel, padding, output_padding, strict=True))
    full = [(n - 1) * s + d * (k - 1) + 1 + o for n, s, d, k, _, o in spatial]
    out = np.zeros((len(x), per_out * groups, *full))
    for n, c, place in itertools.product(range(len(x)), range(weight.shape[0]), np.ndindex(*x.shape[2:])):
        first = c // per_in * per_out
        window = tuple(
            slice(p * s, p * s + d * (k - 1) + 1, d)
            for p, (_, s, d, k, _, _) in zip(place, spatial, strict=True)
        )
        out[(n, slice(first, first + per_out), *window)] += x[(n, c, *place)] * weight[c]
    out = out[(..., *(slice(p, size - p) for size, (*_, p, _) in zip(full, spatial, strict=True)))]
    return out if bias is None else out + bias.reshape(-1, *[1] * len(full))


def _pool_size(n, k, s, p, d, ceil_mode):
    size = (n + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
    return size - (ceil_mode and (size - 1) * s >= n + p)


def _windows(x, kernel, stride, padding, dilation, ceil_mode):
    """For every place of the output, the indices of x under its kernel along each spatial axis, out of range included."""
    sides = list(zip(x.shape[2:], kernel, stride, padding, dilation, strict=True))
    size = [_pool_size(n, k, s, p, d, ceil_mode) for n, k, s, p, d in sides]
    for place in np.ndindex(*size):
        yield (
            place,
            size,
            [[i * s - p + d * j for j in range(k)] for i, (_, k, s, p, d) in zip(place, sides, strict=True)],
        )


def max_pool_with_indices(x, kernel, stride, padding, dilation, ceil_mode):
    values = indices = None
    for place, size, cells in _windows(x, kernel, stride, padding, dilation, ceil_mode):
        if values is None:
            values, indices = np.zeros((*x.shape[:2], *size)), np.zeros((*x.shape[:2], *size), np.int64)
        inside = [[i for i in row if 0 <= i < n] for row, n in zip(cells, x.shape[2:], strict=True)]
        flat = [np.ravel_multi_index(c, x.shape[2:]) for c in itertools.product(*inside)]
        seen = x.reshape(*x.shape[:2], -1)[..., flat]
        values[(..., *place)], indices[(..., *place)] = seen.max(-1), np.array(flat)[seen.argmax(-1)]
    return values, indices


def avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    out = None
    for place, size, cells in _windows(x, kernel, stride, padding, (1,) * len(kernel), ceil_mode):
        out = np.zeros((*x.shape[:2], *size)) if out is None else out
        inside = [[i for i in row if 0 <= i < n] for row, n in zip(cells, x.shape[2:], strict=True)]
        padded = [
            [i for i in row if i < n + p] for row, n, p in zip(cells, x.shape[2:], padding, strict=True)
        ]
        count = math.prod(map(len, padded if count_include_pad else inside))
        out[(..., *place)] = x[(..., *np.ix_(*inside))].sum(tuple(range(2, x.ndim))) / (
            divisor_override or count
        )
    return out


def adaptive_avg_pool(x, output_size):
    out = np.zeros((*x.shape[:2], *output_size))
    for place in np.ndindex(*output_size):
        cells = tuple(
            slice(i * n // o, -(-(i + 1) * n // o))
            for i, n, o in zip(place, x.shape[2:], output_size, strict=True)
        )
        out[(..., *place)] = x[(..., *cells)].mean(tuple(range(2, x.ndim)))
    return out


# ---------------------------------------------------------------------- normalisation, attention
def _channels(t, x):
    return t.reshape(-1, *[1] * (x.ndim - 2))


def batch_norm(x, mean, var, weight, bias, eps):
    y = (x - _channels(mean, x)) / np.sqrt(_channels(var, x) + eps)
    y = y if weight is None else y * _channels(weight, x)
    return y if bias is None else y + _channels(bias, x)


def batch_norm_train(x, weight, bias, eps):
    axes = (0, *range(2, x.ndim))
    mean, var = x.mean(axes), x.var(axes)
    return batch_norm(x, mean, var, weight, bias, eps), mean, var


def layer_norm(x, normalized_shape, weight, bias, eps):
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def group_norm(x, num_groups, weight, bias, eps):
    rows = x.reshape(len(x), num_groups, -1)
    y = ((rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + eps)).reshape(x.shape)
    y = y if weight is None else y * _channels(weight, x)
    return y if bias is None else y + _channels(bias, x)


def attention(q, k, v, mask=None, dropout_p=0.0, is_causal=False, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    return softmax(scores) @ v


# ---------------------------------------------------------------------- recurrent layers
def rnn_cell(x, h, w_ih, w_hh, b_ih, b_hh, nonlinearity="tanh"):
    z = linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)
    return np.tanh(z) if nonlinearity == "tanh" else np.maximum(z, 0)


def gru_cell(x, h, w_ih, w_hh, b_ih, b_hh):
    (xr, xz, xn), (hr, hz, hn) = (np.split(linear(*a), 3, -1) for a in ((x, w_ih, b_ih), (h, w_hh, b_hh)))
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    return (1 - z) * np.tanh(xn + r * hn) + z * h


def lstm_cell(x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr=None):
    i, f, g, o = np.split(linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return (h if w_hr is None else h @ w_hr.T), c


def layer(cell, x, state, weights, reverse=False):
    """One direction of one layer; ``state`` is the tuple (h,) or (h, c)."""
    out = []
    for step in x[::-1] if reverse else x:
        state = cell(step, *state, *weights)
        state = state if isinstance(state, tuple) else (state,)
        out.append(state[0])
    return (np.stack(out[::-1] if reverse else out), *state)


def stack(cell, x, state, weights, num_layers=1, bidirectional=False):
    directions, final = 2 if bidirectional else 1, []
    for n in range(num_layers):
        rows = [n * directions + d for d in range(directions)]
        outs = [
            layer(cell, x, tuple(s[i] for s in state), weights[i], reverse=i % directions == 1) for i in rows
        ]
        x = np.concatenate([o[0] for o in outs], -1)
        final += [o[1:] for o in outs]
    return (x, *(np.stack(s) for s in zip(*final, strict=True)))


# ---------------------------------------------------------------------- losses
def reduced(loss, reduction="mean"):
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def nll_loss(x, target, weight=None, ignore_index=-100, reduction="mean"):
    weight = np.ones(x.shape[1]) if weight is None else weight
    kept = target != ignore_index
    safe = np.where(kept, target, 0)
    w = weight[safe] * kept
    loss = -np.take_along_axis(x, safe[:, None], 1)[:, 0] * w
    return loss.sum() / w.sum() if reduction == "mean" else reduced(loss, reduction)


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    logp = x - logsumexp(x, 1, True)
    hard = nll_loss(logp, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    w = np.ones(x.shape[1]) if weight is None else weight
    kept = target != ignore_index
    smooth = -(logp * _channels(w, x)).sum(1) * kept
    if reduction == "mean":
        smooth = smooth.sum() / (w[np.where(kept, target, 0)] * kept).sum()
    else:
        smooth = reduced(smooth, reduction)
    return (1 - label_smoothing) * hard + label_smoothing / x.shape[1] * smooth


def bce(x, target, weight=1.0, reduction="mean"):
    return reduced(-weight * (target * np.log(x) + (1 - target) * np.log(1 - x)), reduction)


def bce_with_logits(x, target, weight=1.0, reduction="mean", pos_weight=1.0):
    return reduced(weight * (pos_weight * target * softplus(-x) + (1 - target) * softplus(x)), reduction)


def huber(x, target, reduction="mean", delta=1.0):
    d = np.abs(x - target)
    return reduced(np.where(d <= delta, d * d / 2, delta * (d - delta / 2)), reduction)


def smooth_l1(x, target, reduction="mean", beta=1.0):
    d = np.abs(x - target)
    return reduced(np.where(d < beta, d * d / (2 * beta), d - beta / 2), reduction)


def kl_div(x, target, reduction="mean", log_target=False):
    loss = np.exp(target) * (target - x) if log_target else target * (np.log(target) - x)
    return loss.sum() / len(x) if reduction == "batchmean" else reduced(loss, reduction)
