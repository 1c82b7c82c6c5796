"""What every op of the contract means, on float64 torch tensors: ``ORACLES[name](*args, **kwargs)``."""

import math

import torch
import torch.nn.functional as F


def _axes(x, axis):
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def _flat(x, axis):
    """``x`` with the reduced axes moved last and made one."""
    axes = _axes(x, axis)
    rest = [a for a in range(x.ndim) if a not in axes]
    y = x.permute(*rest, *axes) if x.ndim else x
    return y.reshape([x.shape[a] for a in rest] + [math.prod(x.shape[a] for a in axes)])


def _reduction(fn):
    def reduce(x, *, axis=None, keepdims=False):
        if axis == ():
            return x
        out = fn(_flat(x, axis))
        axes = _axes(x, axis)
        return out.reshape([1 if a in axes else x.shape[a] for a in range(x.ndim)]) if keepdims else out

    return reduce


def _binary(fn):
    """``fn`` with its Python scalar, if there is one, made a tensor of the other operand's dtype."""

    def call(a, b):
        dtype = next(x.dtype for x in (a, b) if isinstance(x, torch.Tensor))
        return fn(torch.as_tensor(a, dtype=dtype), torch.as_tensor(b, dtype=dtype))

    return call


def where(condition, a, b):
    condition, a, b = torch.broadcast_tensors(condition, a, b)
    return torch.where(condition, a, b)


def argsort(x, *, axis=-1, descending=False):
    return torch.sort(x, dim=axis, descending=descending, stable=True).indices


def pad(x, widths, *, value=0.0):
    out = torch.full([n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)], value, dtype=x.dtype)
    out[tuple(slice(a, a + n) for n, (a, b) in zip(x.shape, widths, strict=True))] = x
    return out


def flip(x, *, axis=None):
    return torch.flip(x, _axes(x, axis))


def take(x, indices, *, axis):
    axis %= x.ndim
    out = torch.index_select(x, axis, indices.reshape(-1).long())
    return out.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def take_along_axis(x, indices, *, axis=-1):
    axis %= x.ndim
    shape = [max(a, b) if 0 not in (a, b) else 0 for a, b in zip(x.shape, indices.shape, strict=True)]
    shape[axis] = x.shape[axis]
    x = x.expand(shape)
    shape[axis] = indices.shape[axis]
    return torch.gather(x, axis, indices.expand(shape).long())


def _conv_pad(x, padding):
    return F.pad(x, [n for pair in reversed(padding) for n in pair])


def conv(x, weight, bias, stride, padding, dilation, groups):
    fn = (F.conv1d, F.conv2d, F.conv3d)[x.ndim - 3]
    return fn(_conv_pad(x, padding), weight, bias, stride, 0, dilation, groups)


def conv_transpose(x, weight, bias, stride, padding, output_padding, dilation, groups):
    fn = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[x.ndim - 3]
    return fn(x, weight, bias, stride, padding, output_padding, groups, dilation)


def max_pool_with_indices(x, kernel, stride, padding, dilation, ceil_mode):
    fn = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.ndim - 3]
    return fn(x, kernel, stride, padding, dilation, ceil_mode, return_indices=True)


def avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    if x.ndim > 3:
        fn = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
        return fn(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    out = F.avg_pool2d(
        x[:, :, None],
        (1, *kernel),
        (1, *stride),
        (0, *padding),
        ceil_mode,
        count_include_pad,
        divisor_override,
    )
    return out[:, :, 0]


def adaptive_avg_pool(x, output_size):
    return (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[x.ndim - 3](x, output_size)


def _channels(t, x):
    return t.reshape(1, -1, *[1] * (x.ndim - 2))


def batch_norm(x, mean, var, weight, bias, eps):
    y = (x - _channels(mean, x)) / torch.sqrt(_channels(var, x) + eps)
    y = y if weight is None else y * _channels(weight, x)
    return y if bias is None else y + _channels(bias, x)


def batch_norm_train(x, weight, bias, eps):
    axes = [a for a in range(x.ndim) if a != 1]
    mean, var = x.mean(axes), x.var(axes, correction=0)
    return batch_norm(x, mean, var, weight, bias, eps), mean, var


def group_norm(x, num_groups, weight, bias, eps):
    y = F.group_norm(x, num_groups, None, None, eps)  # torch itself cannot take a bias without a weight
    y = y if weight is None else y * _channels(weight, x)
    return y if bias is None else y + _channels(bias, x)


def scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal, scale):
    assert dropout_p == 0
    scores = q @ k.transpose(-1, -2) * scale
    taken = torch.ones(scores.shape[-2:], dtype=torch.bool)
    if is_causal:
        taken = taken.tril()
    if mask is not None and mask.dtype == torch.bool:
        taken = taken & mask
    elif mask is not None:
        scores = scores + mask
    taken = taken & (scores > -torch.inf)
    scores = torch.where(taken, scores, -torch.inf)
    nothing = ~taken.any(-1, keepdim=True)  # PyTorch since 2.5: a query that may look at nothing gets zeros
    return torch.where(nothing, 0.0, torch.softmax(torch.where(nothing, 0.0, scores), -1)) @ v


def _affine(x, w, b):
    return F.linear(x, w, b)


def lstm_layer(x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, reverse):
    h, c, out = h0, c0, []
    for step in reversed(x) if reverse else x:
        i, f, g, o = (_affine(step, w_ih, b_ih) + _affine(h, w_hh, b_hh)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        h = h if w_hr is None else h @ w_hr.T
        out.append(h)
    return torch.stack(out[::-1] if reverse else out), h, c


def gru_layer(x, h0, w_ih, w_hh, b_ih, b_hh, reverse):
    h, out = h0, []
    for step in reversed(x) if reverse else x:
        xr, xz, xn = _affine(step, w_ih, b_ih).chunk(3, -1)
        hr, hz, hn = _affine(h, w_hh, b_hh).chunk(3, -1)
        r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
        n = torch.tanh(xn + r * hn)
        h = (1 - z) * n + z * h
        out.append(h)
    return torch.stack(out[::-1] if reverse else out), h


def lstm(x, h0, c0, weights, num_layers, bidirectional, dropout):
    directions, h, c = 2 if bidirectional else 1, [], []
    for layer in range(num_layers):
        outs = []
        for d in range(directions):
            i = layer * directions + d
            y, hn, cn = lstm_layer(x, h0[i], c0[i], *weights[i], bool(d))
            outs.append(y)
            h.append(hn)
            c.append(cn)
        x = torch.cat(outs, -1)
    return x, torch.stack(h), torch.stack(c)


def gru(x, h0, weights, num_layers, bidirectional, dropout):
    directions, h = 2 if bidirectional else 1, []
    for layer in range(num_layers):
        outs = []
        for d in range(directions):
            i = layer * directions + d
            y, hn = gru_layer(x, h0[i], *weights[i][:4], bool(d))
            outs.append(y)
            h.append(hn)
        x = torch.cat(outs, -1)
    return x, torch.stack(h)


SAME_NAME = (
    "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf abs negative floor "
    "ceil round isnan logical_not logical_and logical_or bitwise_and bitwise_or bitwise_xor bitwise_left_shift "
    "bitwise_right_shift matmul"
)
BINARY = "add subtract multiply divide pow remainder maximum minimum atan2"

ORACLES = {
    **{name: getattr(torch, name) for name in SAME_NAME.split()},
    **{name: _binary(getattr(torch, name)) for name in BINARY.split()},
    "floor_divide": _binary(lambda a, b: torch.div(a, b, rounding_mode="floor")),
    "bitwise_invert": torch.bitwise_not,
    "sign": lambda x: torch.where(torch.isnan(x), x, torch.sign(x)),  # the array API: NaN stays NaN
    "equal": _binary(torch.eq),
    "less": _binary(torch.lt),
    "where": where,
    "sum": _reduction(lambda x: x.sum(-1, dtype=x.dtype)),
    "prod": _reduction(lambda x: x.prod(-1, dtype=x.dtype)),
    "max": _reduction(lambda x: x.amax(-1)),
    "min": _reduction(lambda x: x.amin(-1)),
    "all": _reduction(lambda x: x.all(-1)),
    "any": _reduction(lambda x: x.any(-1)),
    "argmax": _reduction(lambda x: x.argmax(-1)),
    "argmin": _reduction(lambda x: x.argmin(-1)),
    "cumulative_sum": lambda x, *, axis: torch.cumsum(x, axis, dtype=x.dtype),
    "cumulative_prod": lambda x, *, axis: torch.cumprod(x, axis, dtype=x.dtype),
    "argsort": argsort,
    "reshape": torch.reshape,
    "permute_dims": torch.permute,
    "broadcast_to": torch.broadcast_to,
    "concat": lambda arrays, *, axis=0: torch.cat(arrays, axis),
    "flip": flip,
    "split": lambda x, sizes, *, axis: list(torch.split(x, sizes, axis)),
    "pad": pad,
    "getitem": lambda x, key: x[key],
    "take": take,
    "take_along_axis": take_along_axis,
    "astype": lambda x, dtype: x.to(getattr(torch, dtype)),
    "stop_gradient": lambda x: x.detach(),
    "linear": F.linear,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "max_pool": lambda *args: max_pool_with_indices(*args)[0],
    "max_pool_with_indices": max_pool_with_indices,
    "avg_pool": avg_pool,
    "adaptive_avg_pool": adaptive_avg_pool,
    "batch_norm": batch_norm,
    "batch_norm_train": batch_norm_train,
    "layer_norm": F.layer_norm,
    "group_norm": group_norm,
    "embedding": F.embedding,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": lambda x, approximate: F.gelu(x, approximate=approximate),
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
    "softmax": torch.softmax,
    "log_softmax": torch.log_softmax,
    "logsumexp": _reduction(lambda x: x.logsumexp(-1)),
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "lstm": lstm,
    "gru": gru,
    "lstm_layer": lstm_layer,
    "gru_layer": gru_layer,
}
