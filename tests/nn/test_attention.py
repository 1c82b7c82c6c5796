"""Attention, fused and by heads, against torch.nn: masks, biases, layouts, rows without a key, dropout, wrong calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ArgumentError, DtypeError, ShapeError

RNG = np.random.default_rng(0)
BATCH, LENGTH, SIZE, WIDTH, HEADS = 2, 4, 5, 6, 3

CONSTRUCTION = [
    {},
    {"bias": False, "batch_first": True},
    {"kdim": 5, "vdim": 7},
    {"add_bias_kv": True},
    {"add_zero_attn": True, "batch_first": True},
    {"add_bias_kv": True, "add_zero_attn": True, "vdim": 7, "bias": False},
]
CALLS = [{}, {"need_weights": False}, {"average_attn_weights": False}]


def layers(**options):
    return nn.MultiheadAttention(WIDTH, HEADS, **options), torch.nn.MultiheadAttention(
        WIDTH, HEADS, **options
    )


def inputs(batch=True, **options):
    features = (WIDTH, options.get("kdim", WIDTH), options.get("vdim", WIDTH))
    for length, size in zip((LENGTH, SIZE, SIZE), features, strict=True):
        lead = (length, BATCH) if batch else (length,)
        lead = lead[::-1] if options.get("batch_first") else lead
        yield RNG.normal(size=(*lead, size))


def check(backend, options, *arrays, **call):
    # torch.nn's repr names a class of its own for the output projection.
    assert_same_as_torch(backend, *layers(**options), *arrays, modes=(True,), same_repr=False, **call)


@pytest.mark.parametrize("options", CONSTRUCTION, ids=str)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_multihead(backend, options, call):
    check(backend, options, *inputs(**options), **call)


@pytest.mark.parametrize("options", [CONSTRUCTION[0], CONSTRUCTION[5]], ids=str)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_unbatched(backend, options, call):
    check(backend, options, *inputs(batch=False, **options), **call)


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(WIDTH, HEADS)

    def forward(self, x):
        return self.layer(x, x, x)


class TorchSelfAttention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.MultiheadAttention(WIDTH, HEADS)

    def forward(self, x):
        return self.layer(x, x, x)


def test_self_attention_projects_once(backend):
    x = RNG.normal(size=(LENGTH, BATCH, WIDTH))
    assert_same_as_torch(backend, SelfAttention(), TorchSelfAttention(), x, modes=(True,), same_repr=False)


# ---------------------------------------------------------------------- masks
FORBIDDEN = np.triu(np.ones((LENGTH, SIZE), bool), 2)
PADDED = np.asarray([[False] * SIZE, [False, False, False, True, True]])
MASKS = {
    "bool": {"attn_mask": FORBIDDEN},
    "bool by head": {"attn_mask": np.stack([np.roll(FORBIDDEN, i, 0) for i in range(BATCH * HEADS)])},
    "float": {"attn_mask": RNG.normal(size=(LENGTH, SIZE))},
    "padding": {"key_padding_mask": PADDED},
    "both": {"attn_mask": FORBIDDEN, "key_padding_mask": PADDED},
    "both float": {
        "attn_mask": RNG.normal(size=(BATCH * HEADS, LENGTH, SIZE)),
        "key_padding_mask": RNG.normal(size=(BATCH, SIZE)),
    },
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("options", [CONSTRUCTION[0], CONSTRUCTION[5]], ids=str)
@pytest.mark.parametrize("weights", [True, False])
def test_masks(backend, mask, options, weights):
    check(backend, options, *inputs(**options), need_weights=weights, **MASKS[mask])


@pytest.mark.parametrize("weights", [True, False])
def test_causal_hint(backend, weights):
    x = RNG.normal(size=(LENGTH, BATCH, WIDTH))
    mask = np.triu(np.ones((LENGTH, LENGTH), bool), 1)
    check(backend, {}, x, x + 1, x - 1, need_weights=weights, attn_mask=mask, is_causal=True)


def test_row_without_a_key(backend):
    """NaN where the weights are shown, nothing but the output's bias where they are not: PyTorch's own two answers."""
    net = nn.MultiheadAttention(WIDTH, HEADS).to(backend)
    q, k, v = (a.astype("float32") for a in inputs())
    mask = FORBIDDEN.copy()
    mask[1] = True
    shown, weights = net(q, k, v, attn_mask=mask)
    assert np.isnan(um.to_numpy(shown)[1]).all() and not np.isnan(um.to_numpy(shown)[[0, 2, 3]]).any()
    assert np.isnan(um.to_numpy(weights)[:, 1]).all()
    hidden, nothing = net(q, k, v, attn_mask=mask, need_weights=False)
    assert nothing is None
    np.testing.assert_array_equal(um.to_numpy(hidden)[1], 0.0)


# ---------------------------------------------------------------------- scaled dot product
SEEN = RNG.uniform(size=(LENGTH, SIZE)) > 0.4
SEEN[:, 0] = True
PRODUCTS = [
    ({}, (BATCH, HEADS)),
    ({}, ()),
    ({"scale": 0.3}, (BATCH,)),
    ({"is_causal": True}, (BATCH, HEADS)),
    ({"attn_mask": SEEN}, (BATCH, HEADS)),
    ({"attn_mask": np.where(SEEN, 0.0, -np.inf)}, (BATCH, HEADS)),
    ({"attn_mask": RNG.normal(size=(BATCH, 1, LENGTH, SIZE))}, (BATCH, HEADS)),
]


class Product(nn.Module):
    def forward(self, q, k, v, **options):
        return nn.functional.scaled_dot_product_attention(q, k, v, **options)


class TorchProduct(torch.nn.Module):
    def forward(self, q, k, v, **options):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, **options)


def check_product(backend, q, k, v, **options):
    assert_same_as_torch(
        backend, Product(), TorchProduct(), q, k, v, modes=(True,), same_repr=False, **options
    )


@pytest.mark.parametrize(("options", "lead"), PRODUCTS, ids=range(len(PRODUCTS)))
def test_scaled_dot_product(backend, options, lead):
    q, k = RNG.normal(size=(*lead, LENGTH, 8)), RNG.normal(size=(*lead, SIZE, 8))
    check_product(backend, q, k, RNG.normal(size=(*lead, SIZE, 7)), **options)


def test_grouped_queries(backend):
    q, k, v = (RNG.normal(size=(BATCH, heads, n, 4)) for heads, n in ((6, LENGTH), (2, SIZE), (2, SIZE)))
    check_product(backend, q, k, v, enable_gqa=True)


def test_leading_axes_broadcast(backend):
    q, k = RNG.normal(size=(BATCH, HEADS, LENGTH, 8)), RNG.normal(size=(BATCH, 1, SIZE, 8))
    check_product(backend, q, k, RNG.normal(size=(1, HEADS, SIZE, 7)))


@pytest.mark.parametrize("as_float", [False, True])
def test_fully_masked_rows_are_zero_and_have_no_gradient(backend, finest, as_float):
    mask = SEEN.copy()
    mask[1] = False
    if as_float:
        mask = np.where(mask, 0.0, -np.inf).astype(finest)
    q, k, v = (ops.asarray(RNG.normal(size=(BATCH, n, 8)).astype(finest), backend=backend) for n in (4, 5, 5))

    def total(q, k, v):
        out = ops.scaled_dot_product_attention(q, k, v, mask)
        return ops.sum(out), out

    (_, out), slopes = um.value_and_grad(total, (0, 1, 2), has_aux=True)(q, k, v)
    np.testing.assert_array_equal(um.to_numpy(out)[:, 1], 0.0)
    np.testing.assert_array_equal(um.to_numpy(slopes[0])[:, 1], 0.0)
    assert all(np.isfinite(um.to_numpy(s)).all() for s in slopes)


# ---------------------------------------------------------------------- dropout
def test_dropout_acts_on_weights_in_training_only(backend):
    um.seed(2)
    net = nn.MultiheadAttention(WIDTH, HEADS, dropout=0.3, batch_first=True).to(backend)
    x = RNG.normal(size=(1, 60, WIDTH)).astype("float32")
    output, weights = net(x, x, x, average_attn_weights=False)
    dropped = um.to_numpy(weights) == 0
    assert abs(dropped.mean() - 0.3) < 0.02
    full = um.to_numpy(net.eval()(x, x, x, average_attn_weights=False)[1])
    np.testing.assert_allclose(um.to_numpy(weights)[~dropped], full[~dropped] / 0.7, rtol=1e-5)
    again = um.to_numpy(net.train()(x, x, x)[0])
    assert not np.array_equal(um.to_numpy(output), again)


def test_dropout_of_the_fused_product(backend):
    um.seed(2)
    q = ops.asarray(np.zeros((1, 200, 4), "float32"), backend=backend)
    out = um.to_numpy(ops.scaled_dot_product_attention(q, q, ops.ones_like(q), dropout_p=0.5))
    assert abs(out.mean() - 1.0) < 0.05 and out.std() > 0.01
    np.testing.assert_array_equal(
        um.to_numpy(ops.scaled_dot_product_attention(q, q, ops.ones_like(q), dropout_p=1.0)), 0.0
    )


# ---------------------------------------------------------------------- initial values
def test_initial_values():
    net = nn.MultiheadAttention(48, 4, add_bias_kv=True).initialize(seed=0)
    state = {name: p.numpy() for name, p in net.named_parameters()}
    bound = np.sqrt(6 / (48 + 3 * 48))
    assert 0.99 * bound < abs(state["in_proj_weight"]).max() <= bound
    assert not state["in_proj_bias"].any() and not state["out_proj.bias"].any()
    assert 0.99 < abs(state["out_proj.weight"]).max() * np.sqrt(48) <= 1.0
    assert 0.5 < state["bias_k"].std() * np.sqrt(48) < 1.5


# ---------------------------------------------------------------------- wrong calls
def test_wrong_inputs(backend):
    net = nn.Sequential(nn.MultiheadAttention(WIDTH, HEADS)).to(backend)[0]
    q, k, v = (a.astype("float32") for a in inputs())
    for wrong in [(q, k, v[1:]), (q[..., 1:], k, v), (q[0], k, v), (q[:, :1], k, v), (q[None], k, v)]:
        with pytest.raises(ShapeError, match=r"query, key, value \(L, N, 6\), \(S, N, 6\), \(S, N, 6\)"):
            net(*wrong)
    with pytest.raises(ShapeError, match=r"attn_mask \(4, 5\) or \(6, 4, 5\), got \(5, 4\)"):
        net(q, k, v, attn_mask=FORBIDDEN.T)
    with pytest.raises(ShapeError, match=r"key_padding_mask \(2, 5\), got \(5, 2\)"):
        net(q, k, v, key_padding_mask=PADDED.T)
    with pytest.raises(DtypeError, match="attn_mask of dtype bool or float32, got int"):
        net(q, k, v, attn_mask=FORBIDDEN.astype("int32"))
    with pytest.raises(ArgumentError, match="an attn_mask beside is_causal=True"):
        net(q, k, v, is_causal=True)


def test_wrong_construction():
    with pytest.raises(ArgumentError, match="embed_dim 7 and num_heads 2"):
        nn.MultiheadAttention(7, 2)
    with pytest.raises(ArgumentError, match="0 <= dropout <= 1, got 2"):
        nn.MultiheadAttention(6, 2, dropout=2)


def test_wrong_products(backend):
    def array(*shape):
        return ops.asarray(np.zeros(shape, "float32"), backend=backend)

    attend = ops.scaled_dot_product_attention
    for shapes in [
        ((4, 8), (5, 7), (5, 7)),
        ((4, 8), (5, 8), (6, 8)),
        ((2, 4, 8), (3, 5, 8), (3, 5, 8)),
        ((8,), (5, 8), (5, 8)),
    ]:
        with pytest.raises(ShapeError, match=r"query \(..., L, E\)"):
            attend(*(array(*s) for s in shapes))
    q = array(2, 4, 8)
    with pytest.raises(ShapeError, match=r"broadcasts to \(2, 4, 4\), got \(3, 4\)"):
        attend(q, q, q, np.ones((3, 4), bool))
    with pytest.raises(DtypeError, match="dtype bool or float32, got int"):
        attend(q, q, q, np.ones((4, 4), "int32"))
    with pytest.raises(ArgumentError, match="either attn_mask or is_causal"):
        attend(q, q, q, np.ones((4, 4), bool), is_causal=True)
    with pytest.raises(ArgumentError, match="0 <= dropout_p <= 1"):
        attend(q, q, q, dropout_p=1.5)
    with pytest.raises(ShapeError, match="query heads"):
        attend(array(3, 4, 8), array(2, 4, 8), array(2, 4, 8), enable_gqa=True)
